//! The keys that were refused or held back most often, by name.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi, ICDT 2005) in sets of eight: a key without an entry
//! takes that of the least in its set, and its count. So a count is too high by at most what
//! the set's least had, and a key above that is never missing.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::shm::Word;

/// Entries of a zone that is large enough.
const ENTRIES_MAX: usize = 256;

/// Entries of a set.
const SET: usize = 8;

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
    pub tag: u64,
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
            Some(at) => _ = self.counts[first + at].fetch_add(1, Relaxed),
            None => self.take(first, tag, key),
        }
    }

    /// Gives a key the place of the least in its set. If somebody else does so at the same time, one count
    /// is lost.
    #[cold]
    fn take(&self, first: usize, tag: u64, key: &[u8]) {
        let counts = (first..first + SET).map(|at| (self.counts[at].load(Relaxed), at));
        let (_, least) = counts.min().expect("a set has entries");
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
        let mut name = [0; NAME_MAX];
        name[..key.len()].copy_from_slice(key);
        let words = self.name_of(entry);
        for (word, bytes) in words[1..].iter().zip(name.chunks(8)) {
            word.store(u64::from_le_bytes(bytes.try_into().expect("eight bytes")), Relaxed);
        }
        words[0].store(check(tag, key), Release);
    }

    /// All that have a name, the heaviest first. An entry that is being written is left out.
    pub fn list(&self) -> Vec<Heavy> {
        let mut list: Vec<_> = (0..self.tags.len()).filter_map(|entry| self.read(entry)).collect();
        list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        list
    }

    fn read(&self, entry: usize) -> Option<Heavy> {
        let tag = self.tags[entry].load(Acquire);
        let count = self.counts[entry].load(Relaxed);
        let words = self.name_of(entry);
        let written = words[0].load(Acquire);
        let mut name: Vec<u8> =
            words[1..].iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        name.truncate(length_in(written));
        let is_whole = tag != 0 && count > 0 && check(tag, &name) == written;
        is_whole.then_some(Heavy { count, tag, name })
    }
}

/// A name's length, and a sum over tag and name by which a half-written one is found out (FNV-1a).
fn check(tag: u64, name: &[u8]) -> u64 {
    let sum = tag.to_le_bytes().iter().chain(name).fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    sum << 8 | name.len() as u64
}

fn length_in(check: u64) -> usize {
    (check & 0xff) as usize
}
