//! The buckets of all keys: a set-associative table whose slots change by one exchange each.
//!
//! A slot is a *tag*, the key's hash, and the *state* of its bucket. Both are exchanged together, so
//! a charge never lands on the key that has taken the slot meanwhile, and no death leaves one key's
//! debt to another. What remains is that two workers may put the same new key into two slots at
//! once. So a key is put in as *unsettled*, a state without a level and with a number of its own, and
//! is settled by its first charge, once it has been found to be alone:
//!
//! - Who puts or finds an unsettled slot looks through all slots of the key after that. A settled one,
//!   or an unsettled one that stands earlier, is the key's: this one is emptied. Unsettled ones
//!   that stand later are emptied. Then this one may be settled, if it is still the same.
//! - So no two slots of a key are ever settled. Let both be, and let B be put in after A. Who settled B
//!   had looked at A's slot after B was put in, hence after A was, and has either seen A
//!   or emptied it.
//! - The number in the state makes sure that what is settled is what was put in before the look, not
//!   the same key put in again.
//! - An unsettled slot owes nothing. Anybody may empty or settle it, so its maker may die.

use std::sync::atomic::{fence, Ordering::SeqCst};

use super::Turn;
use crate::core::bucket::{Bucket, Limit, Offer, Rest};
use crate::core::rate::Rate;
use crate::shm::pair::Pair;

/// Slots of a set: one cache line.
const SET: usize = 4;

/// Sets in which a key may be. Three fill the table to 98 % before a key finds no room, two to 95 %.
const SETS: usize = 3;

/// A slot that holds no key.
const FREE: [u64; 2] = [0, 0];

/// All slots, over their memory.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    slots: &'a [Pair],
}

/// A charge that may have to be taken back.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    slot: usize,
    tag: u64,
    before: u64,
    after: u64,
}

/// Who had to give way to a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// Nobody: there was a free slot.
    Nobody,
    /// A key that owed nothing any more.
    Idle,
    /// A key that still owed.
    InDebt,
}

/// What a look for a key has found.
enum Found {
    Settled(usize, Bucket),
    Unsettled(usize, u64),
    Nothing,
}

impl<'a> Table<'a> {
    /// The table over `slots`, of which it uses whole sets. `None`: there are too few.
    pub fn new(slots: &'a [Pair]) -> Option<Self> {
        let slots = &slots[..slots.len() / SET * SET];
        (slots.len() >= SET * SETS).then_some(Self { slots })
    }

    /// The number of slots.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The bucket of a key. One that is not held has an empty one.
    #[inline]
    pub fn bucket(&self, tag: u64) -> Bucket {
        loop {
            let Found::Settled(slot, bucket) = self.find(tag) else {
                return Bucket::EMPTY;
            };
            if self.slots[slot].first() == tag {
                return bucket;
            }
        }
    }

    /// Lets `limit` decide about a request of a key and charges the key if it passes. `number` is asked
    /// for once for each slot that is put in, and `evicted` told who gave way to it.
    #[inline]
    pub fn charge(
        &self,
        tag: u64,
        limit: &Limit,
        turn: Turn,
        number: impl Fn() -> u32,
        evicted: impl Fn(Evicted),
    ) -> (Offer, Option<Charge>) {
        loop {
            let (slot, before, bucket) = match self.find(tag) {
                Found::Settled(slot, bucket) => (slot, bucket.to_word(), bucket),
                Found::Unsettled(slot, state) if self.is_alone(tag, slot, state) => {
                    (slot, state, Bucket::EMPTY)
                }
                Found::Unsettled(..) => continue,
                Found::Nothing => match self.put(tag, number(), limit.rate, turn) {
                    Some((slot, state, gone)) => {
                        evicted(gone);
                        if !self.is_alone(tag, slot, state) {
                            continue;
                        }
                        (slot, state, Bucket::EMPTY)
                    }
                    None => continue,
                },
            };
            let offer = bucket.offer(limit, turn.now);
            let Offer::Passes { charged, .. } = offer else {
                // The two words were read one after the other: they are of one key if it is still there.
                if self.slots[slot].first() == tag {
                    return (offer, None);
                }
                continue;
            };
            let after = charged.to_word();
            if self.slots[slot].exchange([tag, before], [tag, after]) {
                return (offer, Some(Charge { slot, tag, before, after }));
            }
        }
    }

    /// Takes a charge back, as if the request had never come.
    pub fn restore(&self, charge: Charge) {
        let Charge { slot, tag, before, after } = charge;
        let slot = &self.slots[slot];
        let emptied =
            |bucket: Bucket| if bucket.level == 0 { FREE } else { [tag, bucket.to_word()] };
        if slot.exchange([tag, after], emptied(Bucket::from_word(before))) {
            return;
        }
        // Others have charged it since, or it was evicted.
        while slot.first() == tag {
            let state = slot.second();
            let bucket = Bucket::from_word(state);
            if bucket.level == 0 || slot.exchange([tag, state], emptied(bucket.without_request())) {
                return;
            }
        }
    }

    /// Looks after `count` slots from `start` on: frees those that owe nothing, and keeps the others'
    /// clock from coming round. A slot that a dead worker has left unsettled is freed too.
    pub fn sweep(&self, start: usize, count: usize, rate: Option<Rate>, now: u64) {
        let start = start % self.slots.len();
        let slots = self.slots.iter().cycle().skip(start).take(count.min(self.slots.len()));
        for slot in slots {
            let old = [slot.first(), slot.second()];
            let [tag, state] = old;
            // If somebody is faster, the slot is in use and needs no care.
            match Bucket::from_word(state).rest(rate, now) {
                _ if tag == 0 => continue,
                Rest::Stays => continue,
                Rest::IsEmpty => slot.exchange(old, FREE),
                Rest::Becomes(bucket) => slot.exchange(old, [tag, bucket.to_word()]),
            };
        }
    }

    /// The first slots of the sets in which a key may be: the upper bits of its hash, turned, are the
    /// fraction of the table at which a set stands, so that the number of sets needs to be no power of two.
    #[inline]
    fn sets(&self, tag: u64) -> [usize; SETS] {
        let count = (self.slots.len() / SET) as u128;
        [0, 21, 42].map(|turn| {
            let set = (u128::from(tag.rotate_left(turn)) * count) >> 64;
            set as usize * SET
        })
    }

    #[inline]
    fn candidates(&self, tag: u64) -> impl Iterator<Item = usize> {
        self.sets(tag).into_iter().flat_map(|first| first..first + SET)
    }

    #[inline]
    fn find(&self, tag: u64) -> Found {
        let mut found = Found::Nothing;
        for slot in self.candidates(tag) {
            if self.slots[slot].first() != tag {
                continue;
            }
            let state = self.slots[slot].second();
            let bucket = Bucket::from_word(state);
            if bucket.level > 0 {
                return Found::Settled(slot, bucket);
            }
            if matches!(found, Found::Nothing) {
                found = Found::Unsettled(slot, state);
            }
        }
        found
    }

    /// Whether an unsettled slot may be settled: see the head of this file. If not, it is emptied.
    fn is_alone(&self, tag: u64, slot: usize, state: u64) -> bool {
        let mut is_earlier = true;
        for other in self.candidates(tag) {
            if other == slot {
                is_earlier = false;
                continue;
            }
            if self.slots[other].first() != tag {
                continue;
            }
            let state_of_other = self.slots[other].second();
            if is_earlier || Bucket::from_word(state_of_other).level > 0 {
                self.slots[slot].exchange([tag, state], FREE);
                return false;
            }
            if !self.slots[other].exchange([tag, state_of_other], FREE) {
                return false;
            }
        }
        true
    }

    /// Puts a key in, unsettled, where there is room or where it is needed least. `None`: somebody was
    /// faster.
    fn put(&self, tag: u64, number: u32, rate: Rate, turn: Turn) -> Option<(usize, u64, Evicted)> {
        let (slot, old) = match self.free_slot(tag) {
            Some(slot) => (slot, FREE),
            None => self.least(tag, rate, turn.now),
        };
        let state = Bucket { level: 0, last: number }.to_word();
        if !self.slots[slot].exchange(old, [tag, state]) {
            return None;
        }
        // The look at the other slots comes after this, also in the eyes of other processors.
        fence(SeqCst);
        let bucket = Bucket::from_word(old[1]);
        let gone = match bucket.level_at(rate, turn.now) {
            _ if bucket.level == 0 => Evicted::Nobody,
            0 => Evicted::Idle,
            _ => Evicted::InDebt,
        };
        Some((slot, state, gone))
    }

    /// A free slot in the set that has most of them.
    #[inline]
    fn free_slot(&self, tag: u64) -> Option<usize> {
        let mut best = (0, None);
        for first in self.sets(tag) {
            let (mut count, mut free) = (0, None);
            for slot in first..first + SET {
                if self.slots[slot].first() == 0 {
                    count += 1;
                    free = Some(slot);
                }
            }
            if count > best.0 {
                best = (count, free);
            }
        }
        best.1
    }

    /// The slot whose key matters least, and what it holds. Who is about to be settled matters most: he
    /// would only come again.
    fn least(&self, tag: u64, rate: Rate, now: u64) -> (usize, [u64; 2]) {
        let weighed = self.candidates(tag).map(|slot| {
            let old = [self.slots[slot].first(), self.slots[slot].second()];
            let bucket = Bucket::from_word(old[1]);
            ((bucket.level == 0, bucket.weight(rate, now)), slot, old)
        });
        let least = weighed.min_by_key(|(weight, _, _)| *weight);
        let (_, slot, old) = least.expect("a key has candidates");
        (slot, old)
    }
}

#[cfg(test)]
impl Table<'_> {
    /// Puts a key in, as a worker does that dies then; whether or not it is there. Returns the slot.
    pub(super) fn leave_unsettled(&self, tag: u64) -> usize {
        let turn = Turn { now: 0, worker: 0 };
        let number = self.slots_of(tag) as u32 + 7;
        self.put(tag, number, Rate::DEFAULT, turn).expect("nobody else is there").0
    }

    pub(super) fn is_free(&self, slot: usize) -> bool {
        self.slots[slot].first() == 0 && self.slots[slot].second() == 0
    }

    pub(super) fn slots_of(&self, tag: u64) -> usize {
        self.candidates(tag).filter(|slot| self.slots[*slot].first() == tag).count()
    }
}
