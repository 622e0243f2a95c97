//! What becomes of a room when nginx's binary is changed: nginx hands no shared memory on, so there is a
//! fresh room, and with a secret file the tokens are good in it. Those who bring one come before newcomers.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::SystemTime;

use serde_json::Value;

use crate::common::clock::Clock;
use crate::common::limit::QUIET;
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::room::{counts, queue, room, seated, Visitor, PAUSE};
use crate::common::setup::Setup;
use crate::common::{dose, wait_until};

const RULES: &str = "max_active=2 session=1h absent=1h";

/// In the background, as nginx must run for it, with a secret that outlives the binary.
fn setup(rules: &str) -> Setup {
    let setup = room(rules).daemon();
    let file = setup.prefix().join("secret");
    fs::write(&file, "a secret of more than thirty-two bytes").expect("a file");
    setup.http(&format!("smart_limit_secret_file {};\n", file.display()))
}

/// The time of day.
fn seconds() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.expect("a time after 1970").as_secs()
}

/// Two inside and `waiting` who wait in their order.
fn gather(nginx: &Nginx, waiting: u64) -> (Vec<Visitor>, Vec<Visitor>) {
    (vec![seated(nginx), seated(nginx)], queue(nginx, "/", waiting))
}

/// An nginx under a clock that stands still, for the new binary too.
fn start_with_clock() -> (Clock, Nginx) {
    let (clock, setup) = Clock::with_time_of_day(setup(RULES));
    (clock, setup.main("env LD_PRELOAD; env NGX_SMART_CLOCK;\n").start())
}

#[test]
fn those_with_tokens_come_before_newcomers_in_the_order_in_which_they_come_back() {
    let (clock, nginx) = start_with_clock();
    let (mut inside, mut waiting) = gather(&nginx, 3);
    clock.advance_seconds(10);
    nginx.change_binary(|| {});
    clock.advance_seconds(1);
    assert_eq!(counts(&nginx), (0, 0));
    // He has a token, and no other has been seen: the seat is his.
    assert_eq!(waiting[1].poll("/")["status"], "admitted");
    // A newcomer waits until all who have a token can have come back, though a seat is free.
    let mut newcomer = Visitor::new(&nginx);
    let told = newcomer.join("/");
    assert_eq!((&told["status"], &told["position"]), (&"waiting".into(), &Value::Null));
    assert_eq!(inside[0].get("/").verdict(), "200 ADMITTED");
    assert_eq!(inside[1].poll("/")["position"], 1);
    assert_eq!(waiting[0].poll("/")["position"], 2);
    clock.advance_seconds(60);
    assert_eq!(newcomer.poll("/")["position"], Value::Null);
    assert_eq!(waiting[2].poll("/")["position"], 3, "his interval may have been that long");
    clock.advance_seconds(15);
    assert_eq!(newcomer.poll("/")["position"], 4);
    assert_eq!(counts(&nginx), (4, 2));
}

#[test]
fn where_nobody_comes_back_a_newcomer_does_not_wait_for_him() {
    let (clock, nginx) = start_with_clock();
    gather(&nginx, 3);
    clock.advance_seconds(10);
    nginx.change_binary(|| {});
    clock.advance_seconds(1);
    seated(&nginx);
    assert_eq!(counts(&nginx), (0, 1));
}

#[test]
fn without_a_secret_file_everybody_is_new() {
    let nginx = room(RULES).daemon().start();
    let (inside, waiting) = gather(&nginx, 2);
    nginx.change_binary(|| {});
    for mut visitor in inside.into_iter().chain(waiting) {
        let before = visitor.token().to_owned();
        assert_eq!(visitor.get("/").set_cookies().len(), 1);
        assert_ne!(visitor.token(), before);
    }
}

#[test]
fn a_change_that_is_taken_back_finds_everybody_where_he_was() {
    let nginx = setup(RULES).start();
    let (mut inside, mut waiting) = gather(&nginx, 4);
    let old = nginx.start_new_binary();
    let new = nginx.master();
    // Both masters' workers take connections now, and each has a room; a token is good in both.
    for visitor in inside.iter_mut().chain(&mut waiting) {
        assert!(["WAITING", "ADMITTED"].contains(&visitor.get("/").limit()));
        assert_eq!(visitor.get("/").set_cookies(), [""; 0]);
    }
    process::signal(new, Signal::QUIT);
    process::wait_for_end(&[new]);
    wait_until("the old master", || nginx.master() == old);
    inside.iter_mut().for_each(|visitor| assert_eq!(visitor.get("/").verdict(), "200 ADMITTED"));
    for (place, visitor) in waiting.iter_mut().enumerate() {
        assert_eq!(visitor.poll("/")["position"], place + 1);
    }
    assert_eq!(counts(&nginx), (4, 2));
}

#[test]
fn changes_under_load_fail_no_request_and_nobody_is_made_a_stranger() {
    let nginx = setup(RULES).http(QUIET).workers(2).start();
    let (inside, waiting) = gather(&nginx, 4);
    // A token that is as old as the room, in seconds, may be a newcomer's.
    let gathered = seconds();
    wait_until("the next second", || seconds() > gathered);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let visitors = inside.into_iter().chain(waiting).map(|mut visitor| {
            scope.spawn(move || {
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    let response = visitor.get("/");
                    assert!(["WAITING", "ADMITTED"].contains(&response.limit()), "{response:?}");
                    assert_eq!(response.set_cookies(), [""; 0], "his token is good everywhere");
                    let told = visitor.poll("/");
                    assert!(told["active"].as_u64().expect("a number") <= 2, "{told}");
                    answers += 2;
                    thread::sleep(PAUSE);
                }
                answers
            })
        });
        let visitors: Vec<_> = visitors.collect();
        for _ in 0..dose(1, 50) {
            nginx.change_binary(|| {});
        }
        wait_until("everybody in the last room", || counts(&nginx) == (4, 2));
        stop.store(true, Ordering::Relaxed);
        for visitor in visitors {
            assert!(visitor.join().expect("a visitor") > 10);
        }
    });
}
