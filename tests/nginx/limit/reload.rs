//! What becomes of counts when the configuration is read again.

use crate::common::clock::Clock;
use crate::common::limit::{limited, passed, verdicts};
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::setup::Setup;

const ZONE: &str = "smart_limit_zone $arg_k zone=one:1m rate=1r/h;";

fn setup(limit: &str) -> Setup {
    limited().http(&format!("{ZONE}\n")).limit("/", limit)
}

/// An nginx in which the key `a` has used up the zone `one`.
fn used_up() -> (Clock, Nginx) {
    let (clock, setup) = Clock::into(setup("smart_limit zone=one;"));
    let nginx = setup.start();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    (clock, nginx)
}

#[track_caller]
fn reload_zone(nginx: &Nginx, zone: &str) {
    nginx.reconfigure(|text| text.replace(ZONE, zone));
    nginx.reload();
}

/// Reloads with a configuration that must not load, and returns the reason in the log.
#[track_caller]
fn fail_to_reload(nginx: &Nginx, zone: &str) -> String {
    nginx.allow("[emerg]");
    nginx.reconfigure(|text| text.replace(ZONE, zone));
    process::signal(nginx.master(), Signal::HUP);
    nginx.wait_for_error("[emerg]")
}

#[test]
fn smoke_a_reload_keeps_every_count() {
    let (clock, nginx) = used_up();
    for _ in 0..3 {
        nginx.reload();
        assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED");
    }
    clock.advance_seconds(3599);
    assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED");
    clock.advance_seconds(1);
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
}

#[test]
fn a_reload_keeps_the_counts_of_a_thousand_keys() {
    let nginx = setup("smart_limit zone=one burst=1 nodelay;").start();
    let keys = |range: std::ops::Range<u32>| {
        range.map(|key| nginx.get(&format!("/?k={key}")).status).collect::<Vec<u16>>()
    };
    assert_eq!(keys(0..1000), [200; 1000]);
    nginx.reload();
    assert_eq!(keys(500..1500), [200; 1000]);
    nginx.reload();
    assert_eq!(keys(500..1000), [503; 500], "two were let through before the reload");
    assert_eq!(keys(0..500), [200; 500], "one was");
    assert_eq!(keys(1000..1500), [200; 500], "one was");
}

#[test]
fn a_changed_rate_applies_to_kept_counts() {
    let (clock, nginx) = used_up();
    reload_zone(&nginx, "smart_limit_zone $arg_k zone=one:1m rate=1r/m;");
    assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED");
    clock.advance_seconds(59);
    assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED");
    clock.advance_seconds(1);
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    // And to one that was counted at the other rate: as if it had always held.
    clock.advance_seconds(59);
    nginx.reconfigure(|text| text.replace("rate=1r/m", "rate=1r/d"));
    nginx.reload();
    clock.advance_seconds(1);
    assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED");
    clock.advance_seconds(86_400 - 61);
    assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED");
    clock.advance_seconds(1);
    assert_eq!(nginx.get("/?k=a").verdict(), "200 PASSED");
}

#[test]
fn a_rate_may_become_a_variable_and_a_rate_again() {
    let (clock, nginx) = used_up();
    reload_zone(&nginx, "smart_limit_zone $arg_k zone=one:1m rate=$arg_r:1r/h;");
    clock.advance_seconds(60);
    assert_eq!(nginx.get("/?k=a&r=").verdict(), "503 REJECTED");
    assert_eq!(nginx.get("/?k=a&r=1r/m").verdict(), "200 PASSED");
    nginx.reconfigure(|text| text.replace("rate=$arg_r:1r/h", "rate=1r/s"));
    nginx.reload();
    assert_eq!(nginx.get("/?k=a&r=1r/h").verdict(), "503 REJECTED");
    clock.advance_seconds(1);
    assert_eq!(nginx.get("/?k=a&r=1r/h").verdict(), "200 PASSED");
}

#[test]
fn a_changed_burst_applies_to_kept_counts() {
    let nginx = setup("smart_limit zone=one burst=4 nodelay;").start();
    assert_eq!(passed(&nginx, "/?k=a", 6), 5);
    nginx.reconfigure(|text| text.replace("burst=4", "burst=6"));
    nginx.reload();
    assert_eq!(passed(&nginx, "/?k=a", 4), 2);
    nginx.reconfigure(|text| text.replace("burst=6 nodelay", ""));
    nginx.reload();
    assert_eq!(passed(&nginx, "/?k=a", 2), 0);
    assert_eq!(passed(&nginx, "/?k=b", 2), 1);
}

#[test]
fn another_key_is_an_error_and_the_old_configuration_goes_on() {
    let (_clock, nginx) = used_up();
    let worker = nginx.worker();
    let line = fail_to_reload(&nginx, "smart_limit_zone $arg_other zone=one:1m rate=1r/h;");
    let message = "smart_limit \"one\" uses the \"$arg_other\" key \
        while previously it used the \"$arg_k\" key";
    assert!(line.contains(message), "{line}");
    assert_eq!(nginx.worker(), worker);
    assert_eq!(nginx.get("/?k=a").verdict(), "503 REJECTED");
    assert_eq!(nginx.get("/?k=b").verdict(), "200 PASSED");
    // The next good configuration is taken, with the counts.
    nginx.reconfigure(|text| text.replace("$arg_other", "$arg_k"));
    nginx.reload();
    assert_eq!(nginx.get("/?k=b").verdict(), "503 REJECTED");
}

#[test]
fn another_size_is_a_fresh_zone() {
    let (_clock, nginx) = used_up();
    reload_zone(&nginx, "smart_limit_zone $arg_k zone=one:2m rate=1r/h;");
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    nginx.reconfigure(|text| text.replace("one:2m", "one:1m"));
    nginx.reload();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
}

#[test]
fn another_size_and_another_key_are_a_fresh_zone() {
    let (_clock, nginx) = used_up();
    reload_zone(&nginx, "smart_limit_zone $arg_other zone=one:2m rate=1r/h;");
    assert_eq!(verdicts(&nginx, "/?other=a", 2), ["200 PASSED", "503 REJECTED"]);
}

#[test]
fn a_zone_that_leaves_and_returns_is_a_fresh_one() {
    let (_clock, nginx) = used_up();
    nginx.reconfigure(|text| text.replace("zone=one", "zone=other"));
    nginx.reload();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    nginx.reconfigure(|text| text.replace("zone=other", "zone=one"));
    nginx.reload();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
}

#[test]
fn a_zone_may_change_its_kind() {
    let (_clock, nginx) = used_up();
    nginx.reconfigure(|text| {
        text.replace(ZONE, "limit_req_zone $arg_k zone=one:1m rate=1r/m;")
            .replace("smart_limit zone=one;", "limit_req zone=one;")
    });
    nginx.reload();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 -", "503 -"]);
    nginx.reconfigure(|text| {
        text.replace("limit_req_zone $arg_k zone=one:1m rate=1r/m;", ZONE)
            .replace("limit_req zone=one;", "smart_limit zone=one;")
    });
    nginx.reload();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
}

#[test]
fn other_bad_configurations_change_nothing() {
    let (_clock, nginx) = used_up();
    let worker = nginx.worker();
    let line = fail_to_reload(&nginx, "smart_limit_zone $arg_k zone=one:1m rate=fast;");
    assert!(line.contains("invalid rate \"rate=fast\""), "{line}");
    assert_eq!(nginx.worker(), worker);
    assert_eq!(verdicts(&nginx, "/?k=a", 1), ["503 REJECTED"]);
}
