//! What an operator asks of a room, and whom he takes out of it.

use std::sync::atomic::Ordering::Relaxed;

use super::header::{self, at, Counter};
use super::places;
use super::section::{Section, Spot};
use super::Room;
use crate::core::histogram;
use crate::core::report::SessionState;
use crate::core::room::rules::Rules;

impl Room<'_> {
    /// How many wait. Needs no lock, as all of these: each is a word, or words that mean something by themselves.
    pub fn waiting(&self) -> u64 {
        self.words[at::WAITING].load(Relaxed)
    }

    /// How many have a seat.
    pub fn active(&self) -> u64 {
        self.words[at::HELD].load(Relaxed)
    }

    /// How many of the seats are provisional.
    pub fn provisional(&self) -> u64 {
        self.words[at::PROVISIONAL].load(Relaxed)
    }

    /// How often something has been counted since the room was made.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.words[at::COUNTERS + counter as usize].load(Relaxed)
    }

    /// The rules that hold.
    pub fn rules(&self) -> Rules {
        header::read_rules(self.cells)
    }

    /// How long those waited, in milliseconds, who were admitted from a place: not those who found a seat as
    /// they came. A death may have cost one.
    pub fn waits(&self) -> histogram::Histogram {
        self.waits.read()
    }
}

impl Section<'_> {
    /// How long who comes now is likely to wait, in milliseconds. `None`: for longer than can be foreseen.
    pub fn estimated_wait(&self) -> Option<u64> {
        self.told(None).foreseeable_wait()
    }

    /// What is known of a session, which is [`Room::session`]. It is not noted as heard of. `None`: it has neither
    /// seat nor place.
    pub fn state(&self, session: u64) -> Option<SessionState> {
        Some(match self.find(session)? {
            Spot::Seat(place) => {
                let seat = self.room.seats.get(place);
                let left = seat.until.saturating_sub(self.now);
                SessionState::Active { left, is_provisional: seat.is_provisional }
            }
            Spot::Place(slot) => {
                let position = self.rank(slot);
                let waited = places::milliseconds_since(self.room.places.since(slot), self.now);
                let wait = self.told(Some(position)).foreseeable_wait();
                SessionState::Waiting { position, wait, waited }
            }
        })
    }

    /// Takes a session's seat or place from it. Tells whether it had one.
    pub fn remove(&self, session: u64) -> bool {
        match self.find(session) {
            None => return false,
            Some(Spot::Seat(place)) => self.free_seat(place),
            Some(Spot::Place(slot)) => self.send_away(slot),
        }
        true
    }
}
