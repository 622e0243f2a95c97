//! The place of smart_limit among nginx's modules, as far as requests can tell.

use super::nginx::Nginx;
use super::setup::Setup;

/// Adds a location in which realip tells who the client is, and one in which limit_req limits too.
pub fn limits(setup: Setup) -> Setup {
    setup
        .http(
            "smart_limit_zone $binary_remote_addr zone=clients:1m rate=3r/m;
            smart_limit_zone $arg_ours zone=ours:1m rate=3r/m;
            limit_req_zone $arg_theirs zone=theirs:1m rate=3r/m;\n",
        )
        .location(
            "/real/",
            "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP; smart_limit zone=clients;
            try_files /page =404;",
        )
        .location(
            "/both/",
            "smart_limit zone=ours; smart_limit_status 429; limit_req zone=theirs burst=1 nodelay;
            try_files /page =404;",
        )
        .document("page", b"a page\n")
}

/// Asserts that the limiter knows the client that realip has found, and that limit_req does not
/// charge what the limiter has refused.
#[track_caller]
pub fn assert_limits_in_place(nginx: &Nginx, build: &str) {
    let mut client = nginx.connect();
    let mut status =
        |path: &str, address: &str| client.get_with(path, &[("X-Real-IP", address)]).status;
    let clients = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::1"];
    let statuses = clients.map(|address| status("/real/", address));
    assert_eq!(statuses, [200, 503, 200, 200, 503], "{build}: realip comes before us");
    let statuses =
        [1, 1, 1, 1, 2, 3].map(|ours| status(&format!("/both/?ours={ours}&theirs=1"), "192.0.2.1"));
    assert_eq!(statuses, [200, 429, 429, 429, 200, 503], "{build}: limit_req comes after us");
}
