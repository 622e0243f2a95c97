mod death;
pub(super) mod fuse;
mod histories;
pub(super) mod invariants;
mod model;
mod ring;
mod status;
mod steps;
mod world;

use self::invariants::check;
pub(super) use self::steps::mix;
use super::header::Counter;
use super::*;
use crate::core::room::rules::{Order, Rules};

/// Memory for a room.
pub(super) fn memory(bytes: usize) -> Vec<Word> {
    (0..bytes / 8).map(|_| Word::new(0)).collect()
}

pub(super) const BIRTH: Birth = Birth {
    secret: [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 77],
    signing: [5; 4],
    wall: 1_000,
    now: 1,
};

pub(super) fn rules(max_active: u32) -> Rules {
    Rules {
        max_active,
        admit: None,
        session: 600_000,
        renew: false,
        idle: None,
        absent: 20_000,
        max_waiting: None,
        per_net: None,
        entry_delay: 0,
        order: Order::Fifo,
        refresh: (5_000, 60_000),
    }
}

pub(super) fn room<'a>(words: &'a [Word], rules: &Rules) -> Room<'a> {
    let room = Room::create(words, &BIRTH).expect("enough words");
    room.install(rules);
    room
}

/// A visit of a session, with a network of its own.
fn visit(number: u64) -> Visit {
    Visit {
        session: mix(number),
        issued: 2_000,
        wall: 3_000,
        network: Some(1 + mix(number) % HIGH_MAX),
        is_hidden: false,
        random: number,
    }
}

fn position(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Waits(place) => place.told.position.expect("a position"),
        other => panic!("{other:?}"),
    }
}

fn is_seated(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Seated { .. })
}

#[test]
fn a_million_places_fit_64_megabytes() {
    // Of a zone of 64 MB nginx keeps a little for itself.
    let words = memory((64 << 20) - (600 << 10));
    let room = Room::create(&words, &BIRTH).unwrap();
    assert!(room.capacity() >= 1_048_576, "{}", room.capacity());
    assert!(room.seats() >= 131_072);
}

#[test]
fn small_memory_makes_a_small_room_or_none() {
    assert!(Room::create(&memory(1024), &BIRTH).is_none());
    let words = memory(28 << 10);
    let room = room(&words, &rules(2));
    assert!(room.capacity() > 300 && room.seats() == room.capacity() / 8);
}

#[test]
fn a_room_is_found_again_with_everybody_in_it() {
    let words = memory(100_000);
    let first = room(&words, &rules(1));
    assert!(first.is_idle());
    assert!(is_seated(first.enter(10).arrive(&visit(1), 7)));
    assert_eq!(position(first.enter(10).arrive(&visit(2), 7)), 1);
    let again = Room::open(&words).expect("the same layout");
    assert!(!again.is_idle());
    assert_eq!(again.signing_key(), first.signing_key());
    assert_eq!(position(again.enter(11).poll(&visit(2)).unwrap()), 1);
    assert!(Room::open(&words[1..]).is_none(), "another size");
}

#[test]
fn seats_go_to_the_first_and_places_are_counted_from_one() {
    let words = memory(100_000);
    let room = room(&words, &rules(2));
    for session in 1..=2 {
        assert!(is_seated(room.enter(10).arrive(&visit(session), 7)));
    }
    for session in 3..=10 {
        assert_eq!(position(room.enter(10).arrive(&visit(session), 7)), session - 2);
    }
    assert_eq!(position(room.enter(20).poll(&visit(4)).unwrap()), 2);
    // The two seats end at their time, and those come in who are heard of then.
    assert_eq!(
        position(room.enter(600_009).poll(&visit(4)).unwrap()),
        1,
        "who was before is absent"
    );
    assert_eq!(position(room.enter(600_009).poll(&visit(10)).unwrap()), 7);
    assert!(!is_seated(room.enter(600_010).poll(&visit(10)).unwrap()));
    assert!(is_seated(room.enter(600_010).poll(&visit(4)).unwrap()));
}

#[test]
fn a_replayed_token_has_one_place() {
    let words = memory(1 << 20);
    let room = room(&words, &rules(1));
    room.enter(10).arrive(&visit(1), 7);
    for _ in 0..100_000 {
        assert_eq!(position(room.enter(10).arrive(&visit(2), 7)), 1);
    }
    assert_eq!(room.enter(10).waiting(), 1);
    check(&room, 10);
}

#[test]
fn ten_thousand_absentees_go_at_once() {
    let words = memory(1 << 20);
    let room = room(&words, &rules(1));
    room.enter(10).arrive(&visit(1), 7);
    for session in 2..10_002 {
        room.enter(10).arrive(&visit(session), 7);
    }
    let late = 400_000;
    room.enter(late - 1).arrive(&visit(20_000), 7);
    // The seat is still held: he is the next, and not one place nearer with each poll.
    assert_eq!(position(room.enter(late).poll(&visit(20_000)).unwrap()), 1);
    assert_eq!(room.counted(Counter::Absent), 10_000);
    // Who was dropped may queue again, at the end.
    assert_eq!(position(room.enter(late).arrive(&visit(5), 7)), 2);
    check(&room, late);
}

#[test]
fn a_seat_is_counted_from_admission() {
    let words = memory(100_000);
    let room = room(&words, &rules(1));
    assert!(is_seated(room.enter(1_000).arrive(&visit(1), 7)));
    for now in [2_000, 300_000, 600_999] {
        assert!(room.enter(now).is_seated(mix(1)), "{now}");
    }
    assert!(!room.enter(601_000).is_seated(mix(1)), "no request makes it longer");
}

#[test]
fn a_seat_may_be_renewed_or_end_for_want_of_use() {
    let words = memory(100_000);
    let renewing = Rules { renew: true, ..rules(1) };
    let room = room(&words, &renewing);
    assert!(is_seated(room.enter(1_000).arrive(&visit(1), 7)));
    assert!(room.enter(600_000).is_seated(mix(1)));
    assert!(room.enter(1_199_999).is_seated(mix(1)));
    room.install(&Rules { idle: Some(60_000), ..rules(1) });
    assert!(room.enter(1_200_000).is_seated(mix(1)), "under the new rules too");
    assert!(room.enter(1_259_999).is_seated(mix(1)));
    assert!(!room.enter(1_319_999).is_seated(mix(1)), "idle for too long");
}

#[test]
fn a_seat_at_once_is_kept_by_whom_brings_his_token_back() {
    let words = memory(100_000);
    let room = room(&words, &Rules { per_net: Some(2), ..rules(4) });
    let of = |session, network| Visit { network: Some(network), ..visit(session) };
    assert!(room.enter(10).seat_at_once(&of(1, 1)));
    assert!(room.enter(10).seat_at_once(&of(2, 1)));
    assert!(!room.enter(10).seat_at_once(&of(3, 2)), "half of the seats are provisional");
    assert!(room.enter(11).is_seated(mix(1)));
    assert!(room.enter(11).seat_at_once(&of(3, 1)), "one of the network's is confirmed");
    check(&room, 12);
    let after = 10 + 20_000;
    assert!(room.enter(after).is_seated(mix(1)));
    assert!(!room.enter(after).is_seated(mix(2)), "it has not come back");
    assert!(room.enter(10 + 599_999).is_seated(mix(1)), "the seat is for the whole session");
    check(&room, after);
}

#[test]
fn nobody_is_seated_at_once_before_those_who_wait() {
    let words = memory(100_000);
    let room = room(&words, &rules(4));
    for session in 1..=5 {
        room.enter(10).arrive(&visit(session), 7);
    }
    // One waits and one seat becomes free: it is his.
    let now = 600_010;
    room.enter(now - 2).poll(&visit(5));
    room.install(&rules(5));
    assert!(!room.enter(now - 1).seat_at_once(&visit(9)));
    assert!(is_seated(room.enter(now - 1).poll(&visit(5)).unwrap()));
}

#[test]
fn what_the_rules_bound_is_full() {
    let words = memory(28 << 10);
    let small = room(&words, &rules(1));
    let is_full = |outcome| matches!(outcome, Outcome::Full(_));
    small.enter(10).arrive(&visit(1), 7);
    for session in 2..small.capacity() as u64 + 2 {
        assert!(!is_full(small.enter(10).arrive(&visit(session), 7)), "{session}");
    }
    assert!(is_full(small.enter(10).arrive(&visit(90_000), 7)));
    check(&small, 10);
    let words = memory(100_000);
    let room = room(&words, &Rules { max_waiting: Some(3), per_net: Some(2), ..rules(1) });
    let of = |session, network| Visit { network: Some(network), ..visit(session) };
    room.enter(10).arrive(&of(1, 1), 7);
    assert_eq!(position(room.enter(10).arrive(&of(2, 1), 7)), 1);
    assert_eq!(position(room.enter(10).arrive(&of(3, 1), 7)), 2);
    assert!(is_full(room.enter(10).arrive(&of(4, 1), 7)), "two of one network");
    assert_eq!(position(room.enter(10).arrive(&of(5, 2), 7)), 3);
    assert!(is_full(room.enter(10).arrive(&of(6, 3), 7)), "three in all");
    assert_eq!(room.counted(Counter::Full), 2);
}

#[test]
fn a_young_token_and_one_who_came_after_the_loss_of_a_room_have_no_place_yet() {
    let words = memory(100_000);
    let delayed = room(&words, &Rules { entry_delay: 2_000, ..rules(1) });
    let young = Visit { issued: 2_998, ..visit(1) };
    assert!(matches!(delayed.enter(10).arrive(&young, 7), Outcome::Joins(Told { refresh: 3, .. })));
    assert!(is_seated(delayed.enter(10).arrive(&Visit { issued: 2_997, ..young }, 7)));

    let words = memory(100_000);
    let room = room(&words, &rules(1));
    room.enter(10).arrive(&visit(1), 7);
    assert_eq!(position(room.enter(10).arrive(&visit(2), 7)), 1, "nobody returns");
    let old = Visit { issued: 999, ..visit(3) };
    assert_eq!(position(room.enter(10).arrive(&old, 7)), 2, "his token is older than the room");
    assert!(matches!(room.enter(10).arrive(&visit(4), 7), Outcome::Joins(_)));
    assert_eq!(
        position(room.enter(100_000).arrive(&visit(4), 7)),
        1,
        "by then who returned is known"
    );
}

#[test]
fn admissions_are_no_more_than_allowed_and_in_order() {
    let words = memory(100_000);
    let admit = crate::core::rate::Rate::parse(b"1r/s").ok();
    let room = room(&words, &Rules { admit, refresh: (1_000, 60_000), ..rules(100) });
    let seated = |from: u64, now| {
        let visits = (from..from + 20).map(visit);
        visits.filter(|visit| is_seated(room.enter(now).arrive(visit, 7))).count()
    };
    // Who is told to come back in a second is back after 2.2 at the latest.
    assert_eq!(seated(1, 1_000), 2);
    assert_eq!(seated(1, 1_799), 2, "the same two");
    assert_eq!(position(room.enter(1_800).poll(&visit(4)).unwrap()), 2, "many seats are free");
    assert!(!room.enter(1_800).seat_at_once(&visit(90)), "for others before newcomers");
    assert_eq!(seated(1, 1_800), 3);
    assert_eq!(seated(1, 9_000), 5, "two more, however long it was");
}

#[test]
fn draws_are_fair_and_know_no_position() {
    let words = memory(1 << 20);
    let room = room(&words, &Rules { order: Order::Random, ..rules(1) });
    room.enter(10).arrive(&visit(1), 7);
    for session in 2..102 {
        let outcome = room.enter(10).arrive(&visit(session), 7);
        assert!(matches!(outcome, Outcome::Waits(place) if place.told.position.is_none()));
    }
    room.install(&Rules { order: Order::Random, ..rules(11) });
    // Ten seats for a hundred: one of ten random numbers wins.
    let wins = |random| is_seated(room.enter(10).poll(&Visit { random, ..visit(50) }).unwrap());
    assert!(!wins(u64::MAX / 10 + 1_000));
    assert!(wins(u64::MAX / 10 - 1_000));
}

#[test]
fn a_head_that_stays_does_not_fill_the_ring() {
    let words = memory(28 << 10);
    let room = room(&words, &Rules { session: 1 << 30, ..rules(1) });
    room.enter(10).arrive(&visit(1), 7);
    room.enter(10).arrive(&visit(2), 7);
    let capacity = room.capacity() as u64;
    let mut now = 10;
    // Ten times the capacity join and leave, in crowds of two thirds of it.
    for session in 3..3 + 10 * capacity {
        now += 1;
        let outcome = room.enter(now).arrive(&visit(session), session % 7);
        assert!(matches!(outcome, Outcome::Waits(_)), "{session}: {outcome:?}");
        if session % (capacity * 2 / 3) == 0 {
            for _ in 0..6 {
                now += 20_000;
                assert_eq!(position(room.enter(now).poll(&visit(2)).unwrap()), 1);
            }
            let mut next = Some(0);
            while let Some(from) = next {
                next = room.enter(now).sweep(from);
            }
            assert_eq!(room.enter(now).waiting(), 1, "the head stays");
            check(&room, now);
        }
    }
}

#[test]
fn one_worker_sweeps_at_a_time() {
    let words = memory(100_000);
    let room = room(&words, &rules(1));
    assert!(room.lease(11, 1_000, 3_000));
    assert!(!room.lease(12, 2_999, 9_000));
    assert!(room.lease(11, 2_000, 4_000), "it goes on");
    assert!(!room.lease(12, 3_500, 9_000));
    assert!(room.lease(12, 4_000, 9_000), "it may be dead");
}
