//! Beside an application in the same location: what is found comes from disk, and what is not
//! reaches the application whole.

use crate::common::application::{application, pass};
use crate::common::client::request;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::site;
use crate::common::store::Store;

/// `/file/ID` beside the application, files of IDs 0 to 9.
fn beside(store: &str, directives: &str) -> Nginx {
    let setup = application(Setup::new()).store(store).files(0..10);
    let pass = pass(&setup);
    setup.lookups(&format!("{pass} {directives}")).start()
}

#[test]
fn smoke_a_hit_comes_from_disk_and_a_miss_from_the_application() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = beside(&memcached.address(), "");
    let hit = nginx.get("/file/7");
    assert_eq!((hit.status, hit.lookup()), (200, "FOUND"));
    assert_eq!(hit.body, site::content_of(7));
    assert!(hit.header("ETag").is_some(), "served as a static file");
    let miss = nginx.get("/file/77?a=b");
    assert_eq!((miss.status, miss.lookup()), (200, "MISS"));
    assert_eq!(miss.text(), "/file/77?a=b [] \n");
}

#[test]
fn a_miss_keeps_method_headers_and_body() {
    let memcached = Memcached::start();
    let nginx = beside(&memcached.address(), "");
    let mut client = nginx.connect();
    let large = "0123456789".repeat(20_000);
    for body in ["", "short", &large] {
        let response =
            client.request("GET", "/file/77?q", &[("X-Custom", "mine")], body.as_bytes());
        assert_eq!(response.lookup(), "MISS");
        assert!(
            response.text() == format!("/file/77?q [{body}] mine\n"),
            "a body of {}",
            body.len()
        );
        assert_eq!(response.header("X-Method"), Some("GET"));
    }
    let head = client.request("HEAD", "/file/77", &[], b"");
    assert_eq!((head.status, head.lookup(), head.header("X-Method")), (200, "MISS", Some("HEAD")));
}

#[test]
fn other_methods_go_to_the_application_untouched() {
    let store = Store::start(|exchange| exchange.path());
    let nginx = beside(&store.address(), "");
    let mut client = nginx.connect();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let response = client.request(method, "/file/7", &[], b"a=1&b=2");
        assert_eq!(response.text(), "/file/7 [a=1&b=2] \n", "{method}");
        assert_eq!((response.header("X-Method"), response.lookup()), (Some(method), "-"));
    }
    assert_eq!(store.requests(), 0);
    assert_eq!(client.get("/file/no-id").text(), "/file/no-id [] \n");
}

#[test]
fn a_body_that_arrives_during_the_lookup_reaches_the_application_whole() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.miss());
    let nginx = beside(&store.address(), "http_sendfile_timeout 20s;");
    let body = "0123456789".repeat(5_000);
    let request = request("GET", "/file/77", &[], body.as_bytes());
    let (first, rest) = request.split_at(request.len() / 2);
    let mut client = nginx.connect();
    client.send(first);
    crate::common::wait_until("the lookup", || store.requests() == 1);
    client.send(rest);
    gate.open();
    assert!(client.read("GET").text() == format!("/file/77 [{body}] \n"));
}

#[test]
fn the_body_of_a_hit_is_read_past() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = beside(&memcached.address(), "");
    let mut client = nginx.connect();
    for id in [7, 8, 9] {
        let response = client.request("GET", &format!("/file/{id}"), &[], &[b'x'; 3_000]);
        assert_eq!(response.body, site::content_of(id));
    }
}

#[test]
fn outcomes_fall_back_as_the_directive_says() {
    let memcached = Memcached::start();
    memcached.set("66", "../66");
    let silent = Store::start(|_| Ok(()));
    let nobody = Port::reserve();
    let (found, silent, nobody) = (memcached.address(), silent.address(), nobody.address());
    for (store, uri, outcome, status, lookup) in [
        (&found, "/file/1", "miss", 404, "MISS"),
        (&found, "/file/66", "invalid", 502, "INVALID"),
        (&nobody, "/file/1", "error", 502, "ERROR"),
        (&silent, "/file/1", "timeout", 504, "TIMEOUT"),
    ] {
        let timeout = if outcome == "timeout" { "50ms" } else { "10s" };
        for (fallback, falls) in [
            (outcome, true),
            ("miss error timeout invalid", true),
            ("off", false),
            (if outcome == "miss" { "error timeout invalid" } else { "miss" }, false),
        ] {
            let directives =
                format!("http_sendfile_timeout {timeout}; http_sendfile_fallback {fallback};");
            let nginx = beside(store, &directives);
            let response = nginx.connect().request("GET", uri, &[], b"body");
            assert_eq!(response.lookup(), lookup, "{outcome} with {fallback}");
            let expected = if falls { 200 } else { status };
            assert_eq!(response.status, expected, "{outcome} with {fallback}");
            let text = format!("{uri} [body] \n");
            assert_eq!(
                response.text() == text,
                falls,
                "{outcome} with {fallback}: {}",
                response.text()
            );
        }
    }
}

#[test]
fn a_static_file_is_the_fallback_where_there_is_no_application() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..10)
        .document("file/7", b"hidden by the store\n")
        .document("file/77", b"only here\n")
        .document("file/index.html", b"an index\n")
        .lookups("index index.html;")
        .start();
    assert_eq!(nginx.get("/file/7").body, site::content_of(7));
    assert_eq!(nginx.get("/file/77").text(), "only here\n");
    assert_eq!(nginx.get("/file/78").status, 404);
    assert_eq!(nginx.get("/file/").text(), "an index\n");
}

#[test]
fn try_files_runs_first() {
    let store = Store::start(|exchange| exchange.path());
    let setup = application(Setup::new()).store(&store.address()).files(0..10);
    let pass = pass(&setup);
    let nginx = setup
        .document("file/7", b"a document\n")
        .document("plain/7", b"another document\n")
        .lookups(&format!("try_files $uri @lookup; {pass}"))
        .location("@lookup", &format!("http_sendfile on; {pass}"))
        .location("/plain/", "http_sendfile on; try_files $uri =404;")
        .start();
    assert_eq!(nginx.get("/plain/8").status, 404, "try_files has the last word without a handler");
    assert_eq!(store.requests(), 0);
    assert_eq!(nginx.get("/file/8").body, site::content_of(8), "the named location looks up");
    assert_eq!(store.requests_for("8"), 1);
}

#[test]
fn the_target_of_a_hit_may_be_an_application_too() {
    let memcached = Memcached::with_paths(7..8);
    let setup = application(Setup::new()).store(&memcached.address());
    let pass = pass(&setup);
    let nginx = setup
        .server("http_sendfile on; http_sendfile_root /remote/;\n")
        .location("/remote/", &format!("internal; {pass}"))
        .location("/file/", "")
        .start();
    let response = nginx.get("/file/7?a=b");
    assert_eq!(
        (response.text().as_str(), response.lookup()),
        ("/remote/07/7.dat?a=b [] \n", "FOUND")
    );
}

#[test]
fn access_rules_come_before_the_lookup() {
    let store = Store::start(|exchange| exchange.path());
    let nginx = beside(&store.address(), "deny all;");
    assert_eq!(nginx.get("/file/7").status, 403);
    assert_eq!(store.requests(), 0);
}

#[test]
fn pipelined_requests_with_different_ends_stay_in_order() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = beside(&memcached.address(), "");
    let mut client = nginx.connect();
    let mut all = Vec::new();
    for id in 0..20 {
        all.extend_from_slice(&request("GET", &format!("/file/{id}"), &[], b"x"));
    }
    client.send(all);
    for id in 0..20 {
        let expected =
            if id < 10 { site::content_of(id) } else { format!("/file/{id} [x] \n").into() };
        assert_eq!(client.read("GET").body, expected, "ID {id}");
    }
}
