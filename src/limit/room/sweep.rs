//! The care for those in a room of whom nothing is heard, by one of the workers.

use super::zone::RoomZone;
use crate::nginx::{now, process};

/// Who sweeps goes on with it, unless he has not come for so many turns: then another does.
const TURNS: u64 = 3;

/// Sweeps a room, whose turn is again after so many milliseconds, unless another worker does it. The lock is
/// taken for a slice at a time.
pub fn sweep(zone: &RoomZone, pause: u64) {
    let until = now().saturating_add(pause.saturating_mul(TURNS));
    let is_ours =
        |room: &crate::shm::room::Room| !room.is_idle() && room.lease(process(), now(), until);
    if zone.get().is_some_and(is_ours) {
        let mut next = Some(0);
        while let Some(from) = next {
            next = zone.exclusively(|room| room.enter(now()).sweep(from)).flatten();
        }
    }
}
