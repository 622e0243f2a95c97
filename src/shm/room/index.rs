//! Where something is, by its hash.
//!
//! An entry has 32 bits: a *spot* of 24, and 8 of the hash, which tell most strangers at once. The whole
//! hash stands at the spot itself, and is asked for there.

use super::cells::Halves;
use super::probing::Circle;
use crate::shm::Word;

/// The words that so many entries need: four of five are used at most.
pub fn words_for(entries: usize) -> usize {
    (entries * 5 / 4).div_ceil(2) + 1
}

/// An index.
#[derive(Clone, Copy)]
pub struct Index<'a> {
    entries: Halves<'a>,
    circle: Circle,
}

impl<'a> Index<'a> {
    /// Over these words.
    pub fn new(words: &'a [Word]) -> Self {
        let entries = Halves::new(words);
        Self { entries, circle: Circle(entries.len()) }
    }

    /// The spot of `hash`. `hash_at` tells the hash of a spot.
    #[inline]
    pub fn find(self, hash: u64, hash_at: impl Fn(usize) -> u64) -> Option<usize> {
        let (_, entry) = self.probe(hash, |spot| hash_at(spot) == hash);
        (entry != 0).then(|| spot_of(entry))
    }

    /// What is read first when `hash` is looked for; it means nothing.
    #[inline]
    pub fn warm(self, hash: u64) -> u64 {
        self.entries.get(self.circle.home(hash)).into()
    }

    /// Puts in a hash that is not there.
    pub fn insert(self, hash: u64, spot: usize) {
        let (place, _) = self.probe(hash, |_| false);
        self.entries.set(place, entry_of(hash, spot));
    }

    /// Changes the spot of a hash.
    pub fn replace(self, hash: u64, old: usize, new: usize) {
        let (place, entry) = self.probe(hash, |spot| spot == old);
        if entry != 0 {
            self.entries.set(place, entry_of(hash, new));
        }
    }

    /// Takes out a hash. `hash_at` tells the hashes of the other spots.
    pub fn remove(self, hash: u64, spot: usize, hash_at: impl Fn(usize) -> u64) {
        let (place, entry) = self.probe(hash, |other| other == spot);
        if entry == 0 {
            return;
        }
        let hash_of = |place| match self.entries.get(place) {
            0 => None,
            entry => Some(hash_at(spot_of(entry))),
        };
        let move_up = |to, from| self.entries.set(to, self.entries.get(from));
        self.entries.set(self.circle.close(place, hash_of, move_up), 0);
    }

    /// Empties it.
    pub fn clear(self) {
        self.entries.clear();
    }

    /// How many are in it.
    #[cfg(all(test, not(shuttle)))]
    pub fn count(self) -> usize {
        (0..self.entries.len()).filter(|place| self.entries.get(*place) != 0).count()
    }

    /// The place of the entry of `hash` that `is_it` knows, or of the free one where it would be put.
    #[inline]
    fn probe(self, hash: u64, is_it: impl Fn(usize) -> bool) -> (usize, u32) {
        let mut place = self.circle.home(hash);
        loop {
            let entry = self.entries.get(place);
            if entry == 0 || (entry as u8 == hash as u8 && is_it(spot_of(entry))) {
                return (place, entry);
            }
            place = self.circle.next(place);
        }
    }
}

fn entry_of(hash: u64, spot: usize) -> u32 {
    (spot as u32 + 1) << 8 | u32::from(hash as u8)
}

fn spot_of(entry: u32) -> usize {
    (entry >> 8) as usize - 1
}
