//! How many entries an area holds, known without a look at them: reading them all would make all of
//! the memory resident and hold up who reads.
//!
//! The ring is divided into parts. Each has a word: how many of the entries that begin in it are named
//! by the index, and in which lap they were written. Who names an entry counts it; the first to name one of a new
//! lap begins the part's count anew, because what the part held before is being written over. Each change is one
//! exchange, so that a death leaves the count wrong by no more than one.

use std::sync::atomic::Ordering::Relaxed;

use crate::shm::Word;

/// Parts of a ring.
pub const PARTS: usize = 64;

/// A part's word is the lap above the count.
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// The tally of a ring.
#[derive(Clone, Copy)]
pub struct Tally<'a> {
    parts: &'a [Word],
    evicted: &'a Word,
    /// Words of the ring.
    ring: u64,
}

impl<'a> Tally<'a> {
    /// Over [`PARTS`] words and one, for a ring of so many words.
    pub fn new(parts: &'a [Word], evicted: &'a Word, ring: usize) -> Self {
        Self { parts: &parts[..PARTS], evicted, ring: ring as u64 }
    }

    /// The word of a position's part, and the position's lap.
    fn part(&self, position: u64) -> (&'a Word, u64) {
        let part = position % self.ring * PARTS as u64 / self.ring;
        (&self.parts[part as usize], position / self.ring)
    }

    /// Counts the entry at a position.
    pub fn add(&self, position: u64) {
        let (word, lap) = self.part(position);
        let before = word.fetch_update(Relaxed, Relaxed, |held| match held >> COUNT_BITS {
            same if same == lap => Some(held + 1),
            earlier if earlier < lap => Some(lap << COUNT_BITS | 1),
            _ => None,
        });
        match before {
            Ok(held) if held >> COUNT_BITS < lap && held & COUNT_MASK > 0 => {
                self.evicted.fetch_add(held & COUNT_MASK, Relaxed);
            }
            _ => {}
        }
    }

    /// Counts the entry at a position no more. Whether it was counted.
    pub fn subtract(&self, position: u64) -> bool {
        let (word, lap) = self.part(position);
        let is_counted = |held: u64| held >> COUNT_BITS == lap && held & COUNT_MASK > 0;
        // A part that is in a later lap does not count it any more.
        let less = |held| is_counted(held).then(|| held.wrapping_sub(1));
        word.fetch_update(Relaxed, Relaxed, less).is_ok()
    }

    /// Counts the entry at a position no more, because another takes its place.
    pub fn evict(&self, position: u64) {
        if self.subtract(position) {
            self.evicted.fetch_add(1, Relaxed);
        }
    }

    /// How many entries there are, if all before `oldest` are gone.
    pub fn entries(&self, oldest: u64) -> u64 {
        let count = |(part, word): (usize, &Word)| {
            let held = word.load(Relaxed);
            let end = ((part as u64 + 1) * self.ring).div_ceil(PARTS as u64);
            let is_left = (held >> COUNT_BITS) * self.ring + end > oldest;
            if is_left {
                held & COUNT_MASK
            } else {
                0
            }
        };
        self.parts.iter().enumerate().map(count).sum()
    }

    /// How many entries gave way to others.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// Takes note that all entries before `end` are gone, and have not given way to others.
    pub fn clear(&self, end: u64) {
        for word in self.parts {
            let is_gone = |held: u64| held >> COUNT_BITS <= end / self.ring;
            let _ = word
                .fetch_update(Relaxed, Relaxed, |held| is_gone(held).then_some(held & !COUNT_MASK));
        }
    }
}
