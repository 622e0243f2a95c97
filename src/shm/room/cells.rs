//! Words, halves of words, and words of two numbers: what the tables of a room are made of.
//!
//! They are read and written under the room's lock, so one at a time; atomic they are because a process
//! may be killed between any two of them, and because a few are also read without the lock.

use std::sync::atomic::Ordering::Relaxed;

use crate::shm::Word;

/// Bits of the lower number of a word of two.
const LOW: u32 = 24;

/// The greatest number of a place or a seat.
pub const LOW_MAX: u64 = (1 << LOW) - 1;

/// The greatest time in milliseconds, and the greatest mark of a key or a network: 40 bits.
pub const HIGH_MAX: u64 = u64::MAX >> LOW;

/// A word of two numbers: one of 40 bits, and one of 24.
pub fn joined(high: u64, low: usize) -> u64 {
    high.min(HIGH_MAX) << LOW | (low as u64 & LOW_MAX)
}

/// The number of 40 bits.
pub fn high(word: u64) -> u64 {
    word >> LOW
}

/// The number of 24 bits.
pub fn low(word: u64) -> usize {
    (word & LOW_MAX) as usize
}

/// Words.
#[derive(Clone, Copy)]
pub struct Cells<'a>(&'a [Word]);

impl<'a> Cells<'a> {
    /// Over these words.
    pub fn new(words: &'a [Word]) -> Self {
        Self(words)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// A word.
    #[inline]
    pub fn get(self, place: usize) -> u64 {
        self.0[place].load(Relaxed)
    }

    /// Writes a word.
    #[inline]
    pub fn set(self, place: usize, value: u64) {
        #[cfg(all(test, not(shuttle)))]
        super::tests::fuse::burn();
        self.0[place].store(value, Relaxed);
    }

    /// Adds to a word.
    pub fn add(self, place: usize, amount: u64) {
        self.set(place, self.get(place).wrapping_add(amount));
    }

    /// Makes all of them zero.
    pub fn clear(self) {
        for place in (0..self.len()).filter(|place| self.get(*place) != 0) {
            self.set(place, 0);
        }
    }
}

/// Numbers of 32 bits, two in a word.
#[derive(Clone, Copy)]
pub struct Halves<'a>(Cells<'a>);

impl<'a> Halves<'a> {
    /// Over these words.
    pub fn new(words: &'a [Word]) -> Self {
        Self(Cells::new(words))
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.len() * 2
    }

    /// A number.
    #[inline]
    pub fn get(self, place: usize) -> u32 {
        (self.0.get(place / 2) >> shift(place)) as u32
    }

    /// Writes a number.
    #[inline]
    pub fn set(self, place: usize, value: u32) {
        let others = self.0.get(place / 2) & !(u64::from(u32::MAX) << shift(place));
        self.0.set(place / 2, others | u64::from(value) << shift(place));
    }

    /// Makes all of them zero.
    pub fn clear(self) {
        self.0.clear();
    }
}

fn shift(place: usize) -> usize {
    place % 2 * 32
}
