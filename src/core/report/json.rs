//! The answers of the status interface as JSON. Their schema is `docs/status.schema.json`.

use std::io::{self, Write};

use super::buffers::Buffers;
use super::{History, KeyState, Limit, Room, SessionState, Status};
use crate::core::json::{object, Object};

/// The version of all answers: another number means that a member has gone or means something else. New members
/// come without one.
pub const VERSION: u64 = 1;

/// `status.json`: everything.
///
/// # Errors
///
/// As of all that follow, those of `out`.
pub fn status(status: &Status, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| object.member("ngx_smart", status.version).map(drop))
}

/// `limits/NAME`: a zone of limits.
pub fn limit(limit: &Limit, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| object.member("limit", &limit.name).map(drop))
}

/// `limits/NAME?key=K`: a key of a zone.
pub fn key(limit: &[u8], _state: &KeyState, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| object.member("limit", limit).map(drop))
}

/// `limits/NAME?top=N`: the heaviest keys of a zone, the heaviest first.
pub fn top(limit: &[u8], _keys: &[KeyState], out: &mut impl Write) -> io::Result<()> {
    document(out, |object| object.member("limit", limit).map(drop))
}

/// `rooms/NAME`: a room.
pub fn room(room: &Room, out: &mut impl Write) -> io::Result<()> {
    document(out, |object| object.member("room", &room.name).map(drop))
}

/// `rooms/NAME?session=S`: a session of a room; of one that is unknown the error that says so.
pub fn session(
    room: &[u8],
    _session: &[u8],
    _state: SessionState,
    out: &mut impl Write,
) -> io::Result<()> {
    document(out, |object| object.member("room", room).map(drop))
}

/// `history.json`: the last minutes.
pub fn history(_history: &History, out: &mut impl Write) -> io::Result<()> {
    document(out, |_| Ok(()))
}

/// `buffers`: what was measured of buffers, what they are set to, and what is advised.
pub fn buffers(_buffers: &Buffers, out: &mut impl Write) -> io::Result<()> {
    document(out, |_| Ok(()))
}

/// The answer to what cannot be answered.
pub fn error(status: u16, text: &str, out: &mut impl Write) -> io::Result<()> {
    document(out, |document| {
        document.object("error", |error| {
            error.member("status", u64::from(status))?.member("text", text).map(drop)
        })?;
        Ok(())
    })
}

/// An answer: an object whose first member is the version.
fn document(
    out: &mut impl Write,
    members: impl FnOnce(&mut Object) -> io::Result<()>,
) -> io::Result<()> {
    object(out, |object| members(object.member("version", VERSION)?))
}
