//! A ring that is as good as full, all the time: nobody is turned away while fewer wait than may.

use super::super::section::Section;
use super::super::*;
use super::invariants::{check, state};
use super::{memory, mix, room, rules, visit};

/// Who leaves, of those who stand in the queue at that moment, in order.
type Leaves = fn(rank: u64, waiting: u64, noise: u64) -> bool;

const PATTERNS: [(&str, Leaves); 6] = [
    ("one of a hundred, anywhere", |_, _, noise| noise % 100 == 0),
    ("one of five, anywhere", |_, _, noise| noise % 5 == 0),
    ("the first but one and some behind", |rank, waiting, _| rank > 1 && rank < waiting / 10),
    ("the first", |rank, waiting, _| rank < waiting / 50),
    ("the last", |rank, waiting, _| rank > waiting - waiting / 8),
    ("every other one", |rank, _, _| rank % 2 == 0),
];

/// Takes out those whom a pattern names; how many there were.
fn leave(section: &Section<'_>, leaves: Leaves, noise: u64) -> u64 {
    let (mut rank, mut left, waiting) = (0, 0, section.waiting());
    let mut next = section.get(at::HEAD);
    while let Some(number) = section.next_from(next) {
        next = number + 1;
        rank += 1;
        if leaves(rank, waiting, mix(noise ^ number)) {
            let slot = section.slot_of(number);
            section.room.places.set_deadline(slot, 0);
            assert!(section.vacate_if_absent(slot));
            left += 1;
        }
    }
    left
}

#[test]
fn nobody_is_turned_away_from_a_ring_that_has_a_place() {
    let words = memory(192 << 10);
    let room = room(&words, &rules(1));
    let mut come = 0;
    let mut arrive = || {
        come += 1;
        let outcome = room.enter(10).arrive(&visit(come), come % 300);
        assert!(!matches!(outcome, Outcome::Full(_)), "{come}");
    };
    // The first has the seat.
    (0..=room.capacity()).for_each(|_| arrive());
    for round in 0..120 {
        let (name, leaves) = PATTERNS[(mix(round) % 6) as usize];
        let left = leave(&room.enter(10), leaves, round);
        // Others leave while places are filled again, and the ring is compacted.
        for turn in 0..left {
            arrive();
            if turn == left / 2 {
                let (_, leaves) = PATTERNS[(mix(!round) % 6) as usize];
                (0..leave(&room.enter(10), leaves, !round)).for_each(|_| arrive());
            }
        }
        assert_eq!(room.enter(10).waiting(), room.capacity() as u64, "{name}");
        state(&room.enter(10));
    }
    check(&room, 10);
}
