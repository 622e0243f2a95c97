//! Crowds at the door of a waiting room, with several workers: no more are in than may be, nobody is overtaken,
//! and all come in.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::clock::Clock;
use crate::common::dose;
use crate::common::limit::QUIET;
use crate::common::nginx::Nginx;
use crate::common::room::{counts, queue, room, seated, Visitor};
use crate::common::setup::Setup;
use crate::common::wait_until;

/// Seats of the room.
const SEATS: usize = 3;

/// What became of one visitor. Times are his own: what he knows happened within them.
#[derive(Clone, Copy, Debug)]
struct Story {
    /// When he sent the last request that was answered by the waiting page.
    waited: Instant,
    /// When he had the first answer of the site …
    entered: Instant,
    /// … and when he sent the request that got its last one.
    last: Instant,
}

fn crowd(parameters: &str) -> Setup {
    room(&format!("max_active={SEATS} refresh=1s:1s per_net=off {parameters}")).server(QUIET)
}

/// Visits again and again until the seat is lost again that it got.
fn visit(visitor: &mut Visitor) -> Story {
    let (mut waited, mut position) = (Instant::now(), u64::MAX);
    let give_up = Instant::now() + crate::common::patience() * 3;
    let entered = loop {
        assert!(Instant::now() < give_up, "not let in");
        let sent = Instant::now();
        let answer = visitor.get_with("/", &[("Accept", "application/json")]);
        match answer.verdict().as_str() {
            "200 ADMITTED" => break Instant::now(),
            "503 WAITING" => waited = sent,
            other => panic!("{other}"),
        }
        if let Some(told) = answer.json()["position"].as_u64() {
            assert!(told <= position, "a place further back: {told} after {position}");
            position = told;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let mut last = entered;
    loop {
        let sent = Instant::now();
        match visitor.get("/").verdict().as_str() {
            "200 ADMITTED" => last = sent,
            "503 WAITING" => return Story { waited, entered, last },
            other => panic!("{other}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The stories of visitors, each in a thread of its own.
fn visit_all(visitors: &mut [Visitor]) -> Vec<Story> {
    thread::scope(|scope| {
        let threads: Vec<_> =
            visitors.iter_mut().map(|visitor| scope.spawn(move || visit(visitor))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a visitor")).collect()
    })
}

/// The most who were in at one time, for certain.
fn most_at_once(stories: &[Story]) -> usize {
    let at =
        |time: Instant| stories.iter().filter(move |one| one.entered <= time && time <= one.last);
    stories.iter().map(|one| at(one.entered).count()).max().unwrap_or_default()
}

/// Does something while the clock moves, faster than a real one.
fn while_time_passes<T>(clock: &Clock, work: impl FnOnce() -> T) -> T {
    let (end, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Also when the work panics, its end is dropped.
            while is_over.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout)
            {
                clock.advance_seconds(1);
            }
        });
        let done = work();
        drop(end);
        done
    })
}

fn start(workers: usize, parameters: &str) -> Nginx {
    crowd(parameters).workers(workers).start()
}

#[test]
fn no_more_are_in_than_there_are_seats() {
    for workers in [2, 4] {
        let nginx = start(workers, "session=500ms");
        let mut all: Vec<_> = (0..dose(24, 200)).map(|_| Visitor::new(&nginx)).collect();
        let stories = visit_all(&mut all);
        assert_eq!(most_at_once(&stories), SEATS, "of {SEATS} seats, with {workers} workers");
        // Each was let in for the whole session, and no longer.
        for one in &stories {
            let stay = one.last - one.entered;
            assert!(stay < Duration::from_millis(500) + Duration::from_secs(1), "{stay:?}");
        }
    }
}

#[test]
fn smoke_nobody_is_overtaken() {
    for workers in [2, 4] {
        let setup = crowd("session=10s absent=1h").workers(workers);
        let (clock, setup) = Clock::with_time_of_day(setup);
        let nginx = setup.start();
        for _ in 0..SEATS {
            seated(&nginx);
        }
        let mut all = queue(&nginx, "/", dose(30, 300) as u64);
        let stories = while_time_passes(&clock, || visit_all(&mut all));
        for (number, one) in stories.iter().enumerate() {
            let overtaken = stories[..number].iter().filter(|other| other.waited > one.entered);
            // As many as there are free seats may come in in any order.
            assert!(overtaken.count() < SEATS, "number {number} came in before {SEATS} others");
        }
        assert!(most_at_once(&stories) <= SEATS);
    }
}

#[test]
fn all_who_come_at_once_have_different_places() {
    const COUNT: usize = 200;
    for workers in [2, 4] {
        let nginx = start(workers, "session=1d");
        for _ in 0..SEATS {
            seated(&nginx);
        }
        let mut all: Vec<_> = (0..COUNT).map(|_| Visitor::new(&nginx)).collect();
        thread::scope(|scope| {
            for some in all.chunks_mut(COUNT / 8) {
                scope.spawn(|| {
                    for visitor in &mut *some {
                        visitor.get("/");
                    }
                    for visitor in some {
                        visitor.get("/");
                    }
                });
            }
        });
        let position = |visitor: &mut Visitor| visitor.poll("/")["position"].as_u64();
        let before: Vec<_> = all.iter_mut().map(position).collect();
        let mut sorted: Vec<_> = before.iter().copied().flatten().collect();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=COUNT as u64).collect::<Vec<_>>());
        assert_eq!(counts(&nginx), (COUNT as u64, SEATS as u64));
        assert_eq!(all.iter_mut().map(position).collect::<Vec<_>>(), before);
    }
}

#[test]
fn the_rate_is_used_in_order_while_all_seats_are_taken() {
    let setup = crowd("session=1d")
        .http("smart_limit_zone all zone=ten:1m rate=10r/s;\n")
        .limit("/rate", "smart_limit zone=ten room=r;");
    let nginx = setup.workers(2).start();
    for _ in 0..SEATS {
        seated(&nginx);
    }
    let mut all: Vec<_> = (0..5).map(|_| Visitor::new(&nginx)).collect();
    // Who comes when nobody waits may pass; then he comes again.
    for (number, visitor) in (1_u64..).zip(&mut all) {
        wait_until("a place", || {
            visitor.get("/rate");
            visitor.poll("/rate")["position"] == number
        });
    }
    let began = Instant::now();
    let mut passed = 0_u32;
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(all[4].get("/rate").verdict(), "503 WAITING", "four are before him");
        passed += u32::from(all[0].get("/rate").verdict() == "200 PASSED");
        let newcomer = Visitor::new(&nginx).get("/rate");
        assert_eq!(newcomer.verdict(), "503 WAITING", "and newcomers come after all");
    }
    let due = began.elapsed().as_secs_f64() * 10.0;
    assert!(f64::from(passed) <= due + 1.0 && f64::from(passed) > due / 10.0, "{passed} of {due}");
    assert_eq!(counts(&nginx), (5, SEATS as u64));
}

#[test]
fn when_the_crowd_has_gone_the_room_is_empty() {
    let nginx = start(4, "session=1s absent=1s");
    let mut all: Vec<_> = (0..50).map(|_| Visitor::new(&nginx)).collect();
    for visitor in &mut all {
        visitor.get("/");
        visitor.get("/");
    }
    assert!(counts(&nginx).0 > 0);
    wait_until("an empty room", || counts(&nginx) == (0, 0));
    assert_eq!(Visitor::new(&nginx).get("/").verdict(), "200 ADMITTED");
}
