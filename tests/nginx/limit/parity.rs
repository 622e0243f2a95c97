//! smart_limit decides as limit_req: both in one server, with the same directives but for their
//! prefix, are asked the same, answer the same and log the same.
//!
//! Most rates are 3r/m, so that no test depends on how long it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::clock::Clock;
use crate::common::limited::{both, logged, renamed, Pair};
use crate::common::setup::Setup;
use crate::common::{dose, Numbers};

const ONE: &str = "limit_req_zone $arg_key zone=limit_req_one:1m rate=3r/m;";

/// A server of one location, which has these directives.
fn location(directives: &str) -> Pair {
    Pair::start(ONE, &format!("location /limit_req/ {{ {directives} empty_gif; }}"))
}

#[test]
fn without_a_burst_a_second_request_is_refused() {
    let pair = location("limit_req zone=limit_req_one;");
    assert_eq!(
        pair.ask(&["?key=1", "?key=1", "?key=2", "?key=1", "?key=2"]),
        ["200 PASSED", "503 REJECTED", "200 PASSED", "503 REJECTED", "503 REJECTED"]
    );
    let line = "error limiting requests, excess: 1 by zone \"limit_req_one\"";
    assert_eq!(pair.logged(), [line; 3]);
}

#[test]
fn a_burst_is_delayed_and_what_is_over_it_refused() {
    let http = ONE.replace("3r/m", "1r/s");
    let pair = Pair::start(
        &http,
        "location /limit_req/ { limit_req zone=limit_req_one burst=2; empty_gif; }",
    );
    assert_eq!(
        pair.ask(&["?key=1"; 5]),
        ["200 PASSED", "200 DELAYED", "200 DELAYED", "503 REJECTED", "503 REJECTED"]
    );
    assert_eq!(
        pair.logged(),
        [
            "warn delaying request, excess: 1, by zone \"limit_req_one\"",
            "warn delaying request, excess: 2, by zone \"limit_req_one\"",
            "error limiting requests, excess: 3 by zone \"limit_req_one\"",
            "error limiting requests, excess: 3 by zone \"limit_req_one\"",
        ]
    );
}

#[test]
fn with_nodelay_a_burst_passes() {
    let pair = location("limit_req zone=limit_req_one burst=2 nodelay;");
    assert_eq!(
        pair.ask(&["?key=1"; 5]),
        ["200 PASSED", "200 PASSED", "200 PASSED", "503 REJECTED", "503 REJECTED"]
    );
    let line = "error limiting requests, excess: 3 by zone \"limit_req_one\"";
    assert_eq!(pair.logged(), [line; 2]);
}

#[test]
fn with_delay_a_part_of_the_burst_passes() {
    let http = ONE.replace("3r/m", "1r/s");
    let pair = Pair::start(
        &http,
        "location /limit_req/ { limit_req zone=limit_req_one burst=3 delay=2; empty_gif; }",
    );
    assert_eq!(
        pair.ask(&["?key=1"; 5]),
        ["200 PASSED", "200 PASSED", "200 PASSED", "200 DELAYED", "503 REJECTED"]
    );
    assert_eq!(
        pair.logged(),
        [
            "warn delaying request, excess: 3, by zone \"limit_req_one\"",
            "error limiting requests, excess: 4 by zone \"limit_req_one\"",
        ]
    );
}

/// A server of one location with a limit on `$arg_a`, and after it one on `$arg_b`.
fn two_limits(rates: [&str; 2], directives: &str) -> Pair {
    let [a, b] = rates;
    Pair::start(
        &format!(
            "limit_req_zone $arg_a zone=limit_req_a:1m rate={a};
            limit_req_zone $arg_b zone=limit_req_b:1m rate={b};"
        ),
        &format!("location /limit_req/ {{ {directives} empty_gif; }}"),
    )
}

#[test]
fn a_limit_is_not_charged_when_a_later_one_refuses() {
    let pair = two_limits(
        ["3r/m", "3r/m"],
        "limit_req zone=limit_req_a burst=2 nodelay; limit_req zone=limit_req_b;",
    );
    assert_eq!(
        pair.ask(&["?a=1&b=1", "?a=1&b=1", "?a=1&b=1", "?a=1&b=2", "?a=1&b=3", "?a=1&b=4"]),
        ["200 PASSED", "503 REJECTED", "503 REJECTED", "200 PASSED", "200 PASSED", "503 REJECTED"]
    );
    assert_eq!(
        pair.logged(),
        [
            "error limiting requests, excess: 1 by zone \"limit_req_b\"",
            "error limiting requests, excess: 1 by zone \"limit_req_b\"",
            "error limiting requests, excess: 3 by zone \"limit_req_a\"",
        ]
    );
}

#[test]
fn a_limit_is_not_charged_when_an_earlier_one_refuses() {
    let pair = two_limits(
        ["3r/m", "3r/m"],
        "limit_req zone=limit_req_a; limit_req zone=limit_req_b burst=1 nodelay;",
    );
    assert_eq!(
        pair.ask(&["?a=1&b=1", "?a=1&b=1", "?a=1&b=1", "?a=2&b=1", "?a=3&b=1", "?a=1&b=1"]),
        [
            "200 PASSED",
            "503 REJECTED",
            "503 REJECTED",
            "200 PASSED",
            "503 REJECTED",
            "503 REJECTED"
        ]
    );
    let line = |excess, zone| {
        format!("error limiting requests, excess: {excess} by zone \"limit_req_{zone}\"")
    };
    assert_eq!(pair.logged(), [line(1, "a"), line(1, "a"), line(2, "b"), line(1, "a")]);
}

#[test]
fn limits_without_a_key_are_passed_over() {
    let pair = two_limits(
        ["3r/m", "3r/m"],
        "limit_req zone=limit_req_a nodelay; limit_req zone=limit_req_b burst=1 nodelay;",
    );
    assert_eq!(
        pair.ask(&["?x=1", "?x=1", "?a=1", "?a=1", "?b=1", "?b=1", "?b=1", "?a=2&b=1", "?a=2"]),
        [
            "200 -",
            "200 -",
            "200 PASSED",
            "503 REJECTED",
            "200 PASSED",
            "200 PASSED",
            "503 REJECTED",
            "503 REJECTED",
            "200 PASSED",
        ]
    );
    assert_eq!(pair.logged().len(), 3);
}

#[test]
fn the_longest_delay_is_logged_and_of_equal_ones_the_last_limit() {
    for (rates, zone) in [(["3r/m", "3r/m"], 'b'), (["3r/m", "6r/m"], 'a'), (["6r/m", "3r/m"], 'b')]
    {
        let pair = two_limits(
            rates,
            "limit_req zone=limit_req_a burst=9; limit_req zone=limit_req_b burst=9;
            limit_req_dry_run on;",
        );
        assert_eq!(
            pair.ask(&["?a=1&b=1", "?a=1&b=1", "?a=1&b=2", "?a=1&b=2"]),
            ["200 PASSED", "200 DELAYED_DRY_RUN", "200 DELAYED_DRY_RUN", "200 DELAYED_DRY_RUN"]
        );
        let first =
            format!("warn delaying request, dry run, excess: 1, by zone \"limit_req_{zone}\"");
        let later = |excess| {
            format!("warn delaying request, dry run, excess: {excess}, by zone \"limit_req_a\"")
        };
        assert_eq!(pair.logged(), [first, later(2), later(3)]);
    }
}

#[test]
fn an_empty_key_is_not_limited() {
    let pair = location("limit_req zone=limit_req_one;");
    assert_eq!(
        pair.ask(&["", "", "?key=", "?key=", "?key=0"]),
        ["200 -", "200 -", "200 -", "200 -", "200 PASSED"]
    );
    assert_eq!(pair.logged().len(), 0);
}

#[test]
fn a_key_over_65535_bytes_is_logged_and_not_limited() {
    // Eight times the argument, and one byte to be too long by.
    let pair = Pair::start_from(
        Setup::new().http("large_client_header_buffers 4 32k;\n"),
        "limit_req_zone $limit_req_key zone=limit_req_one:1m rate=3r/m;",
        "location /limit_req/ {
            set $limit_req_key $arg_k$arg_k$arg_k$arg_k$arg_k$arg_k$arg_k$arg_k$arg_more;
            limit_req zone=limit_req_one;
            empty_gif;
        }",
    );
    let key = "k".repeat(8191); // times 8 makes 65,528
    let longest = format!("?k={key}&more=1234567");
    let longer = format!("?k={key}&more=12345678");
    assert_eq!(
        pair.ask(&[&longest, &longest, &longer, &longer]),
        ["200 PASSED", "503 REJECTED", "200 -", "200 -"]
    );
    let refused = "error limiting requests, excess: 1 by zone \"limit_req_one\"";
    let told = "error the value of the \"$limit_req_key\" key is more than 65535";
    assert_eq!(pair.logged(), [refused, told, told]);
    assert_eq!(pair.nginx.error_log().matches("more than 65535 bytes: \"kkk").count(), 4);
}

#[test]
fn limits_are_inherited_by_levels_that_have_none() {
    // The key is empty for requests to the other limiter.
    let key = "map $uri $limit_req_key { ~^/limit_req/ $arg_key; default ''; }";
    let zone =
        |name: &str| format!("limit_req_zone $limit_req_key zone=limit_req_{name}:1m rate=3r/m;");
    let http = format!("{key} {} {}", zone("http"), zone("server")) + &zone("location");
    let http = http + "limit_req zone=limit_req_http;";
    let locations = "
        location /limit_req/ { empty_gif; }
        location /limit_req/own {
            limit_req zone=limit_req_location burst=2 nodelay;
            empty_gif;
            location /limit_req/own/nested { empty_gif; }
        }";
    let refused = |zone: &str, excess| {
        format!("error limiting requests, excess: {excess} by zone \"limit_req_{zone}\"")
    };

    let pair = Pair::start(&http, locations);
    assert_eq!(pair.ask(&["?key=1", "?key=1"]), ["200 PASSED", "503 REJECTED"]);
    let own = ["own?key=1", "own?key=1", "own/nested?key=1", "own/nested?key=1"];
    let passed_thrice = ["200 PASSED", "200 PASSED", "200 PASSED", "503 REJECTED"];
    assert_eq!(pair.ask(&own), passed_thrice);
    assert_eq!(pair.logged(), [refused("http", 1), refused("location", 3)]);

    let server = format!("limit_req zone=limit_req_server burst=1 nodelay; {locations}");
    let pair = Pair::start(&http, &server);
    assert_eq!(pair.ask(&["?key=1"; 3]), ["200 PASSED", "200 PASSED", "503 REJECTED"]);
    assert_eq!(pair.ask(&own), passed_thrice);
    assert_eq!(pair.logged(), [refused("server", 2), refused("location", 3)]);
}

#[test]
fn status_log_level_and_dry_run_are_inherited_one_by_one() {
    let pair = Pair::start(
        &format!("{ONE} limit_req_status 429; limit_req_log_level warn;"),
        "limit_req_dry_run on;
        location /limit_req/ { limit_req zone=limit_req_one; empty_gif; }
        location /limit_req/status {
            limit_req zone=limit_req_one; limit_req_status 403; limit_req_dry_run off; empty_gif;
        }
        location /limit_req/level {
            limit_req zone=limit_req_one; limit_req_log_level notice; empty_gif;
            location /limit_req/level/nested {
                limit_req_dry_run off; limit_req zone=limit_req_one; empty_gif;
            }
        }",
    );
    assert_eq!(
        pair.ask(&["?key=1", "?key=1", "status?key=1", "level?key=1", "level/nested?key=1"]),
        [
            "200 PASSED",
            "200 REJECTED_DRY_RUN",
            "403 REJECTED",
            "200 REJECTED_DRY_RUN",
            "429 REJECTED"
        ]
    );
    let line = |level, dry_run| {
        format!("{level} limiting requests{dry_run}, excess: 1 by zone \"limit_req_one\"")
    };
    let dry_run = ", dry run";
    assert_eq!(
        pair.logged(),
        [line("warn", dry_run), line("warn", ""), line("notice", dry_run), line("notice", "")]
    );
}

#[test]
fn a_delay_is_logged_one_level_lower_than_a_refusal() {
    for (level, lower) in
        [("error", "warn"), ("warn", "notice"), ("notice", "info"), ("info", "info")]
    {
        let pair = location(&format!(
            "limit_req zone=limit_req_one burst=1; limit_req_dry_run on;
            limit_req_log_level {level};"
        ));
        assert_eq!(
            pair.ask(&["?key=1"; 3]),
            ["200 PASSED", "200 DELAYED_DRY_RUN", "200 REJECTED_DRY_RUN"]
        );
        assert_eq!(
            pair.logged(),
            [
                format!("{lower} delaying request, dry run, excess: 1, by zone \"limit_req_one\""),
                format!("{level} limiting requests, dry run, excess: 2 by zone \"limit_req_one\""),
            ]
        );
    }
}

/// Both limiters in each location, of which neither acts, see the very same requests at the very same
/// times: also the thousandths of their excess must be equal.
#[test]
fn both_decide_the_same_on_the_same_requests_at_random() {
    const LIMITS: [&str; 6] = [
        "limit_req zone=limit_req_a;",
        "limit_req zone=limit_req_b burst=3;",
        "limit_req zone=limit_req_c burst=20 delay=5;",
        "limit_req zone=limit_req_b burst=2 nodelay; limit_req zone=limit_req_c burst=9;",
        "limit_req zone=limit_req_c burst=5 delay=1; limit_req zone=limit_req_a burst=1;",
        "limit_req zone=limit_req_a burst=40 delay=2; limit_req zone=limit_req_b burst=50;
        limit_req zone=limit_req_c burst=60 nodelay;",
    ];
    let zones = "limit_req_zone $arg_a zone=limit_req_a:1m rate=3r/m;
        limit_req_zone $arg_b zone=limit_req_b:1m rate=7r/s;
        limit_req_zone $arg_c zone=limit_req_c:1m rate=100r/s;";
    let verdicts = "add_header X-Verdicts '$limit_req_status $smart_limit_status' always;";
    let mut setup = Setup::new().http(&both(zones)).http(&both("limit_req_dry_run on;"));
    for (number, limits) in LIMITS.iter().enumerate() {
        let directives = both(limits) + verdicts + "empty_gif;";
        setup = setup.location(&format!("/{number}"), &directives);
    }
    let (clock, setup) = Clock::into(setup);
    let nginx = setup.start();
    let (mut numbers, mut client) = (Numbers::new(3), nginx.connect());
    let mut seen = BTreeMap::<String, usize>::new();
    for _ in 0..dose(3_000, 200_000) {
        let location = numbers.below(LIMITS.len() as u64);
        let [a, b, c] = [5, 4, 3].map(|keys| numbers.below(keys));
        let response = client.get(&format!("/{location}?a={a}&b={b}&c={c}"));
        let verdicts = response.header("X-Verdicts").expect("a header").to_owned();
        let (theirs, ours) = verdicts.split_once(' ').expect("two verdicts");
        assert_eq!(ours, theirs, "location {location}, keys {a} {b} {c}");
        *seen.entry(theirs.to_owned()).or_default() += 1;
        if numbers.below(10) == 0 {
            // Now and then days, mostly what a bucket of these rates leaks a part of.
            let longest =
                [100, 1000, 60_000, 200_000_000][numbers.below(4).min(numbers.below(4)) as usize];
            clock.advance(Duration::from_millis(numbers.below(longest)));
            client = nginx.connect();
        }
    }
    let log = nginx.error_log();
    let (theirs, ours) = (logged(&log, "limit_req_"), logged(&log, "smart_limit_"));
    let expected: Vec<_> = theirs.iter().map(|line| renamed(line)).collect();
    assert_eq!(ours, expected);
    for verdict in ["PASSED", "DELAYED_DRY_RUN", "REJECTED_DRY_RUN"] {
        assert!(seen.get(verdict).is_some_and(|&count| count > 100), "{verdict}: {seen:?}");
    }
}
