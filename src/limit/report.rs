//! What is told of limits and rooms, and what an operator may take out of them.

use super::directives::Module;
use super::room::zone::{within, RoomZone};
use super::zone::{Settings, Zone};
use crate::core::address::Address;
use crate::core::report::{KeyState, Limit, Room, SessionState};
use crate::nginx::module::running_main_conf;
use crate::nginx::now;
use crate::shm::limiter::counters::Counter;
use crate::shm::limiter::{Limiter, Tag};
use crate::shm::room::Counter as RoomCounter;

/// All zones of limits, in the order of the configuration.
pub fn limits() -> Vec<Limit> {
    zones().iter().filter_map(told).collect()
}

/// A zone of limits. `None`: there is no such one.
pub fn limit(name: &[u8]) -> Option<Limit> {
    told(zone(name)?)
}

/// All rooms, in the order of the configuration.
pub fn rooms() -> Vec<Room> {
    room_zones().iter().filter_map(told_room).collect()
}

/// A room. `None`: there is no such one.
pub fn room(name: &[u8]) -> Option<Room> {
    told_room(room_zone(name)?)
}

/// All rooms, but for how long one waits there or has waited: to foresee it takes each room's lock.
pub fn counted_rooms() -> Vec<Room> {
    room_zones().iter().filter_map(counted).collect()
}

/// What a limit holds of a key; an address is in text, or the network in which it is. `None`: there is no such
/// limit.
pub fn key(limit: &[u8], key: &[u8]) -> Option<KeyState> {
    let (limiter, settings) = parts(zone(limit)?)?;
    let (tag, address) = tag(limiter, settings, key);
    Some(state(limiter, settings, tag, address.map_or_else(|| key.to_vec(), to_text)))
}

/// The keys that a limit has delayed or refused most often, the heaviest first, but at most so many. `None`: there
/// is no such limit.
pub fn heaviest(limit: &[u8], most: usize) -> Option<Vec<KeyState>> {
    let (limiter, settings) = parts(zone(limit)?)?;
    let told = limiter.heaviest(most).into_iter().map(|heavy| {
        let address = settings.address(&heavy.name, Address::new);
        let key = address.map_or(heavy.name, to_text);
        KeyState { heavy: Some(heavy.count), ..state(limiter, settings, heavy.tag, key) }
    });
    Some(told.collect())
}

/// Forgets what a key owes to a limit. `None`: there is no such limit; else whether anything was held.
pub fn forget_key(limit: &[u8], key: &[u8]) -> Option<bool> {
    let (limiter, settings) = parts(zone(limit)?)?;
    Some(limiter.forget(tag(limiter, settings, key).0))
}

/// What a room knows of a session, by the number that `$smart_limit_session` shows. `None`: there is no such room;
/// else `None` of a session that has neither seat nor place.
pub fn session(room: &[u8], session: u64) -> Option<Option<SessionState>> {
    within(room_zone(room)?, |room, section| section.state(room.session(session)))
}

/// Takes a session's seat or place from it. `None`: there is no such room; else whether it had one.
pub fn remove_session(room: &[u8], session: u64) -> Option<bool> {
    within(room_zone(room)?, |room, section| section.remove(room.session(session)))
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

fn parts(zone: &Zone) -> Option<(&'static Limiter<'static>, &'static Settings)> {
    zone.get().zip(zone.settings())
}

fn room_zone(name: &[u8]) -> Option<&'static RoomZone> {
    room_zones().iter().find(|zone| zone.name().as_bytes() == name)
}

fn to_text(address: Address) -> Vec<u8> {
    address.to_string().into_bytes()
}

/// What a limit calls a key that is given as a text, and the address that it is.
fn tag(limiter: &Limiter<'_>, settings: &Settings, key: &[u8]) -> (Tag, Option<Address>) {
    let address = settings.address(key, Address::parse);
    (limiter.tag(address.as_ref().map_or(key, Address::as_bytes)), address)
}

fn state(limiter: &Limiter<'_>, settings: &Settings, tag: Tag, key: Vec<u8>) -> KeyState {
    let held = limiter.held(tag, settings.rate.of_all(), now());
    KeyState {
        key,
        excess: held.map(|held| held.excess.into()),
        idle: held.map(|held| held.idle.into()),
        heavy: None,
    }
}

fn told(zone: &Zone) -> Option<Limit> {
    let (limiter, settings) = parts(zone)?;
    Some(Limit {
        name: zone.name().as_bytes().to_vec(),
        key: settings.text.as_bytes().to_vec(),
        rate: settings.rate_text.as_bytes().to_vec(),
        passed: limiter.counted(Counter::Passed),
        delayed: limiter.counted(Counter::Delayed),
        rejected: limiter.counted(Counter::Rejected),
        delayed_dry_run: limiter.counted(Counter::DelayedDryRun),
        rejected_dry_run: limiter.counted(Counter::RejectedDryRun),
        keys: limiter.keys(),
        capacity: limiter.capacity() as u64,
        evicted: limiter.counted(Counter::Evicted),
        evicted_in_debt: limiter.counted(Counter::EvictedInDebt),
    })
}

fn told_room(zone: &RoomZone) -> Option<Room> {
    let (room, estimated_wait) = within(zone, |room, section| (room, section.estimated_wait()))?;
    Some(Room { estimated_wait, wait: room.waits(), ..counted(zone)? })
}

fn counted(zone: &RoomZone) -> Option<Room> {
    let room = zone.get()?;
    // By the rules that all workers go by, those of an earlier configuration too.
    let (rules, capacity) = (room.rules(), room.capacity() as u64);
    Some(Room {
        name: zone.name().as_bytes().to_vec(),
        waiting: room.waiting(),
        max_waiting: rules.max_waiting.map_or(capacity, u64::from),
        active: room.active(),
        max_active: rules.max_active.into(),
        provisional: room.provisional(),
        entered: room.counted(RoomCounter::Entered),
        admitted: room.counted(RoomCounter::Admitted),
        absent: room.counted(RoomCounter::Absent),
        expired: room.counted(RoomCounter::Ended),
        refused: room.counted(RoomCounter::Full),
        passed: room.counted(RoomCounter::Passed),
        polls: room.counted(RoomCounter::Polls),
        waiting_dry_run: room.counted(RoomCounter::WaitingDryRun),
        full_dry_run: room.counted(RoomCounter::FullDryRun),
        rebuilt: room.counted(RoomCounter::Rebuilt),
        ..Room::default()
    })
}
