//! How many places and provisional seats each network has. An entry is the network's mark, of 40 bits, and
//! a count of 24.

use super::cells::{high, joined, low, Cells};
use super::probing::Circle;
use crate::shm::Word;

/// The words that so many networks need: four of five are used at most.
pub fn words_for(networks: usize) -> usize {
    networks * 5 / 4 + 2
}

/// The counts. The mark 0 is that of nobody, and is not counted.
#[derive(Clone, Copy)]
pub struct Networks<'a> {
    entries: Cells<'a>,
    circle: Circle,
}

impl<'a> Networks<'a> {
    /// Over these words.
    pub fn new(words: &'a [Word]) -> Self {
        Self { entries: Cells::new(words), circle: Circle(words.len()) }
    }

    /// What is read first when `mark` is looked for; it means nothing.
    #[inline]
    pub fn warm(self, mark: u64) -> u64 {
        self.entries.get(self.circle.home(hash_of(mark)))
    }

    /// How many a network has.
    pub fn count(self, mark: u64) -> usize {
        low(self.entries.get(self.find(mark)))
    }

    /// Counts one more.
    pub fn add(self, mark: u64) {
        if mark != 0 {
            let place = self.find(mark);
            self.entries.set(place, joined(mark, low(self.entries.get(place)) + 1));
        }
    }

    /// Counts one less.
    pub fn subtract(self, mark: u64) {
        let place = self.find(mark);
        match low(self.entries.get(place)) {
            0 => {}
            1 => self.remove(place),
            count => self.entries.set(place, joined(mark, count - 1)),
        }
    }

    /// Empties the table.
    pub fn clear(self) {
        self.entries.clear();
    }

    /// All counts together.
    #[cfg(all(test, not(shuttle)))]
    pub fn sum(self) -> usize {
        (0..self.entries.len()).map(|place| low(self.entries.get(place))).sum()
    }

    /// The place of a mark, or the free one where it would be put.
    fn find(self, mark: u64) -> usize {
        let mut place = self.circle.home(hash_of(mark));
        while self.entries.get(place) != 0 && high(self.entries.get(place)) != mark {
            place = self.circle.next(place);
        }
        place
    }

    fn remove(self, place: usize) {
        let hash_at = |place| match self.entries.get(place) {
            0 => None,
            entry => Some(hash_of(high(entry))),
        };
        let move_up = |to, from| self.entries.set(to, self.entries.get(from));
        self.entries.set(self.circle.close(place, hash_at, move_up), 0);
    }
}

fn hash_of(mark: u64) -> u64 {
    mark << 24
}
