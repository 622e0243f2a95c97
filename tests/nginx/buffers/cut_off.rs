//! Answers that do not come to their end: they say nothing of how long others are.

use std::io::{Read, Write};

use crate::common::buffers::assert_sizes;
use crate::common::client::Client;
use crate::common::port::Port;
use crate::common::setup::Setup;

/// An upstream's header, how its body begins, and whether that is all of it if the connection ends there.
const BREAKING_OFF: [(&str, &str, bool); 3] = [
    ("HTTP/1.0 200 OK\r\n\r\n", "", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1388\r\n", false),
];

#[test]
fn an_upstreams_answer_is_no_sample_of_its_length() {
    let backend = Port::reserve();
    let listener = backend.listen(8);
    let pass = format!("proxy_http_version 1.1; proxy_pass http://{};", backend.address());
    let nginx = Setup::new()
        .measured()
        .location("/on/", &pass)
        .location("/off/", &format!("proxy_buffering off; {pass}"))
        .start();
    for location in ["/on/", "/off/"] {
        let mut requests = 0;
        let mut wholes = Vec::new();
        for (header, begin, is_whole) in BREAKING_OFF {
            for is_client_leaving in [false, true] {
                let mut client = nginx.connect();
                client.send(format!("GET {location} HTTP/1.0\r\n\r\n"));
                let (mut upstream, _) = listener.accept().expect("nginx connects");
                let mut line = [0; 1024];
                assert!(upstream.read(&mut line).expect("a request") > 0);
                let answer = format!("{header}{begin}{}", "x".repeat(5000));
                upstream.write_all(answer.as_bytes()).expect("nginx reads");
                client.wait_for_some();
                if is_client_leaving {
                    client.abort();
                } else {
                    drop(upstream);
                    client.read_to_end();
                    wholes.extend(is_whole.then_some(5000));
                }
                requests += 1;
                let measured = nginx.location_after(location, requests)["measured"].clone();
                assert_sizes(&measured["upstream"]["response"], &wholes);
                assert_eq!(
                    measured["upstream"]["header"]["count"], requests,
                    "{location} {header}"
                );
                assert_eq!(measured["response"]["count"], 0, "{location} {header}");
            }
        }
    }
}

#[test]
fn an_answer_of_nginxs_own_is_no_sample_of_its_length() {
    for sendfile in ["on", "off"] {
        let port = Port::reserve();
        let nginx = Setup::new()
            .measured()
            .server(&format!("listen {} sndbuf=16k;\n", port.address()))
            .document("page", &vec![b'p'; 2_000_000])
            .location("/", &format!("sendfile {sendfile};"))
            .start();
        let mut client = Client::connect_narrow(port.number());
        client.ask("/page");
        client.wait_for_some();
        client.abort();
        assert_eq!(nginx.location_after("/", 1)["measured"]["response"]["count"], 0);
        assert_eq!(nginx.get("/page").body.len(), 2_000_000);
        let measured = nginx.location_after("/", 2)["measured"].clone();
        assert_sizes(&measured["response"], &[2_000_000]);
    }
}
