//! The status interface by HTTP: paths, methods, statuses and header fields. (What the answers say is asked in
//! `formats`, what the page shows in `page`, what an operator removes in `removal`.)

use std::time::Duration;

use crate::common::client::request;
use crate::common::clock::Clock;
use crate::common::curl::{curl, write_certificate};
use crate::common::interface::{assert_refused, delete, interface, NOBODY};
use crate::common::setup::{self, Setup};
use crate::common::wait_until;

#[test]
fn smoke_each_path_has_its_form() {
    let nginx = interface().start();
    const JSON: &str = "application/json";
    for (path, media_type) in [
        ("", "text/html; charset=utf-8"),
        ("status.json", JSON),
        ("metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("history.json", JSON),
        ("limits/key", JSON),
        ("limits/key?key=a", JSON),
        ("limits/key?top=5", JSON),
        ("rooms/r", JSON),
        ("buffers", JSON),
        ("buffers.conf", "text/plain; charset=utf-8"),
        ("buffers?server=&location=/limited/", JSON),
    ] {
        let response = nginx.get(&format!("/smart/{path}"));
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        assert_eq!(response.all("Content-Type"), [media_type], "{path}");
        assert_eq!(response.all("Cache-Control"), ["no-store"], "{path}");
        assert_eq!(response.all("X-Content-Type-Options"), ["nosniff"], "{path}");
        let length = response.header("Content-Length").map(str::to_owned);
        assert_eq!(length, Some(response.body.len().to_string()), "{path}");
        for name in ["ETag", "Last-Modified", "Accept-Ranges", "Access-Control-Allow-Origin"] {
            assert_eq!(response.header(name), None, "{path}: {name}");
        }
        let policy = response.header("Content-Security-Policy");
        assert_eq!(policy.is_some(), path.is_empty(), "{path}: {policy:?}");
        if media_type == JSON {
            assert_eq!(response.json()["version"], 1, "{path}");
        }
    }
}

#[test]
fn the_status_names_the_process_and_the_configuration() {
    let nginx = interface().start();
    let told = nginx.get("/smart/status.json").json();
    assert_eq!(told["process"], nginx.worker());
    assert_eq!(told["workers"], 1);
    assert_eq!(told["panics"], 0);
    let (major, minor, patch) = setup::version();
    assert_eq!(told["nginx"], format!("nginx/{major}.{minor}.{patch}"));
    assert_eq!(told["ngx_smart"], env!("CARGO_PKG_VERSION"));
    let [time, configured] = ["time", "configured"].map(|name| told[name].as_u64().expect("time"));
    assert!(configured <= time && time < configured + 600, "{configured} {time}");
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let nginx = interface().start();
    let mut client = nginx.connect();
    for path in ["", "status.json", "metrics", "limits/key", "buffers.conf", "nothing", "?x=1"] {
        let path = format!("/smart/{path}");
        let get = client.get(&path);
        let head = client.request("HEAD", &path, &[], b"");
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("Content-Type"), get.header("Content-Type"), "{path}");
        assert!(head.header("Content-Length").is_some(), "{path}");
        assert_eq!(head.body, b"");
    }
}

#[test]
fn other_methods_are_told_what_is_allowed() {
    let nginx = interface().start();
    for (method, path, allow) in [
        ("POST", "", "GET, HEAD"),
        ("PUT", "status.json", "GET, HEAD"),
        ("OPTIONS", "metrics", "GET, HEAD"),
        ("DELETE", "status.json", "GET, HEAD"),
        ("DELETE", "buffers", "GET, HEAD"),
        ("POST", "limits/key?key=a", "GET, HEAD, DELETE"),
        ("PATCH", "rooms/r", "GET, HEAD, DELETE"),
        ("GET", "sendfile/cache/lookups", "DELETE"),
        ("HEAD", "sendfile/cache/lookups", "DELETE"),
        ("PROPFIND", "limits/none", "GET, HEAD, DELETE"),
    ] {
        for location in ["smart", "control"] {
            let path = format!("/{location}/{path}");
            let response = nginx.connect().request(method, &path, &[], b"");
            assert_eq!(response.all("Allow"), [allow], "{method} {path}");
            assert_eq!(response.status, 405);
            if method != "HEAD" {
                assert_refused(&response, 405, &format!("the method must be one of {allow}"));
            }
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    let nginx = interface().start();
    let get = |path: &str| nginx.get(&format!("/smart/{path}"));
    for path in ["nothing", "limits/", "limits", "status.json/", "sendfile/cache/"] {
        assert_refused(&get(path), 404, "there is nothing of this name");
    }
    assert_refused(&get("limits/none"), 404, "no limit \"none\"");
    assert_refused(&get("limits/none?key=a"), 404, "no limit \"none\"");
    assert_refused(&get("limits/none?top=1"), 404, "no limit \"none\"");
    assert_refused(&get("limits/r"), 404, "no limit \"r\"");
    assert_refused(&get("rooms/key"), 404, "no room \"key\"");
    assert_refused(&get(&format!("rooms/none?session={NOBODY}")), 404, "no room \"none\"");
    assert_refused(&get(&format!("rooms/r?session={NOBODY}")), 404, "no such session is held");
    assert_refused(&get("status.json?x=1"), 400, "unknown argument \"x\"");
    assert_refused(&get("rooms/r?session=1"), 400, "\"session\" must be 16 hexadecimal digits");
    assert_refused(&get("limits/key?top=257"), 400, "\"top\" must be a number from 1 to 256");
    assert_refused(&get("limits/key?top=1&key=a"), 400, "\"key\" and \"top\" exclude each other");
}

#[test]
fn nothing_but_the_interface_is_needed() {
    let nginx = Setup::new().location("/smart/", "smart_api;").start();
    let told = nginx.get("/smart/status.json").json();
    assert!(told["sendfile"].is_null() && told["buffers"].is_null(), "{told}");
    assert_eq!(told["limits"], serde_json::json!({}));
    assert_eq!(told["rooms"], serde_json::json!({}));
    for path in ["buffers", "buffers.conf"] {
        assert_refused(&nginx.get(&format!("/smart/{path}")), 404, "no buffers are measured");
    }
    for path in ["", "metrics", "history.json"] {
        assert_eq!(nginx.get(&format!("/smart/{path}")).status, 200, "{path}");
    }
}

#[test]
fn a_location_is_asked_for_by_its_name_as_curl_encodes_it() {
    let nginx = Setup::new().measured().location(r"~ \.a+b$", "return 204;").start();
    for path in ["buffers", "buffers.conf"] {
        let get = |query: &str| nginx.get(&format!("/smart/{path}?{query}"));
        for query in ["location=~+%5c.a%2Bb%24", "location=~%20%5C.a%2bb$", "server=&location="] {
            assert_eq!(get(query).status, 200, "{path}?{query}");
        }
        for query in ["location=~%20%5c.a+b%24", "server=other", "server=other&location="] {
            assert_refused(&get(query), 404, "no such server or location is measured");
        }
    }
}

#[test]
fn bodies_are_thrown_away() {
    let nginx = interface().start();
    let mut client = nginx.connect();
    let body = vec![b'x'; 300_000];
    for _ in 0..3 {
        let response = client.request("GET", "/smart/status.json", &[], &body);
        assert_eq!(response.json()["version"], 1);
        assert_eq!(client.request("POST", "/smart/", &[], &body).status, 405);
    }
    let deleted = client.request("DELETE", "/control/limits/key?key=a", &[], b"key=b");
    assert_eq!(deleted.status, 404);
    assert_eq!(client.get("/smart/status.json").status, 200, "the connection is still good");
}

#[test]
fn the_prefix_may_end_with_a_slash_or_without() {
    let nginx = Setup::new()
        .location("/with/", "smart_api;")
        .location("/without", "smart_api;")
        .location("/outer/", "empty_gif; location /outer/smart/ { smart_api; }")
        .location("^~ /first/", "smart_api;")
        .start();
    let origin = format!("http://localhost:{}", nginx.port());
    for (path, location) in [
        ("/with", "/with/"),
        ("/with?a=b", "/with/?a=b"),
        ("/without", "/without/"),
        ("/without?a=b", "/without/?a=b"),
        ("/outer/smart", "/outer/smart/"),
    ] {
        let response = nginx.get(path);
        assert_eq!(response.status, 301, "{path}");
        let told = response.all("Location");
        assert_eq!(told, [format!("{origin}{location}")], "{path}");
    }
    for prefix in ["/with/", "/without/", "/outer/smart/", "/first/"] {
        assert!(nginx.get(prefix).text().starts_with("<!"), "{prefix}");
        assert_eq!(nginx.get(&format!("{prefix}metrics")).status, 200, "{prefix}");
    }
    assert_refused(&nginx.get("/withouts"), 404, "there is nothing of this name");
    assert_eq!(nginx.get("/outer/").header("Content-Type"), Some("image/gif"));
}

#[test]
fn the_root_can_be_the_interface() {
    let nginx = Setup::new().location("/", "smart_api;").start();
    assert!(nginx.get("/").text().starts_with("<!"));
    assert_eq!(nginx.get("/status.json").json()["version"], 1);
}

#[test]
fn smoke_access_is_nginxs_own_matter() {
    let nginx = Setup::new()
        .document("ok", b"ok\n")
        .location("/denied/", "smart_api write; deny all;")
        .location("/allowed/", "smart_api write; allow 127.0.0.1; deny all;")
        .location("/guarded/", "smart_api write; limit_except GET { deny all; }")
        .location("/open/", "smart_api write; limit_except GET { allow all; }")
        .location("/chosen/", "smart_api write; if ($arg_k) { set $k 1; }")
        .http("smart_limit_zone all zone=one:1m rate=1r/m;\n")
        .start();
    let statuses = |location: &str| {
        let get = nginx.get(&format!("/{location}/status.json"));
        (get.status, delete(&nginx, &format!("/{location}/limits/one?key=x")).status)
    };
    assert_eq!(statuses("denied"), (403, 403));
    assert_eq!(statuses("allowed"), (200, 404));
    assert_eq!(statuses("guarded"), (200, 403));
    assert_eq!(statuses("open"), (200, 404), "what limit_except lets through is ours");
    assert_eq!(nginx.get("/chosen/limits/one?key=a").status, 200);
    assert_eq!(delete(&nginx, "/chosen/limits/one?k=1").status, 400, "an if inherits it");
    let guarded = delete(&nginx, "/guarded/limits/one?key=x");
    assert_eq!(guarded.header("Content-Type"), Some("text/html"), "nginx's own page");
}

#[test]
fn the_locations_own_header_fields_are_kept() {
    let nginx = Setup::new()
        .location("/smart/", "smart_api; add_header X-Own yes always; expires 1h;")
        .start();
    for path in ["", "nothing"] {
        let response = nginx.get(&format!("/smart/{path}"));
        assert_eq!(response.header("X-Own"), Some("yes"), "{path}");
    }
}

#[test]
fn gzip_is_nginxs_own_matter() {
    let nginx = Setup::new()
        .location("/smart/", "smart_api; gzip on; gzip_types application/json text/plain;")
        .start();
    for path in ["", "status.json", "metrics"] {
        let path = format!("/smart/{path}");
        let plain = nginx.get(&path);
        assert_eq!(plain.header("Content-Encoding"), None);
        let mut client = nginx.connect();
        let packed = client.get_with(&path, &[("Accept-Encoding", "gzip")]);
        assert_eq!(packed.header("Content-Encoding"), Some("gzip"), "{path}");
        assert!(packed.body.len() < plain.body.len(), "{path}");
    }
}

#[test]
fn http2_gets_the_same() {
    let setup = interface();
    let prefix = setup.prefix().to_owned();
    write_certificate(&prefix);
    let directory = prefix.display();
    let nginx = setup
        .server(&format!(
            "listen unix:{directory}/tls ssl http2; ssl_certificate {directory}/certificate.pem;
            ssl_certificate_key {directory}/key.pem;\n"
        ))
        .start();
    let socket = prefix.join("tls").display().to_string();
    let ask = |arguments: &[&str], path: &str| {
        let url = format!("https://localhost{path}");
        let fixed = ["--insecure", "--http2", "--include", "--unix-socket", &socket];
        let all: Vec<&str> = fixed.iter().chain(arguments).copied().chain([&url[..]]).collect();
        String::from_utf8(curl(&all)).expect("text")
    };
    let told = ask(&[], "/smart/status.json");
    assert!(told.starts_with("HTTP/2 200"), "{told}");
    assert!(told.contains("\r\ncache-control: no-store\r\n"), "{told}");
    let json = told.split("\r\n\r\n").nth(1).expect("a body");
    assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
    assert!(ask(&["--head"], "/smart/").starts_with("HTTP/2 200"));
    assert!(ask(&["--data", "x"], "/smart/").contains("\r\nallow: GET, HEAD\r\n"));
    let path = "/control/limits/key?key=a";
    assert!(ask(&["-X", "DELETE"], path).starts_with("HTTP/2 404"));
    nginx.get("/limited/?k=a");
    assert!(ask(&["-X", "DELETE"], path).starts_with("HTTP/2 204"));
    drop(nginx);
}

#[test]
fn who_waits_to_be_asked_for_the_body_is_not_asked() {
    let nginx = interface().start();
    let mut client = nginx.connect();
    let expecting = [("Expect", "100-continue"), ("Content-Length", "10")];
    client.send(request("POST", "/smart/", &expecting, b""));
    let response = client.read("POST");
    assert_eq!(response.status, 405, "not 100 before it");
}

#[test]
fn the_last_minutes_are_told() {
    let (clock, setup) = Clock::with_time_of_day(interface());
    let nginx = setup.start();
    let series = || {
        let told = nginx.get("/smart/history.json").json();
        let all = told["series"].as_array().expect("series").clone();
        all.into_iter().find(|series| series["kind"] == "limit" && series["name"] == "key")
    };
    let totals = || -> Vec<u64> {
        let samples = series().map(|series| series["samples"].as_array().expect("samples").clone());
        let passed = samples.iter().flatten().filter_map(|sample| sample[0].as_u64());
        passed.collect()
    };
    wait_until("the first sample", || !totals().is_empty());
    for count in 1..=3_usize {
        nginx.get("/limited/?k=a");
        clock.advance(Duration::from_secs(5));
        wait_until("the next sample", || totals().len() == count + 1);
    }
    assert_eq!(totals(), [0, 1, 2, 3]);
    let series = series().expect("a series");
    assert_eq!(series["columns"][0], "passed");
    let told = nginx.get("/smart/history.json").json();
    assert_eq!(told["interval_seconds"].as_f64(), Some(5.0));
    let [status, history] = ["status.json", "history.json"]
        .map(|path| nginx.get(&format!("/smart/{path}")).json()["time"].as_u64().expect("a time"));
    assert!(history <= status && status < history + 5, "{history} {status}");
}
