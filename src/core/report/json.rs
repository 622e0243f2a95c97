//! The answers of the status interface as JSON. Their schema is `docs/status.schema.json`.

mod buffers;
mod sendfile;

use std::io::{self, Write};

use super::buffers::Buffers;
use super::{History, KeyState, Kind, Limit, Room, Series, SessionState, Status};
use crate::core::decimal::Decimal;
use crate::core::histogram::Histogram;
use crate::core::json::{object, Members, Object};

/// The version of all answers: another number means that a member has gone or means something else. New members
/// come without one.
pub const VERSION: u64 = 1;

/// `status.json`: everything.
///
/// # Errors
///
/// As of all that follow, those of `out`.
pub fn status(status: &Status, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| {
        object
            .member("ngx_smart", status.version)?
            .member("nginx", status.nginx)?
            .member("time", &status.time)?
            .member("configured", &status.configured)?
            .member("process", &u64::from(status.process))?
            .member("workers", &status.workers)?
            .member("panics", &status.panics)?
            .member("sendfile", &status.sendfile)?
            .object("limits", |limits| {
                status
                    .limits
                    .iter()
                    .try_for_each(|limit| limits.member(&limit.name, limit).map(drop))
            })?
            .object("rooms", |rooms| {
                status.rooms.iter().try_for_each(|room| rooms.member(&room.name, room).map(drop))
            })?
            .member("buffers", &status.buffers)?;
        Ok(())
    })
}

/// `limits/NAME`: a zone of limits.
pub fn limit(limit: &Limit, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| limit.write_members(object.member("limit", &limit.name)?))
}

/// `limits/NAME?key=K`: a key of a zone.
pub fn key(limit: &[u8], state: &KeyState, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| {
        object
            .member("limit", limit)?
            .member("key", &state.key)?
            .member("held", &state.excess.is_some())?;
        bucket(state, object)
    })
}

/// `limits/NAME?top=N`: the heaviest keys of a zone, the heaviest first.
pub fn top(limit: &[u8], keys: &[KeyState], out: &mut impl Write) -> io::Result<()> {
    document(out, |object| {
        object.member("limit", limit)?.objects("top", keys, |state, object| {
            object.member("key", &state.key)?.member("count", &state.heavy)?;
            bucket(state, object)
        })?;
        Ok(())
    })
}

/// `rooms/NAME`: a room.
///
/// # Errors
/// Those of `out`.
pub fn room(room: &Room, history: &History, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| {
        object.member("room", &room.name)?.object("per_minute", |rates| {
            for column in ["entered", "admitted", "absent", "refused"] {
                let rate = history.per_minute(Kind::Room, &room.name, column);
                rates.member(column, &rate.map(Decimal::of_thousandths))?;
            }
            Ok(())
        })?;
        room.write_members(object)
    })
}

/// `rooms/NAME?session=S`: a session of a room.
pub fn session(
    room: &[u8],
    session: &[u8],
    state: SessionState,
    out: &mut impl Write,
) -> io::Result<()> {
    let seconds = Decimal::of_thousandths;
    let (status, left, is_provisional, position, wait, waited) = match state {
        SessionState::Active { left, is_provisional } => {
            ("active", Some(left), Some(is_provisional), None, None, None)
        }
        SessionState::Waiting { position, wait, waited } => {
            ("waiting", None, None, Some(position), wait, Some(waited))
        }
    };
    document(out, |object| {
        object
            .member("room", room)?
            .member("session", session)?
            .member("status", status)?
            .member("left_seconds", &left.map(seconds))?
            .member("provisional", &is_provisional)?
            .member("position", &position)?
            .member("wait_seconds", &wait.map(seconds))?
            .member("waited_seconds", &waited.map(seconds))?;
        Ok(())
    })
}

/// `history.json`: the last minutes.
pub fn history(history: &History, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| {
        object
            .member("interval_seconds", &Decimal::of_thousandths(history.interval))?
            .member("time", &history.time)?
            .member("series", &history.series)?;
        Ok(())
    })
}

/// `buffers`: what was measured of buffers, what they are set to, and what is advised.
pub fn buffers(measured: &Buffers, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| measured.write_members(object))
}

/// The answer to what cannot be answered.
pub fn error(status: u16, text: &str, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| {
        object.object("error", |error| {
            error.member("status", &u64::from(status))?.member("text", text).map(drop)
        })?;
        Ok(())
    })
}

/// An answer: an object whose first member is the version.
fn document(
    out: &mut impl Write,
    members: impl FnOnce(&mut Object) -> io::Result<()>,
) -> io::Result<()> {
    object(out, |object| members(object.member("version", &VERSION)?))
}

/// What is held of a key.
fn bucket(state: &KeyState, object: &mut Object) -> io::Result<()> {
    object
        .member("excess", &state.excess.map(Decimal::of_thousandths))?
        .member("idle_seconds", &state.idle.map(Decimal::of_thousandths))?;
    Ok(())
}

/// The quantiles that are told, by their thousandths.
const QUANTILES: [(&str, u64); 3] = [("p50", 500), ("p90", 900), ("p99", 990)];

/// The quantiles of times, in seconds.
fn quantiles_seconds(
    times: &Histogram,
    seconds: fn(u64) -> Decimal,
    object: &mut Object,
) -> io::Result<()> {
    QUANTILES.iter().try_for_each(|(name, permille)| {
        object.joined(name, "seconds", &times.quantile(*permille).map(seconds)).map(drop)
    })
}

impl Members for Limit {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("key", &self.key)?
            .member("rate", &self.rate)?
            .member("passed", &self.passed)?
            .member("delayed", &self.delayed)?
            .member("rejected", &self.rejected)?
            .member("delayed_dry_run", &self.delayed_dry_run)?
            .member("rejected_dry_run", &self.rejected_dry_run)?
            .member("keys", &self.keys)?
            .member("capacity", &self.capacity)?
            .member("evicted", &self.evicted)?
            .member("evicted_in_debt", &self.evicted_in_debt)?;
        Ok(())
    }
}

impl Members for Room {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        let seconds = Decimal::of_thousandths;
        object
            .member("waiting", &self.waiting)?
            .member("max_waiting", &self.max_waiting)?
            .member("active", &self.active)?
            .member("max_active", &self.max_active)?
            .member("provisional", &self.provisional)?
            .member("estimated_wait_seconds", &self.estimated_wait.map(seconds))?
            .member("entered", &self.entered)?
            .member("admitted", &self.admitted)?
            .member("absent", &self.absent)?
            .member("expired", &self.expired)?
            .member("refused", &self.refused)?
            .member("passed", &self.passed)?
            .member("polls", &self.polls)?
            .member("waiting_dry_run", &self.waiting_dry_run)?
            .member("full_dry_run", &self.full_dry_run)?
            .member("rebuilt", &self.rebuilt)?
            .object("wait", |wait| {
                wait.member("count", &self.wait.count())?;
                quantiles_seconds(&self.wait, seconds, wait)
            })?;
        Ok(())
    }
}

impl Members for Series {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        let kind = match self.kind {
            Kind::Sendfile => "sendfile",
            Kind::Limit => "limit",
            Kind::Room => "room",
            Kind::Module => "module",
        };
        object
            .member("kind", kind)?
            .member("name", &self.name)?
            .member("columns", self.kind.columns())?
            .member("samples", &self.samples)?;
        Ok(())
    }
}
