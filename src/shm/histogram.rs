//! A histogram in shared memory: counts that anybody may add to at any time, without a lock.

use std::sync::atomic::Ordering::Relaxed;

use super::Word;
use crate::core::histogram::{self, bucket_of, BUCKETS};

/// Words of a histogram: a count for each bucket, and the sum.
pub const WORDS: usize = BUCKETS + 1;

/// The histogram over its words. Fresh memory, which is all zero, is an empty one.
#[derive(Clone, Copy)]
pub struct Histogram<'a>(&'a [Word; WORDS]);

impl<'a> Histogram<'a> {
    /// Over the first [`WORDS`] of some words. `None`: there are fewer.
    pub fn new(words: &'a [Word]) -> Option<Self> {
        words.first_chunk().map(Self)
    }

    /// Over the [`WORDS`] from a place on of words that are known to be so many.
    #[inline]
    pub fn of<const LENGTH: usize>(words: &'a [Word; LENGTH], place: usize) -> Self {
        Self(words[place..].first_chunk().expect("as many words"))
    }

    /// Counts a value. The sum wraps, which real bytes and times never make it do.
    #[inline]
    pub fn add(&self, value: u64) {
        self.0[bucket_of(value)].fetch_add(1, Relaxed);
        self.0[BUCKETS].fetch_add(value, Relaxed);
    }

    /// What it holds now; values that are counted meanwhile may be in it or not.
    pub fn read(&self) -> histogram::Histogram {
        let sum = self.0[BUCKETS].load(Relaxed);
        // Without a sum there is nothing but zeros, if anything: most histograms are empty.
        let buckets = if sum == 0 { 1 } else { BUCKETS };
        let counts = self.0[..buckets].iter().map(|count| count.load(Relaxed));
        histogram::Histogram::new(counts, sum)
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Relaxed));
    }
}
