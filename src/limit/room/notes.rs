//! What a client's request was told of its room: for the variables, and so for an operator's own page.

use super::session::{print, SessionVariable};
use super::zone::RoomZone;
use crate::core::token::Session;
use crate::core::NoMemory;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::note::{Number, NumberNote, Text};
use crate::nginx::request::Request;
use crate::shm::room::Told;

/// The notes.
pub struct RoomNotes {
    room: Text,
    session: Text,
    position: NumberNote<Position>,
    waiting: NumberNote<Waiting>,
    active: NumberNote<Active>,
    wait_time: NumberNote<WaitTime>,
    refresh: NumberNote<Refresh>,
}

impl RoomNotes {
    /// Declares the notes, and so the variables.
    pub fn declare(cf: Conf) -> Result<Self, Refusal> {
        Ok(Self {
            room: Text::declare(cf, "smart_limit_room")?,
            session: Text::declare_or::<SessionVariable>(cf)?,
            position: NumberNote::declare(cf)?,
            waiting: NumberNote::declare(cf)?,
            active: NumberNote::declare(cf)?,
            wait_time: NumberNote::declare(cf)?,
            refresh: NumberNote::declare(cf)?,
        })
    }

    /// Notes the room that has decided.
    pub fn decide(&self, r: Request, room: RoomZone) {
        self.room.set(r, room.name().as_bytes());
    }

    /// Notes who has a token: an internal redirect may lead to where no room is.
    pub fn know(&self, r: Request, session: Session) -> Result<(), NoMemory> {
        self.session.set(r, print(r, session).ok_or(NoMemory)?);
        Ok(())
    }

    /// Notes what it has told who waits.
    pub fn tell(&self, r: Request, told: &Told) {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        if let Some(position) = told.position {
            self.position.set(r, number(position));
        }
        self.waiting.set(r, number(told.waiting));
        self.active.set(r, number(told.active));
        if let Some(wait) = told.wait_seconds() {
            self.wait_time.set(r, number(wait));
        }
        self.refresh.set(r, number(told.refresh));
    }
}

struct Position;
impl Number for Position {
    const NAME: &'static str = "smart_limit_position";
}

struct Waiting;
impl Number for Waiting {
    const NAME: &'static str = "smart_limit_waiting";
}

struct Active;
impl Number for Active {
    const NAME: &'static str = "smart_limit_active";
}

struct WaitTime;
impl Number for WaitTime {
    const NAME: &'static str = "smart_limit_wait_time";
}

struct Refresh;
impl Number for Refresh {
    const NAME: &'static str = "smart_limit_refresh";
}
