//! What the interface of a running nginx says: JSON by its schema, metrics as Prometheus's own `promtool` takes them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::dashboard::{dashboard, queries};
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::room::{room, Visitor};
use crate::common::schema::{assert_conforms, schema};
use crate::common::statuses::{empty, full, hostile};
use crate::common::wait_until;
use ngx_http_smart_module::core::report::{prometheus, Status};
use serde_json::json;

/// What promtool has to say to a text: whether it accepts it, and its remarks.
fn promtool(arguments: &[&str], text: &str) -> (bool, String) {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus: scripts/setup installs it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let remarks = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&remarks).into_owned())
}

fn check_metrics(text: &str) -> (bool, String) {
    promtool(&["check", "metrics"], text)
}

fn metrics(status: &Status) -> String {
    let mut out = Vec::new();
    prometheus::metrics(status, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn promtool_accepts_everything_nothing_and_hostile_names() {
    for (what, status) in [("full", full(b"front")), ("empty", empty()), ("hostile", hostile())] {
        assert_eq!(check_metrics(&metrics(&status)), (true, String::new()), "{what}");
    }
    // It would have said so.
    let good = metrics(&empty());
    for wrong in [
        good.replace("# HELP ngx_smart_panics_total Panics that were caught.\n", ""),
        good.replace("panics_total", "panics"),
        good.replace("ngx_smart_panics_total 0", "ngx_smart_panics_total{a=\"b\"c\"} 0"),
    ] {
        assert_ne!(check_metrics(&wrong), (true, String::new()), "{wrong}");
    }
}

#[test]
fn prometheus_understands_the_dashboards_queries() {
    let queries = queries(&dashboard());
    let rules = |queries: &[String]| {
        let rules: Vec<_> =
            queries.iter().map(|query| json!({"record": "dashboard", "expr": query})).collect();
        // JSON is YAML.
        json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()
    };
    let check = |queries: &[String]| {
        promtool(&["check", "rules", "--lint=none", "/dev/stdin"], &rules(queries))
    };
    let (is_good, remarks) = check(&queries);
    assert!(is_good && queries.len() > 40, "{remarks}");
    assert!(!check(&["sum(rate(ngx_smart_panics_total)".into()]).0, "promtool takes anything");
}

/// A server with all that there is to tell of, the interface at `/smart/`.
fn start(memcached: &Memcached) -> Nginx {
    room("max_active=1")
        .http("http_sendfile_cache_zone lookups:1m; smart_buffers_zone 1m;\n")
        .store(&memcached.address())
        .files(0..3)
        .location("/smart/", "smart_api;")
        .location("/file/", "http_sendfile on; http_sendfile_cache lookups;")
        .location("/limited/", "smart_limit zone=key; smart_buffers on; empty_gif;")
        .location("~ \"^/<b>.*\"", "smart_limit zone=key; smart_buffers on; empty_gif;")
        .start()
}

#[test]
fn a_running_nginx_says_what_the_schema_and_prometheus_know() {
    let memcached = Memcached::with_paths(0..3);
    let nginx = start(&memcached);
    for id in [0, 0, 1, 9] {
        nginx.get(&format!("/file/{id}"));
    }
    for path in ["/limited/?k=a", "/limited/?k=a", "/limited/?k=%22%00%ff", "/%3Cb%3E?k=b"] {
        nginx.get(path);
    }
    let mut seated = Visitor::new(&nginx);
    seated.get("/");
    let active = seated.get("/").header("X-Session").expect("a session").to_owned();
    let mut waits = Visitor::new(&nginx);
    waits.join("/");
    let waiting = waits.get("/").header("X-Session").expect("a session").to_owned();
    for (name, path) in [
        ("status", "status.json"),
        ("history", "history.json"),
        ("limit", "limits/key"),
        ("key", "limits/key?key=a"),
        ("key", "limits/key?key=%22%00%ff%3Cscript%3E"),
        ("top", "limits/key?top=256"),
        ("room", "rooms/r"),
        ("session", &format!("rooms/r?session={active}")),
        ("session", &format!("rooms/r?session={waiting}")),
        ("buffers", "buffers"),
        ("error", "buffers?server=none"),
        ("error", "limits/%22%0A%ff%3Cscript%3E"),
        ("error", "rooms/r?session=0123456789abcdef"),
        ("error", "status.json?%22=<b>"),
    ] {
        let response = nginx.get(&format!("/smart/{path}"));
        assert_eq!(response.status == 200, name != "error", "{path}: {}", response.text());
        assert!(!response.body.contains(&b'<'), "{path}: {}", response.text());
        assert_conforms(path, &schema(name), &response.body);
    }
    assert_eq!(check_metrics(&nginx.get("/smart/metrics").text()), (true, String::new()));
    memcached.stop();
}

#[test]
fn what_happened_is_counted_alike_in_both_formats() {
    let memcached = Memcached::with_paths(0..3);
    let nginx = start(&memcached);
    for id in [0, 0, 1, 9] {
        nginx.get(&format!("/file/{id}"));
    }
    for path in ["/limited/?k=a", "/limited/?k=a", "/limited/?k=b", "/%3Cb%3E?k=b"] {
        nginx.get(path);
    }
    let counted = || nginx.get("/smart/metrics").text();
    let location = r#"ngx_smart_buffers_requests_total{server="",location="/limited/"} 3"#;
    wait_until("the last request is counted", || counted().contains(location));
    let (metrics, status) = (counted(), nginx.get("/smart/status.json").json());
    for (sample, pointer, count) in [
        (
            r#"ngx_smart_sendfile_lookups_total{outcome="found"}"#,
            "/sendfile/lookups/found/count",
            2,
        ),
        (r#"ngx_smart_sendfile_lookups_total{outcome="hit"}"#, "/sendfile/lookups/hit/count", 1),
        (r#"ngx_smart_sendfile_lookups_total{outcome="miss"}"#, "/sendfile/lookups/miss/count", 1),
        ("ngx_smart_sendfile_lookup_duration_seconds_count", "/sendfile/latency/count", 3),
        (
            r#"ngx_smart_sendfile_cache_entries{zone="lookups"}"#,
            "/sendfile/caches/lookups/entries",
            3,
        ),
        (r#"ngx_smart_limit_requests_total{zone="key",outcome="passed"}"#, "/limits/key/passed", 2),
        (
            r#"ngx_smart_limit_requests_total{zone="key",outcome="rejected"}"#,
            "/limits/key/rejected",
            2,
        ),
        (r#"ngx_smart_limit_keys{zone="key"}"#, "/limits/key/keys", 2),
        (r#"ngx_smart_room_seats_max{room="r"}"#, "/rooms/r/max_active", 1),
        ("ngx_smart_panics_total", "/panics", 0),
    ] {
        let line = format!("{sample} {count}");
        assert!(metrics.lines().any(|told| told == line), "{line} is not in {metrics}");
        assert_eq!(status.pointer(pointer), Some(&json!(count)), "{pointer}: {status:#}");
    }
    memcached.stop();
}
