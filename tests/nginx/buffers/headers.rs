//! The headers of requests: whose buffers they were read into, their lengths, and those that were too large.

use crate::common::buffers::{assert_sizes, listening};
use crate::common::client::{request, Client};
use crate::common::curl::{curl, write_certificate};
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::upstreams::{asking_for, Upstreams};
use crate::common::wait_until;

#[test]
fn smoke_headers_of_requests_are_told_to_the_byte() {
    let (port, upstreams) = (Port::reserve(), Upstreams::start());
    let pass = format!("server_name one; location /read/ {{ {} }}", upstreams.pass("proxy"));
    let nginx = Setup::new().measured().http(&listening(&port, &pass)).start();
    let mut lengths = Vec::new();
    let mut send = |client: &mut Client, bytes: Vec<Vec<u8>>, body: usize| {
        client.send(bytes.concat());
        for one in &bytes {
            client.read("GET");
            lengths.push((one.len() - body) as u64);
        }
    };
    let long = "c".repeat(3000);
    let mut client = Client::connect(port.number());
    // One after the other on a connection, then several at once.
    send(&mut client, vec![request("GET", "/", &[], b"")], 0);
    send(&mut client, vec![request("GET", "/?a=b", &[("Cookie", &long)], b"")], 0);
    send(&mut client, vec![request("GET", "/", &[], b""), request("GET", "/bb", &[], b"")], 0);
    let path = format!("/read/?{}", asking_for(100, 1));
    send(&mut client, vec![request("POST", &path, &[], &[b'x'; 100])], 100);
    // A body that is discarded is none of the header either.
    send(&mut client, vec![request("POST", "/", &[], &[b'x'; 2000])], 2000);
    let mut client = Client::connect(port.number());
    send(&mut client, vec![request("POST", &path, &[], &[b'x'; 40_000])], 40_000);
    let server = nginx.server_after("one", lengths.len() as u64);
    assert_sizes(&server["header"], &lengths);
    assert_eq!(server["header_too_big"], 0);
}

#[test]
fn headers_are_the_servers_that_reads_them() {
    let (plain, tls) = (Port::reserve(), Port::reserve());
    let setup = Setup::new().measured();
    write_certificate(setup.prefix());
    let prefix = setup.prefix().display().to_string();
    let certificate =
        format!("ssl_certificate {prefix}/certificate.pem; ssl_certificate_key {prefix}/key.pem;");
    let named = |name: &str, default: &str| {
        format!(
            "server {{ listen {} {default}; listen {} ssl {default}; server_name {name}.test; {certificate}
            location / {{ return 200 {name}; }} }}\n",
            plain.address(),
            tls.address()
        )
    };
    let nginx = setup.http(&named("first", "default_server")).http(&named("second", "")).start();
    // Without TLS, the server by default has read the header before it knows whom it is for.
    let ask = |name: &str| {
        let mut client = Client::connect(plain.number());
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}.test\r\n\r\n"));
        assert_eq!(client.read("GET").text(), name);
    };
    ask("first");
    ask("second");
    assert_eq!(nginx.server_after("first.test", 2)["header"]["count"], 2);
    // With TLS, the client has named it first.
    let port = tls.number();
    for name in ["second", "first", "second"] {
        let resolve = format!("{name}.test:{port}:127.0.0.1");
        let uri = format!("https://{name}.test:{port}/");
        let text = curl(&["--insecure", "--http1.1", "--resolve", &resolve, &uri]);
        assert_eq!(text, name.as_bytes());
    }
    assert_eq!(nginx.server_after("second.test", 2)["header"]["count"], 2);
    assert_eq!(nginx.server_after("first.test", 3)["header"]["count"], 3);
    // The location is the one of whom it is for.
    assert_eq!(nginx.location_of("first.test", "/")["requests"], 2);
    assert_eq!(nginx.location_of("second.test", "/")["requests"], 3);
}

#[test]
fn headers_that_are_too_large_are_counted_and_nothing_else_that_is_wrong() {
    let (port, upstreams) = (Port::reserve(), Port::reserve());
    let server = format!(
        "server_name one; large_client_header_buffers 2 2k; client_max_body_size 0;
        location /read/ {{ proxy_pass http://{}; }}
        location /kept/ {{ error_page 494 /too-large; return 204; }}",
        upstreams.address()
    );
    let refusing = format!(
        "server {{ listen {}; location / {{ return 400; }} location /read/large/ {{ return 414; }} }}\n",
        upstreams.address()
    );
    let nginx = Setup::new().measured().http(&listening(&port, &server)).http(&refusing).start();
    let answer = |bytes: &[u8]| {
        let mut client = Client::connect(port.number());
        client.send(bytes);
        client.read("GET").status
    };
    let line = "x".repeat(3000);
    let half = "x".repeat(1500);
    // One line is too long, or the lines are too many, or the first one is too long.
    let too_large = [
        (400, request("GET", "/", &[("Cookie", &line)], b"")),
        (400, request("GET", "/", &[("A", &half), ("B", &half), ("C", &half), ("D", &half)], b"")),
        (414, request("GET", &format!("/{line}"), &[], b"")),
    ];
    for (status, bytes) in &too_large {
        assert_eq!(answer(bytes), *status);
    }
    let server = || nginx.server("one");
    wait_until("3 headers that are too large", || server()["header_too_big"] == 3);
    assert_eq!(server()["header"]["count"], 0, "the length of these is not known");

    // No HTTP, without a host, two of them.
    for bytes in [
        "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        assert_eq!(answer(bytes.as_bytes()), 400, "{bytes}");
    }
    // A client that leaves before it has sent all.
    let mut client = Client::connect(port.number());
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nCoo");
    drop(client);
    nginx.wait_for_error(
        "client prematurely closed connection while reading client request headers",
    );
    // What an upstream has refused, some of it with a header or a body that fills the buffers.
    let (long, body) = (&[("A", half.as_str()), ("B", &half)], [b'x'; 5000]);
    let refused = [
        (400, request("GET", "/read/", &[], b""), 0),
        (400, request("POST", "/read/", &[], &body), body.len()),
        (400, request("GET", "/read/", long, b""), 0),
        (414, request("POST", "/read/large/", &[], &body), body.len()),
    ];
    for (status, bytes, _) in &refused {
        assert_eq!(answer(bytes), *status, "{}", String::from_utf8_lossy(bytes));
    }
    let told = nginx.server_after("one", refused.len() as u64);
    assert_eq!(told["header_too_big"], 3, "{told}");
    assert_sizes(&told["header"], &refused.map(|(_, bytes, body)| (bytes.len() - body) as u64));
}

#[test]
fn a_header_that_is_too_large_is_counted_whatever_page_tells_so() {
    let upstreams = Upstreams::start();
    for page in ["494 /sorry", "494 =400 /sorry", "400 /sorry", "494 /passed-on"] {
        let port = Port::reserve();
        let server = format!(
            "server_name one; large_client_header_buffers 2 2k; error_page {page};
            location = /sorry {{ return 200 sorry; }}
            location = /passed-on {{ {} }}",
            upstreams.pass("proxy")
        );
        let nginx = Setup::new().measured().http(&listening(&port, &server)).start();
        let mut client = Client::connect(port.number());
        client.send(request("GET", "/", &[("Cookie", &"x".repeat(3000))], b""));
        client.read("GET");
        // nginx ends the request when its client has gone, or has had 5 s to read why it was refused.
        drop(client);
        wait_until(page, || nginx.buffers()["servers"][0]["header_too_big"] == 1);
    }
}
