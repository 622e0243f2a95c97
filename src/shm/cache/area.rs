//! One area of the cache: a ring of entries, and the index to it.

use std::hash::Hasher;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use siphasher::sip::SipHasher13;

use super::tally::Tally;
use super::Lookup;
use crate::core::{key, path};
use crate::shm::{packed, Word};

/// Index words that are looked at for a key: one cache line.
pub const BUCKET: usize = 8;

/// An index word is a tag of the hash above the position in the ring.
pub(super) const POSITION_BITS: u32 = 48;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

/// Words of an entry before its key: checksum, lengths and time, store.
const ENTRY_HEADER: u64 = 3;

/// Bits of an entry's second word: milliseconds (34 years), then the lengths of path and key.
const TIME_BITS: u32 = 40;
const PATH_BITS: u32 = 16;

/// A ring of entries and the index to it.
#[derive(Clone, Copy)]
pub struct Area<'a> {
    index: &'a [Word],
    pub(super) ring: &'a [Word],
    /// Words ever reserved in the ring.
    head: &'a Word,
    tally: Tally<'a>,
}

/// An entry as the ring holds it at one moment; not yet known to be whole.
struct Entry {
    position: u64,
    key_length: usize,
    path_length: usize,
    time: u64,
    store: u64,
    meta: u64,
}

impl Entry {
    fn key_words(&self) -> u64 {
        self.key_length.div_ceil(8) as u64
    }

    fn path_words(&self) -> u64 {
        self.path_length.div_ceil(8) as u64
    }
}

impl<'a> Area<'a> {
    /// Over words of which one part in `parts` becomes the index, two for the head and for what was
    /// evicted, and those of a tally.
    pub fn new(words: &'a [Word], head: &'a [Word], tally: &'a [Word], parts: usize) -> Self {
        Self::of_parts(words.split_at(words.len() / parts / BUCKET * BUCKET), head, tally)
    }

    /// Over an index and a ring.
    pub(super) fn of_parts(
        (index, ring): (&'a [Word], &'a [Word]),
        head: &'a [Word],
        tally: &'a [Word],
    ) -> Self {
        Self { index, ring, head: &head[0], tally: Tally::new(tally, &head[1], ring.len()) }
    }

    /// When the entry of a key was written, and its path.
    pub fn get(&self, hash: u64, lookup: Lookup<'_>, path: &mut Vec<u8>) -> Option<u64> {
        let (slot, entry) = self.find(hash, lookup, Some(path))?;
        let newer_half = self.head.load(Relaxed) + self.ring.len() as u64 / 2;
        if entry.position < newer_half {
            self.renew(hash, lookup, path, &slot, &entry);
        }
        Some(entry.time)
    }

    /// Appends an entry anew that is in use. The index names it in the very place of what was read: a newer
    /// answer is not to be buried.
    fn renew(&self, hash: u64, lookup: Lookup<'_>, path: &[u8], slot: &Slot<'_>, entry: &Entry) {
        let Some(position) = self.append(lookup, path, entry.time) else {
            return;
        };
        // What had been lapped before the space was reserved may have been so by `clear`.
        let was_held = position - self.ring.len() as u64 <= entry.position;
        let is_named = was_held && slot.replace(index_word(hash, position));
        self.tally.subtract(if is_named { slot.position() } else { position });
    }

    /// The newest whole entry of `lookup`, with where the index names it; its path goes to `path`.
    fn find(
        &self,
        hash: u64,
        lookup: Lookup<'_>,
        mut path: Option<&mut Vec<u8>>,
    ) -> Option<(Slot<'a>, Entry)> {
        let mut below = u64::MAX;
        while let Some(slot) = self.newest(hash, below) {
            below = slot.position();
            if let Some(entry) = self.read(below, lookup, path.as_deref_mut()) {
                return Some((slot, entry));
            }
        }
        None
    }

    /// The newest entry below a position that may be the key's, by its tag.
    fn newest(&self, hash: u64, below: u64) -> Option<Slot<'a>> {
        let oldest = self.oldest();
        let tag = hash >> POSITION_BITS;
        self.bucket(hash)
            .filter(|slot| slot.held >> POSITION_BITS == tag)
            .filter(|slot| (oldest..below).contains(&slot.position()))
            .max_by_key(Slot::position)
    }

    fn bucket(&self, hash: u64) -> impl Iterator<Item = Slot<'a>> {
        let buckets = (self.index.len() / BUCKET) as u64;
        // Multiply-shift (Lemire 2019) by the low bits, which the tag does not have.
        let number = ((hash & u64::from(u32::MAX)) * buckets) >> u32::BITS;
        let start = number as usize * BUCKET;
        let words = &self.index[start..start + BUCKET];
        words.iter().map(|word| Slot { word, held: word.load(Acquire) })
    }

    /// The words from `position` on.
    fn at(&self, position: u64) -> impl Iterator<Item = &'a Word> + use<'a> {
        let start = (position % self.ring.len() as u64) as usize;
        let (front, back) = self.ring.split_at(start);
        back.iter().chain(front)
    }

    fn read(
        &self,
        position: u64,
        lookup: Lookup<'_>,
        mut path: Option<&mut Vec<u8>>,
    ) -> Option<Entry> {
        let mut words = self.at(position).map(|word| word.load(Relaxed));
        let (checksum, meta, store) = (words.next()?, words.next()?, words.next()?);
        let entry = Entry {
            position,
            time: meta & ((1 << TIME_BITS) - 1),
            path_length: (meta >> TIME_BITS) as usize & ((1 << PATH_BITS) - 1),
            key_length: (meta >> (TIME_BITS + PATH_BITS)) as usize,
            store,
            meta,
        };
        if entry.store != lookup.store
            || entry.key_length != lookup.key.len()
            || entry.path_length > path::MAX_LEN
        {
            return None;
        }
        let mut sum = Checksum::new(entry.meta, entry.store);
        for word in packed(lookup.key) {
            if words.next()? != word {
                return None;
            }
            sum.add(word);
        }
        if let Some(path) = path.as_deref_mut() {
            path.clear();
        }
        for _ in 0..entry.path_words() {
            let word = words.next()?;
            sum.add(word);
            if let Some(path) = path.as_deref_mut() {
                path.extend_from_slice(&word.to_le_bytes());
            }
        }
        if let Some(path) = path {
            path.truncate(entry.path_length);
        }
        (sum.finish() == checksum).then_some(entry)
    }

    /// Keeps an entry.
    pub fn put(&self, hash: u64, lookup: Lookup<'_>, path: &[u8], time: u64) {
        if let Some(position) = self.append(lookup, path, time) {
            if !self.publish(hash, lookup, position) {
                self.tally.subtract(position);
            }
        }
    }

    /// Writes an entry to the ring, where nobody finds it yet. `None`: it is too long to be kept.
    fn append(&self, lookup: Lookup<'_>, path: &[u8], time: u64) -> Option<u64> {
        if lookup.key.len() > key::MAX_LEN || path.len() > path::MAX_LEN {
            return None;
        }
        let entry = Entry {
            position: 0,
            key_length: lookup.key.len(),
            path_length: path.len(),
            time,
            store: lookup.store,
            meta: (lookup.key.len() as u64) << (TIME_BITS + PATH_BITS)
                | (path.len() as u64) << TIME_BITS
                | time & ((1 << TIME_BITS) - 1),
        };
        let length = ENTRY_HEADER + entry.key_words() + entry.path_words();
        if length > self.ring.len() as u64 / 8 {
            return None;
        }
        // The position is counted one lap ahead of the words reserved: `head` is then the oldest
        // position that is still whole.
        let position = self.head.fetch_add(length, AcqRel) + self.ring.len() as u64;
        let mut sum = Checksum::new(entry.meta, entry.store);
        let mut words = self.at(position);
        let checksum = words.next()?;
        let body = [entry.meta, entry.store].into_iter();
        let data = packed(lookup.key).chain(packed(path)).inspect(|word| sum.add(*word));
        for (word, value) in words.zip(body.chain(data)) {
            word.store(value, Relaxed);
        }
        checksum.store(sum.finish(), Relaxed);
        // Before anybody can find the entry, and take it out again.
        self.tally.add(position);
        Some(position)
    }

    /// Names the entry in the index: in the place of an older one of its key, else in the place of
    /// the oldest, free slots being older than all. Others may be publishing too; after a few lost
    /// races the entry is given up, which costs a lookup and nothing else. Whether it was named.
    fn publish(&self, hash: u64, lookup: Lookup<'_>, position: u64) -> bool {
        let new = index_word(hash, position);
        for _ in 0..4 {
            let (slot, is_own) = match self.find(hash, lookup, None) {
                Some((slot, _)) if slot.position() > position => return false,
                Some((slot, _)) => (Some(slot), true),
                None => (self.bucket(hash).min_by_key(Slot::position), false),
            };
            if let Some(slot) = slot.filter(|slot| slot.replace(new)) {
                if is_own {
                    self.tally.subtract(slot.position());
                } else if slot.position() >= self.oldest() {
                    self.tally.evict(slot.position());
                }
                return true;
            }
        }
        false
    }

    /// Drops the entry of a key. Whether there was one.
    pub fn remove(&self, hash: u64, lookup: Lookup<'_>) -> bool {
        let mut was_held = false;
        while let Some((slot, _)) = self.find(hash, lookup, None) {
            if slot.replace(0) {
                self.tally.subtract(slot.position());
                was_held = true;
            }
        }
        was_held
    }

    /// Drops all entries. Whether there were any.
    pub fn clear(&self) -> bool {
        let lap = self.ring.len() as u64;
        let oldest = self.head.fetch_add(lap, AcqRel);
        let were_held = self.tally.entries(oldest) > 0;
        self.tally.clear(oldest + lap);
        were_held
    }

    /// Whether there is an entry of a key, whatever that says of its use.
    #[cfg(all(test, not(shuttle)))]
    pub fn holds(&self, hash: u64, lookup: Lookup<'_>) -> bool {
        self.find(hash, lookup, None).is_some()
    }

    /// How many entries there are; see [`Tally::entries`].
    pub fn entries(&self) -> u64 {
        self.tally.entries(self.oldest())
    }

    /// How many entries gave way to others.
    pub fn evicted(&self) -> u64 {
        self.tally.evicted()
    }

    /// The least position that has not been lapped; that of a free slot is smaller.
    fn oldest(&self) -> u64 {
        self.head.load(Acquire).max(1)
    }
}

/// What names an entry in the index.
fn index_word(hash: u64, position: u64) -> u64 {
    hash >> POSITION_BITS << POSITION_BITS | position & POSITION_MASK
}

/// A word of the index and what it held when it was looked at.
struct Slot<'a> {
    word: &'a Word,
    held: u64,
}

impl Slot<'_> {
    fn position(&self) -> u64 {
        self.held & POSITION_MASK
    }

    /// Whether the word still held the same and now holds `new`.
    fn replace(&self, new: u64) -> bool {
        self.word.compare_exchange(self.held, new, Release, Relaxed).is_ok()
    }
}

/// What tells a whole entry from a torn one.
struct Checksum(SipHasher13);

impl Checksum {
    fn new(meta: u64, store: u64) -> Self {
        Self(SipHasher13::new_with_keys(meta, store))
    }

    fn add(&mut self, word: u64) {
        self.0.write_u64(word);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}
