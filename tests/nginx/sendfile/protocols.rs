//! HTTP/2, TLS, subrequests, and the ways in which nginx itself can run.

use crate::common::client::Client;
use crate::common::curl::{curl, try_curl};
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::{self, Setup};
use crate::common::{site, wait_until};

/// Asks for many IDs over one connection of curl's and looks at every body.
fn ask_for_all(port: &Port, options: &[&str]) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut arguments: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    for id in 0..40 {
        let target = directory.path().join(id.to_string()).display().to_string();
        arguments.extend([
            format!("https://{}/file/{id}", port.address()),
            "-o".to_owned(),
            target,
        ]);
    }
    curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for id in 0..40 {
        let body = std::fs::read(directory.path().join(id.to_string())).expect("a body");
        assert_eq!(body, site::content_of(id), "ID {id}");
    }
}

#[test]
fn smoke_tls_and_http_2_serve_many_streams_at_once() {
    let (memcached, port) = (Memcached::with_paths(0..40), Port::reserve());
    let setup = Setup::new().https(&port).store(&memcached.address());
    let _nginx = setup.files(0..40).lookups("").start();
    ask_for_all(&port, &["--insecure", "--http1.1"]);
    ask_for_all(&port, &["--insecure", "--http2"]);
    ask_for_all(&port, &["--insecure", "--http2", "--parallel", "--parallel-max", "40"]);
}

#[test]
fn http_2_without_tls_is_served() {
    let (memcached, port) = (Memcached::with_paths(0..10), Port::reserve());
    let setup = Setup::new().http2(&port).store(&memcached.address());
    let _nginx = setup.files(0..10).lookups("").start();
    let uri = format!("http://{}/file/7", port.address());
    let format = "%{http_version} %{http_code}";
    let seen = curl(&["--http2-prior-knowledge", "-w", format, &uri]);
    assert_eq!(seen, [site::content_of(7), b"2 200".to_vec()].concat());
}

#[test]
fn streams_whose_client_leaves_leave_nothing_behind() {
    let (memcached, port) = (Memcached::with_paths(0..40), Port::reserve());
    let setup = Setup::new().http2(&port).store(&memcached.address());
    let nginx = setup.files(0..40).lookups("").start();
    memcached.stop();
    for id in 0..5 {
        let uri = format!("http://{}/file/{id}", port.address());
        assert!(!try_curl(&["--http2-prior-knowledge", "--max-time", "1", &uri]).status.success());
    }
    wait_until("the aborts in the log", || nginx.aborted() == 5);
    memcached.go_on();
    let uri = format!("http://{}/file/7", port.address());
    assert_eq!(curl(&["--http2-prior-knowledge", &uri]), site::content_of(7));
}

#[test]
fn a_page_includes_files_by_their_ids() {
    let memcached = Memcached::with_paths(0..10);
    let page = "<!--#include virtual=\"/file/7\" -->|<!--#include virtual=\"/file/77\" -->|\
        <!--#include virtual=\"/file/8?x=1\" -->|<!--#include virtual=\"/file/7\" -->.\n";
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..10)
        .document("page.html", page.as_bytes())
        .document("file/77", b"a document\n")
        .server("ssi on;\n")
        .lookups("")
        .start();
    let (seven, eight) = (site::content_of(7), site::content_of(8));
    let (seven, eight) = (String::from_utf8_lossy(&seven), String::from_utf8_lossy(&eight));
    let mut client = nginx.connect();
    for _ in 0..3 {
        let response = client.get("/page.html");
        assert_eq!(response.text(), format!("{seven}|a document\n|{eight}|{seven}.\n"));
    }
}

#[test]
fn a_page_whose_reader_leaves_leaves_nothing_behind() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..10)
        .document(
            "page.html",
            b"<!--#include virtual=\"/file/7\" --><!--#include virtual=\"/file/8\" -->",
        )
        .server("ssi on;\n")
        .lookups("")
        .start();
    memcached.stop();
    for _ in 0..20 {
        let mut client = nginx.connect();
        client.ask("/page.html");
        client.abort();
    }
    memcached.go_on();
    let response = nginx.get("/page.html");
    assert_eq!(response.body, [site::content_of(7), site::content_of(8)].concat());
}

#[test]
fn a_subrequest_for_authorisation_may_be_a_lookup() {
    assert!(setup::built_with("http_auth_request_module"), "this nginx has no auth_request");
    let memcached = Memcached::with_paths(0..10);
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..10)
        .document("guarded/page", b"a secret\n")
        .location("/guarded/", "set $ticket $arg_ticket; auth_request /may;")
        .location("= /may", "http_sendfile on; http_sendfile_key $ticket; error_page 404 = /no;")
        .location("= /no", "return 403;")
        .location("/file/", "http_sendfile on; auth_request /yes;")
        .location("= /yes", "return 204;")
        .start();
    let mut client = nginx.connect();
    assert_eq!(client.get("/guarded/page?ticket=7").text(), "a secret\n");
    assert_eq!(client.get("/guarded/page?ticket=77").status, 403);
    assert_eq!(client.get("/file/8").body, site::content_of(8));
}

#[test]
fn a_mirrored_request_may_be_a_lookup() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..10)
        .location("/file/", "http_sendfile on; mirror /mirror/8;")
        .location("/mirror/", "internal; http_sendfile on;")
        .start();
    let mut client = nginx.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/file/7").body, site::content_of(7));
    }
    wait_until("the mirrored lookups", || memcached.statistic("get_hits") == 10);
}

/// One process that is master and worker at once, as used for debugging.
fn single_process() -> (Memcached, Nginx) {
    let memcached = Memcached::with_paths(0..10);
    let nginx = Setup::new()
        .workers(0)
        .main("master_process off;\n")
        .http("http_sendfile_cache_zone lookups:1m;\n")
        .store(&memcached.address())
        .files(0..10)
        .lookups("http_sendfile_cache lookups;")
        .start();
    (memcached, nginx)
}

#[test]
fn a_single_process_serves() {
    let (_memcached, nginx) = single_process();
    let ask = |id| {
        let response = nginx.get(&format!("/file/{id}"));
        assert_eq!(response.body, site::content_of(id));
        response.lookup().to_owned()
    };
    assert_eq!([ask(7), ask(7)], ["FOUND", "HIT"]);
}

#[test]
fn every_line_of_the_debug_log_can_be_written() {
    if !setup::built_with("debug") {
        return;
    }
    let mut memcached = Memcached::with_paths(0..10);
    let setup = Setup::new();
    let log = format!("error_log {}/debug.log debug;\n", setup.prefix().display());
    let nginx = setup
        .main(&log)
        .store(&memcached.address())
        .files(0..10)
        .lookups("http_sendfile_fallback off; http_sendfile_timeout 1s;")
        .start();
    assert_eq!(nginx.get("/file/7").body, site::content_of(7));
    assert_eq!(nginx.get("/file/77").status, 404);
    memcached.stop();
    assert_eq!(nginx.get("/file/8").status, 504);
    memcached.go_on();
    memcached.kill();
    assert_eq!(nginx.get("/file/9").status, 502);
    nginx.reload();
    let text = std::fs::read(nginx.prefix().join("debug.log")).expect("a log");
    assert!(String::from_utf8_lossy(&text).contains("internal redirect: \"/files/07/7.dat"));
}

#[test]
fn workers_take_turns_with_a_mutex_or_a_socket_each() {
    let memcached = Memcached::with_paths(0..10);
    let port = Port::reserve();
    let nginx = Setup::new()
        .server(&format!("listen {} reuseport;\n", port.address()))
        .workers(3)
        .events("accept_mutex on; multi_accept on;")
        .store(&memcached.address())
        .files(0..10)
        .lookups("")
        .start();
    for id in 0..10 {
        assert_eq!(nginx.get(&format!("/file/{id}")).body, site::content_of(id));
        let mut client = Client::connect(port.number());
        assert_eq!(client.get(&format!("/file/{id}")).body, site::content_of(id));
    }
}
