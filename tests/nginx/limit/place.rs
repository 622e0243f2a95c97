//! Where smart_limit stands among nginx's modules, and how it gets on with limit_req beside it.
//! (`builds` asks the same of each way to build.)

use std::time::{Duration, Instant};

use crate::common::limited::{Pair, TICK};
use crate::common::place::{assert_limits_in_place, limits};
use crate::common::setup::{self, Setup};

#[test]
fn smoke_realip_comes_before_and_limit_req_after() {
    assert!(setup::built_with("http_realip_module"), "this nginx has no realip");
    assert_limits_in_place(&limits(Setup::new()).start(), "this nginx");
}

#[test]
fn a_client_is_known_through_several_proxies() {
    let nginx = Setup::new()
        .http("smart_limit_zone $remote_addr zone=one:1m rate=3r/m;\n")
        .document("page", b"a page\n")
        .location(
            "/real/",
            "set_real_ip_from 127.0.0.1; set_real_ip_from 192.0.2.0/24;
            real_ip_header X-Forwarded-For; real_ip_recursive on;
            smart_limit zone=one; try_files /page =404;",
        )
        .location("/direct/", "smart_limit zone=one; try_files /page =404;")
        .start();
    let status = |path: &str, addresses: &str| {
        nginx.connect().get_with(path, &[("X-Forwarded-For", addresses)]).status
    };
    assert_eq!(status("/real/", "198.51.100.7, 192.0.2.9"), 200);
    assert_eq!(status("/real/", "203.0.113.1, 198.51.100.7, 192.0.2.8, 192.0.2.9"), 503);
    assert_eq!(status("/real/", "198.51.100.8, 192.0.2.9"), 200);
    assert!(nginx.wait_for_error("limiting requests").contains("client: 198.51.100.7,"));
    assert_eq!(status("/direct/", "198.51.100.9"), 200);
    assert_eq!(status("/direct/", "198.51.100.10"), 503, "who says that nobody vouches for");
}

#[test]
fn access_is_asked_for_after_the_limit_as_with_limit_req() {
    let pair = Pair::start(
        "limit_req_zone $arg_key zone=limit_req_one:1m rate=3r/m;",
        "location /limit_req/ { limit_req zone=limit_req_one; deny all; empty_gif; }",
    );
    assert_eq!(
        pair.ask(&["?key=1", "?key=1", "?key=2"]),
        ["403 PASSED", "503 REJECTED", "403 PASSED"]
    );
}

/// A server with both limiters in its only location.
fn both(ours: &str, theirs: &str) -> crate::common::nginx::Nginx {
    Setup::new()
        .http(
            "smart_limit_zone $host zone=ours:1m rate=2r/s;
            limit_req_zone $host zone=theirs:1m rate=1r/s;\n",
        )
        .server(
            "add_header X-Ours $smart_limit_status always;
            add_header X-Theirs $limit_req_status always;\n",
        )
        .location("/", &format!("{ours} {theirs} empty_gif;"))
        .start()
}

/// The status and both verdicts on requests at once, each on a connection of its own.
fn ask(nginx: &crate::common::nginx::Nginx, count: usize) -> Vec<String> {
    let mut clients: Vec<_> = (0..count).map(|_| nginx.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("/"));
    let told = clients.iter_mut().map(|client| {
        let response = client.read("GET");
        let verdict = |name| response.header(name).unwrap_or("-").to_owned();
        format!("{} {} {}", response.status, verdict("X-Ours"), verdict("X-Theirs"))
    });
    told.collect()
}

#[test]
fn each_limiter_refuses_on_its_own_account() {
    let nginx = both("smart_limit zone=ours burst=2 nodelay;", "limit_req zone=theirs;");
    assert_eq!(
        ask(&nginx, 4),
        ["200 PASSED PASSED", "503 PASSED REJECTED", "503 PASSED REJECTED", "503 REJECTED -"]
    );
}

#[test]
fn a_dry_run_of_one_is_none_of_the_other() {
    let nginx = both(
        "smart_limit zone=ours; smart_limit_dry_run on;",
        "limit_req zone=theirs burst=1 nodelay;",
    );
    assert_eq!(
        ask(&nginx, 3),
        ["200 PASSED PASSED", "200 REJECTED_DRY_RUN PASSED", "503 REJECTED_DRY_RUN REJECTED"]
    );
}

#[test]
fn delays_of_both_follow_one_another() {
    let nginx = both("smart_limit zone=ours burst=1;", "limit_req zone=theirs burst=1;");
    let began = Instant::now();
    assert_eq!(ask(&nginx, 3), ["200 PASSED PASSED", "200 DELAYED DELAYED", "503 REJECTED -"]);
    // Half a second for ours; what is then left of a second for theirs.
    assert!(began.elapsed() + TICK >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn who_leaves_while_the_second_limiter_holds_him_back_is_noticed() {
    let nginx = both("smart_limit zone=ours burst=9;", "limit_req zone=theirs burst=9;");
    let began = Instant::now();
    let mut clients: Vec<_> = (0..8).map(|_| nginx.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("/"));
    // Theirs comes to the last one after 3.5 seconds, and holds him back for as long again.
    crate::common::wait_until("a delay by both", || {
        nginx.error_log().matches("delaying request").count() >= 10
    });
    drop(clients);
    crate::common::wait_until("the aborts in the log", || nginx.aborted() >= 5);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}
