//! What an operator is told, and whom he takes out.

use super::super::places::{milliseconds_since, moment};
use super::super::*;
use super::invariants::check;
use super::{is_seated, memory, mix, position, room, rules, visit};
use crate::core::report::SessionState;

#[test]
fn a_moment_is_told_to_a_sixteenth_of_a_second_for_twelve_days() {
    const DAY: u64 = 86_400_000;
    for start in [0, 1, 63, 64, 12 * DAY - 1, 400 * DAY + 12_345, HIGH_MAX - 12 * DAY] {
        for waited in [0, 1, 64, 1_000, 59_999, DAY, 12 * DAY] {
            let told = milliseconds_since(moment(start), start + waited);
            assert!(told.abs_diff(waited) < 64, "{waited} ms from {start}: {told}");
        }
        for behind in [0, 15, 59_000] {
            let now = start.saturating_sub(behind);
            assert_eq!(milliseconds_since(moment(start), now), 0, "a clock behind by {behind} ms");
        }
    }
}

#[test]
fn an_operator_is_told_where_a_session_is_and_changes_nothing() {
    let words = memory(100_000);
    let room = room(&words, &Rules { idle: Some(60_000), ..rules(4) });
    let state = |session, now| room.enter(now).state(mix(session));
    assert_eq!(state(1, 10), None);
    assert!(room.enter(1_000).seat_at_once(&visit(1)));
    for session in 2..=7 {
        room.enter(2_000).arrive(&visit(session), 7);
    }
    assert_eq!((room.waiting(), room.active(), room.provisional()), (3, 4, 1));
    let active = |left, is_provisional| Some(SessionState::Active { left, is_provisional });
    assert_eq!(state(1, 3_000), active(18_000, true));
    assert_eq!(state(2, 3_000), active(59_000, false));
    // The first seat is free when its owner has not come back for 20 s; nobody has been admitted yet from whom one
    // could tell how fast it goes, so the others are 600 s / 4 apart.
    let expected = |position| {
        let wait = 18_000 + (position - 1) * 150_000;
        // In whole moments.
        Some(SessionState::Waiting { position, wait: Some(wait), waited: 960 })
    };
    assert_eq!(state(5, 3_000), expected(1));
    assert_eq!(state(7, 3_000), expected(3));
    assert_eq!(room.enter(3_000).estimated_wait(), Some(18_000 + 3 * 150_000));
    // He who was asked for was not heard of.
    assert_eq!(state(1, 20_999), active(1, true));
    assert_eq!(state(1, 21_000), None);
}

#[test]
fn what_nobody_can_foresee_is_not_told() {
    let words = memory(100_000);
    let room = room(&words, &Rules { session: 8 * 86_400_000, ..rules(1) });
    assert_eq!(room.enter(10).estimated_wait(), Some(0));
    room.enter(10).arrive(&visit(1), 7);
    assert_eq!(room.enter(10).estimated_wait(), None, "eight days");
    assert_eq!(room.enter(10 + 86_400_000).estimated_wait(), Some(7 * 86_400_000));
}

#[test]
fn whoever_is_taken_out_may_come_again_at_the_end() {
    let words = memory(100_000);
    let room = room(&words, &Rules { per_net: Some(3), ..rules(2) });
    let of = |session| Visit { network: Some(5), ..visit(session) };
    for session in 1..=5 {
        room.enter(10).arrive(&of(session), 7);
    }
    assert!(matches!(room.enter(10).arrive(&of(6), 7), Outcome::Full(_)), "three of a network");
    assert!(!room.enter(10).remove(mix(6)));
    assert!(room.enter(10).remove(mix(3)), "the first of the queue");
    assert!(!room.enter(10).remove(mix(3)));
    assert_eq!(position(room.enter(10).poll(&of(4)).unwrap()), 1);
    assert_eq!(position(room.enter(10).arrive(&of(6), 7)), 3, "the network has a place again");
    assert!(room.enter(10).remove(mix(4)));
    assert_eq!(position(room.enter(10).arrive(&of(3), 7)), 3);
    check(&room, 10);
    assert!(room.enter(11).remove(mix(1)), "a seat");
    assert!(!room.enter(11).is_seated(mix(1)));
    assert_eq!(room.counted(Counter::Ended), 1);
    assert_eq!(room.counted(Counter::Absent), 0, "nobody was absent");
    assert!(is_seated(room.enter(12).poll(&of(5)).unwrap()), "it is the next one's");
    check(&room, 12);
}

#[test]
fn the_waits_are_of_those_who_waited() {
    let words = memory(100_000);
    let room = room(&words, &Rules { absent: 1 << 30, ..rules(2) });
    for session in 1..=2 {
        assert!(is_seated(room.enter(1_000).arrive(&visit(session), 7)));
    }
    assert!(room.waits().count() == 0, "they found a seat");
    for session in 3..=6 {
        room.enter(session * 10_000).arrive(&visit(session), 7);
    }
    for session in 3..=4 {
        assert!(is_seated(room.enter(601_000).poll(&visit(session)).unwrap()));
    }
    // The third has waited for 571 s, the fourth for 561 s; a room that is opened again knows it still.
    let waits = Room::open(&words).unwrap().waits();
    assert_eq!(waits.count(), 2);
    assert!(waits.sum().abs_diff(571_000 + 561_000) <= 2 * 64, "{}", waits.sum());
    assert!((561_000 - 64..=571_000 * 9 / 8).contains(&waits.quantile(500).unwrap()));
}
