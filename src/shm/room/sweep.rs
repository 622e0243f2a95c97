//! The care for those of whom nothing is heard, a slice at a time, by one worker at a time.

use std::sync::atomic::Ordering::Relaxed;

use super::section::Section;
use super::{at, Room};

/// Slots of a slice …
const SLICE: u64 = 4_096;

/// … and the most that are emptied in it: half a millisecond either way.
const EMPTIED: u64 = 256;

impl Room<'_> {
    /// Takes the lease of the sweep until a time, if nobody else has it. `worker`: a number that no other
    /// process has, of 24 bits. Who dies with the lease has it no longer than he took it for.
    pub fn lease(&self, worker: u32, now: u64, until: u64) -> bool {
        let word = &self.words[at::LEASE];
        let old = word.load(Relaxed);
        let is_free = super::cells::high(old) <= now || super::cells::low(old) == worker as usize;
        let new = super::cells::joined(until, worker as usize);
        is_free && word.compare_exchange(old, new, Relaxed, Relaxed).is_ok()
    }
}

impl Section<'_> {
    /// Takes out those who are absent, from a number on. Returns the number with which to go on, in a new
    /// section, until there is none. A sweep begins with 0.
    pub fn sweep(&self, from: u64) -> Option<u64> {
        let from = from.max(self.get(at::HEAD));
        let (mut next, mut emptied) = (from, 0);
        while let Some(number) = self.next_from(next).filter(|number| *number - from < SLICE) {
            if emptied == EMPTIED {
                return Some(number);
            }
            emptied += u64::from(self.vacate_if_absent(self.slot_of(number)));
            next = number + 1;
        }
        // Nobody stands between the last and the end of the slice.
        let next = next.max(from + SLICE);
        (next < self.get(at::TAIL)).then_some(next)
    }
}
