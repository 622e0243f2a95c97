//! The bodies of requests, and of what they are answered without an upstream: what is told of them.

use crate::common::buffers::assert_sizes;
use crate::common::client::request;
use crate::common::curl::curl;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use serde_json::json;

/// A location `/read/` whose body is read, by passing it on to a server that is not measured, where it is refused at
/// `/read/400`.
fn reading(backend: &Port, directives: &str) -> Setup {
    Setup::new()
        .measured()
        .http(&format!(
            "client_body_buffer_size 16k;
            server {{
                listen {};
                smart_buffers off;
                client_max_body_size 0;
                location / {{ return 204; }}
                location = /read/400 {{ return 400; }}
            }}\n",
            backend.address()
        ))
        .location(
            "/read/",
            &format!(
                "{directives} client_max_body_size 0; proxy_pass http://{};",
                backend.address()
            ),
        )
}

#[track_caller]
fn post(nginx: &Nginx, path: &str, length: usize) -> u16 {
    nginx.connect().request("POST", path, &[], &vec![b'x'; length]).status
}

/// A body in chunks of these lengths.
fn chunked(path: &str, lengths: &[usize]) -> Vec<u8> {
    let mut bytes = request("POST", path, &[("Transfer-Encoding", "chunked")], b"");
    for length in lengths {
        bytes.extend(format!("{length:x}\r\n{}\r\n", "x".repeat(*length)).bytes());
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

#[test]
fn smoke_bodies_of_requests_are_told_and_whether_they_went_to_a_file() {
    let backend = Port::reserve();
    let nginx = reading(&backend, "").start();
    // nginx takes a quarter more than it is told, if that spares a file.
    let lengths = [1, 900, 16 * 1024, 20 * 1024 - 1, 22 * 1024, 100_000];
    for length in lengths {
        assert_eq!(post(&nginx, "/read/", length), 204);
    }
    // A request without a body is none with a body of nothing.
    assert_eq!(nginx.get("/read/").status, 204);
    let measured = nginx.location_after("/read/", 7)["measured"].clone();
    assert_sizes(&measured["request_body"], &lengths.map(|length| length as u64));
    assert_eq!(measured["request_bodies_spilled"], 2);
    assert_eq!(
        nginx.error_log().matches("a client request body is buffered to a temporary file").count(),
        2
    );
}

#[test]
fn bodies_in_chunks_are_told_without_their_framing() {
    let backend = Port::reserve();
    let nginx = reading(&backend, "").start();
    let bodies: [&[usize]; 4] = [&[10], &[1000, 2000, 3], &[10_000, 6_384], &[9000, 9000]];
    for body in bodies {
        let mut client = nginx.connect();
        client.send(chunked("/read/", body));
        assert_eq!(client.read("POST").status, 204);
    }
    let measured = nginx.location_after("/read/", 4)["measured"].clone();
    let lengths = bodies.map(|body| body.iter().sum::<usize>() as u64);
    assert_sizes(&measured["request_body"], &lengths);
    let spilled =
        nginx.error_log().matches("a client request body is buffered to a temporary file").count();
    assert_eq!(measured["request_bodies_spilled"], spilled);
    assert!(spilled >= 1);
}

#[test]
fn bodies_by_http_2_are_told_and_headers_are_not() {
    let port = Port::reserve();
    let backend = Port::reserve();
    let nginx = reading(&backend, "").http2(&port).start();
    let body = nginx.prefix().join("body");
    let uri = format!("http://{}/read/", port.address());
    for (length, options) in [(500, &[][..]), (30_000, &["-H", "Content-Length:"][..])] {
        std::fs::write(&body, vec![b'x'; length]).expect("a file");
        let data = format!("@{}", body.display());
        let arguments =
            [&["--http2-prior-knowledge", "--data-binary", &data, &uri], options].concat();
        curl(&arguments);
    }
    let measured = nginx.location_after("/read/", 2)["measured"].clone();
    assert_sizes(&measured["request_body"], &[500, 30_000]);
    assert_eq!(measured["request_bodies_spilled"], 1);
    assert_eq!(nginx.buffers()["servers"], json!([]), "no header was read into a server's buffers");
}

#[test]
fn a_file_that_was_asked_for_is_not_spilled() {
    let backend = Port::reserve();
    let nginx = reading(&backend, "client_body_in_file_only clean;").start();
    assert_eq!((post(&nginx, "/read/", 100), post(&nginx, "/read/", 50_000)), (204, 204));
    let measured = nginx.location_after("/read/", 2)["measured"].clone();
    assert_sizes(&measured["request_body"], &[100, 50_000]);
    assert_eq!(measured["request_bodies_spilled"], 0);
}

#[test]
fn a_body_that_is_passed_on_as_it_comes_needs_no_buffer_for_all_of_it() {
    let backend = Port::reserve();
    let nginx = reading(&backend, "proxy_request_buffering off; proxy_http_version 1.1;").start();
    assert_eq!((post(&nginx, "/read/", 100), post(&nginx, "/read/", 50_000)), (204, 204));
    let measured = nginx.location_after("/read/", 2)["measured"].clone();
    assert_sizes(&measured["request_body"], &[100]);
    assert_eq!(measured["request_bodies_spilled"], 0);
}

#[test]
fn bodies_that_nobody_reads_or_that_do_not_come_are_none() {
    let backend = Port::reserve();
    let nginx = reading(&backend, "").location("/", "return 204;").start();
    assert_eq!(post(&nginx, "/", 5000), 204);
    let mut client = nginx.connect();
    client.send(chunked("/", &[3000, 2000]));
    assert_eq!(client.read("POST").status, 204);
    assert_eq!(nginx.location_after("/", 2)["measured"]["request_body"]["count"], 0);

    for bytes in [request("POST", "/read/", &[], &[b'x'; 9000]), chunked("/read/", &[5000, 4000])] {
        let mut client = nginx.connect();
        client.send(&bytes[..6000]);
        client.abort();
    }
    let measured = nginx.location_after("/read/", 2)["measured"].clone();
    assert_eq!(measured["request_body"]["count"], 0, "aborted: {measured}");
    assert_eq!(measured["upstream"]["response"]["count"], 0);
}

#[test]
fn smoke_the_ratio_of_gzip_is_told() {
    let text = "so it goes, ".repeat(2000);
    let nginx = Setup::new()
        .measured()
        .document("page.txt", text.as_bytes())
        .document("small.txt", b"text")
        .location("/", "gzip on; gzip_types text/plain; gzip_min_length 1000;")
        .start();
    let gzip: [(&str, &str); 1] = [("Accept-Encoding", "gzip")];
    let compressed = nginx.connect().get_with("/page.txt", &gzip).body.len();
    // Neither is compressed.
    assert_eq!(nginx.get("/page.txt").body.len(), text.len());
    assert_eq!(nginx.connect().get_with("/small.txt", &gzip).text(), "text");
    let measured = nginx.location_after("/", 3)["measured"].clone();
    let ratio = &measured["gzip_ratio"];
    assert_eq!(ratio["count"], 1, "{measured}");
    assert_eq!(ratio["mean"], json!(hundredths(text.len(), compressed) as f64 / 100.0));
    for name in ["p50", "p90", "p99"] {
        let (told, exact) = (ratio[name].as_f64().unwrap(), ratio["mean"].as_f64().unwrap());
        assert!(told >= exact && told <= exact * 1.125, "{name}: {told}, not {exact}");
    }
    assert_eq!(measured["response"]["count"], 3);
}

#[test]
fn smoke_each_ratio_of_gzip_is_what_nginx_says() {
    let numbers: String =
        (0..3000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect();
    let nginx = Setup::new()
        .measured()
        .document("words.txt", "so it goes, ".repeat(500).as_bytes())
        .document("numbers.txt", numbers.as_bytes())
        .location("/", "gzip on; gzip_types text/plain;")
        .start();
    let mut client = nginx.connect();
    let pages = ["words.txt", "numbers.txt", "words.txt", "numbers.txt", "numbers.txt"];
    let mut sum = 0;
    for (count, page) in (1..).zip(pages) {
        let whole = nginx.get(&format!("/{page}")).body.len();
        let answer = client.get_with(&format!("/{page}"), &[("Accept-Encoding", "gzip")]);
        sum += hundredths(whole, answer.body.len());
        let ratio = nginx.location_after("/", 2 * count)["measured"]["gzip_ratio"].clone();
        let mean = sum / count;
        assert_eq!((&ratio["count"], &ratio["mean"]), (&json!(count), &json!(mean as f64 / 100.0)));
    }
}

/// How many times smaller something has become, in hundredths, rounded as nginx does.
fn hundredths(whole: usize, compressed: usize) -> u64 {
    let thousandths = whole * 1000 / compressed;
    (thousandths as u64 + 5) / 10
}

#[test]
fn bodies_are_told_as_they_were_sent() {
    for sendfile in ["on", "off"] {
        let nginx = Setup::new()
            .measured()
            .document("page", &vec![b'p'; 200_000])
            .location("/", &format!("sendfile {sendfile};"))
            .location("/nothing/", "return 204;")
            .start();
        let mut client = nginx.connect();
        let page = client.get("/page");
        assert_eq!(page.body.len(), 200_000);
        assert_eq!(client.get_with("/page", &[("Range", "bytes=10-1009")]).body.len(), 1000);
        // The parts are sent with what tells them apart.
        let parts = client.get_with("/page", &[("Range", "bytes=0-9,100-109")]).body.len() as u64;
        assert_eq!(client.request("HEAD", "/page", &[], b"").status, 200);
        let tag = page.header("ETag").expect("a tag");
        assert_eq!(client.get_with("/page", &[("If-None-Match", tag)]).status, 304);
        assert_eq!(client.get("/nothing/").status, 204);
        client.send(
            [
                request("GET", "/page", &[("Range", "bytes=0-99")], b""),
                request("GET", "/page", &[("Range", "bytes=0-199")], b""),
            ]
            .concat(),
        );
        assert_eq!((client.read("GET").body.len(), client.read("GET").body.len()), (100, 200));
        let location = nginx.location_after("/", 7);
        assert_sizes(&location["measured"]["response"], &[200_000, 1000, parts, 100, 200]);
        assert_eq!(location["settings"]["sendfile"], sendfile == "on");
        assert_eq!(nginx.location_after("/nothing/", 1)["measured"]["response"]["count"], 0);
    }
}
