//! Requests that mean no good, and names that would do harm: refused, or told with each format's own escapes.

use crate::common::client::request;
use crate::common::interface::{assert_refused, delete};
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use serde_json::Value;

/// Names of zones that would do harm wherever they were not escaped, as nginx's configuration has them between
/// apostrophes, as they are, and as a URI has them.
const NAMES: [(&str, &str, &str); 4] = [
    ("<script>alert(1)</script>", "<script>alert(1)</script>", "%3Cscript%3Ealert(1)%3C/script%3E"),
    ("a\"} 1\\nb{c=\"", "a\"} 1\nb{c=\"", "a%22%7D%201%0Ab%7Bc=%22"),
    ("\\\\\"},\"x\",{\"", "\\\"},\"x\",{\"", "%5C%22%7D,%22x%22,%7B%22"),
    ("\u{2028}é漢 &?#%", "\u{2028}é漢 &?#%", "%E2%80%A8%C3%A9%E6%BC%A2%20&%3F%23%25"),
];

/// Keys that would, percent-encoded and as JSON shows them.
const KEYS: [(&str, &str); 6] = [
    ("%3Cscript%3Ealert(1)%3C/script%3E", "<script>alert(1)</script>"),
    ("%00%01%1f%7f%0d%0a", "\0\u{1}\u{1f}\u{7f}\r\n"),
    ("%ff%c3%28%ed%a0%80", "\u{fffd}\u{fffd}(\u{fffd}\u{fffd}\u{fffd}"),
    ("%22%7d%2c%22held%22%3afalse", "\"},\"held\":false"),
    ("%5c%5cu0000", "\\\\u0000"),
    ("a+b%2b", "a b+"),
];

fn start() -> Nginx {
    let mut setup = Setup::new()
        // Room for keys of 10 KB, and more.
        .http("large_client_header_buffers 4 256k;\n")
        .http("smart_limit_zone $arg_k zone=plain:1m rate=1r/m;\n")
        .location("/smart/", "smart_api;")
        .location("/control/", "smart_api write;");
    for (number, (written, _, _)) in NAMES.iter().enumerate() {
        setup = setup
            .http(&format!("smart_limit_zone $arg_k 'zone={written}:1m' rate=1r/m;\n"))
            .location(
                &format!("/{number}"),
                &format!("smart_limit 'zone={written}' burst=5 nodelay; empty_gif;"),
            );
    }
    setup.start()
}

fn json(nginx: &Nginx, path: &str) -> Value {
    let response = nginx.get(&format!("/smart/{path}"));
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn names_of_zones_may_be_anything() {
    let nginx = start();
    let status = json(&nginx, "status.json");
    for (number, (_, name, encoded)) in NAMES.iter().enumerate() {
        assert_eq!(nginx.get(&format!("/{number}?k=a")).status, 200);
        assert_eq!(status["limits"][*name]["passed"], 0, "{name:?} in {status}");
        let told = json(&nginx, &format!("limits/{encoded}"));
        assert_eq!((&told["limit"], &told["passed"]), (&(*name).into(), &1.into()));
        let told = json(&nginx, &format!("limits/{encoded}?key=a"));
        assert_eq!((&told["limit"], &told["held"]), (&(*name).into(), &true.into()));
        let path = format!("/control/limits/{encoded}?key=a");
        assert_eq!(delete(&nginx, &path).status, 204, "{name:?}");
    }
    // No line of the metrics, or of the log, begins within a name.
    let metrics = nginx.get("/smart/metrics").text();
    let begins = |line: &str| line.starts_with("# ") || line.starts_with("ngx_smart_");
    assert!(metrics.lines().all(begins), "{metrics}");
    assert_eq!(nginx.error_log().matches("smart_api removed key").count(), NAMES.len());
    assert!(nginx.error_log().contains("limit \"a\"} 1\\x0Ab{c=\"\""), "{}", nginx.error_log());
}

#[test]
fn the_page_has_no_names_in_it() {
    let page = start().get("/smart/").text();
    for (_, name, _) in NAMES {
        assert!(!page.contains(name), "{name:?}: the script asks for them");
    }
}

#[test]
fn keys_may_be_anything() {
    let nginx = start();
    for (encoded, shown) in KEYS {
        assert_eq!(json(&nginx, &format!("limits/plain?key={encoded}"))["key"], shown);
        let path = format!("/control/limits/plain?key={encoded}");
        let refused = delete(&nginx, &path);
        assert_eq!(refused.status, 404, "{}", refused.text());
    }
}

#[test]
fn keys_may_be_long() {
    let nginx = start();
    for length in [10_000, 65_535] {
        let told = json(&nginx, &format!("limits/plain?key={}", "x".repeat(length)));
        assert_eq!(told["key"].as_str().map(str::len), Some(length));
        assert_eq!(told["held"], false);
    }
    let longer = nginx.get(&format!("/smart/limits/plain?key={}", "%78".repeat(65_536)));
    assert_refused(&longer, 400, "\"key\" is longer than 65535 bytes");
    let name = "n".repeat(10_000);
    let unknown = nginx.get(&format!("/smart/limits/{name}"));
    assert_refused(&unknown, 404, &format!("no limit \"{name}\""));
    let unknown = nginx.get(&format!("/smart/metrics?{name}=1"));
    assert_refused(&unknown, 400, &format!("unknown argument \"{name}\""));
}

#[test]
fn what_is_malformed_is_refused() {
    let nginx = start();
    for query in ["key=%", "key=%4", "key=%zz", "key=a%", "key", "key=%%"] {
        let refused = nginx.get(&format!("/smart/limits/plain?{query}"));
        assert_refused(&refused, 400, "the value of \"key\" is not percent-encoded");
    }
    let refused = nginx.get("/smart/status.json?<b>%22");
    assert_refused(&refused, 400, "unknown argument \"<b>%22\"");
    let refused = nginx.get("/smart/limits/%3Cb%3E%FF%22");
    assert_refused(&refused, 404, "no limit \"<b>\u{fffd}\"\"");
    // An argument as raw bytes, which nginx lets through.
    let mut client = nginx.connect();
    let mut bytes = request("GET", "/smart/limits/plain?key=RAW", &[], b"");
    let at = bytes.windows(3).position(|part| part == b"RAW").expect("the key");
    bytes.splice(at..at + 3, *b"\xff\"<\xe2");
    client.send(&bytes);
    let told: Value = serde_json::from_slice(&client.read("GET").body).expect("JSON");
    assert_eq!(told["key"], "\u{fffd}\"<\u{fffd}");
}

#[test]
fn paths_lead_nowhere_else() {
    let nginx = start();
    for path in ["../control/limits/plain", "limits/../../control/metrics", "..%2fcontrol/"] {
        let response = nginx.connect().request("POST", &format!("/smart/{path}"), &[], b"");
        assert!([404, 405].contains(&response.status), "{path}: {}", response.status);
    }
    assert_eq!(nginx.get("/smart/limits/plain%00").status, 400, "nginx itself lets no NUL through");
}
