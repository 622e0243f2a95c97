//! The order of those who wait: a ring, numbered from its head to its tail.
//!
//! Who leaves, leaves a hole. Were the ring only refilled from its tail, a head that stays would make it run
//! out while few wait; so it is compacted meanwhile: a pass moves those behind forward over the
//! holes, in order, and those whom it has not reached stay where they are, so that every moment between two
//! moves is a ring as any other. Each newcomer pays for [`STEPS`] steps.
//!
//! That is in time. A pass over a ring of S slots ends after S / (STEPS − 1) newcomers, that is S / 31, and
//! leaves no more slots in use than those who waited at its start and these newcomers. The ring has an
//! eighth more slots than may wait; a pass begins, at the latest, when it has a thirty-second more slots
//! in use than there are people; and two passes need two thirty-firsts.

use super::at;
use super::header::Counter;
use super::places;
use super::section::Section;

/// Slots that a newcomer looks at for the pass.
const STEPS: usize = 32;

impl Section<'_> {
    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        self.get(at::WAITING)
    }

    /// The rank of a slot, from 1 on.
    pub(super) fn rank(&self, slot: usize) -> u64 {
        let (head, alive) = (self.slot_of(self.get(at::HEAD)), self.room.alive);
        let before = match slot >= head {
            true => alive.before(slot) - alive.before(head),
            false => self.waiting() as usize - alive.before(head) + alive.before(slot),
        };
        before as u64 + 1
    }

    /// Puts somebody behind all others. `None`: the ring is full, which it is not while fewer wait than may.
    pub(super) fn append(&self, place: places::Place) -> Option<usize> {
        self.compact();
        let tail = self.get(at::TAIL);
        if tail - self.get(at::HEAD) >= self.room.slots as u64 {
            return None;
        }
        let slot = self.slot_of(tail);
        self.room.places.put(slot, place);
        self.room.alive.set(slot);
        self.room.networks.add(place.network);
        self.set(at::WAITING, self.waiting() + 1);
        self.set(at::TAIL, tail + 1);
        Some(slot)
    }

    /// Takes somebody out of the ring. Where his session is, is the caller's to change.
    pub(super) fn vacate(&self, slot: usize) {
        self.room.networks.subtract(self.room.places.get(slot).network);
        self.room.places.take(slot);
        self.room.alive.clear(slot);
        self.set(at::WAITING, self.waiting() - 1);
        if slot == self.slot_of(self.get(at::HEAD)) {
            self.advance_head();
        }
    }

    /// Takes out whom nobody has heard of in time. Tells whether it was so.
    pub(super) fn vacate_if_absent(&self, slot: usize) -> bool {
        let is_absent = self.room.places.deadline(slot) < self.now;
        if is_absent {
            self.send_away(slot);
            self.count(Counter::Absent);
        }
        is_absent
    }

    /// Takes somebody out, and forgets him.
    pub(super) fn send_away(&self, slot: usize) {
        let session = self.room.places.session(slot);
        self.room.sessions.remove(session, slot, |spot| self.session_at(spot));
        self.vacate(slot);
    }

    /// The slot of the one who stands first.
    pub(super) fn head(&self) -> Option<usize> {
        (self.waiting() > 0).then(|| self.slot_of(self.get(at::HEAD)))
    }

    /// The slot of a number.
    pub(super) fn slot_of(&self, number: u64) -> usize {
        (number % self.room.slots as u64) as usize
    }

    /// The number of the first who stands at or after a number, and before the tail.
    pub(super) fn next_from(&self, number: u64) -> Option<u64> {
        let tail = self.get(at::TAIL);
        let left = tail.checked_sub(number).filter(|left| *left > 0)? as usize;
        let (slot, slots) = (self.slot_of(number), self.room.slots);
        let first = self.room.alive.next(slot, slots.min(slot + left));
        let wrapped = || {
            let end = (slot + left).checked_sub(slots)?;
            Some(self.room.alive.next(0, end)? + slots)
        };
        Some(number + (first.or_else(wrapped)? - slot) as u64)
    }

    fn advance_head(&self) {
        let tail = self.get(at::TAIL);
        let head = match self.waiting() {
            0 => tail,
            _ => self.next_from(self.get(at::HEAD)).unwrap_or(tail),
        };
        self.set(at::HEAD, head);
        if self.get(at::READ) != 0 && self.get(at::WRITE) < head {
            self.set(at::READ, self.get(at::READ).max(head));
            self.set(at::WRITE, head);
        }
    }

    /// Goes on with the pass, or begins one if there are many holes.
    fn compact(&self) {
        let (head, slots) = (self.get(at::HEAD), self.room.slots as u64);
        if self.get(at::READ) == 0 {
            let span = self.get(at::TAIL) - head;
            if span <= (self.waiting() + slots / 32).max(slots / 2) {
                return;
            }
            self.set(at::WRITE, head);
            self.set(at::READ, head);
        }
        for _ in 0..STEPS {
            if !self.step() {
                return;
            }
        }
    }

    /// A step of the pass. Tells whether there are more.
    fn step(&self) -> bool {
        let (read, tail) = (self.get(at::READ), self.get(at::TAIL));
        if read >= tail {
            self.set(at::TAIL, self.get(at::WRITE));
            self.set(at::READ, 0);
            return false;
        }
        let from = self.slot_of(read);
        if self.room.alive.is_set(from) && !self.vacate_if_absent(from) {
            self.relocate(from, self.slot_of(self.get(at::WRITE)));
            self.set(at::WRITE, self.get(at::WRITE) + 1);
        }
        self.set(at::READ, self.get(at::READ).max(read + 1));
        true
    }

    fn relocate(&self, from: usize, to: usize) {
        if from != to {
            let session = self.room.places.session(from);
            self.room.places.relocate(from, to);
            self.room.sessions.replace(session, from, to);
            self.room.alive.set(to);
            self.room.alive.clear(from);
        }
    }
}
