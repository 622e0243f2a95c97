//! What an operator removes.

use std::fmt;

use crate::core::api::{Refusal, Removal};
use crate::nginx::log::Shown;
use crate::{limit, sendfile};

/// Removes it.
///
/// # Errors
/// It is not held, or the zone that it would be in is not there.
pub fn remove(what: &Removal<'static>) -> Result<(), Refusal<'static>> {
    let (was_held, no_zone, not_held) = match what {
        Removal::Key { limit, key } => {
            (limit::report::forget_key(limit, key), Refusal::NoZone("limit", limit), "key")
        }
        Removal::Session { room, session } => {
            let was_held = limit::report::remove_session(room, *session);
            (was_held, Refusal::NoZone("room", room), "session")
        }
        Removal::Lookups { cache, key } => {
            (sendfile::forget(cache, key.as_deref()), Refusal::NoZone("cache", cache), "lookup")
        }
    };
    match was_held.ok_or(no_zone)? {
        true => Ok(()),
        false => Err(Refusal::NotHeld(not_held)),
    }
}

/// What was removed, for the log.
pub struct Logged<'a>(pub &'a Removal<'static>);

impl fmt::Display for Logged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Removal::Key { limit, key } => {
                write!(f, "key \"{}\" of limit \"{}\"", Shown(key), Shown(limit))
            }
            Removal::Session { room, session } => {
                write!(f, "session {session:016x} of room \"{}\"", Shown(room))
            }
            Removal::Lookups { cache, key: None } => {
                write!(f, "all lookups of cache \"{}\"", Shown(cache))
            }
            Removal::Lookups { cache, key: Some(key) } => {
                write!(f, "lookup \"{}\" of cache \"{}\"", Shown(key), Shown(cache))
            }
        }
    }
}
