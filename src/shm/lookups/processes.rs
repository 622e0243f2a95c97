//! What is so at the moment, by process: connections that are open, answers that are owed, those who wait.
//!
//! Each process changes its own figures alone, and they are summed over those that live. So nothing is left of one that was
//! killed, and two generations of workers, which share their numbers for a while, do not disturb each other.

use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

use super::servers::{ServerNumber, SERVERS};
use super::LINE;
use crate::shm::Word;

/// Processes that have a place: workers of all generations that live.
const PROCESSES: usize = 256;

/// Words of a process: who waits; then connections and answers owed, for each server and all others.
const PROCESS: usize = (1 + 2 * (SERVERS + 1)).next_multiple_of(LINE);

/// Words of all: each place's process, zero if it is free, then their figures.
pub(super) const WORDS: usize = PROCESSES + PROCESSES * PROCESS;

/// A process, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessNumber(usize);

/// All processes.
#[derive(Clone, Copy)]
pub(super) struct Processes<'a> {
    owners: &'a [Word],
    figures: &'a [Word],
}

impl<'a> Processes<'a> {
    /// Over [`WORDS`] words.
    pub fn new(words: &'a [Word]) -> Self {
        let (owners, figures) = words[..WORDS].split_at(PROCESSES);
        Self { owners, figures }
    }

    /// A place for a process. `None`: all are taken.
    pub fn join(&self, process: u32) -> Option<ProcessNumber> {
        let take =
            |owner: &Word| owner.compare_exchange(0, process.into(), AcqRel, Relaxed).is_ok();
        self.owners.iter().position(take).map(ProcessNumber)
    }

    /// Gives a place up.
    pub fn leave(&self, process: ProcessNumber) {
        self.gauges(process).0.iter().for_each(|figure| figure.store(0, Relaxed));
        self.owners[process.0].store(0, Release);
    }

    /// Frees the places of the dead. Each becomes that of the living `process` first: so two who do this do not
    /// take a place from whoever has got it meanwhile, and if this one dies the next one frees it.
    pub fn bury(&self, process: u32, is_alive: impl Fn(u32) -> bool) {
        for (number, owner) in self.owners.iter().enumerate() {
            let dead = owner.load(Relaxed);
            if dead == 0 || is_alive(dead as u32) {
                continue;
            }
            if owner.compare_exchange(dead, process.into(), AcqRel, Relaxed).is_ok() {
                self.leave(ProcessNumber(number));
            }
        }
    }

    /// The figures of a process.
    pub fn gauges(&self, process: ProcessNumber) -> Gauges<'a> {
        Gauges(&self.figures[process.0 * PROCESS..][..PROCESS])
    }

    /// The sum of a figure over all processes.
    pub fn sum(&self, figure: impl Fn(&Gauges<'a>) -> u64) -> u64 {
        let taken = self.owners.iter().enumerate().filter(|(_, owner)| owner.load(Relaxed) != 0);
        taken.map(|(number, _)| figure(&self.gauges(ProcessNumber(number)))).sum()
    }
}

/// A process's figures.
#[derive(Clone, Copy)]
pub struct Gauges<'a>(&'a [Word]);

impl Gauges<'_> {
    /// Says how many requests wait for the store.
    pub fn set_in_flight(&self, requests: u64) {
        self.0[0].store(requests, Relaxed);
    }

    /// Says how many connections to a server are open, and how many answers it owes, more or less than before. Those
    /// without a place of their own share one.
    pub fn change(&self, server: ServerNumber, before: [u64; 2], after: [u64; 2]) {
        for ((word, before), after) in self.of(server).iter().zip(before).zip(after) {
            word.fetch_add(after.wrapping_sub(before), Relaxed);
        }
    }

    /// How many requests wait for the store.
    pub(super) fn in_flight(&self) -> u64 {
        self.0[0].load(Relaxed)
    }

    /// How many connections to a server are open.
    pub(super) fn connections(&self, server: ServerNumber) -> u64 {
        self.of(server)[0].load(Relaxed)
    }

    /// How many answers a server owes.
    pub(super) fn owed(&self, server: ServerNumber) -> u64 {
        self.of(server)[1].load(Relaxed)
    }

    fn of(&self, server: ServerNumber) -> &[Word] {
        &self.0[1 + 2 * server.place()..][..2]
    }
}
