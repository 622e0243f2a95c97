//! How a room lies in its memory: the header, the ring, the seats, and what is derived from both. It follows
//! from the number of words alone, so that a reload with other rules finds everybody where he was.

use std::sync::atomic::Ordering::{Acquire, Release};

use super::alive::{self, Alive, BLOCK};
use super::cells::{Cells, LOW_MAX};
use super::header::{self, at, MAGIC_NUMBER};
use super::index::{self, Index};
use super::networks::{self, Networks};
use super::places::{self, Places};
use super::seats::{self, Seats};
use super::Room;
use crate::core::hash::Secret;
use crate::shm::histogram::Histogram;
use crate::shm::Word;

/// A seat for so many places.
const PLACES_PER_SEAT: usize = 8;

/// The ring has so many slots more, as a part of the places, so that it can be compacted in time: see
/// [`super::queue`].
const SPARE: usize = 8;

/// The most places: with the slots to spare and the seats they have numbers of 24 bits.
const PLACES_MAX: usize = LOW_MAX as usize / 11 * 8;
const _: () = {
    let slots = PLACES_MAX + PLACES_MAX / SPARE + 2 * BLOCK;
    assert!(slots + PLACES_MAX / PLACES_PER_SEAT < LOW_MAX as usize);
};

/// What is to be written into a new room.
pub struct Birth {
    /// The secret of its hashes.
    pub secret: Secret,
    /// The key of its tokens.
    pub signing: [u64; 4],
    /// The time: seconds of wall clock.
    pub wall: u64,
    /// The time: milliseconds of the clock of deadlines.
    pub now: u64,
}

/// The words of each part, for so many places.
struct Sizes {
    slots: usize,
    parts: [usize; 7],
}

impl Sizes {
    fn of(capacity: usize) -> Self {
        let seats = capacity / PLACES_PER_SEAT;
        let slots = (capacity + capacity / SPARE).next_multiple_of(BLOCK) + BLOCK;
        let parts = [
            slots * places::WORDS,
            seats * seats::WORDS,
            alive::words_for(slots / BLOCK),
            index::words_for(capacity + seats),
            index::words_for(capacity),
            networks::words_for(capacity + seats / 2),
            seats.div_ceil(2),
        ];
        Self { slots, parts }
    }

    fn sum(&self) -> usize {
        self.parts.iter().sum()
    }
}

/// The most places that fit so many words.
fn capacity_of(words: usize) -> usize {
    let (mut fits, mut too_many) = (0, PLACES_MAX + 1);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if Sizes::of(middle).sum() <= words {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    fits
}

impl<'a> Room<'a> {
    /// Formats `words` as an empty room. `None`: there are too few of them for a seat.
    pub fn create(words: &'a [Word], birth: &Birth) -> Option<Self> {
        let (header, rest) = words.split_at_checked(header::WORDS)?;
        let cells = Cells::new(header);
        // Fresh memory is all zero, and stays untouched, because even a look would make it resident: a large room
        // costs nothing before it is used.
        if (0..header.len()).any(|word| cells.get(word) != 0) {
            cells.clear();
            Cells::new(rest).clear();
        }
        cells.set(at::LENGTH, words.len() as u64);
        for (place, word) in birth.secret.into_iter().chain(birth.signing).enumerate() {
            cells.set(at::SECRET + place, word);
        }
        // From 1 on: a pass that has got to 0 is none.
        cells.set(at::HEAD, 1);
        cells.set(at::TAIL, 1);
        cells.set(at::CREATED, birth.wall);
        cells.set(at::CREATED_AT, birth.now);
        let room = Self::over(words)?;
        words[at::MAGIC].store(MAGIC_NUMBER, Release);
        Some(room)
    }

    /// The room that [`Self::create`] has made of `words`. `None`: these words are none of this layout and
    /// size.
    pub fn open(words: &'a [Word]) -> Option<Self> {
        let header = words.get(..header::WORDS)?;
        if header[at::MAGIC].load(Acquire) != MAGIC_NUMBER {
            return None;
        }
        let length = Cells::new(header).get(at::LENGTH);
        (length == words.len() as u64).then(|| Self::over(words)).flatten()
    }

    fn over(words: &'a [Word]) -> Option<Self> {
        let (header, mut rest) = words.split_at_checked(header::WORDS)?;
        let capacity = capacity_of(rest.len());
        let sizes = Sizes::of(capacity);
        if capacity < PLACES_PER_SEAT {
            return None;
        }
        let [ring, seats, alive, sessions, firsts, networks, heap] = sizes.parts.map(|length| {
            let (part, others) = rest.split_at(length);
            rest = others;
            part
        });
        let cells = Cells::new(header);
        Some(Self {
            words,
            cells,
            secret: std::array::from_fn(|part| cells.get(at::SECRET + part)),
            places: Places::new(ring, firsts),
            alive: Alive::new(alive, sizes.slots / BLOCK),
            sessions: Index::new(sessions),
            networks: Networks::new(networks),
            seats: Seats::new(seats, heap, &header[at::HELD..=at::HELD]),
            waits: Histogram::new(&header[at::WAITS..])?,
            slots: sizes.slots,
            capacity,
        })
    }
}
