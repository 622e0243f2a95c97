//! How the room's answer goes out, and what becomes of the request that it answers: bodies that nobody
//! reads, requests behind them, HTTP/2, an operator's own page.

use std::fs;

use crate::common::application::{application, pass};
use crate::common::client::{request, Client, Response};
use crate::common::curl::curl;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::wait_until;

/// A server whose locations have had their one request a day: everybody else waits.
fn start(setup: Setup, locations: &[(&str, &str)]) -> Nginx {
    let setup = setup
        .http(
            "smart_limit_zone $limited_location zone=one:1m rate=1r/d;
            smart_limit_room queue 1m max_active=10 refresh=5s;
            map $uri $limited_location { ~^(/[a-z]+/) $1; }\n",
        )
        .document("ok", b"ok\n")
        .location("/free", "try_files /ok =404;");
    let setup = locations.iter().fold(setup, |setup, (path, directives)| {
        let directives = format!("smart_limit zone=one room=queue; {directives}");
        setup.location(path, &format!("{directives} try_files /ok =404;"))
    });
    let nginx = setup.start();
    for (path, _) in locations {
        assert_eq!(nginx.get(path).status, 200, "{path}");
    }
    nginx
}

fn start_one(directives: &str) -> Nginx {
    start(Setup::new(), &[("/wait/", directives)])
}

/// Asserts that the connection, after this answer, has answered the next request too.
#[track_caller]
fn assert_goes_on(client: &mut Client) {
    assert_eq!(client.read("GET").text(), "ok\n");
}

#[track_caller]
fn assert_waits(response: &Response) {
    assert_eq!(response.status, 503);
    assert_eq!(response.header("Retry-After"), Some("1"));
    assert!(response.text().contains("<html"), "{}", response.text());
}

#[test]
fn smoke_who_waits_is_answered_whole() {
    let nginx = start_one("");
    let mut client = nginx.connect();
    let response = client.get("/wait/");
    assert_waits(&response);
    assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    assert_eq!(response.header("Connection"), Some("keep-alive"));
    let length = response.body.len().to_string();
    let head = client.request("HEAD", "/wait/", &[], b"");
    for (response, method) in [(&response, "GET"), (&head, "HEAD")] {
        assert_eq!(response.status, 503, "{method}");
        assert_eq!(response.header("Content-Length"), Some(length.as_str()), "{method}");
        for absent in ["ETag", "Last-Modified", "Accept-Ranges", "Expires"] {
            assert_eq!(response.header(absent), None, "{method}");
        }
    }
    client.send(request("GET", "/free", &[], b""));
    assert_goes_on(&mut client);
}

#[test]
fn no_part_of_the_answer_is_sent_and_none_that_a_client_has() {
    let nginx = start(
        Setup::new().document("page.html", b"<p>an own page</p>\n"),
        &[
            ("/builtin/", "smart_limit_room_status 200;"),
            ("/own/", "smart_limit_room_status 200; smart_limit_room_page /page.html;"),
        ],
    );
    for path in ["/builtin/", "/own/"] {
        let whole = nginx.get(path);
        assert_eq!(whole.status, 200);
        for (name, value) in [
            ("Range", "bytes=0-3"),
            ("If-None-Match", "*"),
            ("If-Match", "\"another\""),
            ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
            ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            let response = nginx.connect().get_with(path, &[(name, value)]);
            assert_eq!(response.status, 200, "{path} {name}");
            assert_eq!(response.body.len(), whole.body.len(), "{path} {name}");
        }
    }
}

#[test]
fn the_body_of_a_request_that_waits_is_read_past() {
    let nginx = start_one("client_max_body_size 20m;");
    let mut client = nginx.connect();
    for size in [1, 3_000, 200_000, 10_000_000] {
        let response = client.request("POST", "/wait/", &[], &vec![b'x'; size]);
        assert_waits(&response);
        assert_eq!(response.header("Connection"), Some("keep-alive"), "a body of {size}");
        client.send(request("GET", "/free", &[], b""));
        assert_goes_on(&mut client);
    }
}

#[test]
fn requests_that_follow_without_waiting_are_answered_in_turn() {
    let nginx = start_one("");
    let mut client = nginx.connect();
    let body = "x".repeat(100_000);
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked =
        [request("POST", "/wait/", &[("Transfer-Encoding", "chunked")], b""), chunk.into()];
    let requests = [
        request("POST", "/wait/", &[], body.as_bytes()),
        chunked.concat(),
        request("GET", "/wait/", &[], b""),
        request("GET", "/free", &[], b""),
    ];
    client.send(requests.concat());
    for method in ["POST", "POST", "GET"] {
        assert_waits(&client.read(method));
    }
    assert_goes_on(&mut client);
}

#[test]
fn who_waits_is_answered_before_his_body_is_there() {
    let nginx = start_one("");
    for headers in [&[("Content-Length", "10")][..], &[("Transfer-Encoding", "chunked")]] {
        let is_chunked = headers[0].1 == "chunked";
        let mut client = nginx.connect();
        client.send(request("POST", "/wait/", headers, b""));
        client.send(if is_chunked { "a\r\n01" } else { "01" });
        assert_waits(&client.read("POST"));
        client.send(if is_chunked { "23456789\r\n0\r\n\r\n" } else { "23456789" });
        client.send(request("GET", "/free", &[], b""));
        assert_goes_on(&mut client);
    }
}

#[test]
fn nobody_is_asked_for_a_body_that_nobody_reads() {
    let nginx = start(
        Setup::new().document("page.html", b"<html>an own page\n"),
        &[("/builtin/", ""), ("/own/", "smart_limit_room_page /page.html;")],
    );
    let headers = [("Expect", "100-continue"), ("Content-Length", "5")];
    for path in ["/builtin/", "/own/"] {
        let mut client = nginx.connect();
        client.send(request("POST", path, &headers, b""));
        // The first answer is the last one: no `100 Continue` before it.
        assert_waits(&client.read("POST"));
        // Who has begun to send may as well go on.
        client.send("12345");
        client.send(request("GET", "/free", &[], b""));
        assert_goes_on(&mut client);
    }
}

#[test]
fn a_body_that_is_none_ends_the_connection() {
    let nginx = start_one("");
    let mut client = nginx.connect();
    let request = request("POST", "/wait/", &[("Transfer-Encoding", "chunked")], b"");
    client.send([&request[..], b"no chunk\r\n"].concat());
    let response = client.read("POST");
    assert_waits(&response);
    assert_eq!(response.header("Connection"), Some("close"));
    client.wait_for_close();
    assert!(nginx.error_log().contains("client sent invalid chunked body"));
}

#[test]
fn who_leaves_before_his_body_was_read_is_forgotten() {
    let nginx = start_one("client_max_body_size 20m;");
    for _ in 0..20 {
        let mut client = nginx.connect();
        client.send(request("POST", "/wait/", &[("Content-Length", "10000000")], b""));
        client.send("x");
        client.abort();
    }
    wait_until("all requests in the log", || {
        nginx.access_log().iter().filter(|line| line["request"].starts_with("POST")).count() == 20
    });
    assert_waits(&nginx.get("/wait/"));
}

#[test]
fn http_2_is_answered_with_and_without_bodies() {
    let port = Port::reserve();
    let setup = Setup::new().https(&port);
    let body = setup.prefix().join("body");
    fs::write(&body, vec![b'x'; 10_000_000]).expect("a file");
    let _nginx = start(setup, &[("/wait/", "client_max_body_size 20m;")]);
    let uri = format!("https://{}/wait/", port.address());
    let free = format!("https://{}/free", port.address());
    let body = format!("@{}", body.display());
    let told = ["--insecure", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code} "];
    for arguments in [&[][..], &["--head"], &["--data-binary", "short"], &["--data-binary", &body]]
    {
        // The second request, on the same connection, shows that the first one has left it whole.
        let next = ["--next", "--silent", "--insecure", "--http2", free.as_str()];
        let seen = curl(&[&told[..], arguments, &[uri.as_str()], &next].concat());
        assert_eq!(String::from_utf8_lossy(&seen), "2 503 ok\n", "{arguments:?}");
    }
}

/// A server with own pages: files, the application, one that is not there.
fn start_with_pages() -> Nginx {
    let setup = application(Setup::new());
    let pass = pass(&setup);
    let setup = setup
        .server("error_page 404 /page.html;\n")
        .document("page.html", b"an own page\n")
        .location("= /page.html", "expires 1h; add_header X-Args $args always;")
        .location("= /dynamic", &format!("internal; {pass}"))
        .location("@named", &pass);
    start(
        setup,
        &[
            ("/file/", "smart_limit_room_page /page.html;"),
            ("/status/", "smart_limit_room_page /page.html; smart_limit_room_status 202;"),
            ("/args/", "smart_limit_room_page /page.html?of=$uri&is=$smart_limit_status;"),
            ("/dynamic/", "smart_limit_room_page /dynamic?a=b;"),
            ("/named/", "smart_limit_room_page @named;"),
            ("/missing/", "smart_limit_room_page /nowhere.html;"),
            ("/nameless/", "smart_limit_room_page @nowhere;"),
        ],
    )
}

#[test]
fn smoke_an_own_page_is_shown_with_the_status_of_the_room() {
    let nginx = start_with_pages();
    for (path, status) in [("/file/", 503), ("/status/", 202)] {
        let response = nginx.get(path);
        assert_eq!((response.status, response.text().as_str()), (status, "an own page\n"));
        assert_eq!(response.header("Cache-Control"), Some("no-store"), "whatever the page says");
        assert_eq!(response.header("Expires"), None);
        assert_eq!(response.header("Retry-After"), Some("1"));
        let head = nginx.connect().request("HEAD", path, &[], b"");
        assert_eq!((head.status, head.header("Content-Length")), (status, Some("12")));
    }
    let response = nginx.get("/args/x?y=z");
    assert_eq!(response.header("X-Args"), Some("of=/args/x&is=WAITING"));
}

#[test]
fn a_page_by_its_uri_is_asked_for_by_get() {
    let nginx = start_with_pages();
    let response = nginx.connect().request("POST", "/dynamic/x?y", &[], b"a body");
    assert_eq!(response.status, 503);
    assert_eq!(response.header("X-Method"), Some("GET"));
    assert!(response.text().starts_with("/dynamic?a=b "), "{}", response.text());
    let response = nginx.connect().request("HEAD", "/dynamic/", &[], b"");
    assert_eq!(response.header("X-Method"), Some("HEAD"));
    let mut client = nginx.connect();
    assert_eq!(client.request("POST", "/file/", &[], &[b'x'; 200_000]).text(), "an own page\n");
    client.send(request("GET", "/free", &[], b""));
    assert_goes_on(&mut client);
}

#[test]
fn a_named_location_gets_the_request_as_it_is() {
    let nginx = start_with_pages();
    let response = nginx.connect().request("PUT", "/named/x?y", &[], b"a body");
    assert_eq!(response.status, 503);
    assert_eq!(response.header("X-Method"), Some("PUT"));
    assert_eq!(response.text(), "/named/x?y [a body] \n");
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
}

#[test]
fn a_page_that_is_not_there_is_an_error_that_ends_there() {
    let nginx = start_with_pages();
    let response = nginx.get("/missing/");
    assert_eq!(response.status, 404);
    assert!(response.text().contains("nginx"), "error_page is not asked as well");
    assert!(nginx.wait_for_error("/nowhere.html\" failed").contains("/missing/"));
    assert_eq!(nginx.get("/nameless/").status, 500);
    nginx.wait_for_error("could not find named location \"@nowhere\"");
}
