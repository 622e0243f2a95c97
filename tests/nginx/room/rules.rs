//! The parameters of a waiting room: who gets a place and a seat, and for how long.

use std::time::Duration;

use crate::common::clock::Clock;
use crate::common::limit::QUIET;
use crate::common::nginx::Nginx;
use crate::common::room::{counts, queue, room, seated, Visitor};
use crate::common::wait_until;

/// A server with the room of these parameters, which knows clients by `X-Forwarded-For`, and whose clock stands
/// still.
fn start(parameters: &str) -> (Clock, Nginx) {
    let setup = room(parameters)
        .server("set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;\n")
        .server(QUIET);
    let (clock, setup) = Clock::with_time_of_day(setup);
    (clock, setup.start())
}

/// What the room says to somebody's second request.
fn second(visitor: &mut Visitor) -> String {
    visitor.get("/");
    visitor.poll("/")["status"].as_str().expect("a text").to_owned()
}

#[test]
fn no_more_wait_than_may() {
    let (clock, nginx) = start("max_active=1 session=1d max_waiting=3 absent=10s refresh=5s:5s");
    seated(&nginx);
    let mut all = queue(&nginx, "/", 3);
    let mut late = Visitor::new(&nginx);
    for _ in 0..3 {
        assert_eq!(second(&mut late), "full");
    }
    assert_eq!(late.get("/").verdict(), "503 FULL");
    assert_eq!(counts(&nginx), (3, 1));
    for _ in 0..3 {
        clock.advance_seconds(10);
        all[0].get("/");
        all[2].get("/");
    }
    assert_eq!(late.poll("/")["position"], 3, "one of them has gone");
    assert_eq!(all[1].get("/").verdict(), "503 FULL");
}

#[test]
fn a_network_has_only_so_many_places() {
    let (_clock, nginx) = start("max_active=1 session=1d per_net=2");
    seated(&nginx);
    let said = |addresses: &[&str]| -> Vec<_> {
        let visitor = |address| Visitor::new(&nginx).with("X-Forwarded-For", address);
        addresses.iter().map(|address| second(&mut visitor(*address))).collect()
    };
    let [waits, full] = ["waiting", "full"];
    assert_eq!(said(&["192.0.2.1"; 3]), [waits, waits, full]);
    assert_eq!(
        said(&["192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.2"]),
        [waits, full, waits, full]
    );
    // Of IPv6 a network is a /64.
    let addresses = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::", "2001:db8:0:1::2"];
    assert_eq!(said(&addresses), [waits, waits, full]);
    assert_eq!(said(&["2001:db8:0:2::1", "2001:db8::1"]), [waits, waits]);
    assert_eq!(counts(&nginx), (8, 1));
}

#[test]
fn a_network_whose_visitors_have_gone_has_places_again() {
    let (clock, nginx) = start("max_active=1 session=100s per_net=2 absent=10s refresh=5s:5s");
    seated(&nginx);
    let mut all = queue(&nginx, "/", 2);
    let mut third = Visitor::new(&nginx);
    assert_eq!(second(&mut third), "full");
    clock.advance_seconds(17);
    wait_until("the absent to be gone", || counts(&nginx) == (0, 1));
    assert_eq!(second(&mut third), "waiting");
    assert_eq!(second(&mut all[1]), "waiting");
    assert_eq!(second(&mut all[0]), "full");
    for _ in 0..10 {
        clock.advance_seconds(10);
        third.poll("/");
        all[1].poll("/");
    }
    assert_eq!(counts(&nginx), (1, 1), "one of them has a seat, and needs no place any more");
    assert_eq!(second(&mut all[0]), "waiting");
}

#[test]
fn a_network_has_only_so_many_seats_on_first_visits() {
    let (_clock, nginx) = start("max_active=20 per_net=2");
    let from = |address| Visitor::new(&nginx).with("X-Forwarded-For", address);
    let mut all: Vec<_> = (0..3).map(|_| from("192.0.2.1")).collect();
    let verdicts: Vec<_> = all.iter_mut().map(|visitor| visitor.get("/").verdict()).collect();
    assert_eq!(verdicts, ["200 ADMITTED", "200 ADMITTED", "503 WAITING"]);
    assert_eq!(from("192.0.2.2").get("/").verdict(), "200 ADMITTED");
    assert_eq!(all[0].get("/").verdict(), "200 ADMITTED", "his counts no more");
    assert_eq!(from("192.0.2.1").get("/").verdict(), "200 ADMITTED");
    assert_eq!(from("192.0.2.1").get("/").verdict(), "503 WAITING");
}

#[test]
fn networks_may_be_as_large_as_they_like() {
    let (_clock, nginx) = start("max_active=1 session=1d per_net=off");
    seated(&nginx);
    queue(&nginx, "/", 1100);
    let (_clock, nginx) = start("max_active=1 session=1d");
    seated(&nginx);
    queue(&nginx, "/", 1000);
    assert_eq!(second(&mut Visitor::new(&nginx)), "full");
}

#[test]
fn a_place_is_only_for_tokens_of_some_age() {
    let (clock, nginx) = start("max_active=1 session=1d entry_delay=3s");
    let mut first = Visitor::new(&nginx);
    first.get("/");
    for _ in 0..3 {
        let told = first.poll("/");
        assert_eq!((&told["status"], &told["refresh_seconds"]), (&"waiting".into(), &4.into()));
        assert!(told["position"].is_null(), "{told}");
        clock.advance_seconds(1);
    }
    assert!(first.poll("/")["position"].is_null(), "its age is known to the second");
    assert_eq!(counts(&nginx), (0, 0), "no seat either, though all are free");
    clock.advance_seconds(1);
    assert_eq!(first.poll("/")["status"], "admitted");
    let mut second = Visitor::new(&nginx);
    second.get("/");
    clock.advance_seconds(4);
    assert_eq!(second.poll("/")["position"], 1);
}

#[test]
fn only_so_many_are_admitted_in_a_time() {
    let (clock, nginx) = start("max_active=10 admit=1r/m session=1d absent=1h");
    let mut first = seated(&nginx);
    assert_eq!(Visitor::new(&nginx).get("/").verdict(), "503 WAITING", "not on a first visit");
    let mut all = queue(&nginx, "/", 3);
    assert_eq!(first.get("/").verdict(), "200 ADMITTED");
    assert_eq!(counts(&nginx), (3, 1));
    for number in 0..3 {
        clock.advance(Duration::from_millis(59_999));
        for visitor in &mut all[number..] {
            assert_eq!(visitor.get("/").verdict(), "503 WAITING", "{number}");
        }
        clock.advance(Duration::from_millis(1));
        assert_eq!(all[number].get("/").verdict(), "200 ADMITTED", "{number}");
    }
    assert_eq!(counts(&nginx), (0, 4));
}

#[test]
fn lots_are_drawn() {
    let (clock, nginx) = start("max_active=1 order=random session=10s absent=1h per_net=off");
    const COUNT: usize = 40;
    let mut all = vec![seated(&nginx)];
    for _ in 0..COUNT {
        let mut visitor = Visitor::new(&nginx);
        visitor.get("/");
        let told = visitor.poll("/");
        assert_eq!(told["status"], "waiting");
        assert!(told["position"].is_null(), "nobody has a position: {told}");
        all.push(visitor);
    }
    all.remove(0);
    let mut order = Vec::new();
    while order.len() < COUNT {
        clock.advance_seconds(10);
        let mut admitted = Vec::new();
        for round in 0.. {
            assert!(round < 1000, "nobody draws the seat");
            for (number, visitor) in all.iter_mut().enumerate() {
                if !order.contains(&number) && visitor.poll("/")["status"] == "admitted" {
                    admitted.push(number);
                    order.push(number);
                }
            }
            if !admitted.is_empty() {
                break;
            }
        }
        assert_eq!(admitted.len(), 1, "one seat is free");
    }
    let first: Vec<_> = (0..COUNT).collect();
    assert_ne!(order, first);
    let ahead = order.iter().take(COUNT / 2).filter(|number| **number >= COUNT / 2).count();
    assert!(ahead > 0, "{order:?}");
}

#[test]
fn a_session_may_begin_anew_with_each_request() {
    let (clock, nginx) = start("max_active=1 session=10s renew=on");
    let mut visitor = seated(&nginx);
    for _ in 0..10 {
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(visitor.get("/").verdict(), "200 ADMITTED");
    }
    let mut other = queue(&nginx, "/", 1).remove(0);
    clock.advance_seconds(10);
    assert_eq!(other.get("/").verdict(), "200 ADMITTED");
    assert_eq!(visitor.get("/").verdict(), "503 WAITING");
}

#[test]
fn a_seat_unheard_of_is_free() {
    let (clock, nginx) = start("max_active=2 session=60s idle=10s");
    let mut all = [seated(&nginx), seated(&nginx)];
    for _ in 0..5 {
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(all[0].get("/").verdict(), "200 ADMITTED");
    }
    assert_eq!(counts(&nginx), (0, 1), "the other one was not heard of");
    clock.advance(Duration::from_millis(10_000));
    assert_eq!(counts(&nginx), (0, 0));
}

#[test]
fn idle_does_not_lengthen_a_session() {
    let (clock, nginx) = start("max_active=1 session=30s idle=20s");
    let mut visitor = seated(&nginx);
    let mut other = queue(&nginx, "/", 1).remove(0);
    for _ in 0..2 {
        clock.advance_seconds(14);
        assert_eq!(visitor.get("/").verdict(), "200 ADMITTED");
        assert_eq!(other.get("/").verdict(), "503 WAITING");
    }
    clock.advance_seconds(2);
    assert_eq!(other.get("/").verdict(), "200 ADMITTED");
    assert_eq!(visitor.get("/").verdict(), "503 WAITING");
}

#[test]
fn who_waits_comes_back_the_later_the_longer_he_waits() {
    let (_clock, nginx) = start("max_active=1 session=60s refresh=10s:100s");
    seated(&nginx);
    // The wait of rank n is n minutes, and he comes back after an eighth of it, more or less by a fifth.
    let mut intervals = Vec::new();
    for mut visitor in queue(&nginx, "/", 40) {
        let told: Vec<_> = (0..5).map(|_| visitor.poll("/")).collect();
        let position = told[0]["position"].as_u64().expect("a number");
        assert_eq!(told[0]["wait_seconds"], position * 60);
        let base = (position as f64 * 60.0 / 8.0).clamp(10.0, 100.0);
        for told in told {
            let refresh = told["refresh_seconds"].as_u64().expect("a number");
            let bounds = (base * 0.8).floor() as u64..=(base * 1.2).ceil() as u64;
            assert!(bounds.contains(&refresh), "{told}: {bounds:?}");
            intervals.push(refresh);
        }
        let hidden = visitor.poll_hidden("/")["refresh_seconds"].as_u64().expect("a number");
        let base = base.max(60.0);
        let bounds = (base * 0.8).floor() as u64..=(base * 1.2).ceil() as u64;
        assert!(bounds.contains(&hidden), "{position}: {hidden}");
    }
    let [first, last] = [&mut intervals[..5].to_vec(), &mut intervals[190..].to_vec()];
    assert!(first.iter().max() < last.iter().min(), "{intervals:?}");
    let of_the_longest = &mut intervals[14 * 5..].to_vec();
    of_the_longest.sort();
    of_the_longest.dedup();
    assert!(of_the_longest.len() > 10, "they do not all return together: {of_the_longest:?}");
}

#[test]
fn a_hidden_tab_keeps_its_place() {
    let (clock, nginx) = start("max_active=1 session=1d absent=10s refresh=5s:5s");
    seated(&nginx);
    let mut all = queue(&nginx, "/", 2);
    for _ in 0..3 {
        let told = all[0].poll_hidden("/");
        assert_eq!(told["position"], 1);
        for _ in 0..told["refresh_seconds"].as_u64().expect("a number") / 8 {
            clock.advance_seconds(8);
            assert_eq!(all[1].poll("/")["position"], 2);
        }
    }
    assert_eq!(all[0].poll("/")["position"], 1, "and is seen again");
    clock.advance_seconds(17);
    assert_eq!(all[1].poll("/")["position"], 1, "from then on it is asked for as often as others");
}
