//! The places of those who wait: a ring of slots, and in it a list for each key under which they wait.
//!
//! A place is four words: the session (0: the slot is free), the key and when the place was taken, the deadline
//! by which its owner must have been heard of, and the network; the lower parts of the last two are the
//! neighbours in the key's list, which is a circle, from the one who came first on.

use std::sync::atomic::{fence, Ordering::Release};

use super::cells::{high, joined, low, Cells, LOW_MAX};
use super::index::Index;
use crate::shm::Word;

/// Words of a place.
pub const WORDS: usize = 4;

const SESSION: usize = 0;
const KEY: usize = 1;
const DEADLINE: usize = 2;
const NETWORK: usize = 3;

/// A moment is a multiple of so many milliseconds (its logarithm), of which 24 bits are kept: twelve days.
const MOMENT: u32 = 6;

/// A clock that is behind the one that wrote a moment by no more than this, in moments, shows the same time: a
/// minute.
const CLOCK_STEP: u64 = 60_000 >> MOMENT;

/// What is held of one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The session.
    pub session: u64,
    /// The key under which it waits: its mark.
    pub key: u64,
    /// When it has come: [`moment`].
    pub since: usize,
    /// By when it must have been heard of, in milliseconds.
    pub deadline: u64,
    /// The mark of its network.
    pub network: u64,
}

/// A time in milliseconds, as a place keeps it.
pub fn moment(now: u64) -> usize {
    (now >> MOMENT & LOW_MAX) as usize
}

/// The milliseconds from a moment to a time, or up to 64 more or less.
pub fn milliseconds_since(moment: usize, now: u64) -> u64 {
    let moments = (now >> MOMENT).wrapping_sub(moment as u64) & LOW_MAX;
    if moments > LOW_MAX - CLOCK_STEP {
        0
    } else {
        moments << MOMENT
    }
}

/// A key's hash, by which its first place is found: the index takes a hash's upper bits, and the lowest.
fn hash_of(key: u64) -> u64 {
    key << 24 | key & LOW_MAX
}

/// The places.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    cells: Cells<'a>,
    /// The first place of each key.
    firsts: Index<'a>,
}

impl<'a> Places<'a> {
    /// Over the ring's words and those of the index of keys.
    pub fn new(ring: &'a [Word], firsts: &'a [Word]) -> Self {
        Self { cells: Cells::new(ring), firsts: Index::new(firsts) }
    }

    /// What is in a slot.
    pub fn get(self, slot: usize) -> Place {
        Place {
            session: self.session(slot),
            key: self.key(slot),
            since: self.since(slot),
            deadline: self.deadline(slot),
            network: high(self.cells.get(slot * WORDS + NETWORK)),
        }
    }

    /// Who has a slot; 0: nobody.
    #[inline]
    pub fn session(self, slot: usize) -> u64 {
        self.cells.get(slot * WORDS + SESSION)
    }

    /// The moment at which the slot's owner has come.
    pub fn since(self, slot: usize) -> usize {
        low(self.cells.get(slot * WORDS + KEY))
    }

    /// By when the slot's owner must have been heard of.
    pub fn deadline(self, slot: usize) -> u64 {
        high(self.cells.get(slot * WORDS + DEADLINE))
    }

    /// Gives the slot's owner a new deadline.
    pub fn set_deadline(self, slot: usize, deadline: u64) {
        let word = slot * WORDS + DEADLINE;
        self.cells.set(word, joined(deadline, low(self.cells.get(word))));
    }

    /// The first slot of a key.
    pub fn first_of(self, key: u64) -> Option<usize> {
        self.firsts.find(hash_of(key), |slot| hash_of(self.key(slot)))
    }

    /// What is read first when the first slot of `key` is looked for; it means nothing.
    #[inline]
    pub fn warm(self, key: u64) -> u64 {
        self.firsts.warm(hash_of(key))
    }

    /// Fills a free slot. It is the last of its key.
    pub fn put(self, slot: usize, place: Place) {
        let word = slot * WORDS;
        self.cells.set(word + KEY, joined(place.key, place.since));
        self.cells.set(word + DEADLINE, joined(place.deadline, slot));
        self.cells.set(word + NETWORK, joined(place.network, slot));
        // What is cut off here is a free slot.
        fence(Release);
        self.cells.set(word + SESSION, place.session);
        self.link(slot);
    }

    /// Frees a slot.
    pub fn take(self, slot: usize) {
        self.unlink(slot);
        // Whoever goes from here to a seat has it by now.
        fence(Release);
        self.cells.set(slot * WORDS + SESSION, 0);
    }

    /// Moves a place to a free slot.
    pub fn relocate(self, from: usize, to: usize) {
        for word in (SESSION..=NETWORK).rev() {
            fence(Release);
            self.cells.set(to * WORDS + word, self.cells.get(from * WORDS + word));
        }
        let (next, previous) = (self.next(from), self.previous(from));
        if next == from {
            self.set_next(to, to);
            self.set_previous(to, to);
        } else {
            self.set_previous(next, to);
            self.set_next(previous, to);
        }
        self.firsts.replace(hash_of(self.key(from)), from, to);
        fence(Release);
        self.cells.set(from * WORDS + SESSION, 0);
    }

    /// Empties a slot that nothing else knows of: for a rebuild.
    pub fn wipe(self, slot: usize) {
        self.cells.set(slot * WORDS + SESSION, 0);
    }

    /// Forgets the lists of all keys: for a rebuild, which links the places anew.
    pub fn unlink_all(self) {
        self.firsts.clear();
    }

    /// Puts a slot at the end of its key's list.
    pub fn link(self, slot: usize) {
        let key = self.key(slot);
        let first = self.first_of(key).unwrap_or(slot);
        if first == slot {
            self.firsts.insert(hash_of(key), slot);
        }
        let last = if first == slot { slot } else { self.previous(first) };
        self.set_previous(slot, last);
        self.set_next(slot, first);
        self.set_next(last, slot);
        self.set_previous(first, slot);
    }

    /// How many keys there are.
    #[cfg(all(test, not(shuttle)))]
    pub fn keys(self) -> usize {
        self.firsts.count()
    }

    fn unlink(self, slot: usize) {
        let (next, previous, key) = (self.next(slot), self.previous(slot), self.key(slot));
        if next == slot {
            self.firsts.remove(hash_of(key), slot, |other| hash_of(self.key(other)));
        } else {
            self.set_next(previous, next);
            self.set_previous(next, previous);
            self.firsts.replace(hash_of(key), slot, next);
        }
    }

    fn key(self, slot: usize) -> u64 {
        high(self.cells.get(slot * WORDS + KEY))
    }

    /// The slot of the next one of the same key.
    pub fn next(self, slot: usize) -> usize {
        low(self.cells.get(slot * WORDS + DEADLINE))
    }

    fn set_next(self, slot: usize, next: usize) {
        self.cells.set(slot * WORDS + DEADLINE, joined(self.deadline(slot), next));
    }

    /// The slot of the one before of the same key.
    pub fn previous(self, slot: usize) -> usize {
        low(self.cells.get(slot * WORDS + NETWORK))
    }

    fn set_previous(self, slot: usize, previous: usize) {
        let word = slot * WORDS + NETWORK;
        self.cells.set(word, joined(high(self.cells.get(word)), previous));
    }
}
