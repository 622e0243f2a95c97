//! A limiter's zone: the buckets of its keys, its counters, and the names of the heaviest keys.

pub mod counters;
pub mod heaviest;
#[cfg(not(shuttle))]
mod layout;
mod newcomer;
pub mod table;

#[cfg(all(test, not(shuttle)))]
mod hammer;
#[cfg(all(test, shuttle))]
mod model;
#[cfg(all(test, not(shuttle)))]
mod tests;

use std::sync::atomic::Ordering::Relaxed;

use self::counters::{Counter, Counters};
use self::heaviest::{Heaviest, Heavy};
use self::table::{Charge, Table};
use super::pair::SET;
use super::Word;
use crate::core::bucket::{Bucket, Limit, Offer};
use crate::core::hash::{hash, Secret};
use crate::core::rate::Rate;

/// A sweep's slice is this part of all sets, so that a thousand slices visit every one …
const SLICES: usize = 1024;
/// … but no fewer than so many.
const SLICE_MIN: usize = 1024;

/// When and by whom the limiter is asked.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// A clock of milliseconds, the same for all workers.
    pub now: u64,
    /// The worker's number, by which it has counters of its own.
    pub worker: usize,
}

/// A key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(u64);

/// What is held of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What its bucket holds now, in thousandths of a request.
    pub excess: u32,
    /// Milliseconds since it was last charged; of a key that has owed for longer than twelve days, since a sweep
    /// has looked after it.
    pub idle: u32,
}

/// A limiter over its memory. Cheap to make; all state is in the words.
#[derive(Clone, Copy)]
pub struct Limiter<'a> {
    secret: Secret,
    cursor: &'a Word,
    counters: Counters<'a>,
    heaviest: Heaviest<'a>,
    table: Table<'a>,
}

impl<'a> Limiter<'a> {
    /// The number of keys for which there is room.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// A key's hash.
    #[inline(always)]
    pub fn tag(&self, key: &[u8]) -> Tag {
        // A tag of zero would be that of a free slot.
        Tag(hash(key, &self.secret).max(1))
    }

    /// What is held of a key.
    #[inline]
    pub fn bucket(&self, tag: Tag) -> Bucket {
        self.table.bucket(tag.0)
    }

    /// What is held of a key, for those who ask to know; it changes nothing. `rate` is that of all keys. Where
    /// each request has its own, nobody knows how fast a bucket leaks, and the excess is that of its last
    /// request. `None`: the key is not held.
    pub fn held(&self, tag: Tag, rate: Option<Rate>, now: u64) -> Option<Held> {
        let bucket = Some(self.bucket(tag)).filter(|bucket| bucket.level > 0)?;
        let excess = rate.map_or(bucket.level, |rate| bucket.level_at(rate, now));
        Some(Held { excess, idle: bucket.idle(now) })
    }

    /// Charges a key if `limit` lets its request pass at once, and returns the excess. Else the key's
    /// bucket, if it has one; nothing has changed, and [`Self::charge`] tells more.
    #[inline(always)]
    pub fn pass(&self, tag: Tag, limit: Limit, now: u64) -> Result<u32, Option<Bucket>> {
        self.table.pass(tag.0, limit, now)
    }

    /// Lets `limit` decide about a request, and charges the key if it passes.
    #[inline]
    pub fn charge(&self, tag: Tag, limit: Limit, turn: Turn) -> (Offer, Option<Charge<'a>>) {
        self.table.charge(tag.0, limit, turn, &self.counters)
    }

    /// The same where the key was not found just now.
    #[inline]
    pub fn charge_new(&self, tag: Tag, limit: Limit, turn: Turn) -> (Offer, Option<Charge<'a>>) {
        self.table.charge_new(tag.0, limit, turn, &self.counters)
    }

    /// Takes a charge back.
    pub fn restore(&self, charge: Charge<'_>) {
        self.table.restore(charge, &self.counters);
    }

    /// Counts an outcome.
    #[inline]
    pub fn count(&self, counter: Counter, turn: Turn) {
        self.counters.add(counter, turn.worker);
    }

    /// Counts a key that was refused or held back among the heaviest.
    #[inline]
    pub fn count_heavy(&self, tag: Tag, key: &[u8]) {
        self.heaviest.add(tag.0, key);
    }

    /// How often something has been counted since the zone was made.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters.sum(counter)
    }

    /// How many keys it holds, without a look at them, which would make their memory resident. Exact while
    /// nothing happens; each worker that dies in the middle of a change may leave one too many.
    pub fn keys(&self) -> u64 {
        self.counters.held().min(self.capacity() as u64)
    }

    /// Forgets what a key owes. Tells whether anything was held of it.
    pub fn forget(&self, tag: Tag) -> bool {
        self.table.remove(tag.0, &self.counters)
    }

    /// The heaviest keys, the first first; at most so many.
    pub fn heaviest(&self, most: usize) -> Vec<Heavy> {
        self.heaviest.list(most)
    }

    /// Looks after a slice of the slots, the next one. It is to be called so often that a thousand
    /// calls fit into four days; `rate` is that of all keys, if they have one.
    pub fn sweep(&self, rate: Option<Rate>, now: u64) {
        let sets = self.table.capacity() / SET;
        let slice = (sets / SLICES).max(SLICE_MIN);
        let start = self.cursor.fetch_add(slice as u64, Relaxed);
        self.table.sweep((start % sets as u64) as usize, slice, rate, now, &self.counters);
    }
}
