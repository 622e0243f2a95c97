//! What upstreams answer, measured for each protocol with a real upstream of it.

use crate::common::buffers::assert_sizes;
use crate::common::client::Client;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::upstreams::{ask, asking_for, Upstreams, BUFFERED, PROTOCOLS};
use serde_json::json;

/// Bodies that fit the buffers of each protocol here, and the header fields that they come with.
const ANSWERS: [(usize, usize); 8] = [
    (0, 1),
    (100, 300),
    (100, 1),
    (100, 3000),
    (3000, 1),
    (5000, 300),
    (20_000, 1),
    (60_000, 3000),
];

/// The bodies that are some.
const BODIES: [usize; 7] = [100, 100, 100, 3000, 5000, 20_000, 60_000];

/// A body over all buffers, and over what the kernel holds of a connection.
const LONG: usize = 1_000_000;

/// What nginx logs when it writes an answer to a file.
const BUFFERED_TO_FILE: &str = "an upstream response is buffered to a temporary file";

/// The framing of FastCGI and gRPC, which is in their sizes: at most so much of an answer of this size.
fn framing(protocol: &str, size: usize) -> u64 {
    match protocol {
        "fastcgi" | "grpc" => 64 + size as u64 / 100,
        _ => 0,
    }
}

#[test]
fn smoke_sizes_of_headers_and_bodies_are_told_for_each_protocol() {
    let upstreams = Upstreams::start();
    let nginx = upstreams
        .passing(&PROTOCOLS, "PROTOCOL_buffer_size 8k;")
        .server(
            "proxy_buffers 8 16k; fastcgi_buffers 8 16k; uwsgi_buffers 8 16k; scgi_buffers 8 16k;",
        )
        .start();
    let mut client = nginx.connect();
    for protocol in PROTOCOLS {
        ANSWERS.into_iter().for_each(|answer| ask(&mut client, protocol, answer));
    }
    for protocol in PROTOCOLS {
        let location = nginx.location_after(&format!("/{protocol}/"), ANSWERS.len() as u64);
        let upstream = &location["measured"]["upstream"];
        assert_eq!(upstream["protocol"], protocol);
        assert_eq!((&upstream["spilled"], &upstream["header_too_big"]), (&json!(0), &json!(0)));
        // What has no body takes no buffer for one.
        let bodies = BODIES.map(|body| body as u64);
        assert_eq!(upstream["response"]["count"], bodies.len(), "{protocol}");
        if framing(protocol, 0) == 0 {
            assert_sizes(&upstream["response"], &bodies);
        } else {
            let mean =
                |values: [u64; BODIES.len()]| values.iter().sum::<u64>() / values.len() as u64;
            let framed = BODIES.map(|body| body as u64 + framing(protocol, body));
            let told = upstream["response"]["mean"].as_u64().expect("a number");
            assert!((mean(bodies)..=mean(framed)).contains(&told), "{protocol}: {upstream}");
        }
        assert_eq!(location["measured"]["response"]["count"], 0, "an upstream gave all");
        assert_eq!(location["measured"]["request_body"]["count"], 0);
    }
    let heads = |protocol: &str| {
        nginx.location(&format!("/{protocol}/"))["measured"]["upstream"]["header"].clone()
    };
    let nginx_gives =
        ANSWERS.map(|(body, header)| upstreams.head(&asking_for(body, header)).len() as u64);
    assert_sizes(&heads("proxy"), &nginx_gives);
    let uwsgi_gives = |status: &str| {
        ANSWERS.map(|(body, header)| {
            let fixed = "\r\nX-Padding: \r\nContent-Type: text/plain\r\nContent-Length: \r\n\r\n";
            (status.len() + fixed.len() + header + body.to_string().len()) as u64
        })
    };
    assert_sizes(&heads("uwsgi"), &uwsgi_gives("HTTP/1.0 200 OK"));
    assert_sizes(&heads("scgi"), &uwsgi_gives("Status: 200 OK"));
    let mean = heads("fastcgi")["mean"].as_u64().expect("a number");
    let unframed = uwsgi_gives("Status: 200 OK").iter().sum::<u64>() / ANSWERS.len() as u64;
    assert!(mean.abs_diff(unframed) <= 64, "{mean} for {unframed}");
}

#[test]
fn what_is_written_to_a_file_for_want_of_buffers_is_counted_as_spilled() {
    let upstreams = Upstreams::start();
    let nginx = slow(upstreams.passing(&BUFFERED, "PROTOCOL_buffers 8 4k;"));
    for protocol in BUFFERED {
        // Twice to a client that does not read before all is in the file, once with what fits.
        (0..2).for_each(|_| ask_slowly(&nginx, protocol));
        ask(&mut nginx.0.connect(), protocol, (20_000, 1));
    }
    for protocol in BUFFERED {
        let location = nginx.0.location_after(&format!("/{protocol}/"), 3);
        assert_eq!(location["measured"]["upstream"]["spilled"], 2, "{protocol}");
        assert_eq!(location["measured"]["upstream"]["response"]["count"], 3, "{protocol}");
    }
    assert_eq!(nginx.0.error_log().matches(BUFFERED_TO_FILE).count(), 2 * BUFFERED.len());
}

#[test]
fn what_needs_no_file_is_not() {
    let upstreams = Upstreams::start();
    for directives in
        ["PROTOCOL_buffers 64 32k;", "PROTOCOL_max_temp_file_size 0;", "PROTOCOL_buffering off;"]
    {
        let nginx = slow(upstreams.passing(&BUFFERED, directives));
        for protocol in BUFFERED {
            let mut client = Client::connect(nginx.1.number());
            client.ask(&format!("/{protocol}/?{}", asking_for(LONG, 1)));
            assert_eq!(client.read("GET").body.len(), LONG);
            let location = nginx.0.location_after(&format!("/{protocol}/"), 1);
            let upstream = &location["measured"]["upstream"];
            assert_eq!(upstream["spilled"], 0, "{protocol} {directives}");
            assert_eq!(upstream["response"]["count"], 1, "{protocol} {directives}");
        }
        assert!(!nginx.0.error_log().contains(BUFFERED_TO_FILE), "{directives}");
    }
}

#[test]
fn what_is_buffered_otherwise_than_is_set_is_left_out() {
    let upstreams = Upstreams::start();
    let off = format!("proxy_buffering off; {}", upstreams.pass("proxy"));
    let nginx = upstreams.passing(&["proxy"], "").location("/off/", &off).start();
    let cases = [
        ("/proxy/", "no", "1,000 more answers had X-Accel-Buffering: no and used no proxy_buffers"),
        ("/off/", "yes", "proxy_buffers are used only for answers with X-Accel-Buffering: yes"),
    ];
    for (location, otherwise, remark) in cases {
        let mut client = nginx.connect();
        let as_set = asking_for(20_000, 1);
        let otherwise = format!("{}&buffering={otherwise}", asking_for(60_000, 1));
        for arguments in [&as_set, &as_set].into_iter().chain([&otherwise; 1000]) {
            assert_eq!(client.get(&format!("{location}?{arguments}")).status, 200);
        }
        let told = nginx.location_after(location, 1002);
        assert_sizes(&told["measured"]["upstream"]["response"], &[20_000; 2]);
        assert_eq!(told["measured"]["upstream"]["header"]["count"], 1002);
        let remarks = told["advice"]["remarks"].to_string();
        assert!(remarks.contains(remark), "{remarks}");
        assert!(!remarks.contains("are not used"), "{remarks}");
    }
}

#[test]
fn the_file_of_a_cache_or_a_store_is_no_want_of_buffers() {
    let upstreams = Upstreams::start();
    let cached =
        "PROTOCOL_cache PROTOCOL; PROTOCOL_cache_valid 1h; PROTOCOL_cache_key PROTOCOL$args;
        add_header X-Cache $upstream_cache_status;";
    let mut setup = upstreams.passing(&BUFFERED, cached);
    let prefix = setup.prefix().display().to_string();
    for protocol in BUFFERED {
        // A zone of each, because those of two modules cannot share a name.
        setup = setup.http(&format!(
            "{protocol}_cache_path {prefix}/temp/cache-{protocol} keys_zone={protocol}:1m;\n"
        ));
        let stored = format!(
            "{protocol}_store {prefix}/temp/stored-{protocol}; {}",
            upstreams.pass(protocol)
        );
        setup = setup.location(&format!("/stored-{protocol}/"), &stored);
    }
    let nginx = slow(setup);
    for protocol in BUFFERED {
        for status in ["MISS", "HIT"] {
            let answer = nginx.0.get(&format!("/{protocol}/?{}", asking_for(LONG, 1)));
            assert_eq!(answer.header("X-Cache"), Some(status), "{protocol}");
        }
        assert_eq!(
            nginx.0.get(&format!("/stored-{protocol}/?{}", asking_for(LONG, 1))).status,
            200
        );
        let cached = nginx.0.location_after(&format!("/{protocol}/"), 2);
        let upstream = &cached["measured"]["upstream"];
        assert_eq!(
            (&upstream["spilled"], &upstream["response"]["count"]),
            (&json!(0), &json!(1)),
            "{protocol}"
        );
        assert_eq!(cached["measured"]["response"]["count"], 1, "what the cache has answered");
        let stored = nginx.0.location_after(&format!("/stored-{protocol}/"), 1);
        assert_eq!(stored["measured"]["upstream"]["spilled"], 0, "{protocol}");
        assert_eq!(stored["measured"]["upstream"]["response"]["count"], 1, "{protocol}");
    }
}

#[test]
fn headers_over_the_buffer_are_counted_and_no_other_failure_is() {
    let upstreams = Upstreams::start();
    let mut setup = upstreams.passing(&PROTOCOLS, "PROTOCOL_buffer_size 4k;");
    let (dead, silent) = (Port::reserve(), Port::reserve());
    let listener = silent.listen(64);
    for protocol in PROTOCOLS {
        let of = |address: String| match protocol {
            "proxy" => format!("proxy_pass http://{address};"),
            other => format!("{other}_pass {address};"),
        };
        let failing = [
            (format!("/dead-{protocol}/"), of(dead.address())),
            (
                format!("/silent-{protocol}/"),
                format!("{protocol}_read_timeout 100ms; {}", of(silent.address())),
            ),
            // This upstream speaks another protocol than it is asked in, or knows no such page.
            (format!("/wrong-{protocol}/"), of(upstreams.http())),
        ];
        for (location, directives) in failing {
            setup = setup.location(&location, &directives);
        }
    }
    let nginx = setup.start();
    let mut client = nginx.connect();
    for protocol in PROTOCOLS {
        ask(&mut client, protocol, (100, 3000));
        for _ in 0..3 {
            let status = nginx.get(&format!("/{protocol}/?{}", asking_for(100, 9000))).status;
            assert_eq!(status, 502, "{protocol}");
        }
        let upstream =
            nginx.location_after(&format!("/{protocol}/"), 4)["measured"]["upstream"].clone();
        assert_eq!(upstream["header_too_big"], 3, "{protocol}");
        assert_eq!(upstream["header"]["count"], 1, "{protocol}");
        assert_eq!(upstream["response"]["count"], 1, "{protocol}");
        for kind in ["dead", "silent", "wrong"] {
            let path = format!("/{kind}-{protocol}/");
            let status = nginx.get(&path).status;
            assert!(status >= 400, "{path}: {status}");
            let measured = nginx.location_after(&path, 1)["measured"].clone();
            assert_eq!(measured["upstream"]["header_too_big"], 0, "{path}");
        }
    }
    assert_eq!(
        nginx.error_log().matches("upstream sent too big header").count(),
        3 * PROTOCOLS.len()
    );
    drop(listener);
}

#[test]
fn an_answer_that_an_upstream_was_asked_for_again_is_the_last_ones() {
    let upstreams = Upstreams::start();
    let dead = Port::reserve();
    let live = upstreams.http();
    let nginx = Setup::new()
        .measured()
        .http(&format!("upstream both {{ server {}; server {live} backup; }}\n", dead.address()))
        .location("/", "proxy_pass http://both;")
        .start();
    assert_eq!(nginx.get(&format!("/?{}", asking_for(5000, 1))).body.len(), 5000);
    let upstream = nginx.location_after("/", 1)["measured"]["upstream"].clone();
    assert_sizes(&upstream["response"], &[5000]);
    assert_eq!(upstream["header"]["count"], 1);
}

#[test]
fn a_connection_that_becomes_another_protocols_is_no_answer() {
    let backend = Port::reserve();
    let listener = backend.listen(8);
    let nginx = Setup::new()
        .measured()
        .location(
            "/",
            &format!(
                "proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Upgrade echo;
                proxy_set_header Connection upgrade;",
                backend.address()
            ),
        )
        .start();
    let mut client = nginx.connect();
    client
        .send("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n");
    let (mut stream, _) = listener.accept().expect("nginx connects");
    std::io::Write::write_all(
        &mut stream,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello",
    )
    .expect("nginx reads");
    drop(stream);
    assert!(client.read_to_end().ends_with("hello"));
    let upstream = nginx.location_after("/", 1)["measured"]["upstream"].clone();
    assert_eq!(
        (&upstream["header"]["count"], &upstream["response"]["count"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn what_a_client_has_left_before_all_was_read_is_no_sample_of_its_length() {
    let upstreams = Upstreams::start();
    for directives in ["PROTOCOL_max_temp_file_size 0;", "PROTOCOL_buffering off;"] {
        let nginx = slow(upstreams.passing(&BUFFERED, directives));
        for protocol in BUFFERED {
            let mut client = Client::connect_narrow(nginx.1.number());
            client.ask(&format!("/{protocol}/?{}", asking_for(LONG, 1)));
            client.wait_for_some();
            client.abort();
            let mut client = nginx.0.connect();
            ask(&mut client, protocol, (20_000, 1));
            let upstream =
                nginx.0.location_after(&format!("/{protocol}/"), 2)["measured"]["upstream"].clone();
            assert_eq!(upstream["header"]["count"], 2, "{protocol} {directives}");
            assert_eq!(upstream["response"]["count"], 1, "{protocol} {directives}");
            let mean = upstream["response"]["mean"].as_u64().expect("a number");
            assert!((20_000..21_000).contains(&mean), "{protocol} {directives}: {mean}");
        }
    }
}

/// nginx with a port whose connections hold little, to clients that do not read.
fn slow(setup: Setup) -> (Nginx, Port) {
    let port = Port::reserve();
    let setup = setup.server(&format!("listen {} sndbuf=16k;\n", port.address()));
    (setup.start(), port)
}

/// Asks for a long answer, and reads it when nginx has put it into a file.
#[track_caller]
fn ask_slowly((nginx, port): &(Nginx, Port), protocol: &str) {
    let written = || nginx.error_log().matches(BUFFERED_TO_FILE).count();
    let before = written();
    let mut client = Client::connect(port.number());
    client.ask(&format!("/{protocol}/?{}", asking_for(LONG, 1)));
    crate::common::wait_until("a file", || written() > before);
    assert_eq!(client.read("GET").body.len(), LONG, "{protocol}");
}

#[test]
fn the_most_used_of_several_protocols_is_named() {
    let upstreams = Upstreams::start();
    // One location that passes on by two protocols, by an `if`, which is a part of it.
    let directives = format!(
        "{} if ($arg_by = fastcgi) {{ {} }} {}",
        upstreams.pass("fastcgi").split_once(';').expect("a directive").1,
        upstreams.pass("fastcgi").split_once(';').expect("a directive").0.to_owned() + ";",
        upstreams.pass("proxy"),
    );
    let nginx = Setup::new().measured().location("/", &directives).start();
    for by in ["fastcgi", "proxy", "fastcgi"] {
        assert_eq!(nginx.get(&format!("/?{}&by={by}", asking_for(100, 1))).status, 200);
    }
    let location = nginx.location_after("/", 3);
    assert_eq!(location["measured"]["upstream"]["protocol"], "fastcgi");
    assert_eq!(location["measured"]["upstream"]["response"]["count"], 3);
    assert!(!location["settings"]["fastcgi_buffers"].is_null());
}
