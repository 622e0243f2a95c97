//! What the directives of `smart_limit` are when nobody sets them, and what an inner level makes of
//! an outer one's.

use crate::common::clock::Clock;
use crate::common::limit::{limited, verdicts};
use crate::common::setup::Setup;

/// Zones `one` and `two` that let one request of a key through in an hour.
fn setup() -> Setup {
    limited()
        .http("smart_limit_zone $arg_k zone=one:1m rate=1r/h;\n")
        .http("smart_limit_zone $arg_k zone=two:1m rate=1r/h;\n")
}

#[test]
fn smoke_the_limit_s_defaults_are_those_of_the_documentation() {
    let nginx = setup()
        .http("smart_limit_zone $arg_k zone=default:1m;\n")
        .limit("/one", "smart_limit zone=one;")
        .limit("/default", "smart_limit zone=default burst=1;")
        .limit("/none", "")
        .start();
    assert_eq!(verdicts(&nginx, "/none?k=a", 3), ["200 -"; 3], "no limit");
    assert_eq!(nginx.get("/one?k=a").verdict(), "200 PASSED");
    let refused = nginx.get("/one?k=a");
    assert_eq!(refused.verdict(), "503 REJECTED", "no burst, no dry run, status 503");
    assert!(refused.header("Retry-After").is_some(), "Retry-After");
    assert_eq!(refused.header("RateLimit"), None, "no fields of the draft");
    assert_eq!(refused.header("RateLimit-Policy"), None, "no fields of the draft");
    let line = nginx.wait_for_error("limiting requests, excess: ");
    assert!(line.contains("[error]"), "{line}");
    // 1r/s, and who is in the burst waits.
    let waited: Vec<String> = verdicts(&nginx, "/default?k=a", 2);
    assert_eq!(waited, ["200 PASSED", "200 DELAYED"]);
    let line = nginx.wait_for_error("delaying request, excess: ");
    assert!(line.contains("[warn]"), "{line}");
}

#[test]
fn limits_are_inherited_where_a_level_has_none_of_its_own() {
    let nginx = setup()
        .http("smart_limit zone=one;\n")
        .limit("/inherits", "")
        .limit("/own", "smart_limit zone=two burst=1 nodelay;")
        .limit("/both", "smart_limit zone=one burst=2 nodelay; smart_limit zone=two;")
        .limit("/off", "smart_limit off;")
        .location(
            "/nested",
            "smart_limit off;
             location /nested/on { smart_limit zone=one; try_files /ok =404; }
             location /nested/off { try_files /ok =404; }",
        )
        .start();
    assert_eq!(verdicts(&nginx, "/inherits?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    // The outer level's limit has no say where there is another one.
    let own = verdicts(&nginx, "/own?k=a", 3);
    assert_eq!(own, ["200 PASSED", "200 PASSED", "503 REJECTED"]);
    // `one` would let through two more here, but `two` is used up; and it is not charged for it.
    assert_eq!(verdicts(&nginx, "/both?k=a", 1), ["503 REJECTED"]);
    assert_eq!(nginx.get("/both?k=a").header("X-Limit-Zone"), Some("two"));
    assert_eq!(verdicts(&nginx, "/off?k=a", 3), ["200 -"; 3]);
    assert_eq!(verdicts(&nginx, "/nested/off?k=a", 2), ["200 -"; 2]);
    assert_eq!(verdicts(&nginx, "/nested/on?k=a", 1), ["503 REJECTED"]);
}

#[test]
fn the_server_s_limits_are_over_those_of_http() {
    let nginx = setup()
        .http("smart_limit zone=one;\n")
        .server("smart_limit off;\n")
        .limit("/off", "")
        .limit("/one", "smart_limit zone=one;")
        .start();
    assert_eq!(verdicts(&nginx, "/off?k=a", 2), ["200 -"; 2]);
    assert_eq!(verdicts(&nginx, "/one?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    let nginx = setup()
        .http("smart_limit off;\n")
        .server("smart_limit zone=one; smart_limit zone=two burst=9;\n")
        .limit("/", "")
        .start();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    assert_eq!(nginx.get("/?k=a").header("X-Limit-Zone"), Some("one"));
}

/// A server in which `outer` stands at one level and `inner` in the location `/inner`; both of its
/// locations have one limit, and a request of a key has used it up.
fn used_up(outer_in_http: bool, outer: &str, inner: &str) -> crate::common::nginx::Nginx {
    let setup = setup();
    let setup = if outer_in_http { setup.http(outer) } else { setup.server(outer) };
    let nginx = setup
        .limit("/outer", "smart_limit zone=one;")
        .limit("/inner", &format!("smart_limit zone=one; {inner}"))
        .start();
    assert_eq!(nginx.get("/outer?k=a&b=0").verdict(), "200 PASSED");
    nginx
}

#[test]
fn statuses_are_inherited() {
    for http in [true, false] {
        let nginx = used_up(http, "smart_limit_status 429;\n", "smart_limit_status 444;");
        assert_eq!(nginx.get("/outer?k=a").verdict(), "429 REJECTED");
        // nginx's own status for closing the connection without an answer.
        let mut client = nginx.connect();
        client.ask("/inner?k=a");
        client.wait_for_close();
        assert_eq!(nginx.wait_for_access("/inner")["status"], "444");
    }
}

#[test]
fn log_levels_are_inherited() {
    for http in [true, false] {
        let outer = "smart_limit_log_level notice;\n";
        let nginx = used_up(http, outer, "smart_limit_log_level warn;");
        assert_eq!(nginx.get("/outer?k=a").verdict(), "503 REJECTED");
        let line = nginx.wait_for_error("GET /outer");
        assert!(line.contains("[notice]") && line.contains("limiting requests"), "{line}");
        assert_eq!(nginx.get("/inner?k=a").verdict(), "503 REJECTED");
        let line = nginx.wait_for_error("GET /inner");
        assert!(line.contains("[warn]") && line.contains("limiting requests"), "{line}");
    }
}

#[test]
fn a_delay_is_logged_one_level_lower() {
    for (level, delay) in
        [("error", "warn"), ("warn", "notice"), ("notice", "info"), ("info", "info")]
    {
        let limit = format!("smart_limit zone=one burst=1; smart_limit_log_level {level};");
        let (clock, setup) = Clock::into(setup().limit("/", &limit));
        let nginx = setup.start();
        assert_eq!(nginx.get("/?k=a").verdict(), "200 PASSED");
        let mut client = nginx.connect();
        client.ask("/?k=a");
        let line = nginx.wait_for_error("delaying request");
        assert!(line.contains(&format!("[{delay}]")), "{level}: {line}");
        clock.advance_seconds(3600);
        // nginx sees it when something wakes it.
        assert_eq!(nginx.get("/?k=b").verdict(), "200 PASSED");
        assert_eq!(client.read("GET").verdict(), "200 DELAYED");
    }
}

#[test]
fn dry_runs_are_inherited() {
    for http in [true, false] {
        let nginx = used_up(http, "smart_limit_dry_run on;\n", "smart_limit_dry_run off;");
        assert_eq!(nginx.get("/outer?k=a").verdict(), "200 REJECTED_DRY_RUN");
        assert_eq!(nginx.get("/inner?k=a").verdict(), "503 REJECTED");
        let nginx = used_up(http, "smart_limit_dry_run off;\n", "smart_limit_dry_run on;");
        assert_eq!(nginx.get("/outer?k=a").verdict(), "503 REJECTED");
        assert_eq!(nginx.get("/inner?k=a").verdict(), "200 REJECTED_DRY_RUN");
    }
}

#[test]
fn headers_are_inherited() {
    for http in [true, false] {
        for (outer, inner) in [("off", "draft"), ("draft", "retry_after"), ("retry_after", "off")] {
            let nginx = used_up(
                http,
                &format!("smart_limit_headers {outer};\n"),
                &format!("smart_limit_headers {inner};"),
            );
            for (path, headers) in [("/outer?k=a", outer), ("/inner?k=a", inner)] {
                let refused = nginx.get(path);
                assert_eq!(refused.verdict(), "503 REJECTED");
                let here = |name: &str| refused.header(name).is_some();
                assert_eq!(here("Retry-After"), headers != "off", "{path}: {headers}");
                assert_eq!(here("RateLimit"), headers == "draft", "{path}: {headers}");
                assert_eq!(here("RateLimit-Policy"), headers == "draft", "{path}: {headers}");
            }
        }
    }
}

#[test]
fn bypasses_are_inherited() {
    for http in [true, false] {
        let nginx = used_up(http, "smart_limit_bypass $arg_b;\n", "smart_limit_bypass $arg_c;");
        assert_eq!(nginx.get("/outer?k=a&b=1").verdict(), "200 BYPASSED");
        assert_eq!(nginx.get("/outer?k=a&c=1").verdict(), "503 REJECTED");
        assert_eq!(nginx.get("/inner?k=a&b=1").verdict(), "503 REJECTED");
        assert_eq!(nginx.get("/inner?k=a&c=1").verdict(), "200 BYPASSED");
    }
}

#[test]
fn each_server_has_limits_of_its_own_and_zones_are_shared() {
    let other = crate::common::port::Port::reserve();
    let setup = setup();
    let root = setup.prefix().join("html").display().to_string();
    let nginx = setup
        .http(&format!(
            "server {{ listen {}; root {root}; smart_limit zone=one burst=2 nodelay;
                location / {{ try_files /ok =404; }} }}\n",
            other.address()
        ))
        .server("smart_limit zone=one;\n")
        .limit("/", "")
        .start();
    let elsewhere = || crate::common::client::Client::connect(other.number()).get("/?k=a").status;
    assert_eq!(elsewhere(), 200);
    assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED", "the same key of the same zone");
    assert_eq!((elsewhere(), elsewhere(), elsewhere()), (200, 200, 503));
    assert_eq!(nginx.get("/?k=b").verdict(), "200 PASSED");
}
