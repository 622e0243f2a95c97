//! The table under a model checker, which chooses at each access who runs next. Three sets, so that all keys
//! meet in the same slots. `scripts/test` runs it with `--cfg shuttle`.
//!
//! The three races of a slot of two words are here: a charge that lands on who has taken the slot, one key put
//! in twice at once, and a worker that dies between putting a key in and charging it.

use shuttle::sync::Arc;
use shuttle::thread;

use super::counters::{self, Counters};
use super::table::Table;
use super::*;
use crate::core::rate::REQUEST;
use crate::shm::pair::Set;

/// Schedules that are tried.
const SCHEDULES: usize = 2_000;

const NOW: u64 = 77_000;

/// The key that everybody asks for. It may be in each of the three sets.
const KEY: u64 = 0xa851_f9a2_36f7_ec73;

/// A table, as all threads see it.
struct Memory {
    sets: Vec<Set>,
    counters: Vec<Word>,
    released: Word,
}

impl Memory {
    fn new() -> Self {
        Self {
            sets: (0..3).map(|_| Set::new()).collect(),
            counters: (0..counters::WORDS).map(|_| Word::new(0)).collect(),
            released: Word::new(0),
        }
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.sets).unwrap()
    }

    fn counters(&self) -> Counters<'_> {
        Counters::new(&self.counters, &self.released)
    }

    /// Asks as a request does; worker by worker, so that numbers differ.
    fn passes(&self, tag: u64, burst: u32, worker: usize) -> bool {
        let limit = limit(burst);
        self.table().pass(tag, limit, NOW).is_ok() || self.charge(tag, burst, worker).is_some()
    }

    fn charge(&self, tag: u64, burst: u32, worker: usize) -> Option<Charge<'_>> {
        let turn = Turn { now: NOW, worker };
        self.table().charge(tag, limit(burst), turn, &self.counters()).1
    }

    /// Other keys in all slots but `free`, each in debt of so many requests.
    fn fill(&self, free: usize, debt: u32) {
        let bucket = Bucket { level: debt * REQUEST, last: NOW as u32 };
        for (other, slot) in self.sets.iter().flat_map(Set::slots).enumerate().skip(free) {
            assert!(slot.exchange([0, 0], [other_key(other), bucket.to_word()]));
            self.counters().add(Counter::Inserted, 0);
        }
    }

    fn level(&self, tag: u64) -> u32 {
        self.table().bucket(tag).level
    }
}

fn other_key(number: usize) -> u64 {
    (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

fn limit(burst: u32) -> Limit {
    Limit { rate: Rate::DEFAULT, burst: burst * REQUEST, delay: u32::MAX }
}

/// Runs `work` in so many threads, with their numbers, and returns how many said yes.
fn in_threads(
    memory: &Arc<Memory>,
    threads: usize,
    work: impl Fn(&Memory, usize) -> usize + Send + Sync + 'static,
) -> usize {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..threads)
        .map(|number| {
            let (memory, work) = (Arc::clone(memory), Arc::clone(&work));
            thread::spawn(move || work(&memory, number))
        })
        .collect();
    let said = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let held = memory.counters().held();
    assert_eq!(held, memory.table().in_use() as u64, "slots that are counted");
    said
}

#[test]
fn a_new_key_that_all_ask_for_at_once_has_one_allowance() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            let passed = in_threads(&memory, 3, |memory, worker| {
                (0..2).filter(|_| memory.passes(KEY, 2, worker)).count()
            });
            assert_eq!(passed, 3);
            assert_eq!(memory.table().slots_of(KEY), 1);
            assert_eq!(memory.level(KEY), 3 * REQUEST);
        },
        SCHEDULES,
    );
}

#[test]
fn nor_has_it_two_where_there_is_hardly_room() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            memory.fill(2, 2);
            let passed =
                in_threads(&memory, 3, |memory, worker| usize::from(memory.passes(KEY, 0, worker)));
            assert_eq!(passed, 1);
            assert_eq!(memory.table().slots_of(KEY), 1);
        },
        SCHEDULES,
    );
}

#[test]
fn a_worker_that_died_before_it_charged_leaves_neither_debt_nor_allowance() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            let passed = in_threads(&memory, 3, |memory, worker| {
                if worker == 0 {
                    memory.table().leave_unsettled(KEY, &memory.counters());
                    return 0;
                }
                (0..2).filter(|_| memory.passes(KEY, 1, worker)).count()
            });
            assert_eq!(passed, 2);
            // What the dead one has put in last is still there, and still worth nothing.
            assert_eq!(memory.level(KEY), 2 * REQUEST);
            assert!(!memory.passes(KEY, 1, 1));
        },
        SCHEDULES,
    );
}

#[test]
fn no_charge_lands_on_who_has_taken_the_slot() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            memory.fill(0, 1);
            let all = memory.sets.len() * SET;
            in_threads(&memory, 3, move |memory, worker| match worker {
                // Charges keys that are being evicted.
                0 => (0..2).filter(|other| memory.passes(other_key(*other), 9, 0)).count(),
                // Puts new ones in their places.
                _ => usize::from(memory.passes(other_key(all + worker), 0, worker)),
            });
            for new in all..all + 3 {
                let level = memory.level(other_key(new));
                assert!(level == 0 || level == REQUEST, "key {new} owes {level}");
            }
        },
        SCHEDULES,
    );
}

#[test]
fn what_is_taken_back_is_taken_once() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            let kept = in_threads(&memory, 3, |memory, worker| {
                let charge = memory.charge(KEY, 5, worker).unwrap();
                if worker == 0 {
                    return 1;
                }
                memory.table().restore(charge, &memory.counters());
                0
            });
            assert_eq!(memory.level(KEY), kept as u32 * REQUEST);
        },
        SCHEDULES,
    );
}

#[test]
fn a_sweep_takes_nothing_from_who_is_there() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            let passed = in_threads(&memory, 3, |memory, worker| {
                if worker == 0 {
                    memory.table().sweep(0, 3, Some(Rate::DEFAULT), NOW, &memory.counters());
                    return 0;
                }
                (0..2).filter(|_| memory.passes(KEY, 1, worker)).count()
            });
            assert_eq!(passed, 2);
            assert_eq!(memory.level(KEY), 2 * REQUEST);
        },
        SCHEDULES,
    );
}

#[test]
fn who_is_forgotten_has_one_allowance_more_and_is_in_one_slot() {
    // Where there is room, and where the key has to take somebody's place.
    for free in [12, 1] {
        shuttle::check_random(
            move || {
                let memory = Arc::new(Memory::new());
                memory.fill(free, 2);
                assert!(memory.passes(KEY, 1, 0));
                let removed = Arc::new(Word::new(0));
                let count = Arc::clone(&removed);
                let passed = in_threads(&memory, 3, move |memory, worker| {
                    if worker == 0 {
                        let is_removed = memory.table().remove(KEY, &memory.counters());
                        count.store(is_removed.into(), Relaxed);
                        return 0;
                    }
                    (0..2).filter(|_| memory.passes(KEY, 1, worker)).count()
                });
                assert_eq!(removed.load(Relaxed), 1, "it was there from the start");
                // The first has had one of two, and four want one.
                assert!((1..=3).contains(&passed), "{passed}");
                assert_eq!(memory.table().slots_of(KEY), usize::from(memory.level(KEY) > 0));
                let left = memory.level(KEY) / REQUEST;
                assert!(left <= 2 && left as usize <= passed, "{left} of {passed}");
            },
            SCHEDULES / 2,
        );
    }
}

#[test]
fn who_is_forgotten_while_he_is_put_in_is_as_good_as_new() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            let removed = Arc::new(Word::new(0));
            let count = Arc::clone(&removed);
            let passed = in_threads(&memory, 3, move |memory, worker| {
                if worker == 0 {
                    let is_removed = memory.table().remove(KEY, &memory.counters());
                    count.store(is_removed.into(), Relaxed);
                    return 0;
                }
                (0..2).filter(|_| memory.passes(KEY, 0, worker)).count()
            });
            let removed = removed.load(Relaxed) as usize;
            assert!((1..=1 + removed).contains(&passed), "{passed} passed, {removed} removed");
            assert!(memory.table().slots_of(KEY) <= 1);
            assert_eq!(memory.level(KEY), (passed - removed) as u32 * REQUEST);
        },
        SCHEDULES,
    );
}
