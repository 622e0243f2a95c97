//! Where a new key is put: into a free slot of its sets, or else in the place of the one that matters least.

use std::sync::atomic::{fence, Ordering::SeqCst};

use super::counters::{Counter, Counters};
use super::table::{Sets, FREE};
use super::Turn;
use crate::core::bucket::Bucket;
use crate::core::rate::Rate;
use crate::shm::pair::{Pair, SET};

/// Puts a key in, unsettled, where there is room or where it is needed least. `None`: somebody was
/// faster.
#[inline]
pub fn put<'a>(
    sets: &Sets<'a>,
    tag: u64,
    rate: Rate,
    turn: Turn,
    counters: &Counters<'_>,
) -> Option<(&'a Pair, u64)> {
    let number = counters.add(Counter::Inserted, turn.worker);
    let state = Bucket { level: 0, last: number }.to_word();
    let slot = match free(sets) {
        Some(slot) => slot.exchange(FREE, [tag, state]).then_some(slot),
        None => evict(sets, [tag, state], rate, turn, counters),
    };
    let Some(slot) = slot else {
        return too_late(counters);
    };
    // The look at the other slots comes after this, also in the eyes of other processors.
    fence(SeqCst);
    Some((slot, state))
}

/// Puts a key in the place of the one that matters least. One that was not settled was none. `None`: somebody
/// was faster.
#[inline]
fn evict<'a>(
    sets: &Sets<'a>,
    new: [u64; 2],
    rate: Rate,
    turn: Turn,
    counters: &Counters<'_>,
) -> Option<&'a Pair> {
    let (slot, old) = least(sets, new[0], rate, turn.now)?;
    if !slot.exchange(old, new) {
        return None;
    }
    let bucket = Bucket::from_word(old[1]);
    match (bucket.level, bucket.level_at(rate, turn.now)) {
        (0, _) => counters.release(),
        (_, 0) => _ = counters.add(Counter::Evicted, turn.worker),
        _ => _ = counters.add(Counter::EvictedInDebt, turn.worker),
    }
    Some(slot)
}

/// Counts back what was not put in after all.
#[cold]
fn too_late<T>(counters: &Counters<'_>) -> Option<T> {
    counters.release();
    None
}

/// A free slot: in the first set that is half free, or else in the one that is freest.
#[inline]
fn free<'a>(sets: &Sets<'a>) -> Option<&'a Pair> {
    let (mut most, mut best) = (0, None);
    for set in sets {
        let mut free = 0_u32;
        for (place, slot) in set.iter().enumerate() {
            free |= u32::from(slot.first() == 0) << place;
        }
        let count = free.count_ones();
        if count > most {
            (most, best) = (count, set.get(free.trailing_zeros() as usize));
            if count as usize >= SET / 2 {
                break;
            }
        }
    }
    best
}

/// The slot whose key matters least, and what it holds. Who is about to be settled matters most: he
/// would only come again. `None`: the key itself is there by now.
#[inline]
fn least<'a>(sets: &Sets<'a>, tag: u64, rate: Rate, now: u64) -> Option<(&'a Pair, [u64; 2])> {
    let (mut least, mut held) = (&sets[0][0], FREE);
    let mut lightest = Bucket::HEAVIEST;
    for slot in sets.iter().copied().flatten() {
        let old = [slot.first(), slot.second()];
        if old[0] == tag {
            return None;
        }
        let weight = match Bucket::from_word(old[1]) {
            Bucket { level: 0, .. } => Bucket::HEAVIEST,
            bucket => bucket.weight(rate, now),
        };
        if weight <= lightest {
            (least, held, lightest) = (slot, old, weight);
        }
    }
    Some((least, held))
}
