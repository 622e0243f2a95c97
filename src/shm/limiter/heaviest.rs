//! The keys that were refused or held back most often, by name.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi, ICDT 2005) in sets of eight: a key without an entry
//! takes that of the least in its set, and its count. So a count is too high by at most what
//! the set's least had, and a key above that is never missing.

use std::cmp::Reverse;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::Tag;
use crate::shm::Word;

/// Entries of a zone that is large enough.
const ENTRIES_MAX: usize = 256;

/// Entries of a set.
const SET: usize = 8;

/// A name is written anew after so many counts: two workers may have written it at once, or one died.
const RENEWAL: u64 = 256;

/// The most bytes of a key that are kept.
pub const NAME_MAX: usize = 64;

/// Words of an entry: tag, count, check and length of the name, and the name.
const ENTRY: usize = 3 + NAME_MAX / 8;

/// The entries.
#[derive(Clone, Copy)]
pub struct Heaviest<'a> {
    tags: &'a [Word],
    counts: &'a [Word],
    names: &'a [Word],
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heavy {
    /// How often it was refused or held back, or a little more.
    pub count: u64,
    /// The hash of the whole key.
    pub tag: Tag,
    /// The key's first [`NAME_MAX`] bytes.
    pub name: Vec<u8>,
}

/// The words that a zone of `words` words has for this: a thirty-second part, at most 256 entries.
pub fn words_of(words: usize) -> usize {
    (words / 32 / ENTRY / SET * SET).clamp(SET, ENTRIES_MAX) * ENTRY
}

impl<'a> Heaviest<'a> {
    /// Over as many words as [`words_of`] has said.
    pub fn new(words: &'a [Word]) -> Self {
        let entries = words.len() / ENTRY;
        let (tags, rest) = words.split_at(entries);
        let (counts, names) = rest.split_at(entries);
        Self { tags, counts, names }
    }

    /// Counts a key once more.
    #[inline]
    pub fn add(&self, tag: u64, key: &[u8]) {
        let sets = (self.tags.len() / SET) as u128;
        let first = ((u128::from(tag) * sets) >> 64) as usize * SET;
        let tags = &self.tags[first..first + SET];
        match tags.iter().position(|word| word.load(Relaxed) == tag) {
            Some(at) => {
                let count = self.counts[first + at].fetch_add(1, Relaxed);
                if count % RENEWAL == 0 {
                    self.write_name(first + at, tag, key);
                }
            }
            None => self.take(first, tag, key),
        }
    }

    /// Gives a key the place of the least in its set. If somebody else does so at the same time, one count
    /// is lost.
    #[inline(never)]
    fn take(&self, first: usize, tag: u64, key: &[u8]) {
        let (mut least, mut count) = (first, u64::MAX);
        for (at, other) in self.counts[first..first + SET].iter().enumerate() {
            let other = other.load(Relaxed);
            if other < count {
                (least, count) = (first + at, other);
            }
        }
        let old = self.tags[least].load(Relaxed);
        if self.tags[least].compare_exchange(old, tag, AcqRel, Relaxed).is_ok() {
            self.counts[least].fetch_add(1, Relaxed);
            self.write_name(least, tag, key);
        }
    }

    fn name_of(&self, entry: usize) -> &'a [Word] {
        let words = ENTRY - 2;
        &self.names[entry * words..(entry + 1) * words]
    }

    fn write_name(&self, entry: usize, tag: u64, key: &[u8]) {
        let key = &key[..key.len().min(NAME_MAX)];
        let (check_word, words) = self.name_of(entry).split_first().expect("a name has a check");
        let mut sum = tag;
        for (word, bytes) in words.iter().zip(key.chunks(8)) {
            // Byte by byte: a copy of so few is a call.
            let name = bytes.iter().rev().fold(0, |name, byte| name << 8 | u64::from(*byte));
            word.store(name, Relaxed);
            sum = mix(sum, name);
        }
        check_word.store(check(sum, key.len()), Release);
    }

    /// Those that have a name, the heaviest first, but at most so many. An entry that is being written is left
    /// out.
    pub fn list(&self, most: usize) -> Vec<Heavy> {
        let mut counts = [(Reverse(0), 0); ENTRIES_MAX];
        let counts = &mut counts[..self.counts.len()];
        for (entry, place) in counts.iter_mut().enumerate() {
            *place = (Reverse(self.counts[entry].load(Relaxed)), entry);
        }
        counts.sort_unstable();
        counts.iter().filter_map(|(_, entry)| self.read(*entry)).take(most).collect()
    }

    fn read(&self, entry: usize) -> Option<Heavy> {
        let tag = self.tags[entry].load(Acquire);
        let count = self.counts[entry].load(Relaxed);
        let words = self.name_of(entry);
        let written = words[0].load(Acquire);
        let length = (written & LENGTH_MASK) as usize;
        let (mut name, mut sum) = (Vec::with_capacity(NAME_MAX), tag);
        for word in words[1..].iter().take(length.div_ceil(8)) {
            let word = word.load(Relaxed);
            sum = mix(sum, word);
            name.extend_from_slice(&word.to_le_bytes());
        }
        name.truncate(length);
        let is_whole = tag != 0 && count > 0 && check(sum, length) == written;
        is_whole.then_some(Heavy { count, tag: Tag(tag), name })
    }
}

/// The bits of a check that hold the name's length.
const LENGTH_MASK: u64 = 0xff;

/// A name's length, under a sum over tag and name by which a half-written one is found out.
fn check(sum: u64, length: usize) -> u64 {
    sum & !LENGTH_MASK | length as u64
}

/// One step of the sum.
fn mix(sum: u64, word: u64) -> u64 {
    (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
