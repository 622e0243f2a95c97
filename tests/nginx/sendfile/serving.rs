//! A file found by its ID is served exactly as nginx serves that file by its name.

use crate::common::client::{request, Client, Response};
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::site;

const TEXT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz\n";

/// `/file/1` is the same file as `/direct/notes.txt`.
fn start(directives: &str) -> (Memcached, Nginx) {
    let memcached = Memcached::start();
    memcached.set("1", "notes.txt");
    memcached.set("2", "picture.png");
    memcached.set("3", "page.html");
    memcached.set("4", "noextension");
    let setup = Setup::new();
    let files = setup.prefix().join("files").display().to_string();
    let nginx = setup
        .store(&memcached.address())
        .http(directives)
        .file("notes.txt", TEXT)
        .file("picture.png", b"\x89PNG and so on")
        .file("page.html", b"<p>page</p>\n")
        .file("noextension", b"bytes")
        .lookups("")
        .location("/direct/", &format!("alias {files}/;"))
        .start();
    (memcached, nginx)
}

/// What must be equal: all but the date, our own headers and the random boundary of parts.
fn comparable(response: &Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| name != "Date" && !name.starts_with("X-"));
    let mut body = response.text();
    for (_, value) in &mut headers {
        if let Some((kind, boundary)) = value.clone().split_once("boundary=") {
            *value = format!("{kind}boundary=");
            body = body.replace(boundary, "");
        }
    }
    (response.status, headers, body.into_bytes())
}

#[track_caller]
fn same(nginx: &Nginx, method: &str, headers: &[(&str, &str)], status: u16) {
    let by_id = nginx.connect().request(method, "/file/1", headers, b"");
    let by_name = nginx.connect().request(method, "/direct/notes.txt", headers, b"");
    assert_eq!(by_id.status, status, "{method} {headers:?}");
    assert_eq!(by_id.lookup(), "FOUND", "{method} {headers:?}");
    assert_eq!(comparable(&by_id), comparable(&by_name), "{method} {headers:?}");
}

#[test]
fn smoke_conditions_and_ranges_are_those_of_the_file() {
    let (_memcached, nginx) = start("");
    let plain = nginx.get("/direct/notes.txt");
    let etag = plain.header("ETag").expect("an ETag").to_owned();
    let modified = plain.header("Last-Modified").expect("a date").to_owned();
    let past = "Mon, 01 Jan 2001 00:00:00 GMT";
    same(&nginx, "GET", &[], 200);
    same(&nginx, "HEAD", &[], 200);
    same(&nginx, "GET", &[("Range", "bytes=0-3")], 206);
    same(&nginx, "GET", &[("Range", "bytes=-5")], 206);
    same(&nginx, "GET", &[("Range", "bytes=30-")], 206);
    same(&nginx, "GET", &[("Range", "bytes=1-2,5-6,10-")], 206);
    same(&nginx, "GET", &[("Range", "bytes=99-")], 416);
    same(&nginx, "HEAD", &[("Range", "bytes=0-3")], 206);
    same(&nginx, "GET", &[("If-None-Match", &etag)], 304);
    same(&nginx, "GET", &[("If-None-Match", "\"other\"")], 200);
    same(&nginx, "GET", &[("If-Modified-Since", &modified)], 304);
    same(&nginx, "GET", &[("If-Modified-Since", past)], 200);
    same(&nginx, "GET", &[("If-Unmodified-Since", past)], 412);
    same(&nginx, "GET", &[("If-Match", "\"other\"")], 412);
    same(&nginx, "GET", &[("Range", "bytes=0-3"), ("If-Range", &etag)], 206);
    same(&nginx, "GET", &[("Range", "bytes=0-3"), ("If-Range", "\"other\"")], 200);
}

#[test]
fn the_body_of_a_range_is_that_part_of_the_file() {
    let (_memcached, nginx) = start("");
    let part = nginx.connect().get_with("/file/1", &[("Range", "bytes=10-15")]);
    assert_eq!(part.text(), "abcdef");
    assert_eq!(part.header("Content-Range"), Some("bytes 10-15/37"));
}

#[test]
fn the_type_comes_from_the_real_name() {
    let (_memcached, nginx) = start("");
    for (uri, kind) in [
        ("/file/1", "text/plain"),
        ("/file/2", "image/png"),
        ("/file/3", "text/html"),
        ("/file/4", "application/octet-stream"),
    ] {
        assert_eq!(nginx.get(uri).header("Content-Type"), Some(kind), "{uri}");
    }
}

#[test]
fn filters_work_on_it() {
    let (_memcached, nginx) =
        start("gzip on; gzip_types text/plain; gzip_min_length 1; expires 1h;\n");
    same(&nginx, "GET", &[("Accept-Encoding", "gzip")], 200);
    let response = nginx.connect().get_with("/file/1", &[("Accept-Encoding", "gzip")]);
    assert_eq!(response.header("Content-Encoding"), Some("gzip"));
    assert_eq!(response.header("Cache-Control"), Some("max-age=3600"));
}

#[test]
fn every_way_of_reading_a_file_works() {
    let aio =
        if crate::common::setup::built_with("threads") { "aio threads; sendfile on;" } else { "" };
    for directives in [
        "sendfile on; tcp_nopush on;\n",
        "sendfile off;\n",
        "directio 1;\n",
        "open_file_cache max=100;\n",
        aio,
    ] {
        let (_memcached, nginx) = start(directives);
        same(&nginx, "GET", &[], 200);
        same(&nginx, "GET", &[], 200);
        same(&nginx, "GET", &[("Range", "bytes=3-9")], 206);
        assert_eq!(nginx.get("/file/1").body, TEXT, "{directives}");
    }
}

#[test]
fn a_large_file_comes_whole() {
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let memcached = Memcached::start();
    memcached.set("1", "large");
    let nginx =
        Setup::new().store(&memcached.address()).file("large", &content).lookups("").start();
    let response = nginx.get("/file/1");
    assert_eq!(response.status, 200);
    assert!(response.body == content, "{} bytes", response.body.len());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let memcached = Memcached::with_paths(0..40);
    let nginx = Setup::new().store(&memcached.address()).files(0..40).lookups("").start();
    let mut client = nginx.connect();
    let ids: Vec<u64> = (0..20).map(|number| number * 7 % 40).collect();
    for _ in 0..5 {
        let all: Vec<Vec<u8>> =
            ids.iter().map(|id| request("GET", &format!("/file/{id}"), &[], b"")).collect();
        client.send(all.concat());
        for id in &ids {
            assert_eq!(client.read("GET").body, site::content_of(*id), "ID {id}");
        }
    }
}

#[test]
fn http_1_0_and_a_slow_client_are_served() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = Setup::new().store(&memcached.address()).files(0..10).lookups("").start();
    let mut client = nginx.connect();
    client.send("GET /file/7 HTTP/1.0\r\n\r\n");
    assert_eq!(client.read("GET").body, site::content_of(7));
    client.wait_for_close();
    let mut client = Client::connect(nginx.port());
    for byte in request("GET", "/file/7", &[], b"") {
        client.send([byte]);
    }
    assert_eq!(client.read("GET").body, site::content_of(7));
}
