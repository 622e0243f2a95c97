//! A room: who waits, in which order, and who has a seat.
//!
//! All of it is behind one lock, which is not here: whoever calls [`Room::enter`] holds it, and holds it
//! until the [`Section`] is gone. nginx's own lock of a zone is opened by its master when a worker dies in it;
//! so a section may end anywhere. Places and seats are the truth; the order, the indexes, lists and counts are
//! derived. A section says first that it is within, and last that it is not; whoever finds that
//! somebody has not come out builds the derived parts anew. On its way from a place to a seat a session has
//! both for a moment; then the seat counts.
//!
//! | part | is |
//! |---|---|
//! | `header` | rules, counts, the ends of the ring |
//! | `places` | truth: a ring of places, linked by key |
//! | `alive` | which are taken, and how many up to each |
//! | `index` | session → place or seat |
//! | `networks` | network → how many places and provisional seats |
//! | `seats` | truth: seats, and which ends first |
//!
//! `status` tells an operator of all that, and takes out whom he names.

mod alive;
mod cells;
mod header;
mod index;
mod layout;
mod networks;
mod places;
mod probing;
mod queue;
mod rebuild;
mod seating;
mod seats;
mod section;
mod status;
mod sweep;

#[cfg(all(test, not(shuttle)))]
mod hammer;
#[cfg(all(test, not(shuttle)))]
mod tests;

use std::sync::atomic::Ordering::Relaxed;

use self::alive::Alive;
use self::cells::{Cells, HIGH_MAX};
use self::header::at;
pub use self::header::Counter;
use self::index::Index;
pub use self::layout::Birth;
use self::networks::Networks;
use self::places::Places;
use self::seats::Seats;
pub use self::section::{Outcome, Place, Section, Told, Visit};
use super::histogram::Histogram;
use super::Word;
use crate::core::hash::{hash, Secret};
use crate::core::room::rules::Rules;

/// A room over its memory. Cheap to make; all state is in the words.
#[derive(Clone, Copy)]
pub struct Room<'a> {
    words: &'a [Word],
    cells: Cells<'a>,
    secret: Secret,
    places: Places<'a>,
    alive: Alive<'a>,
    sessions: Index<'a>,
    networks: Networks<'a>,
    seats: Seats<'a>,
    waits: Histogram<'a>,
    /// How many slots the ring has …
    slots: usize,
    /// … and how many of them are given at one time.
    capacity: usize,
}

impl Room<'_> {
    /// How many may wait.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many seats there is room for.
    pub fn seats(&self) -> usize {
        self.seats.len()
    }

    /// Lets these rules hold from now on. Needs no lock: each of them is a word of its own, and whoever is within
    /// goes by those that he has read.
    pub fn install(&self, rules: &Rules) {
        header::write_rules(self.cells, rules);
    }

    /// Whether nobody waits and nobody has a seat. Needs no lock: whoever comes in meanwhile comes later.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.words[at::WAITING].load(Relaxed) | self.words[at::HELD].load(Relaxed) == 0
    }

    /// Whether nobody waits. Needs no lock, either.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.words[at::WAITING].load(Relaxed) == 0
    }

    /// What a key is called here, its mark: of a limit, by its zone's name, or of everybody.
    pub fn key(&self, zone: &[u8], key: &[u8]) -> u64 {
        (hash(zone, &self.secret) ^ hash(key, &self.secret).rotate_left(32)) & HIGH_MAX
    }

    /// What a session is called here, never 0: visitors can know their sessions, but not meet in one place of an
    /// index on purpose.
    pub fn session(&self, session: u64) -> u64 {
        hash(&session.to_le_bytes(), &self.secret).max(1)
    }

    /// What a network is called here; never 0, which is nobody's.
    pub fn network(&self, network: &[u8]) -> u64 {
        (hash(network, &self.secret) & HIGH_MAX).max(1)
    }

    /// The key with which tokens are signed where no file has one: 32 random bytes.
    pub fn signing_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        for (place, bytes) in key.chunks_exact_mut(8).enumerate() {
            bytes.copy_from_slice(&self.cells.get(at::SIGNING + place).to_le_bytes());
        }
        key
    }
}
