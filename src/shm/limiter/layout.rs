//! How a limiter lies in its memory. In words: a header of 8 (magic and version, length, the place of the
//! sweep, slots that were freed, the secret of the hash in the last four), the counters, the heaviest
//! keys, and the slots, of two words each, to the end.

use std::sync::atomic::Ordering::Relaxed;

use super::counters::{self, Counters};
use super::heaviest::{self, Heaviest};
use super::table::Table;
use super::Limiter;
use crate::core::hash::Secret;
use crate::shm::pair::Pair;
use crate::shm::{self, map, Word};

/// "smartLM" and the version of the layout.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"smartLM\x02");

/// Words of the header, and the first of the secret in it.
const HEADER: usize = 8;
const SECRET: usize = 4;

impl<'a> Limiter<'a> {
    /// Formats `words` as an empty limiter. The secret makes the places of keys unpredictable to
    /// clients. `None`: there are too few words.
    pub fn create(words: &'a [Word], secret: Secret) -> Option<Self> {
        Self::over(words)?;
        shm::clear(words, HEADER);
        words[SECRET..HEADER].iter().zip(secret).for_each(|(word, part)| word.store(part, Relaxed));
        shm::seal(words, MAGIC);
        Self::open(words)
    }

    /// The limiter that [`Self::create`] has made of `words`. `None`: these words are none of this
    /// layout and size.
    pub fn open(words: &'a [Word]) -> Option<Self> {
        shm::is_sealed(words, MAGIC).then(|| Self::over(words)).flatten()
    }

    fn over(words: &'a [Word]) -> Option<Self> {
        let (header, rest) = words.split_at_checked(HEADER)?;
        let (counters, rest) = rest.split_at_checked(counters::WORDS)?;
        let (heaviest, slots) = rest.split_at_checked(heaviest::words_of(words.len()))?;
        Some(Self {
            secret: std::array::from_fn(|part| header[SECRET + part].load(Relaxed)),
            cursor: &header[2],
            counters: Counters::new(counters, &header[3]),
            heaviest: Heaviest::new(heaviest),
            table: Table::new(map::sets(slots))?,
        })
    }

    /// Whether this processor can do what [`Pair`] needs.
    pub fn is_supported() -> bool {
        Pair::is_supported()
    }
}
