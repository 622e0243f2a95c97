//! What a zone has done, counted without one worker waiting for another.

use std::sync::atomic::Ordering::Relaxed;

use crate::shm::Word;

/// Stripes of counters. Workers of one number modulo this share one: after a reload there are two.
const STRIPES: usize = 16;

/// Words of a stripe: a cache line.
const STRIPE: usize = 8;

/// Words of all.
pub const WORDS: usize = STRIPES * STRIPE;

/// What is counted; the first five as NGINX Plus names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Requests that passed at once.
    Passed,
    /// Requests that were held back.
    Delayed,
    /// Requests that were refused.
    Rejected,
    /// Requests that a dry run would have held back.
    DelayedDryRun,
    /// Requests that a dry run would have refused.
    RejectedDryRun,
    /// Keys that were put into the table, or were about to be: each attempt has a number of its own.
    Inserted,
    /// Keys that gave way to others while they owed nothing any more.
    Evicted,
    /// Keys that gave way to others while they still owed.
    EvictedInDebt,
}

/// The counters of a zone.
#[derive(Clone, Copy)]
pub struct Counters<'a> {
    stripes: &'a [Word],
    /// Attempts to put a key in that came to nothing, and slots that became free other than for another key:
    /// one word for all workers, because both are rare.
    released: &'a Word,
}

impl<'a> Counters<'a> {
    /// Over [`WORDS`] words, at the start of a cache line, and one that is elsewhere.
    pub fn new(words: &'a [Word], released: &'a Word) -> Self {
        Self { stripes: &words[..WORDS], released }
    }

    /// Counts one more, and returns a number that this stripe has not given for 2²⁸ calls.
    #[inline]
    pub fn add(&self, counter: Counter, worker: usize) -> u32 {
        let stripe = worker % STRIPES;
        let before = self.stripes[stripe * STRIPE + counter as usize].fetch_add(1, Relaxed);
        (stripe as u32) << 28 | (before as u32 & 0x0fff_ffff)
    }

    /// How many there were.
    pub fn sum(&self, counter: Counter) -> u64 {
        self.stripes.chunks(STRIPE).map(|stripe| stripe[counter as usize].load(Relaxed)).sum()
    }

    /// Counts a slot that became free other than for another key, or [`Counter::Inserted`] back.
    pub fn release(&self) {
        self.released.fetch_add(1, Relaxed);
    }

    /// How many slots are in use, without a look at them: what was put in, less what is gone. What happens
    /// meanwhile may be in it or not, and each worker that dies between a slot and its count may leave one
    /// too many.
    pub fn held(&self) -> u64 {
        let gone = [Counter::Evicted, Counter::EvictedInDebt].map(|counter| self.sum(counter));
        let gone = gone.iter().sum::<u64>() + self.released.load(Relaxed);
        self.sum(Counter::Inserted).saturating_sub(gone)
    }
}
