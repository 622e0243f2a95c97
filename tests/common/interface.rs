//! A server with the status interface, and something of everything that it tells of.

use super::client::Response;
use super::nginx::Nginx;
use super::room::room;
use super::setup::Setup;

/// Of a session that nobody has.
pub const NOBODY: &str = "0123456789abcdef";

/// Limits, a room, lookups in a cache, and buffers, with the interface at `/smart/`, where nothing can be removed,
/// and at `/control/`, where it can.
pub fn interface() -> Setup {
    room("max_active=1")
        .http("http_sendfile_cache_zone lookups:1m; smart_buffers_zone 1m;\n")
        .location("/smart/", "smart_api;")
        .location("/control/", "smart_api write;")
        .location("/limited/", "smart_limit zone=key burst=5 nodelay; smart_buffers on; empty_gif;")
}

/// The answer to a DELETE on a connection of its own.
#[track_caller]
pub fn delete(nginx: &Nginx, path: &str) -> Response {
    nginx.connect().request("DELETE", path, &[], b"")
}

/// Asserts that an answer is an error in the interface's own form.
#[track_caller]
pub fn assert_refused(response: &Response, status: u16, text: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    let told = response.json();
    assert_eq!(told["version"], 1);
    assert_eq!(told["error"]["status"], status);
    assert_eq!(told["error"]["text"], text);
}
