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

use std::ptr;

use super::counters::Counters;
use super::newcomer::put;
use super::Turn;
use crate::core::bucket::{Bucket, Limit, Offer, Rest};
use crate::core::rate::Rate;
use crate::shm::pair::{Pair, Set, SET};

/// Sets in which a key may be. Of as many keys as fill 88 slots of 100, one in 100 finds no room in three
/// sets, four in two.
const CHOICES: usize = 3;

/// The sets of a key.
pub(super) type Sets<'a> = [&'a [Pair; SET]; CHOICES];

/// A slot that holds no key.
pub(super) const FREE: [u64; 2] = [0, 0];

/// All slots, over their memory.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    sets: &'a [Set],
}

/// A charge that may have to be taken back.
#[derive(Clone, Copy)]
pub struct Charge<'a> {
    slot: &'a Pair,
    tag: u64,
    before: u64,
    after: u64,
}

/// What a look for a key has found: a slot, and the state in it.
#[derive(Clone, Copy)]
enum Found<'a> {
    Settled(&'a Pair, u64),
    Unsettled(&'a Pair, u64),
    Nothing,
}

impl<'a> Table<'a> {
    /// The table over `sets`. `None`: there are too few.
    pub fn new(sets: &'a [Set]) -> Option<Self> {
        (sets.len() >= CHOICES).then_some(Self { sets })
    }

    /// The number of slots.
    pub fn capacity(&self) -> usize {
        self.sets.len() * SET
    }

    /// The bucket of a key. One that is not held has an empty one.
    #[inline]
    pub fn bucket(&self, tag: u64) -> Bucket {
        loop {
            let Some((slot, state)) = self.settled(tag) else {
                return Bucket::EMPTY;
            };
            if slot.first() == tag {
                return Bucket::from_word(state);
            }
        }
    }

    /// Charges a key if `limit` lets its request pass at once, and returns the excess. This is the way of
    /// most requests, and does nothing that only others need. Else the key's bucket, if it has one;
    /// nothing has changed, and [`Self::charge`] tells more.
    #[inline(always)]
    pub fn pass(&self, tag: u64, limit: Limit, now: u64) -> Result<u32, Option<Bucket>> {
        let (slot, state) = self.settled(tag).ok_or(None)?;
        let bucket = Bucket::from_word(state);
        if let Offer::Passes { excess, delay: 0, charged } = bucket.offer(&limit, now) {
            if slot.exchange([tag, state], [tag, charged.to_word()]) {
                return Ok(excess);
            }
        }
        // The two words were read one after the other: they are of one key if it is still there.
        Err((slot.first() == tag).then_some(bucket))
    }

    /// Lets `limit` decide about a request of a key, and charges the key if it passes.
    #[inline(never)]
    pub fn charge(
        &self,
        tag: u64,
        limit: Limit,
        turn: Turn,
        counters: &Counters<'_>,
    ) -> (Offer, Option<Charge<'a>>) {
        if let Some((slot, state)) = self.settled(tag) {
            if let Some(decided) = decide(slot, tag, state, Bucket::from_word(state), limit, turn) {
                return decided;
            }
            return self.charge_contended(tag, limit, turn, counters);
        }
        self.charge_new(tag, limit, turn, counters)
    }

    /// The same for a key that has no settled slot.
    #[inline]
    pub fn charge_new(
        &self,
        tag: u64,
        limit: Limit,
        turn: Turn,
        counters: &Counters<'_>,
    ) -> (Offer, Option<Charge<'a>>) {
        let sets = self.sets(tag);
        if let Some((slot, state)) = put(&sets, tag, limit.rate, turn, counters) {
            if is_only(&sets, tag) || settle(&sets, tag, slot, state, counters) {
                if let Some(decided) = decide(slot, tag, state, Bucket::EMPTY, limit, turn) {
                    return decided;
                }
            }
        }
        self.charge_contended(tag, limit, turn, counters)
    }

    /// The same for a key that others ask for at the same time, or that somebody has left unsettled.
    #[cold]
    fn charge_contended(
        &self,
        tag: u64,
        limit: Limit,
        turn: Turn,
        counters: &Counters<'_>,
    ) -> (Offer, Option<Charge<'a>>) {
        let sets = self.sets(tag);
        loop {
            let found = match find(&sets, tag) {
                Found::Nothing => put(&sets, tag, limit.rate, turn, counters),
                Found::Unsettled(slot, state) => Some((slot, state)),
                Found::Settled(slot, state) => {
                    let bucket = Bucket::from_word(state);
                    if let Some(decided) = decide(slot, tag, state, bucket, limit, turn) {
                        return decided;
                    }
                    None
                }
            };
            let settled = found.filter(|(slot, state)| settle(&sets, tag, slot, *state, counters));
            let decided = settled
                .and_then(|(slot, state)| decide(slot, tag, state, Bucket::EMPTY, limit, turn));
            if let Some(decided) = decided {
                return decided;
            }
        }
    }

    /// Takes a charge back, as if the request had never come.
    pub fn restore(&self, charge: Charge<'_>, counters: &Counters<'_>) {
        let Charge { slot, tag, before, after } = charge;
        let change = |old: u64, bucket: Bucket| match bucket.level {
            0 => release(slot, [tag, old], counters),
            _ => slot.exchange([tag, old], [tag, bucket.to_word()]),
        };
        if change(after, Bucket::from_word(before)) {
            return;
        }
        // Others have charged it since, or it was evicted.
        while slot.first() == tag {
            let state = slot.second();
            let bucket = Bucket::from_word(state);
            if bucket.level == 0 || change(state, bucket.without_request()) {
                return;
            }
        }
    }

    /// Forgets what is held of a key. Tells whether there was anything. Who charges the key at the same time
    /// does so before or after: its slot is freed as it is, or not at all. One that is not settled yet owes
    /// nothing, and stays.
    pub fn remove(&self, tag: u64, counters: &Counters<'_>) -> bool {
        while let Some((slot, state)) = self.settled(tag) {
            if release(slot, [tag, state], counters) {
                return true;
            }
        }
        false
    }

    /// Looks after `count` sets from `start` on: frees slots that owe nothing, and keeps the others'
    /// clock from coming round. A slot that a dead worker has left unsettled is freed too.
    pub fn sweep(
        &self,
        start: usize,
        count: usize,
        rate: Option<Rate>,
        now: u64,
        counters: &Counters<'_>,
    ) {
        let start = start % self.sets.len();
        let sets = self.sets.iter().cycle().skip(start).take(count.min(self.sets.len()));
        for slot in sets.flat_map(Set::slots) {
            let old = [slot.first(), slot.second()];
            let [tag, state] = old;
            // If somebody is faster, the slot is in use and needs no care.
            match Bucket::from_word(state).rest(rate, now) {
                _ if tag == 0 => continue,
                Rest::Stays => continue,
                Rest::IsEmpty => release(slot, old, counters),
                Rest::Becomes(bucket) => slot.exchange(old, [tag, bucket.to_word()]),
            };
        }
    }

    /// A set in which a key may be: the upper bits of its hash, turned, are the fraction of the table at
    /// which the set stands, so that the number of sets needs to be no power of two.
    #[inline]
    fn set(&self, tag: u64, choice: u32) -> &'a [Pair; SET] {
        let turned = u128::from(tag.rotate_left(choice * 21));
        self.sets[((turned * self.sets.len() as u128) >> 64) as usize].slots()
    }

    /// All sets in which a key may be, in the order in which they are looked at.
    #[inline]
    fn sets(&self, tag: u64) -> Sets<'a> {
        [self.set(tag, 0), self.set(tag, 1), self.set(tag, 2)]
    }

    /// The settled slot of a key, and its state.
    #[inline(always)]
    fn settled(&self, tag: u64) -> Option<(&'a Pair, u64)> {
        for choice in 0..CHOICES as u32 {
            for slot in self.set(tag, choice) {
                if slot.first() == tag {
                    let state = slot.second();
                    if is_settled(state) {
                        return Some((slot, state));
                    }
                }
            }
        }
        None
    }
}

/// The settled slot of a key, or else the first unsettled one.
fn find<'a>(sets: &Sets<'a>, tag: u64) -> Found<'a> {
    let mut found = Found::Nothing;
    for slot in sets.iter().copied().flatten().filter(|slot| slot.first() == tag) {
        let state = slot.second();
        if is_settled(state) {
            return Found::Settled(slot, state);
        }
        if matches!(found, Found::Nothing) {
            found = Found::Unsettled(slot, state);
        }
    }
    found
}

/// Whether no more than one slot is the key's.
#[inline]
fn is_only(sets: &Sets<'_>, tag: u64) -> bool {
    let mut count = 0;
    for set in sets {
        for slot in *set {
            count += u32::from(slot.first() == tag);
        }
    }
    count <= 1
}

/// Frees a slot that holds this. Tells whether it still did.
fn release(slot: &Pair, held: [u64; 2], counters: &Counters<'_>) -> bool {
    let is_free = slot.exchange(held, FREE);
    if is_free {
        counters.release();
    }
    is_free
}

/// Whether an unsettled slot may be settled, see the head of this file. If not, it is emptied.
fn settle(sets: &Sets<'_>, tag: u64, own: &Pair, state: u64, counters: &Counters<'_>) -> bool {
    let mut is_earlier = true;
    for slot in sets.iter().copied().flatten().filter(|slot| slot.first() == tag) {
        if ptr::eq(slot, own) {
            is_earlier = false;
            continue;
        }
        let other = slot.second();
        let may_give_way = !is_earlier && !is_settled(other);
        if !(may_give_way && release(slot, [tag, other], counters)) {
            release(own, [tag, state], counters);
            return false;
        }
    }
    true
}

/// Whether a slot with this state has a bucket.
#[inline]
fn is_settled(state: u64) -> bool {
    Bucket::from_word(state).level > 0
}

/// Decides about a request of the key in `slot`, and charges it if it passes. `None`: the slot has changed.
#[inline]
fn decide<'a>(
    slot: &'a Pair,
    tag: u64,
    before: u64,
    bucket: Bucket,
    limit: Limit,
    turn: Turn,
) -> Option<(Offer, Option<Charge<'a>>)> {
    let offer = bucket.offer(&limit, turn.now);
    let Offer::Passes { charged, .. } = offer else {
        // The two words were read one after the other: they are of one key if it is still there.
        return (slot.first() == tag).then_some((offer, None));
    };
    let after = charged.to_word();
    let is_charged = slot.exchange([tag, before], [tag, after]);
    is_charged.then_some((offer, Some(Charge { slot, tag, before, after })))
}

#[cfg(test)]
impl<'a> Table<'a> {
    /// Puts a key in, as a worker does that dies then; whether or not it is there. Returns the slot.
    pub(super) fn leave_unsettled(&self, tag: u64, counters: &Counters<'_>) -> &'a Pair {
        let turn = Turn { now: 0, worker: 0 };
        put(&self.sets(tag), tag, Rate::DEFAULT, turn, counters).expect("nobody else is there").0
    }

    pub(super) fn slots_of(&self, tag: u64) -> usize {
        self.sets.iter().flat_map(Set::slots).filter(|slot| slot.first() == tag).count()
    }

    /// How many slots are in use.
    pub(super) fn in_use(&self) -> usize {
        self.capacity() - self.slots_of(0)
    }
}
