//! What a limit tells the client: Retry-After, to the second, and the fields of the draft.

use std::time::Duration;

use crate::common::client::Response;
use crate::common::clock::Clock;
use crate::common::limit::limited;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::Numbers;

/// Zones of a request in three seconds and in a minute, with a clock that stands still.
fn setup() -> (Clock, Setup) {
    let setup = limited()
        .http("smart_limit_zone $arg_k zone=seconds:1m rate=10r/30s;\n")
        .http("smart_limit_zone $arg_k zone=minute:1m rate=1r/m;\n")
        .http("smart_limit_zone $arg_k zone=two:1m rate=2r/s;\n")
        .limit("/seconds", "smart_limit zone=seconds;")
        .limit("/minute", "smart_limit zone=minute;")
        .limit("/both", "smart_limit zone=seconds; smart_limit zone=minute;")
        .limit("/otherwise", "smart_limit zone=minute; smart_limit zone=seconds;");
    Clock::into(setup)
}

fn start() -> (Clock, Nginx) {
    let (clock, setup) = setup();
    (clock, setup.start())
}

/// Status and Retry-After, as in `503 60`, or `200 -`.
fn retry_after(response: &Response) -> String {
    format!("{} {}", response.status, response.header("Retry-After").unwrap_or("-"))
}

/// Status, RateLimit-Policy and RateLimit.
fn fields(response: &Response) -> (u16, &str, &str) {
    let field = |name| response.header(name).unwrap_or("-");
    (response.status, field("RateLimit-Policy"), field("RateLimit"))
}

#[test]
fn smoke_retry_after_is_exact() {
    let (clock, nginx) = start();
    assert_eq!(retry_after(&nginx.get("/seconds?k=a")), "200 -");
    assert_eq!(retry_after(&nginx.get("/seconds?k=a")), "503 3");
    clock.advance_seconds(2);
    assert_eq!(retry_after(&nginx.get("/seconds?k=a")), "503 1", "a second earlier");
    clock.advance_seconds(1);
    assert_eq!(retry_after(&nginx.get("/seconds?k=a")), "200 -", "passes then");
}

#[test]
fn retry_after_counts_whole_seconds_upwards() {
    let (clock, nginx) = start();
    assert_eq!(retry_after(&nginx.get("/seconds?k=a")), "200 -");
    for (milliseconds, seconds) in [(0, 3), (1, 3), (998, 3), (1, 2), (999, 2), (1, 1), (999, 1)] {
        clock.advance(Duration::from_millis(milliseconds));
        let expected = format!("503 {seconds}");
        assert_eq!(retry_after(&nginx.get("/seconds?k=a")), expected, "after {milliseconds} more");
    }
    clock.advance(Duration::from_millis(1));
    assert_eq!(retry_after(&nginx.get("/seconds?k=a")), "200 -");
}

#[test]
fn retry_after_is_at_least_a_second() {
    let (clock, setup) = Clock::into(
        limited()
            .http("smart_limit_zone $arg_k zone=fast:1m rate=1000r/s;\n")
            .limit("/", "smart_limit zone=fast;"),
    );
    let nginx = setup.start();
    assert_eq!(retry_after(&nginx.get("/?k=a")), "200 -");
    assert_eq!(retry_after(&nginx.get("/?k=a")), "503 1");
    clock.advance_seconds(1);
    assert_eq!(retry_after(&nginx.get("/?k=a")), "200 -");
}

#[test]
fn of_several_limits_the_longest_counts() {
    for path in ["both", "otherwise"] {
        let (clock, nginx) = start();
        let path = format!("/{path}?k=a");
        assert_eq!(retry_after(&nginx.get(&path)), "200 -");
        assert_eq!(retry_after(&nginx.get(&path)), "503 60");
        clock.advance_seconds(30);
        assert_eq!(retry_after(&nginx.get(&path)), "503 30");
        // Used up in between by somebody who is under one limit only.
        clock.advance_seconds(29);
        assert_eq!(nginx.get("/seconds?k=a").status, 200);
        assert_eq!(retry_after(&nginx.get(&path)), "503 3");
        clock.advance_seconds(2);
        assert_eq!(retry_after(&nginx.get(&path)), "503 1");
        clock.advance_seconds(1);
        assert_eq!(retry_after(&nginx.get(&path)), "200 -");
    }
}

#[test]
fn whatever_the_rates_retry_after_is_the_least_second_that_passes() {
    const RATES: [&str; 8] =
        ["3r/s", "7r/m", "100r/h", "1000r/d", "10r/7s", "11r/13m", "999r/s", "1r/d"];
    let mut setup = limited();
    for (number, rate) in RATES.iter().enumerate() {
        let zone = format!("smart_limit_zone $arg_k zone=z{number}:1m rate={rate};\n");
        setup = setup.http(&zone);
        for burst in [0, 1, 5] {
            let other = (number + 3) % RATES.len();
            let burst_of =
                |burst| if burst == 0 { String::new() } else { format!("burst={burst} nodelay") };
            setup = setup.limit(
                &format!("/{number}/{burst}"),
                &format!(
                    "smart_limit zone=z{number} {}; smart_limit zone=z{other} {};",
                    burst_of(burst),
                    burst_of(5 - burst)
                ),
            );
        }
    }
    let (clock, setup) = Clock::into(setup);
    let nginx = setup.start();
    let mut numbers = Numbers::new(7);
    for round in 0..60 {
        let rate = numbers.below(RATES.len() as u64);
        let burst = [0, 1, 5][numbers.below(3) as usize];
        let path = format!("/{rate}/{burst}?k={round}");
        let mut refused = nginx.get(&path);
        for _ in 0..12 {
            clock.advance(Duration::from_millis(numbers.below(400)));
            refused = nginx.get(&path);
            if refused.status == 503 {
                break;
            }
        }
        let Some(after) = refused.header("Retry-After") else {
            assert_eq!(refused.status, 200, "{path}");
            continue;
        };
        let seconds: u64 = after.parse().expect("seconds");
        assert!(seconds > 0, "{path}");
        clock.advance_seconds(seconds - 1);
        assert_eq!(nginx.get(&path).status, 503, "{path}: a second before {after}");
        clock.advance_seconds(1);
        assert_eq!(nginx.get(&path).status, 200, "{path}: after {after}");
    }
}

#[test]
fn retry_after_stays_whatever_page_is_shown() {
    let (_clock, setup) = setup();
    let nginx = setup
        .document("busy.html", b"busy\n")
        .limit("/page", "smart_limit zone=minute; error_page 503 /busy.html;")
        .limit("/ok-page", "smart_limit zone=minute; error_page 503 =200 /busy.html;")
        .limit("/named", "smart_limit zone=minute; error_page 503 @busy;")
        .limit("/returned", "smart_limit zone=minute; error_page 503 @returned;")
        .limit(
            "/many",
            "smart_limit zone=minute; smart_limit_status 429; error_page 429 /busy.html;",
        )
        .limit(
            "/off",
            "smart_limit zone=minute; smart_limit_headers off; error_page 503 /busy.html;",
        )
        .location("@busy", "try_files /busy.html =404;")
        .location("@returned", "default_type text/plain; return 503 returned;")
        .start();
    assert_eq!(retry_after(&nginx.get("/minute?k=a")), "200 -");
    for (path, expected, text) in [
        ("/page", "503 60", "busy\n"),
        ("/ok-page", "200 60", "busy\n"),
        ("/named", "503 60", "busy\n"),
        ("/returned", "503 60", "returned"),
        ("/many", "429 60", "busy\n"),
        ("/off", "503 -", "busy\n"),
    ] {
        let refused = nginx.get(&format!("{path}?k=a"));
        assert_eq!(retry_after(&refused), expected, "{path}");
        assert_eq!(refused.text(), text, "{path}");
        assert_eq!(refused.limit(), "REJECTED", "{path}");
        let fields = refused.headers.iter().filter(|(name, _)| name == "Retry-After").count();
        assert!(fields <= 1, "{path}: {:?}", refused.headers);
    }
}

#[test]
fn every_method_and_protocol_version_is_told() {
    let (_clock, nginx) = start();
    assert_eq!(nginx.get("/minute?k=a").status, 200);
    for method in ["HEAD", "POST", "PUT", "OPTIONS"] {
        let refused = nginx.connect().request(method, "/minute?k=a", &[], b"");
        assert_eq!(retry_after(&refused), "503 60", "{method}");
    }
    let mut client = nginx.connect();
    client.send("GET /minute?k=a HTTP/1.0\r\n\r\n");
    let answer = client.read_to_end();
    assert!(answer.contains("\r\nRetry-After: 60\r\n"), "{answer}");
}

/// A server whose limits tell the fields of the draft.
fn draft() -> (Clock, Setup) {
    let (clock, setup) = setup();
    let setup = setup
        .server("smart_limit_headers draft;\n")
        .limit("/two", "smart_limit zone=two burst=5 nodelay;")
        .limit("/waits", "smart_limit zone=minute burst=1;")
        .limit("/all", "smart_limit zone=two burst=5 nodelay; smart_limit zone=minute;")
        .limit("/none", "");
    (clock, setup)
}

#[test]
fn smoke_the_draft_s_fields_count_down_and_up() {
    let (clock, setup) = draft();
    let nginx = setup.start();
    let policy = "\"two\";q=6;w=3";
    for (left, reset) in [(5, 1), (4, 1), (3, 2), (2, 2), (1, 3), (0, 3)] {
        let limit = format!("\"two\";r={left};t={reset}");
        assert_eq!(fields(&nginx.get("/two?k=a")), (200, policy, limit.as_str()));
    }
    let refused = nginx.get("/two?k=a");
    // The bucket holds 6, and would hold 7: one more fits after half a second.
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(fields(&refused), (503, policy, "\"two\";r=0;t=3"));
    clock.advance_seconds(1);
    assert_eq!(fields(&nginx.get("/two?k=a")), (200, policy, "\"two\";r=1;t=3"));
    clock.advance_seconds(60);
    assert_eq!(fields(&nginx.get("/two?k=a")), (200, policy, "\"two\";r=5;t=1"));
}

#[test]
fn a_refused_request_is_told_what_the_bucket_holds_without_it() {
    let (clock, setup) = draft();
    let nginx = setup.start();
    let policy = "\"minute\";q=1;w=60";
    assert_eq!(fields(&nginx.get("/minute?k=a")), (200, policy, "\"minute\";r=0;t=60"));
    assert_eq!(fields(&nginx.get("/minute?k=a")), (503, policy, "\"minute\";r=0;t=60"));
    clock.advance_seconds(20);
    assert_eq!(fields(&nginx.get("/minute?k=a")), (503, policy, "\"minute\";r=0;t=40"));
    clock.advance_seconds(40);
    assert_eq!(fields(&nginx.get("/minute?k=a")), (200, policy, "\"minute\";r=0;t=60"));
}

#[test]
fn several_limits_are_a_list() {
    let (_clock, setup) = draft();
    let nginx = setup.start();
    let policy = "\"two\";q=6;w=3, \"minute\";q=1;w=60";
    let first = nginx.get("/all?k=a");
    assert_eq!(fields(&first), (200, policy, "\"two\";r=5;t=1, \"minute\";r=0;t=60"));
    let refused = nginx.get("/all?k=a");
    // `two` is not charged for what `minute` refuses.
    assert_eq!(fields(&refused), (503, policy, "\"two\";r=5;t=1, \"minute\";r=0;t=60"));
    for response in [first, refused] {
        for name in ["RateLimit", "RateLimit-Policy"] {
            let count = response.headers.iter().filter(|(other, _)| other == name).count();
            assert_eq!(count, 1, "{name}: {:?}", response.headers);
        }
    }
}

#[test]
fn a_limit_that_runs_dry_keeps_no_client_waiting_and_is_not_told() {
    let (_clock, setup) = setup();
    let nginx = setup
        .server("smart_limit_headers draft;\n")
        .limit("/tries", "smart_limit zone=minute dry_run; smart_limit zone=seconds;")
        .limit("/only", "smart_limit zone=two dry_run;")
        .start();
    let policy = "\"seconds\";q=1;w=3";
    let passed = nginx.get("/tries?k=a");
    assert_eq!(fields(&passed), (200, policy, "\"seconds\";r=0;t=3"));
    let refused = nginx.get("/tries?k=a");
    assert_eq!(fields(&refused), (503, policy, "\"seconds\";r=0;t=3"));
    assert_eq!(retry_after(&refused), "503 3", "not the minute of the other");
    assert_eq!(fields(&nginx.get("/only?k=a")), (200, "-", "-"));
}

#[test]
fn a_delayed_response_tells_too() {
    let (clock, setup) = draft();
    let nginx = setup.start();
    let policy = "\"minute\";q=2;w=120";
    assert_eq!(fields(&nginx.get("/waits?k=a")), (200, policy, "\"minute\";r=1;t=60"));
    let mut client = nginx.connect();
    client.ask("/waits?k=a");
    nginx.wait_for_error("delaying request");
    clock.advance_seconds(60);
    assert_eq!(nginx.get("/none").status, 200, "nginx looks at the clock");
    let delayed = client.read("GET");
    assert_eq!(delayed.limit(), "DELAYED");
    assert_eq!(fields(&delayed), (200, policy, "\"minute\";r=0;t=120"));
    assert_eq!(delayed.header("Retry-After"), None);
}

#[test]
fn every_kind_of_response_tells() {
    let (_clock, setup) = draft();
    let port = setup.port();
    let nginx = setup
        .limit("/origin", "")
        .location(
            "/proxied",
            &format!("smart_limit zone=two; proxy_pass http://127.0.0.1:{port}/origin;"),
        )
        .location(
            "/nested",
            &format!("smart_limit zone=two; proxy_pass http://127.0.0.1:{port}/minute;"),
        )
        .location("/absent", "smart_limit zone=two; try_files /nothing =404;")
        .location("/broken", "smart_limit zone=two; proxy_pass http://127.0.0.1:1;")
        .location("/moved", "smart_limit zone=two; try_files /nothing @moved;")
        .location("@moved", "return 301 /elsewhere;")
        .document("file", b"0123456789")
        .location("= /file", "smart_limit zone=two;")
        .start();
    let policy = "\"two\";q=1;w=1";
    let told = |path: &str, status: u16| {
        let response = nginx.get(&format!("{path}?k={path}"));
        assert_eq!(fields(&response), (status, policy, "\"two\";r=0;t=1"), "{path}");
        response
    };
    assert_eq!(told("/proxied", 200).text(), "ok\n");
    told("/absent", 404);
    told("/broken", 502);
    told("/moved", 301);
    let etag = told("/file", 200).header("ETag").expect("an ETag").to_owned();
    let range = nginx.connect().get_with("/file?k=r", &[("Range", "bytes=2-3")]);
    assert_eq!(fields(&range), (206, policy, "\"two\";r=0;t=1"));
    let fresh = nginx.connect().get_with("/file?k=f", &[("If-None-Match", &etag)]);
    assert_eq!(fields(&fresh), (304, policy, "\"two\";r=0;t=1"));
    let head = nginx.connect().request("HEAD", "/file?k=h", &[], b"");
    assert_eq!(fields(&head), (200, policy, "\"two\";r=0;t=1"));
    // Where the origin limits too, the client hears of both, each in its own words.
    let nested = nginx.get("/nested?k=n");
    let mut policies: Vec<&str> = nested
        .headers
        .iter()
        .filter(|(name, _)| name == "RateLimit-Policy")
        .map(|(_, value)| value.as_str())
        .collect();
    policies.sort_unstable();
    assert_eq!(policies, ["\"minute\";q=1;w=60", policy]);
}

#[test]
fn no_fields_where_no_limit_decided() {
    let (_clock, setup) = draft();
    let nginx = setup.limit("/bypassed", "smart_limit zone=two; smart_limit_bypass 1;").start();
    for path in ["/none?k=a", "/bypassed?k=a", "/two", "/two?k="] {
        let response = nginx.get(path);
        assert_eq!(fields(&response), (200, "-", "-"), "{path}");
        assert_eq!(response.header("Retry-After"), None, "{path}");
    }
}

#[test]
fn off_sends_nothing_and_retry_after_only_that() {
    let (_clock, setup) = setup();
    let nginx = setup
        .limit("/off", "smart_limit zone=minute; smart_limit_headers off;")
        .limit("/after", "smart_limit zone=minute; smart_limit_headers retry_after;")
        .start();
    assert_eq!(fields(&nginx.get("/after?k=a")), (200, "-", "-"));
    let after = nginx.get("/after?k=a");
    assert_eq!((fields(&after), after.header("Retry-After")), ((503, "-", "-"), Some("60")));
    let off = nginx.get("/off?k=a");
    assert_eq!((fields(&off), off.header("Retry-After")), ((503, "-", "-"), None));
    assert_eq!(off.header("X-Limit-After"), Some("60"), "the variable is there all the same");
}

#[test]
fn a_zone_s_name_is_a_string_of_the_draft() {
    let nginx = limited()
        .http("smart_limit_zone $arg_k 'zone=a \"b\\\\c:1m' rate=1r/m;\n")
        .limit("/", "smart_limit 'zone=a \"b\\\\c'; smart_limit_headers draft;")
        .start();
    let (_, policy, limit) = (0, "\"a \\\"b\\\\c\";q=1;w=60", "\"a \\\"b\\\\c\";r=0;t=60");
    assert_eq!(fields(&nginx.get("/?k=a")), (200, policy, limit));
}
