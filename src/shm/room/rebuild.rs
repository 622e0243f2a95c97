//! After a death in the room: what is derived is built anew from places and seats.

use std::hint::black_box;
use std::ops::Range;

use super::at;
use super::header::Counter;
use super::section::Section;

/// Places that are taken in together.
const BATCH: usize = 32;

impl Section<'_> {
    /// Builds everything that is derived. Of a session that has a place and a seat, or two places, the first
    /// found stays: the seat, or the place nearer to the head.
    pub(super) fn rebuild(&self) {
        let room = self.room;
        room.sessions.clear();
        room.networks.clear();
        room.places.unlink_all();
        self.rebuild_seats();
        self.wipe_outside();
        self.set(at::READ, 0);
        let mut waiting = 0;
        let (head, tail) = (self.get(at::HEAD), self.get(at::TAIL));
        for start in (head..tail).step_by(BATCH) {
            let batch = start..tail.min(start + BATCH as u64);
            self.warm(batch.clone());
            for number in batch {
                waiting += u64::from(self.adopt(self.slot_of(number)));
            }
        }
        self.set(at::WAITING, waiting);
        room.alive.rebuild(|slot| room.places.session(slot) != 0);
        self.set(at::HEAD, self.next_from(head).unwrap_or(tail));
        self.count(Counter::Rebuilt);
    }

    fn rebuild_seats(&self) {
        let room = self.room;
        let mut provisional = 0;
        room.seats.rebuild(|place, seat| {
            room.sessions.insert(seat.session, room.slots + place);
            if seat.is_provisional {
                room.networks.add(seat.network);
                provisional += 1;
            }
        });
        self.set(at::PROVISIONAL, provisional);
    }

    /// Empties the slot behind the tail, into which somebody may just have been put.
    fn wipe_outside(&self) {
        let (head, tail) = (self.get(at::HEAD), self.get(at::TAIL));
        if tail < head + self.room.slots as u64 {
            self.room.places.wipe(self.slot_of(tail));
        }
    }

    /// Reads what the indexes have of these places, all at once. One after the other, each would wait for
    /// memory by itself, which is most of what a rebuild takes.
    fn warm(&self, batch: Range<u64>) {
        let warm = |number| {
            let place = self.room.places.get(self.slot_of(number));
            let room = self.room;
            room.sessions.warm(place.session)
                ^ room.networks.warm(place.network)
                ^ room.places.warm(place.key)
        };
        black_box(batch.fold(0, |all, number| all ^ warm(number)));
    }

    /// Takes a place into the indexes, unless its session is there already. Tells whether it is taken.
    fn adopt(&self, slot: usize) -> bool {
        let place = self.room.places.get(slot);
        if place.session == 0 {
            return false;
        }
        if self.room.sessions.find(place.session, |spot| self.session_at(spot)).is_some() {
            self.room.places.wipe(slot);
            return false;
        }
        self.room.sessions.insert(place.session, slot);
        self.room.networks.add(place.network);
        self.room.places.link(slot);
        true
    }
}
