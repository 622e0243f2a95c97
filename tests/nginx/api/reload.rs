//! What outlives a reload and a worker's death: counts, panics, the last minutes. A new binary begins anew.

use std::time::Duration;

use crate::common::clock::Clock;
use crate::common::fault::change_word;
use crate::common::nginx::Nginx;
use crate::common::process;
use crate::common::room::{room, Visitor};
use crate::common::setup::Setup;
use crate::common::wait_until;
use serde_json::Value;

/// What the memory of a room begins with, and which of its words says how many seats are held.
const ROOM: [u8; 8] = *b"smartRM\x02";
const HELD: usize = 17;

/// What the memory of the interface begins with, and which of its words counts the panics.
const HISTORY: [u8; 8] = *b"smartHI\x01";
const PANICS: usize = 4;

const SERVER: &str = "location /smart/ { smart_api; }
    location /limited/ { smart_limit zone=key burst=9 nodelay; empty_gif; }\n";

fn setup() -> Setup {
    room("max_active=1").server(SERVER)
}

fn json(nginx: &Nginx, path: &str) -> Value {
    nginx.get(&format!("/smart/{path}")).json()
}

fn passed(nginx: &Nginx) -> u64 {
    json(nginx, "status.json")["limits"]["key"]["passed"].as_u64().expect("a count")
}

fn panics(nginx: &Nginx) -> u64 {
    json(nginx, "status.json")["panics"].as_u64().expect("a count")
}

/// The totals of zone `key` in the history: what had passed at each time of which there is a sample.
fn history(nginx: &Nginx) -> Vec<u64> {
    let told = json(nginx, "history.json");
    let mut series = told["series"].as_array().expect("series").iter();
    let key = series.find(|series| series["kind"] == "limit" && series["name"] == "key");
    let samples = key.map(|series| series["samples"].as_array().expect("samples").iter());
    samples.into_iter().flatten().filter_map(|sample| sample[0].as_u64()).collect()
}

/// Has a worker panic: a room whose memory a fault has changed asks for a seat that there is none of.
#[track_caller]
fn have_panic(nginx: &Nginx) {
    nginx.allow("panicked at");
    nginx.allow("panic number");
    let before = panics(nginx);
    change_word(nginx.workers()[0], ROOM, HELD, u64::from(u32::MAX));
    let response = Visitor::new(nginx).get("/");
    // The sweep may have come before the visitor; then the room is mended when he comes.
    assert!([500, 503, 200].contains(&response.status), "{response:?}");
    assert_eq!(panics(nginx), before + 1);
}

#[test]
fn counts_outlive_a_reload_and_a_death() {
    let nginx = setup().workers(2).start();
    for count in 1..=3 {
        nginx.get("/limited/?k=a");
        assert_eq!(passed(&nginx), count);
        process::wait_for_end(&nginx.reload());
        assert_eq!(passed(&nginx), count, "after a reload");
        nginx.kill_worker(nginx.workers()[0]);
        assert_eq!(passed(&nginx), count, "after a death");
    }
}

#[test]
fn panics_are_counted_for_all_processes() {
    let nginx = setup().workers(2).start();
    assert_eq!(panics(&nginx), 0);
    have_panic(&nginx);
    nginx.wait_for_error("(panic number 1)");
    // Whichever worker answers, and also one that begins after.
    let ask = || (0..20).map(|_| json(&nginx, "status.json")).collect::<Vec<_>>();
    wait_until("the answers of both workers", || {
        let told = ask();
        assert!(told.iter().all(|told| told["panics"] == 1), "{told:?}");
        told.iter().any(|other| other["process"] != told[0]["process"])
    });
    process::wait_for_end(&nginx.reload());
    assert_eq!(panics(&nginx), 1, "after a reload");
    have_panic(&nginx);
    for worker in nginx.workers() {
        nginx.kill_worker(worker);
    }
    assert_eq!(panics(&nginx), 2, "after a death");
    let metrics = nginx.get("/smart/metrics").text();
    assert!(metrics.contains("\nngx_smart_panics_total 2\n"), "{metrics}");
}

#[test]
fn panics_are_counted_where_the_interface_comes_and_goes() {
    let nginx = setup().start();
    have_panic(&nginx);
    let without = SERVER.replace("smart_api;", "return 204;");
    let kept = |text: String| text.replace(SERVER, &without);
    nginx.reconfigure(kept);
    process::wait_for_end(&nginx.reload());
    // Nobody counts together now; each process counts on its own.
    change_word(nginx.worker(), ROOM, HELD, u64::from(u32::MAX));
    Visitor::new(&nginx).get("/");
    wait_until("another first panic", || {
        nginx.error_log().matches("(panic number 1)").count() == 2
    });
    nginx.reconfigure(|text| text.replace(&without, SERVER));
    process::wait_for_end(&nginx.reload());
    assert_eq!(panics(&nginx), 0, "a new zone");
    have_panic(&nginx);
}

#[test]
fn the_history_outlives_a_reload_and_a_death() {
    let (clock, setup) = Clock::into(setup().workers(2));
    let nginx = setup.start();
    let mut totals = Vec::new();
    let mut go_on = |what: &str| {
        nginx.get("/limited/?k=a");
        let count = history(&nginx).len();
        clock.advance(Duration::from_secs(5));
        // Whoever asks wakes a worker, which then sees the new time.
        wait_until(what, || history(&nginx).len() > count);
        totals = history(&nginx);
    };
    go_on("a sample");
    process::wait_for_end(&nginx.reload());
    go_on("a sample after a reload");
    nginx.kill_worker(nginx.workers()[0]);
    go_on("a sample after a death");
    nginx.workers().into_iter().for_each(|worker| nginx.kill_worker(worker));
    go_on("a sample after the death of all");
    let last: Vec<u64> = totals.iter().rev().take(4).rev().copied().collect();
    assert_eq!(last, [1, 2, 3, 4], "{totals:?}");
}

#[test]
fn zones_that_are_gone_are_told_no_more_when_their_time_is_over() {
    let (clock, setup) = Clock::into(setup());
    let nginx = setup.start();
    wait_until("the first sample", || !history(&nginx).is_empty());
    let other = |text: String| text.replace("zone=key", "zone=other");
    nginx.reconfigure(other);
    process::wait_for_end(&nginx.reload());
    assert_eq!(history(&nginx).len(), 1, "what was before is told yet");
    clock.advance(Duration::from_secs(15 * 60));
    wait_until("a sample without it", || history(&nginx).is_empty());
    let told = json(&nginx, "history.json");
    let names: Vec<&Value> = told["series"].as_array().expect("series").iter().collect();
    assert!(names.iter().any(|series| series["name"] == "other"), "{told}");
}

#[test]
fn memory_of_another_layout_is_begun_anew() {
    let nginx = setup().start();
    change_word(nginx.worker(), HISTORY, PANICS, 7);
    assert_eq!(panics(&nginx), 7);
    change_word(nginx.worker(), HISTORY, 0, 1);
    process::wait_for_end(&nginx.reload());
    let told = nginx.wait_for_error("has another layout, emptied");
    assert!(told.contains("[warn]") && told.contains("\"ngx_smart_api\""), "{told}");
    assert_eq!(panics(&nginx), 0);
}

#[test]
fn the_time_of_the_configuration_is_that_of_the_reload() {
    let (clock, setup) = Clock::with_time_of_day(setup());
    let nginx = setup.start();
    let configured = || json(&nginx, "status.json")["configured"].as_u64().expect("a time");
    let before = configured();
    clock.advance(Duration::from_secs(100));
    nginx.kill_worker(nginx.worker());
    assert_eq!(configured(), before, "a worker's death changes nothing");
    process::wait_for_end(&nginx.reload());
    let after = configured();
    assert!((before + 100..before + 110).contains(&after), "{before} {after}");
}

#[test]
fn smoke_a_new_binary_begins_with_zones_of_its_own() {
    let nginx = setup().daemon().start();
    nginx.get("/limited/?k=a");
    assert_eq!(passed(&nginx), 1);
    nginx.change_binary(|| {
        assert_eq!(nginx.get("/smart/status.json").status, 200);
        assert_eq!(nginx.get("/smart/history.json").status, 200);
    });
    assert_eq!((passed(&nginx), panics(&nginx)), (0, 0));
}

#[test]
fn reloads_while_the_interface_is_asked_fail_no_answer() {
    let nginx = setup().workers(2).start();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            for _ in 0..crate::common::dose(200, 10_000) {
                assert_eq!(nginx.get("/smart/status.json").status, 200);
                assert_eq!(nginx.get("/smart/history.json").status, 200);
            }
        });
        while !asking.is_finished() {
            process::wait_for_end(&nginx.reload());
        }
    });
}
