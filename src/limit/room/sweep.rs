//! The care for those in a room of whom nothing is heard, by one of the workers.

use super::zone::{within, RoomZone};
use crate::nginx::{now, process};
use crate::shm::room::Room;

/// Slices at a time: together a millisecond or two, in which the worker does nothing else. The room's lock is
/// taken for each of them alone.
const SLICES: usize = 16;

/// Sweeps a part of a room, from a place on, unless another worker does it: whoever sweeps goes on with it
/// until a time. Returns where to go on; `None`: the room is swept.
pub fn sweep(zone: &RoomZone, from: u64, until: u64) -> Option<u64> {
    let is_ours = |room: &Room| !room.is_idle() && room.lease(process(), now(), until);
    zone.get().filter(|room| is_ours(room))?;
    (0..SLICES).try_fold(from, |from, _| within(zone, |_, section| section.sweep(from)).flatten())
}
