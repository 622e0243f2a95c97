//! Rates per second, minute, hour and day, over several of them, and from a variable: how many
//! requests pass, to the millisecond, under a clock that stands still until the test moves it.

use std::time::Duration;

use crate::common::clock::Clock;
use crate::common::limit::{limited, passed, verdicts};
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;

/// A zone `one` of this rate, used up by no burst at `/`, and by ten at `/ten`.
fn setup(rate: &str) -> Setup {
    limited()
        .http(&format!("smart_limit_zone $arg_k zone=one:1m rate={rate};\n"))
        .limit("/", "smart_limit zone=one;")
        .limit("/ten", "smart_limit zone=one burst=9 nodelay;")
}

fn start(rate: &str) -> (Clock, Nginx) {
    let (clock, setup) = Clock::into(setup(rate));
    (clock, setup.start())
}

/// Each rate, and the milliseconds in which it lets one request through.
const RATES: [(&str, u64); 16] = [
    ("1r/s", 1_000),
    ("10r/s", 100),
    ("1000r/s", 1),
    ("10", 100),
    ("30r/m", 2_000),
    ("1r/m", 60_000),
    ("60r/m", 1_000),
    ("100r/h", 36_000),
    ("1r/h", 3_600_000),
    ("1000r/d", 86_400),
    ("1r/d", 86_400_000),
    ("10r/5s", 500),
    ("1r/10s", 10_000),
    ("10r/2m", 12_000),
    ("2r/12h", 21_600_000),
    ("1r/2d", 172_800_000),
];

#[test]
fn each_rate_lets_one_request_through_in_its_time_and_not_a_millisecond_earlier() {
    for (rate, milliseconds) in RATES {
        let (clock, nginx) = start(rate);
        assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"], "{rate}");
        for _ in 0..3 {
            clock.advance(Duration::from_millis(milliseconds - 1));
            assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED", "{rate}: early");
            clock.advance(Duration::from_millis(1));
            assert_eq!(nginx.get("/?k=a").verdict(), "200 PASSED", "{rate}: in time");
            assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED", "{rate}: once");
        }
    }
}

#[test]
fn a_burst_is_used_up_and_fills_again_at_the_rate() {
    for (rate, milliseconds) in RATES {
        let (clock, nginx) = start(rate);
        assert_eq!(passed(&nginx, "/ten?k=a", 12), 10, "{rate}");
        clock.advance(Duration::from_millis(3 * milliseconds));
        assert_eq!(passed(&nginx, "/ten?k=a", 5), 3, "{rate}");
        clock.advance(Duration::from_millis(12 * milliseconds));
        assert_eq!(passed(&nginx, "/ten?k=a", 12), 10, "{rate}: no more than the burst");
    }
}

#[test]
fn without_a_rate_it_is_one_request_a_second() {
    let (clock, setup) = Clock::into(
        limited()
            .http("smart_limit_zone $arg_k zone=one:1m;\n")
            .limit("/", "smart_limit zone=one;"),
    );
    let nginx = setup.start();
    assert_eq!(passed(&nginx, "/?k=a", 2), 1);
    clock.advance(Duration::from_millis(999));
    assert_eq!(passed(&nginx, "/?k=a", 1), 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(passed(&nginx, "/?k=a", 2), 1);
}

#[test]
fn a_window_of_ten_requests_in_five_seconds() {
    let (clock, nginx) = start("10r/5s");
    for _ in 0..4 {
        assert_eq!(passed(&nginx, "/ten?k=a", 11), 10);
        clock.advance_seconds(5);
    }
}

#[test]
fn asking_often_gains_and_costs_nothing() {
    // 7r/m is one in 8571 3/7 ms: what is left over of a time must not be lost, nor given twice.
    let (clock, nginx) = start("7r/m");
    let mut count = 0;
    for _ in 0..600 {
        clock.advance(Duration::from_millis(997));
        count += passed(&nginx, "/ten?k=a", 1);
    }
    // In 598.2 s the rate gives 69.8 requests, and the bucket was empty.
    assert_eq!(count, 10 + 69);
}

#[test]
fn a_key_that_idled_for_weeks_has_what_the_rate_gives() {
    for days in [20, 25, 40, 49] {
        let (clock, setup) = Clock::into(
            limited()
                .http("smart_limit_zone $arg_k zone=one:1m rate=1r/d;\n")
                .limit("/", "smart_limit zone=one burst=99 nodelay;"),
        );
        let nginx = setup.start();
        assert_eq!(passed(&nginx, "/?k=a", 101), 100);
        clock.advance_seconds(days * 86_400);
        assert_eq!(passed(&nginx, "/?k=a", 100), days as usize, "after {days} days");
    }
}

#[test]
fn a_debt_of_months_outlives_the_clock_of_32_bits() {
    let (clock, setup) = Clock::into(
        limited()
            .http("smart_limit_zone $arg_k zone=days:64k rate=1r/d;\n")
            .http("smart_limit_zone $arg_k zone=hours:64k rate=1r/h;\n")
            .http("smart_limit_zone $arg_k zone=variable:64k rate=$arg_r:1r/h;\n")
            .limit("/days", "smart_limit zone=days burst=99 nodelay;")
            .limit("/hours", "smart_limit zone=hours;")
            .limit("/variable", "smart_limit zone=variable;"),
    );
    let nginx = setup.start();
    assert_eq!(passed(&nginx, "/days?k=a", 101), 100);
    assert_eq!(passed(&nginx, "/hours?k=a", 2), 1);
    assert_eq!(passed(&nginx, "/variable?k=a", 2), 1);
    // Nobody asks for these keys until the clock has come round; nginx is awake now and then.
    let round = u64::from(u32::MAX) + 1;
    for _ in 0..16 {
        clock.advance(Duration::from_millis(round / 16));
        assert_eq!(nginx.get("/days").verdict(), "200 -");
    }
    assert_eq!(passed(&nginx, "/days?k=a", 100), (round / 86_400_000) as usize);
    assert_eq!(passed(&nginx, "/hours?k=a", 2), 1);
    assert_eq!(passed(&nginx, "/variable?k=a", 2), 1);
}

#[test]
fn smoke_a_rate_from_a_variable_is_that_of_each_request() {
    let (clock, setup) = Clock::into(
        limited()
            .http("map $arg_plan $rate { free 1r/m; paid 10r/m; default ''; }\n")
            .http("smart_limit_zone $arg_k zone=one:1m rate=$rate:1r/h;\n")
            .limit("/", "smart_limit zone=one;"),
    );
    let nginx = setup.start();
    for (plan, seconds) in [("free", 60), ("paid", 6), ("none", 3600), ("free", 60)] {
        let path = format!("/?k={plan}{}&plan={plan}", seconds);
        assert_eq!(nginx.get(&path).verdict(), "200 PASSED", "{plan}");
        clock.advance_seconds(seconds - 1);
        assert_eq!(nginx.get(&path).verdict(), "503 REJECTED", "{plan}");
        clock.advance_seconds(1);
        assert_eq!(nginx.get(&path).verdict(), "200 PASSED", "{plan}");
        clock.advance_seconds(seconds);
    }
    // The count is the key's, whichever plan it is asked under.
    assert_eq!(nginx.get("/?k=a&plan=free").verdict(), "200 PASSED");
    clock.advance_seconds(6);
    assert_eq!(nginx.get("/?k=a&plan=free").verdict(), "503 REJECTED");
    assert_eq!(nginx.get("/?k=a&plan=paid").verdict(), "200 PASSED");
    assert!(!nginx.error_log().contains("invalid rate"), "an empty value is the default, silently");
}

/// A rate from the header `X-Rate`, with what stands after the variable.
fn from_header(default: &str) -> (Clock, Nginx) {
    start(&format!("$http_x_rate{default}"))
}

#[track_caller]
fn ask(nginx: &Nginx, key: &str, rate: &str) -> String {
    nginx.connect().get_with(&format!("/?k={key}"), &[("X-Rate", rate)]).verdict()
}

/// Values that are no rate, as clients might send them.
fn hostile() -> Vec<String> {
    let mut values: Vec<String> = [
        "x",
        "0",
        "-1",
        "0r/s",
        "1.5r/s",
        "1r/w",
        "1r/0s",
        "1r/s ;",
        "1r/s 1r/s",
        "1r/ms",
        "r/s",
        "1r",
        "1r/",
        "99999999999999999999r/s",
        "18446744073709551615r/s",
        "4294967296r/s",
        "1r/50d",
        "1r/99999999999999d",
        "%31r/s",
        "$http_x_rate",
        "\u{ff11}r/s",
        "%n%s%V",
        "\x01\x02",
        "1e3r/s",
        "0x10r/s",
        "+1r/s",
        "1r/s:1r/s",
        "rate=1r/s",
    ]
    .map(str::to_owned)
    .into();
    values.push("9".repeat(4000));
    values.push(format!("1r/{}s", "0".repeat(4000)));
    values
}

#[test]
fn a_bad_value_is_the_default_and_logged() {
    let (clock, nginx) = from_header(":1r/m");
    for (number, value) in hostile().iter().enumerate() {
        let key = format!("k{number}");
        assert_eq!(ask(&nginx, &key, value), "200 PASSED", "{value:?}");
        clock.advance_seconds(59);
        assert_eq!(ask(&nginx, &key, value), "503 REJECTED", "{value:?}");
        clock.advance_seconds(1);
        assert_eq!(ask(&nginx, &key, value), "200 PASSED", "{value:?}");
    }
    let line = nginx.wait_for_error("invalid rate \"x\" in \"$http_x_rate\", using 1r/m");
    assert!(line.contains("[error]") && line.contains("client: 127.0.0.1"), "{line}");
    let lines = nginx.error_log().lines().filter(|line| line.contains("invalid rate")).count();
    assert_eq!(lines, 3 * hostile().len(), "a line for each request");
}

#[test]
fn without_a_default_a_bad_value_is_one_request_a_second() {
    let (clock, nginx) = from_header("");
    for (key, value) in [("a", "x"), ("b", ""), ("c", "0r/s")] {
        assert_eq!(ask(&nginx, key, value), "200 PASSED", "{value:?}");
        clock.advance(Duration::from_millis(999));
        assert_eq!(ask(&nginx, key, value), "503 REJECTED", "{value:?}");
        clock.advance(Duration::from_millis(1));
        assert_eq!(ask(&nginx, key, value), "200 PASSED", "{value:?}");
    }
    nginx.wait_for_error("invalid rate \"x\" in \"$http_x_rate\", using 1r/s");
    nginx.wait_for_error("invalid rate \"0r/s\" in \"$http_x_rate\", using 1r/s");
    assert!(!nginx.error_log().contains("invalid rate \"\""), "an empty value is no error");
}

#[test]
fn extreme_values_are_rates_too() {
    let (clock, nginx) = from_header(":1r/s");
    // As fast as can be written: whoever asks at once is within it after a millisecond.
    for (number, rate) in ["1000000r/s", "4294967295r/s", "40000000000r/10s"].iter().enumerate() {
        let key = format!("fast{number}");
        assert_eq!(ask(&nginx, &key, rate), "200 PASSED", "{rate}");
        clock.advance(Duration::from_millis(1));
        assert_eq!(ask(&nginx, &key, rate), "200 PASSED", "{rate}");
    }
    // As slow as can be written.
    for (number, rate) in ["1r/40d", "1r/999h"].iter().enumerate() {
        let key = format!("slow{number}");
        assert_eq!(ask(&nginx, &key, rate), "200 PASSED", "{rate}");
        clock.advance_seconds(30 * 86_400);
        assert_eq!(ask(&nginx, &key, rate), "503 REJECTED", "{rate}");
        clock.advance_seconds(12 * 86_400);
        assert_eq!(ask(&nginx, &key, rate), "200 PASSED", "{rate}");
    }
    assert!(!nginx.error_log().contains("invalid rate"), "{}", nginx.error_log());
}

#[test]
fn a_variable_that_is_not_set_is_the_default() {
    let (clock, nginx) = start("$arg_r:1r/m");
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    clock.advance_seconds(60);
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    assert!(!nginx.error_log().contains("invalid rate"));
}
