//! What becomes of those who wait, and of those inside, when the configuration is read again.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::common::client::Client;
use crate::common::clock::Clock;
use crate::common::limit::QUIET;
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::room::{counts, queue, room, seated, Visitor, PAUSE, ROOM_TYPE};
use crate::common::setup::Setup;
use crate::common::{dose, wait_until};

const RULES: &str = "max_active=1 session=1h absent=5h";

/// Somebody with the seat, and some who wait in their order.
struct Crowd {
    inside: Visitor,
    waiting: Vec<Visitor>,
}

impl Crowd {
    #[track_caller]
    fn gather(nginx: &Nginx, waiting: u64) -> Self {
        Self { inside: seated(nginx), waiting: queue(nginx, "/", waiting) }
    }

    /// Everybody is where he was.
    #[track_caller]
    fn check(&mut self, nginx: &Nginx) {
        assert_eq!(self.inside.get("/").verdict(), "200 ADMITTED");
        for (place, visitor) in self.waiting.iter_mut().enumerate() {
            assert_eq!(visitor.poll("/")["position"], place + 1);
        }
        assert_eq!(counts(nginx), (self.waiting.len() as u64, 1));
    }
}

/// Under a clock that stands still, the time of day too.
fn start(setup: Setup) -> (Clock, Nginx) {
    let (clock, setup) = Clock::with_time_of_day(setup);
    (clock, setup.start())
}

/// Reloads with another text in place of one.
fn reload_with(nginx: &Nginx, old: &str, new: &str) {
    nginx.reconfigure(|text| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    process::wait_for_end(&nginx.reload());
}

#[test]
fn smoke_a_reload_keeps_every_place_and_every_seat() {
    let (_clock, nginx) = start(room(RULES).workers(2));
    let mut crowd = Crowd::gather(&nginx, 5);
    for _ in 0..3 {
        nginx.reload();
        crowd.check(&nginx);
    }
    assert_eq!(Visitor::new(&nginx).join("/")["position"], 6);
}

#[test]
fn more_seats_are_for_the_next_in_line() {
    let (_clock, nginx) = start(room(RULES));
    let mut crowd = Crowd::gather(&nginx, 4);
    reload_with(&nginx, "max_active=1", "max_active=3");
    // Whoever comes first of all, the seats are not his.
    assert_eq!(crowd.waiting[3].poll("/")["position"], 4);
    assert_eq!(crowd.waiting[2].poll("/")["position"], 3);
    assert_eq!(crowd.waiting[1].poll("/")["status"], "admitted", "two are free for the first two");
    assert_eq!(crowd.waiting[2].poll("/")["position"], 2);
    assert_eq!(crowd.waiting[0].get("/").verdict(), "200 ADMITTED");
    assert_eq!(crowd.waiting[2].poll("/")["position"], 1);
    assert_eq!(crowd.waiting[3].poll("/")["position"], 2);
    assert_eq!(counts(&nginx), (2, 3));
}

#[test]
fn fewer_seats_throw_nobody_out_and_let_nobody_in_before_there_are_so_few() {
    let (clock, nginx) = start(room("max_active=3 session=1h absent=5h"));
    let mut inside: Vec<Visitor> = (0..3)
        .map(|_| {
            let visitor = seated(&nginx);
            clock.advance_seconds(60);
            visitor
        })
        .collect();
    let mut next = Visitor::new(&nginx);
    assert_eq!(next.join("/")["position"], 1);
    reload_with(&nginx, "max_active=3", "max_active=1");
    for visitor in &mut inside {
        assert_eq!(visitor.get("/").verdict(), "200 ADMITTED");
    }
    let told = next.poll("/");
    assert_eq!((&told["active"], &told["max_active"]), (&3.into(), &1.into()));
    clock.advance_seconds(3600 - 3 * 60);
    for (left, visitor) in [2, 1].into_iter().zip(&mut inside) {
        assert_eq!(visitor.poll("/")["status"], "waiting", "his hour is over");
        assert_eq!(next.poll("/")["position"], 1);
        assert_eq!(counts(&nginx).1, left);
        clock.advance_seconds(60);
    }
    assert_eq!(next.get("/").verdict(), "200 ADMITTED");
    assert_eq!(counts(&nginx), (2, 1));
}

/// A client of a worker that will be old: half of a request of this visitor's is with it.
fn begin(nginx: &Nginx, visitor: &Visitor) -> (Client, Vec<u8>) {
    let mut bytes = visitor.text("GET", "/", &[("Accept", ROOM_TYPE)], b"");
    let rest = bytes.split_off(10);
    let mut client = nginx.connect();
    client.send(bytes);
    // Connections are accepted in their order: the one before has been, when this is answered.
    assert_eq!(nginx.get("/ok").status, 200);
    (client, rest)
}

#[test]
fn an_old_worker_goes_by_the_new_rules() {
    let (_clock, nginx) = start(room(RULES).limit("/ok", ""));
    let mut crowd = Crowd::gather(&nginx, 2);
    let begun = [0, 1].map(|place| begin(&nginx, &crowd.waiting[place]));
    nginx.reconfigure(|text| {
        text.replace(RULES, "max_active=2 session=1h absent=5h refresh=30s:30s")
    });
    let old = nginx.reload();
    assert!(process::runs(old[0]), "it has requests to answer");
    let told = begun.map(|(mut client, rest)| {
        client.send(rest);
        client.read("GET").json()
    });
    process::wait_for_end(&old);
    assert_eq!((&told[0]["status"], &told[0]["max_active"]), (&"admitted".into(), &2.into()));
    assert_eq!((&told[1]["position"], &told[1]["active"]), (&1.into(), &2.into()));
    let refresh = told[1]["refresh_seconds"].as_u64().expect("a number");
    assert!((24..=37).contains(&refresh), "{refresh}");
    assert_eq!(crowd.waiting[0].get("/").verdict(), "200 ADMITTED");
    assert_eq!(crowd.inside.get("/").verdict(), "200 ADMITTED");
}

#[test]
fn a_configuration_that_is_refused_changes_nothing() {
    let (_clock, nginx) = start(room(RULES));
    let mut crowd = Crowd::gather(&nginx, 2);
    let good = fs::read_to_string(nginx.prefix().join("nginx.conf")).expect("nginx.conf");
    let more = RULES.replace("max_active=1", "max_active=5");
    nginx.allow("[emerg]");
    for (parameters, other, message) in [
        ("max_active=0", "", "invalid max_active value \"max_active=0\""),
        ("max_active=100000", "", "does not fit in room \"r\""),
        // Here the room itself is right, and what is wrong is found before its memory is looked at …
        (&more, "no_such_directive;", "unknown directive \"no_such_directive\""),
        // … or after it, …
        (&more, "smart_limit_room z 32k max_active=9999;", "does not fit in room \"z\""),
        // … or when everything else is ready.
        (&more, "server { listen 203.0.113.1:1; }", "bind() to 203.0.113.1:1 failed"),
    ] {
        let workers = nginx.workers();
        let bad = format!("smart_limit_room r 1m {parameters};\n{other}\n");
        let text = good.replace(&format!("smart_limit_room r 1m {RULES};\n"), &bad);
        assert_ne!(text, good);
        nginx.reconfigure(|_| text);
        process::signal(nginx.master(), Signal::HUP);
        nginx.wait_for_error(message);
        crowd.check(&nginx);
        assert_eq!(crowd.waiting[0].poll("/")["max_active"], 1, "{message}");
        assert_eq!(nginx.workers(), workers, "{message}");
    }
    // The next good one is taken.
    nginx.reconfigure(|_| good.replace(RULES, &more));
    nginx.reload();
    assert_eq!(crowd.waiting[0].poll("/")["status"], "admitted");
}

/// With a secret of its own, which outlives the room's memory.
fn with_secret(setup: Setup) -> Setup {
    let file = setup.prefix().join("secret");
    fs::write(&file, "a secret of more than thirty-two bytes").expect("a file");
    setup.http(&format!("smart_limit_secret_file {};\n", file.display()))
}

#[test]
fn after_a_change_of_size_those_with_tokens_come_before_newcomers() {
    let (clock, nginx) = start(with_secret(room(RULES)));
    let mut crowd = Crowd::gather(&nginx, 3);
    clock.advance_seconds(10);
    reload_with(&nginx, "room r 1m", "room r 2m");
    clock.advance_seconds(1);
    // Who comes first is first now: order is not kept, but nobody who is new comes before.
    assert_eq!(crowd.waiting[2].poll("/")["status"], "admitted");
    let mut newcomer = Visitor::new(&nginx);
    let told = newcomer.join("/");
    assert_eq!((&told["status"], &told["position"]), (&"waiting".into(), &Value::Null));
    clock.advance_seconds(60);
    assert_eq!(newcomer.poll("/")["position"], Value::Null, "the others may still come");
    assert_eq!(crowd.waiting[0].poll("/")["position"], 1);
    assert_eq!(crowd.inside.poll("/")["position"], 2, "a seat is lost with the memory");
    clock.advance_seconds(15);
    assert_eq!(newcomer.poll("/")["position"], 3, "now the longest interval is over");
    assert_eq!(crowd.waiting[1].poll("/")["position"], 4);
}

#[test]
fn after_a_change_of_size_without_a_secret_everybody_is_new() {
    let (clock, nginx) = start(room(RULES));
    let mut crowd = Crowd::gather(&nginx, 1);
    clock.advance_seconds(10);
    reload_with(&nginx, "room r 1m", "room r 2m");
    for visitor in [&mut crowd.waiting[0], &mut crowd.inside] {
        let before = visitor.token().to_owned();
        assert_eq!(visitor.get("/").set_cookies().len(), 1);
        assert_ne!(visitor.token(), before);
    }
    assert_eq!(counts(&nginx), (0, 0));
    assert_eq!(crowd.waiting[0].poll("/")["status"], "admitted");
    assert_eq!(crowd.inside.poll("/")["position"], 1);
}

#[test]
fn a_room_that_leaves_and_returns_is_a_fresh_one() {
    let (clock, nginx) = start(with_secret(room(RULES)));
    let mut crowd = Crowd::gather(&nginx, 2);
    clock.advance_seconds(10);
    let with = fs::read_to_string(nginx.prefix().join("nginx.conf")).expect("nginx.conf");
    let without = with
        .replace(&format!("smart_limit_room r 1m {RULES};\n"), "")
        .replace("smart_limit room=r;", "")
        .replace("zone=site burst=1000 nodelay room=r;", "zone=site;");
    nginx.reconfigure(|_| without);
    nginx.reload();
    let everybody = crowd.waiting.iter_mut().chain([&mut crowd.inside]);
    everybody.for_each(|visitor| assert_eq!(visitor.get("/").verdict(), "200 -"));
    nginx.reconfigure(|_| with);
    nginx.reload();
    clock.advance_seconds(1);
    assert_eq!(counts(&nginx), (0, 0));
    assert_eq!(crowd.waiting[1].poll("/")["status"], "admitted");
    assert_eq!(crowd.inside.poll("/")["position"], 1);
}

#[test]
fn a_secret_can_be_changed_and_everybody_stays() {
    let rules = "max_active=1 session=1h absent=99h token=4h";
    let (clock, nginx) = start(with_secret(room(rules)));
    let mut crowd = Crowd::gather(&nginx, 2);
    let old = nginx.prefix().join("secret");
    let new = nginx.prefix().join("new");
    fs::write(&new, "another secret of more than thirty-two bytes").expect("a file");
    let directive = |file: &Path| format!("smart_limit_secret_file {};", file.display());
    reload_with(&nginx, &directive(&old), &(directive(&new) + &directive(&old)));
    crowd.check(&nginx);
    // When half of their life is over, tokens are signed anew, by the new secret.
    clock.advance_seconds(3 * 3600);
    for (visitor, verdict) in crowd.waiting.iter_mut().zip(["200 ADMITTED", "503 WAITING"]) {
        let response = visitor.get("/");
        assert_eq!((response.verdict().as_str(), response.set_cookies().len()), (verdict, 1));
    }
    reload_with(&nginx, &directive(&old), "");
    assert_eq!(crowd.waiting[0].get("/").verdict(), "200 ADMITTED");
    assert_eq!(crowd.waiting[1].poll("/")["position"], 1);
    assert_eq!(crowd.inside.get("/").set_cookies().len(), 1, "his token is that of nobody now");
}

#[test]
fn reloads_under_load_lose_no_place_and_fail_no_request() {
    const SEATS: usize = 3;
    const WAITING: u64 = 6;
    let rules = "max_active=3 session=1h absent=1h";
    let nginx = room(rules).http(QUIET).workers(2).start();
    let mut inside: Vec<_> = (0..SEATS).map(|_| seated(&nginx)).collect();
    let mut waiting = queue(&nginx, "/", WAITING);
    let stop = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let stop = &stop;
        let goes_on = move || !stop.load(Ordering::Relaxed);
        let inside: Vec<_> = inside
            .iter_mut()
            .map(|visitor| {
                scope.spawn(move || {
                    let mut answers = 0;
                    while goes_on() {
                        assert_eq!(visitor.get("/").verdict(), "200 ADMITTED");
                        answers += 1;
                        thread::sleep(PAUSE);
                    }
                    answers
                })
            })
            .collect();
        let waiting: Vec<_> = waiting
            .iter_mut()
            .enumerate()
            .map(|(place, visitor)| {
                scope.spawn(move || {
                    let mut answers = 0;
                    while goes_on() {
                        let told = visitor.poll("/");
                        assert_eq!(told["position"], place + 1);
                        assert_eq!((&told["waiting"], &told["active"]), (&6.into(), &3.into()));
                        answers += 1;
                        thread::sleep(PAUSE);
                    }
                    answers
                })
            })
            .collect();
        let mut old = Vec::new();
        for _ in 0..dose(10, 500) {
            old.extend(nginx.reload());
        }
        stop.store(true, Ordering::Relaxed);
        let all = inside.into_iter().chain(waiting);
        let answers: Vec<usize> = all.map(|one| one.join().expect("a visitor")).collect();
        process::wait_for_end(&old);
        answers
    });
    assert!(answers.iter().all(|answers| *answers > 10), "{answers:?}");
    reload_with(&nginx, "max_active=3", "max_active=9");
    wait_until("everybody's seat", || {
        waiting.iter_mut().all(|visitor| visitor.get("/").verdict() == "200 ADMITTED")
    });
    assert_eq!(counts(&nginx), (0, 9));
}
