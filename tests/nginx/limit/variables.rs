//! What a limit tells the operator: its variables, in headers, in the log and after redirects.

use std::time::Duration;

use crate::common::client::Response;
use crate::common::clock::Clock;
use crate::common::level::{self, Level::Location};
use crate::common::limit::{limited, passed, verdicts, HEADERS};
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::wait_until;

/// Zones of a request in three seconds and in a minute, with a clock that stands still.
fn setup() -> (Clock, Setup) {
    let setup = limited()
        .http("smart_limit_zone $arg_k zone=seconds:1m rate=10r/30s;\n")
        .http("smart_limit_zone $arg_k zone=minute:1m rate=1r/m;\n")
        .http("smart_limit_zone $arg_k zone=two:1m rate=2r/s;\n")
        .limit("/seconds", "smart_limit zone=seconds;");
    Clock::into(setup)
}

fn start() -> (Clock, Nginx) {
    let (clock, setup) = setup();
    (clock, setup.start())
}

/// The variables in the headers: status, zone, excess, retry_after.
fn variables(response: &Response) -> [&str; 4] {
    ["X-Limit", "X-Limit-Zone", "X-Limit-Excess", "X-Limit-After"]
        .map(|name| response.header(name).unwrap_or("-"))
}

#[test]
fn the_variables_say_what_was_decided() {
    let (clock, setup) = setup();
    let nginx = setup
        .limit("/two", "smart_limit zone=two burst=5 delay=3;")
        .limit(
            "/room",
            "smart_limit zone=two burst=5 nodelay; smart_limit zone=minute burst=3 nodelay;",
        )
        .limit("/none", "")
        .start();
    assert_eq!(variables(&nginx.get("/none?k=a")), ["-"; 4]);
    assert_eq!(variables(&nginx.get("/seconds")), ["-"; 4]);
    assert_eq!(variables(&nginx.get("/seconds?k=a")), ["PASSED", "seconds", "0.000", "-"]);
    clock.advance(Duration::from_millis(1500));
    assert_eq!(variables(&nginx.get("/seconds?k=a")), ["REJECTED", "seconds", "0.500", "2"]);
    assert_eq!(variables(&nginx.get("/two?k=b")), ["PASSED", "two", "0.000", "-"]);
    assert_eq!(variables(&nginx.get("/two?k=b")), ["PASSED", "two", "1.000", "-"]);
    clock.advance(Duration::from_millis(100));
    assert_eq!(variables(&nginx.get("/two?k=b")), ["PASSED", "two", "1.800", "-"]);
    // Passed: the limit with the least room left.
    assert_eq!(variables(&nginx.get("/room?k=c")), ["PASSED", "minute", "0.000", "-"]);
    assert_eq!(passed(&nginx, "/room?k=c", 3), 3);
    assert_eq!(variables(&nginx.get("/room?k=c&over")), ["REJECTED", "minute", "4.000", "60"]);
    let log = nginx.wait_for_access("GET /none?k=a");
    assert_eq!([&log["limit"], &log["zone"], &log["excess"], &log["after"]], ["-"; 4]);
    let line = nginx.wait_for_access("GET /room?k=c&over");
    assert_eq!([&line["limit"], &line["zone"], &line["excess"]], ["REJECTED", "minute", "4.000"]);
    assert_eq!(line["after"], "60");
}

#[test]
fn the_excess_is_the_one_in_the_error_log() {
    let (clock, nginx) = start();
    for milliseconds in [0, 1, 299, 700, 1999] {
        clock.advance_seconds(100);
        let key = format!("/seconds?k={milliseconds}");
        assert_eq!(nginx.get(&key).status, 200);
        clock.advance(Duration::from_millis(milliseconds));
        let refused = nginx.get(&key);
        let excess = refused.header("X-Limit-Excess").expect("an excess");
        nginx.wait_for_error(&format!("limiting requests, excess: {excess} by zone \"seconds\""));
    }
}

#[test]
fn of_delayed_limits_the_longest_is_named() {
    let (clock, setup) = setup();
    let nginx = setup
        .limit(
            "/waits",
            "smart_limit zone=seconds burst=1;
             smart_limit zone=minute burst=1;
             smart_limit zone=two burst=1;",
        )
        .start();
    assert_eq!(nginx.get("/waits?k=a").limit(), "PASSED");
    let mut client = nginx.connect();
    client.ask("/waits?k=a");
    nginx.wait_for_error("delaying request, excess: 1.000, by zone \"minute\"");
    clock.advance_seconds(60);
    assert_eq!(nginx.get("/waits?k=b").limit(), "PASSED");
    assert_eq!(variables(&client.read("GET")), ["DELAYED", "minute", "1.000", "-"]);
}

#[test]
fn the_variables_survive_internal_redirects() {
    let (_clock, setup) = setup();
    let nginx = setup
        .location("/moved", "smart_limit zone=minute; try_files /nothing /landed?$args;")
        .limit("/landed", "smart_limit zone=seconds;")
        .location("/paged", "smart_limit zone=minute; error_page 503 /page; try_files /ok =404;")
        .location("/page", &format!("{HEADERS} internal; try_files /ok =404;"))
        .start();
    let first = nginx.get("/moved?k=a");
    assert_eq!(variables(&first), ["PASSED", "minute", "0.000", "-"], "decided once");
    assert_eq!(variables(&nginx.get("/paged?k=a")), ["REJECTED", "minute", "1.000", "60"]);
    let line = nginx.wait_for_access("/paged");
    assert_eq!([&line["status"], &line["limit"], &line["after"]], ["503", "REJECTED", "60"]);
    // The second limit was never asked.
    assert_eq!(verdicts(&nginx, "/landed?k=a", 1), ["200 PASSED"]);
}

#[test]
fn the_variables_may_be_asked_for_before_the_decision() {
    let (_clock, setup) = setup();
    let nginx = setup
        .location(
            "/early",
            "set $early \"$smart_limit_status$smart_limit_zone$smart_limit_excess\";
             smart_limit zone=minute; add_header X-Early \"($early)\" always;
             add_header X-Limit $smart_limit_status always; try_files /ok =404;",
        )
        .start();
    let response = nginx.get("/early?k=a");
    assert_eq!(response.header("X-Early"), Some("()"));
    assert_eq!(response.limit(), "PASSED", "what was seen before is not kept");
}

#[test]
fn only_those_who_were_refused_may_be_logged() {
    let (_clock, setup) = setup();
    let log = setup.prefix().join("refused.log");
    let nginx = setup
        .http("map $smart_limit_status $is_refused { REJECTED 1; default 0; }\n")
        .http("map $smart_limit_zone$smart_limit_retry_after $wait { ~seconds(\\d+) $1; }\n")
        .server(&format!("access_log {} limits if=$is_refused;\n", log.display()))
        .location(
            "/mapped",
            &format!(
                "{HEADERS} add_header X-Wait $wait always;
                 smart_limit zone=seconds; try_files /ok =404;"
            ),
        )
        .start();
    assert_eq!(verdicts(&nginx, "/seconds?k=a", 3), ["200 PASSED", "503 REJECTED", "503 REJECTED"]);
    let mapped = nginx.get("/mapped?k=a");
    assert_eq!((mapped.limit(), mapped.header("X-Wait")), ("REJECTED", Some("3")));
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    wait_until("the lines of those refused", || lines() == 3);
    assert_eq!(verdicts(&nginx, "/seconds?k=b", 1), ["200 PASSED"]);
    nginx.wait_for_access("/seconds?k=b");
    assert_eq!(lines(), 3);
}

#[test]
fn subrequests_and_their_parent_are_one_request() {
    let (_clock, setup) = setup();
    let nginx = setup
        .location(
            "/page",
            "smart_limit zone=seconds; auth_request /auth; mirror /mirror; try_files /ok =404;",
        )
        .location("/auth", "internal; smart_limit zone=minute; try_files /ok =404;")
        .location("/mirror", "internal; smart_limit zone=two; try_files /ok =404;")
        .limit("/minute", "smart_limit zone=minute;")
        .limit("/two", "smart_limit zone=two;")
        .start();
    assert_eq!(variables(&nginx.get("/page?k=a")), ["PASSED", "seconds", "0.000", "-"]);
    assert_eq!(variables(&nginx.get("/page?k=a")), ["REJECTED", "seconds", "1.000", "3"]);
    // Neither of the others was charged.
    assert_eq!(verdicts(&nginx, "/minute?k=a", 1), ["200 PASSED"]);
    assert_eq!(verdicts(&nginx, "/two?k=a", 1), ["200 PASSED"]);
}

#[test]
fn a_name_of_ours_is_nobody_else_s() {
    for name in ["status", "zone", "excess", "retry_after"] {
        for directive in ["set $NAME 1;", "auth_request_set $NAME 1;"] {
            let directive = directive.replace("NAME", &format!("smart_limit_{name}"));
            let message = format!("the duplicate \"smart_limit_{name}\" variable");
            level::refused(Setup::new(), Location, &directive, &message);
        }
    }
}
