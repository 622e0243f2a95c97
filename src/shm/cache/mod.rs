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
//!
//! To empty an area its head is moved on by a lap, which takes one addition and holds for all workers
//! at once: everything has been lapped then, also what somebody has read just before and is about to append
//! anew. An answer of the store that was asked for before something was removed is not kept, whenever it
//! comes ([`Moment`]): it may be what the removal was to get rid of.

mod area;
mod tally;

#[cfg(all(test, shuttle))]
mod model;
#[cfg(all(test, not(shuttle)))]
mod tests;

use std::hash::Hasher;
use std::sync::atomic::fence;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};

use siphasher::sip::SipHasher13;

use self::area::{Area, BUCKET};
use self::tally::PARTS;
use crate::core::policy::Cached;
use crate::shm::{self, Word};

/// "smartLC" and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"smartLC\x02");

/// Words before the areas: magic, length, two words of hash key, and how often something was removed; a
/// cache line for each area's head and evictions; the tallies.
const HEADER: usize = HEADS[1] + BUCKET + 2 * PARTS;
const REMOVALS: usize = 4;
const HEADS: [usize; 2] = [BUCKET, 2 * BUCKET];

/// The least memory that makes a sensible cache, in words.
pub const WORDS_MIN: usize = 2048;

/// A key of a store, as the cache knows it.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Which store, and how its values are read: equal only where both are.
    pub store: u64,
    /// The store's key, of 1 to 250 bytes.
    pub key: &'a [u8],
}

/// When something was asked of the store, by what had been removed from the cache by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment(u64);

/// What a cache holds and has lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its memory.
    pub size: u64,
    /// Keys with a path.
    pub paths: u64,
    /// Keys that the store does not have.
    pub misses: u64,
    /// Keys that gave way to others.
    pub evicted: u64,
}

/// The cache over its memory. Cheap to make; all state is in the words.
#[derive(Clone, Copy)]
pub struct Cache<'a> {
    hash_key: (u64, u64),
    size: usize,
    removals: &'a Word,
    paths: Area<'a>,
    misses: Area<'a>,
}

impl<'a> Cache<'a> {
    /// Formats `words` as an empty cache. The key makes the index unpredictable to clients.
    /// `None`: fewer than [`WORDS_MIN`] words.
    pub fn create(words: &'a [Word], hash_key: (u64, u64)) -> Option<Self> {
        words.get(WORDS_MIN.checked_sub(1)?)?;
        shm::clear(words, HEADER);
        words[2].store(hash_key.0, Relaxed);
        words[3].store(hash_key.1, Relaxed);
        shm::seal(words, MAGIC);
        Self::open(words)
    }

    /// The cache that [`Self::create`] has made of `words`. `None`: these words are none of this
    /// layout and size.
    pub fn open(words: &'a [Word]) -> Option<Self> {
        if words.len() < WORDS_MIN || !shm::is_sealed(words, MAGIC) {
            return None;
        }
        let [paths, misses] = areas(words);
        let hash_key = (words[2].load(Relaxed), words[3].load(Relaxed));
        Some(Self { hash_key, size: size_of_val(words), removals: &words[REMOVALS], paths, misses })
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

    /// This moment, for who is about to ask the store.
    pub fn moment(&self) -> Moment {
        Moment(self.removals.load(Acquire))
    }

    /// Keeps the path that the store has named, which was asked for at some moment.
    pub fn put_path(&self, lookup: Lookup<'_>, path: &[u8], now: u64, asked: Moment) {
        self.put(lookup, asked, |hash| {
            self.misses.remove(hash, lookup);
            self.paths.put(hash, lookup, path, now);
        });
    }

    /// Keeps the store's word that it has no such key; a path held for it is dropped.
    pub fn put_miss(&self, lookup: Lookup<'_>, now: u64, asked: Moment) {
        self.put(lookup, asked, |hash| {
            self.paths.remove(hash, lookup);
            self.misses.put(hash, lookup, &[], now);
        });
    }

    fn put(&self, lookup: Lookup<'_>, asked: Moment, put: impl FnOnce(u64)) {
        if self.moment() != asked {
            return;
        }
        let hash = self.hash(lookup);
        put(hash);
        // Somebody may have removed the key before it was there. Of the two who change one thing and then
        // read the other, at least one sees the other's change.
        fence(SeqCst);
        if self.moment() != asked {
            self.remove(hash, lookup);
        }
    }

    /// Forgets a key. Whether it was held.
    pub fn forget(&self, lookup: Lookup<'_>) -> bool {
        // First, so that who puts the key now finds either this or that it is removed.
        self.removals.fetch_add(1, AcqRel);
        fence(SeqCst);
        self.remove(self.hash(lookup), lookup)
    }

    /// Forgets all keys. Whether there were any.
    ///
    /// The size of the cache divided by 2048 TiB is what this takes of its life: positions have 48 bits.
    pub fn clear(&self) -> bool {
        self.removals.fetch_add(1, AcqRel);
        self.paths.clear() | self.misses.clear()
    }

    /// What it holds. The counts of entries are exact until an area has been filled once; from then on they may be
    /// wrong by what its oldest part holds, which is being written over: one in 64.
    pub fn usage(&self) -> Usage {
        Usage {
            size: self.size as u64,
            paths: self.paths.entries(),
            misses: self.misses.entries(),
            evicted: self.paths.evicted() + self.misses.evicted(),
        }
    }

    fn remove(&self, hash: u64, lookup: Lookup<'_>) -> bool {
        self.paths.remove(hash, lookup) | self.misses.remove(hash, lookup)
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
    let (header, body) = words.split_at(HEADER);
    let (paths, misses) = body.split_at(body.len() - body.len() / 8 / BUCKET * BUCKET);
    let (of_paths, of_misses) = header[HEADER - 2 * PARTS..].split_at(PARTS);
    [
        Area::new(paths, &header[HEADS[0]..], of_paths, 5),
        Area::new(misses, &header[HEADS[1]..], of_misses, 3),
    ]
}
