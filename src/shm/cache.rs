//! The lookup cache: paths and misses that the store has named, for all workers.
//!
//! Two independent areas, so that a scan of absent IDs, which fills the smaller one with
//! misses, cannot push a path out of the larger. An area is a log and an index, as in
//! log-structured caches (Segcache, NSDI 2021): entries are appended to a ring of words, whose
//! head only grows; a bucket of eight index words names the ring positions of the keys that fall
//! into it. What the head has lapped is gone, so the oldest entry goes first, but an entry that is asked
//! for in the older half of the ring is appended anew: what is in use stays.
//!
//! No lock, and no mark that a dead writer could leave: an entry is reserved by one atomic
//! addition, written, and then published by one exchange of an index word. A reader that meets a
//! half-written, overwritten or recycled entry finds that its checksum or its key does not agree.

use std::hash::Hasher;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use siphasher::sip::SipHasher13;

use super::Word;
use crate::core::policy::Cached;
use crate::core::{key, path};

/// "smartLC" and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"smartLC\x01");

/// Words before the areas: magic, length, two words of hash key; then a cache line for each head.
const HEADER: usize = 32;
const HEADS: [usize; 2] = [8, 16];

/// The least memory that makes a sensible cache, in words.
pub const WORDS_MIN: usize = 2048;

/// Index words that are looked at for a key: one cache line.
const BUCKET: usize = 8;

/// An index word is a tag of the hash above the position in the ring.
const POSITION_BITS: u32 = 48;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

/// Words of an entry before its key: checksum, lengths and time, store.
const ENTRY_HEADER: u64 = 3;

/// Bits of an entry's second word: milliseconds (34 years), then the lengths of path and key.
const TIME_BITS: u32 = 40;
const PATH_BITS: u32 = 16;

/// A key of a store, as the cache knows it.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Which store, and how its values are read: equal only where both are.
    pub store: u64,
    /// The store's key, of 1 to 250 bytes.
    pub key: &'a [u8],
}

/// The cache over its memory. Cheap to make; all state is in the words.
#[derive(Clone, Copy)]
pub struct Cache<'a> {
    hash_key: (u64, u64),
    paths: Area<'a>,
    misses: Area<'a>,
}

impl<'a> Cache<'a> {
    /// Formats `words` as an empty cache. The key makes the index unpredictable to clients.
    /// `None`: fewer than [`WORDS_MIN`] words.
    pub fn create(words: &'a [Word], hash_key: (u64, u64)) -> Option<Self> {
        words.get(WORDS_MIN.checked_sub(1)?)?;
        // Fresh memory is all zero, and stays untouched: a large zone costs nothing before it is used.
        if words[..HEADER].iter().any(|word| word.load(Relaxed) != 0) {
            let areas = areas(words);
            let index = areas.iter().flat_map(|area| area.index);
            index.chain(&words[..HEADER]).for_each(|word| word.store(0, Relaxed));
        }
        words[1].store(words.len() as u64, Relaxed);
        words[2].store(hash_key.0, Relaxed);
        words[3].store(hash_key.1, Relaxed);
        words[0].store(MAGIC, Release);
        Self::open(words)
    }

    /// The cache that [`Self::create`] has made of `words`. `None`: these words are none of this
    /// layout and size.
    pub fn open(words: &'a [Word]) -> Option<Self> {
        words.get(WORDS_MIN.checked_sub(1)?)?;
        if words[0].load(Acquire) != MAGIC || words[1].load(Relaxed) != words.len() as u64 {
            return None;
        }
        let [paths, misses] = areas(words);
        let hash_key = (words[2].load(Relaxed), words[3].load(Relaxed));
        Some(Self { hash_key, paths, misses })
    }

    /// What is held for `lookup`; a path is written to `path`.
    pub fn get(&self, lookup: Lookup<'_>, now: u64, path: &mut Vec<u8>) -> Option<Cached> {
        let hash = self.hash(lookup);
        if let Some(found) = self.paths.get(hash, lookup, path) {
            return Some(Cached::Path(now.saturating_sub(found)));
        }
        let found = self.misses.get(hash, lookup, path)?;
        Some(Cached::Miss(now.saturating_sub(found)))
    }

    /// Keeps the path that the store has named.
    pub fn put_path(&self, lookup: Lookup<'_>, path: &[u8], now: u64) {
        let hash = self.hash(lookup);
        self.misses.remove(hash, lookup);
        self.paths.put(hash, lookup, path, now);
    }

    /// Keeps the store's word that it has no such key; a path held for it is dropped.
    pub fn put_miss(&self, lookup: Lookup<'_>, now: u64) {
        let hash = self.hash(lookup);
        self.paths.remove(hash, lookup);
        self.misses.put(hash, lookup, &[], now);
    }

    fn hash(&self, lookup: Lookup<'_>) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        hasher.write_u64(lookup.store);
        hasher.write(lookup.key);
        hasher.finish()
    }
}

/// The areas of paths and of misses: seven eighths and one eighth of the memory.
fn areas(words: &[Word]) -> [Area<'_>; 2] {
    let body = &words[HEADER..];
    let (paths, misses) = body.split_at(body.len() - body.len() / 8 / BUCKET * BUCKET);
    [Area::new(paths, &words[HEADS[0]], 5), Area::new(misses, &words[HEADS[1]], 3)]
}

/// A ring of entries and the index to it.
#[derive(Clone, Copy)]
struct Area<'a> {
    index: &'a [Word],
    ring: &'a [Word],
    /// Words ever reserved in the ring.
    head: &'a Word,
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
    /// One part in `parts` of `words` becomes the index.
    fn new(words: &'a [Word], head: &'a Word, parts: usize) -> Self {
        let (index, ring) = words.split_at(words.len() / parts / BUCKET * BUCKET);
        Self { index, ring, head }
    }

    fn get(&self, hash: u64, lookup: Lookup<'_>, path: &mut Vec<u8>) -> Option<u64> {
        let (slot, entry) = self.find(hash, lookup, Some(path))?;
        let newer_half = self.head.load(Relaxed) + self.ring.len() as u64 / 2;
        if entry.position < newer_half {
            // In the very place of what was read: a newer answer is not to be buried.
            if let Some(position) = self.append(lookup, path, entry.time) {
                slot.replace(index_word(hash, position));
            }
        }
        Some(entry.time)
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
        // Positions below the head have been lapped.
        let oldest = self.head.load(Acquire).max(1);
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
        for bytes in lookup.key.chunks(8) {
            let word = words.next()?;
            if word != packed(bytes) {
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

    fn put(&self, hash: u64, lookup: Lookup<'_>, path: &[u8], time: u64) {
        if let Some(position) = self.append(lookup, path, time) {
            self.publish(hash, lookup, position);
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
        let data = lookup.key.chunks(8).chain(path.chunks(8)).map(|bytes| {
            let word = packed(bytes);
            sum.add(word);
            word
        });
        for (word, value) in words.zip(body.chain(data)) {
            word.store(value, Relaxed);
        }
        checksum.store(sum.finish(), Relaxed);
        Some(position)
    }

    /// Names the entry in the index: in the place of an older one of its key, else in the place of
    /// the oldest, free slots being older than all. Others may be publishing too; after a few lost
    /// races the entry is given up, which costs a lookup and nothing else.
    fn publish(&self, hash: u64, lookup: Lookup<'_>, position: u64) {
        let new = index_word(hash, position);
        for _ in 0..4 {
            let slot = match self.find(hash, lookup, None) {
                Some((slot, _)) if slot.position() > position => return,
                Some((slot, _)) => Some(slot),
                None => self.bucket(hash).min_by_key(Slot::position),
            };
            if slot.is_some_and(|slot| slot.replace(new)) {
                return;
            }
        }
    }

    fn remove(&self, hash: u64, lookup: Lookup<'_>) {
        while let Some((slot, _)) = self.find(hash, lookup, None) {
            slot.replace(0);
        }
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

/// Up to eight bytes as a word, filled up with zeros.
fn packed(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(all(test, not(shuttle)))]
#[path = "cache_tests.rs"]
mod tests;

#[cfg(all(test, shuttle))]
#[path = "cache_model.rs"]
mod model;
