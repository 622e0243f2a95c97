//! What an operator removes by the status interface: keys of limits, sessions of rooms, lookups of caches.

use crate::common::interface::{assert_refused, delete, interface, NOBODY};
use crate::common::memcached::Memcached;
use crate::common::room::Visitor;
use crate::common::site;

#[test]
fn nothing_is_removed_without_write() {
    let nginx = interface().start();
    nginx.get("/limited/?k=a");
    for path in [
        "limits/key?key=a".to_owned(),
        "limits/none".to_owned(),
        format!("rooms/r?session={NOBODY}"),
        "sendfile/cache/lookups".to_owned(),
    ] {
        let refused = delete(&nginx, &format!("/smart/{path}"));
        assert_refused(&refused, 403, "nothing can be removed without \"smart_api write\"");
    }
    assert_eq!(nginx.get("/smart/limits/key?key=a").json()["held"], true);
}

#[test]
fn a_key_is_removed() {
    let nginx = interface().start();
    for key in ["a", "b"] {
        nginx.get(&format!("/limited/?k={key}"));
    }
    let response = delete(&nginx, "/control/limits/key?key=a");
    assert_eq!((response.status, response.body.as_slice()), (204, &b""[..]));
    assert_eq!(response.header("Content-Type"), None);
    assert_eq!(response.all("Cache-Control"), ["no-store"]);
    assert_refused(&delete(&nginx, "/control/limits/key?key=a"), 404, "no such key is held");
    assert_refused(&delete(&nginx, "/control/limits/none?key=a"), 404, "no limit \"none\"");
    assert_refused(&delete(&nginx, "/control/limits/key"), 400, "\"key\" must be given");
    let held = |key| nginx.get(&format!("/smart/limits/key?key={key}")).json()["held"].clone();
    assert_eq!((held("a"), held("b")), (false.into(), true.into()));
    let line = nginx.wait_for_error("smart_api removed");
    assert!(line.contains("[notice]"), "{line}");
    assert!(line.contains("removed key \"a\" of limit \"key\", client: 127.0.0.1, "), "{line}");
    assert_eq!(nginx.error_log().matches("smart_api removed").count(), 1, "what was removed");
}

#[test]
fn a_session_is_removed() {
    let nginx = interface().start();
    let mut seated = Visitor::new(&nginx);
    seated.get("/");
    let session = seated.get("/").header("X-Session").expect("a session").to_owned();
    let path = format!("rooms/r?session={session}");
    let told = nginx.get(&format!("/smart/{path}"));
    assert_eq!(told.json()["status"], "active", "{}", told.text());
    let waits = Visitor::new(&nginx).join("/");
    assert_eq!(waits["status"], "waiting", "{waits}");
    assert_eq!(delete(&nginx, &format!("/control/{path}")).status, 204);
    assert_refused(&nginx.get(&format!("/smart/{path}")), 404, "no such session is held");
    assert_refused(&delete(&nginx, &format!("/control/{path}")), 404, "no such session is held");
    let removed = format!("removed session {session} of room \"r\", client: 127.0.0.1, ");
    nginx.wait_for_error(&removed);
}

#[test]
fn lookups_are_removed_from_a_cache() {
    let memcached = Memcached::with_paths(0..3);
    let nginx = interface()
        .store(&memcached.address())
        .files(0..3)
        .location("/file/", "http_sendfile on; http_sendfile_cache lookups;")
        .start();
    let lookup = |id: u64| {
        let response = nginx.get(&format!("/file/{id}"));
        (response.lookup().to_owned(), response.body == site::content_of(id))
    };
    for id in 0..3 {
        assert_eq!(lookup(id), ("FOUND".to_owned(), true));
        assert_eq!(lookup(id), ("HIT".to_owned(), true));
    }
    let remove = |path: &str| delete(&nginx, &format!("/control/sendfile/cache/{path}"));
    assert_eq!(remove("lookups?key=0").status, 204);
    assert_refused(&remove("lookups?key=0"), 404, "no such lookup is held");
    assert_eq!(lookup(0).0, "FOUND");
    assert_eq!(lookup(1).0, "HIT");
    assert_eq!(remove("lookups").status, 204);
    assert_refused(&remove("lookups"), 404, "no such lookup is held");
    assert_eq!(lookup(1).0, "FOUND");
    assert_refused(&remove("none"), 404, "no cache \"none\"");
    nginx.wait_for_error("removed lookup \"0\" of cache \"lookups\", client: ");
    nginx.wait_for_error("removed all lookups of cache \"lookups\", client: ");
}
