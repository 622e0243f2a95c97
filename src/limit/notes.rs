//! What has been decided about a client's request: that it is decided once, and for the variables.

use std::io::Write;

use super::room::filter::FilterNotes;
use super::room::notes::RoomNotes;
use super::zone::Zone;
use crate::core::rate::REQUEST;
use crate::core::verdict::Status;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::note::{Number, NumberNote, Text};
use crate::nginx::request::Request;

/// The notes.
pub struct Notes {
    status: Text,
    zone: Text,
    excess: NumberNote<Excess>,
    retry_after: NumberNote<RetryAfter>,
    /// What its answer is to say, whoever gives it.
    pub filter: FilterNotes,
    /// What concerns its room.
    pub room: RoomNotes,
}

impl Notes {
    /// Declares the notes, and so the variables.
    pub fn declare(cf: Conf) -> Result<Self, Refusal> {
        Ok(Self {
            status: Text::declare(cf, "smart_limit_status")?,
            zone: Text::declare(cf, "smart_limit_zone")?,
            excess: NumberNote::declare(cf)?,
            retry_after: NumberNote::declare(cf)?,
            filter: FilterNotes::declare(cf)?,
            room: RoomNotes::declare(cf)?,
        })
    }

    /// Whether the request has been decided, here or before a redirect, or as another part of what the
    /// client asked for.
    #[inline]
    pub fn is_decided(&self, r: Request) -> bool {
        self.status.is_set(r)
    }

    /// Notes a verdict that is of no limit, or goes before that of one.
    pub fn set_status(&self, r: Request, status: Status) {
        self.status.set(r, status.name().as_bytes());
    }

    /// Notes the verdict of the limit that has decided, and what its bucket held.
    #[inline(always)]
    pub fn decide(&self, r: Request, status: Status, zone: Zone, excess: u32) {
        self.status.set(r, status.name().as_bytes());
        self.zone.set(r, zone.name().as_bytes());
        self.excess.set(r, excess);
    }

    /// Notes after how many seconds the request would pass.
    pub fn retry_after(&self, r: Request, seconds: u64) {
        self.retry_after.set(r, u32::try_from(seconds).unwrap_or(u32::MAX));
    }
}

struct Excess;
impl Number for Excess {
    const NAME: &'static str = "smart_limit_excess";

    fn text(r: Request, excess: u64) -> Option<&'static [u8]> {
        let request = u64::from(REQUEST);
        r.print(24, |text| write!(text, "{}.{:03}", excess / request, excess % request))
    }
}

struct RetryAfter;
impl Number for RetryAfter {
    const NAME: &'static str = "smart_limit_retry_after";
}
