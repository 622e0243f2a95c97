//! Histories at random, in rooms so small that they are full, and come round, all the time.

use std::cell::Cell;
use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};

use super::super::*;
use super::memory;
use super::steps::{start, step};
use super::world::World;

const HISTORIES: u32 = 40;
const STEPS: RangeInclusive<usize> = 4_000..=7_000;

/// Steps after which the whole of the room is compared.
const EVERY: usize = 400;

#[test]
fn a_room_does_what_its_model_does() {
    let (sessions, admitted, compacted) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let (full, absent, wrapped) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let add = |sum: &Cell<u64>, amount: u64| sum.set(sum.get() + amount);
    let config = Config { cases: HISTORIES, failure_persistence: None, ..Config::default() };
    let history = (start(), vec(step(), STEPS));
    let outcome = TestRunner::new(config).run(&history, |(start, steps)| {
        let words = memory(start.size << 10);
        let mut world = World::new(&words, start);
        for (number, step) in steps.iter().enumerate() {
            world.take(*step);
            if number % EVERY == 0 {
                world.compare();
            }
        }
        world.compare();
        add(&wrapped, world.room.cells.get(at::TAIL) / world.room.slots as u64);
        add(&sessions, world.sessions() as u64);
        add(&compacted, world.compacted);
        add(&full, world.model.counts.full);
        add(&absent, world.model.counts.absent);
        world.drain();
        world.compare();
        add(&admitted, world.admitted() as u64);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let all = [&sessions, &admitted, &compacted, &full, &absent, &wrapped].map(Cell::get);
    assert!(sessions.get() >= 100_000, "{all:?}");
    assert!(all.iter().all(|count| *count >= 20), "{all:?}");
}
