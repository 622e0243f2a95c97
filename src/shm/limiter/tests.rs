use std::collections::HashMap;

use super::layout::MAGIC;
use super::*;
use crate::core::rate::REQUEST;
use crate::shm::Word;

/// A zone of `bytes` in the middle of which is what an earlier one has left.
fn memory(bytes: usize) -> Vec<Word> {
    (0..bytes / 8).map(|_| Word::new(u64::MAX / 3)).collect()
}

fn limit(rate: &str, burst: u32) -> Limit {
    let rate = Rate::parse(rate.as_bytes()).unwrap();
    Limit { rate, burst: burst * REQUEST, delay: u32::MAX }
}

const SECRET: Secret =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0x2545_f491_4f6c_dd1d];

fn at(now: u64) -> Turn {
    Turn { now, worker: 0 }
}

fn passes(limiter: &Limiter<'_>, key: &[u8], limit: &Limit, now: u64) -> bool {
    matches!(limiter.charge(limiter.tag(key), *limit, at(now)).0, Offer::Passes { .. })
}

#[test]
fn each_key_has_its_own_bucket() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/s", 2);
    for key in [b"a", b"b"] {
        let passed = (0..5).filter(|_| passes(&limiter, key, &limit, 7)).count();
        assert_eq!(passed, 3);
    }
    assert!(passes(&limiter, b"a", &limit, 1007));
    assert!(!passes(&limiter, b"a", &limit, 1007));
}

#[test]
fn a_zone_is_opened_as_it_was_left_and_only_by_its_own_layout() {
    let words = memory(64 << 10);
    assert!(Limiter::open(&words).is_none());
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/d", 0);
    assert!(passes(&limiter, b"a", &limit, 7));
    let again = Limiter::open(&words).unwrap();
    assert!(!passes(&again, b"a", &limit, 7));
    assert!(Limiter::open(&words[..words.len() - 1]).is_none(), "another size");
    words[0].store(MAGIC + (1 << 56), Relaxed);
    assert!(Limiter::open(&words).is_none(), "another version");
    let fresh = Limiter::create(&words, SECRET).unwrap();
    assert!(passes(&fresh, b"a", &limit, 7));
}

#[test]
fn too_little_memory_is_no_zone() {
    assert!(Limiter::create(&memory(1024), SECRET).is_none());
    assert!(Limiter::create(&[], SECRET).is_none());
}

#[test]
fn what_is_taken_back_was_never_charged() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/s", 1);
    let tag = limiter.tag(b"a");
    let charge = || limiter.charge(tag, limit, at(7)).1.unwrap();
    limiter.restore(charge());
    assert_eq!((limiter.bucket(tag), limiter.keys()), (Bucket::EMPTY, 0));
    let (first, _second) = (charge(), charge());
    limiter.restore(first);
    assert_eq!(limiter.bucket(tag), Bucket { level: 1000, last: 7 }, "another has charged since");
    let old = limiter.bucket(tag);
    limiter.restore(limiter.charge(tag, limit, at(500)).1.unwrap());
    assert_eq!(limiter.bucket(tag), old, "the time before it too is as it was");
}

#[test]
fn a_full_zone_admits_every_key_and_gives_up_who_matters_least() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/s", 9);
    let keys = limiter.capacity() * 10;
    for heavy in 0..16_u32 {
        let key = (u32::MAX - heavy).to_le_bytes();
        (0..10).for_each(|_| assert!(passes(&limiter, &key, &limit, 0)));
    }
    for key in 0..keys as u32 {
        assert!(passes(&limiter, &key.to_le_bytes(), &limit, 1), "key {key}");
    }
    for heavy in 0..16_u32 {
        let tag = limiter.tag(&(u32::MAX - heavy).to_le_bytes());
        assert_eq!(limiter.bucket(tag).level, 10_000, "a key in great debt stayed");
    }
    let evicted = limiter.counted(Counter::EvictedInDebt);
    let inserted = limiter.counted(Counter::Inserted);
    assert_eq!(limiter.counted(Counter::Evicted), 0);
    assert!(inserted >= keys as u64 + 16 && inserted - evicted <= limiter.capacity() as u64);
    assert_eq!(limiter.keys(), limiter.table.in_use() as u64);
    assert!(passes(&limiter, b"late", &limit, 3_600_000));
    assert_eq!(limiter.counted(Counter::Evicted), 1, "after an hour nobody owes");
}

#[test]
fn a_zone_of_1m_holds_seven_times_the_keys_of_limit_req() {
    // What nginx's slab allocator leaves of a zone of 1 MB, less the line in which the zone keeps its size.
    let words = memory(253 * 4096 - 64);
    for length in [4, 64] {
        let limiter = Limiter::create(&words, SECRET).unwrap();
        words[0].store(0, Relaxed);
        let limit = limit("1r/d", 0);
        let key = |number: u32| {
            let mut key = vec![b'k'; length];
            key[..4].copy_from_slice(&number.to_le_bytes());
            key
        };
        (0..56_000).for_each(|number| assert!(passes(&limiter, &key(number), &limit, 7)));
        let known = |number: &u32| limiter.bucket(limiter.tag(&key(*number))).level > 0;
        let known = (0..56_000).filter(known).count();
        assert!(known >= 56_000 * 97 / 100, "{known} of keys of {length} bytes");
    }
}

#[test]
fn a_sweep_frees_who_owes_nothing_and_what_the_dead_have_left() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let (fast, slow) = (limit("1r/s", 0), limit("1r/d", 0));
    assert!(passes(&limiter, b"fast", &fast, 0));
    let unsettled = limiter.tag(b"dead");
    let slot = limiter.table.leave_unsettled(unsettled.0, &limiter.counters);
    for _ in 0..SLICES {
        limiter.sweep(Some(fast.rate), 500);
    }
    assert_eq!(limiter.bucket(limiter.tag(b"fast")).level, 1000, "it still owes");
    assert_eq!((slot.first(), slot.second()), (0, 0));
    assert_eq!(limiter.keys(), 1);
    assert!(passes(&limiter, b"slow", &slow, 80_000_000));
    for _ in 0..SLICES {
        limiter.sweep(Some(slow.rate), 86_400_000);
    }
    assert_eq!(limiter.bucket(limiter.tag(b"fast")), Bucket::EMPTY);
    assert_eq!(limiter.bucket(limiter.tag(b"slow")).level, 1000);
}

#[test]
fn a_key_that_a_dead_worker_has_left_unsettled_is_charged_as_any() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/d", 1);
    let tag = limiter.tag(b"a");
    (0..3).for_each(|_| _ = limiter.table.leave_unsettled(tag.0, &limiter.counters));
    assert_eq!(limiter.bucket(tag), Bucket::EMPTY);
    let passed = (0..5).filter(|_| passes(&limiter, b"a", &limit, 7)).count();
    assert_eq!(passed, 2);
    assert_eq!(limiter.table.slots_of(tag.0), 1);
    assert_eq!(limiter.keys(), 1, "what was put in again and again is one");
}

#[test]
fn what_was_put_in_before_is_not_what_is_put_in_again() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let tag = limiter.tag(b"a").0;
    let put_in = || limiter.table.leave_unsettled(tag, &limiter.counters);
    let slot = put_in();
    let before = slot.second();
    assert!(slot.exchange([tag, before], [0, 0]));
    assert!(std::ptr::eq(put_in(), slot));
    assert!(!slot.exchange([tag, before], [tag, 1000 << 32]), "who looked before settles nothing");
}

#[test]
fn the_table_is_filled_evenly() {
    let words = memory(256 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/d", 0);
    let keys = limiter.capacity() as u32 * 9 / 10;
    (0..keys).for_each(|key| assert!(passes(&limiter, &key.to_le_bytes(), &limit, 7)));
    let lost = limiter.counted(Counter::EvictedInDebt);
    assert!(lost * 50 < keys.into(), "{lost} of {keys} lost at a load of 0.9");
}

#[test]
fn the_heaviest_keys_are_named() {
    let words = memory(1 << 20);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let mut counts = HashMap::new();
    // Key n comes 2000 / (n + 1) times, among a thousand that come once.
    for round in 0..2000_u32 {
        for key in (0..20_u32).filter(|key| round % (key + 1) == 0) {
            *counts.entry(key).or_insert(0_u64) += 1;
            let key = key.to_string();
            limiter.count_heavy(limiter.tag(key.as_bytes()), key.as_bytes());
        }
        let once = format!("once {round}");
        limiter.count_heavy(limiter.tag(once.as_bytes()), once.as_bytes());
    }
    let list = limiter.heaviest(usize::MAX);
    assert_eq!(limiter.heaviest(3), list[..3]);
    assert!(list.is_sorted_by(|a, b| a.count >= b.count));
    for key in 0..8 {
        let found = list.iter().find(|heavy| heavy.name == key.to_string().as_bytes()).unwrap();
        let most = counts[&key] + 2000 / 16;
        assert!((counts[&key]..=most).contains(&found.count), "{key}: {}", found.count);
        assert_eq!(found.tag, limiter.tag(key.to_string().as_bytes()));
    }
    assert_eq!(list[0].name, b"0");
}

#[test]
fn a_long_name_is_cut_and_a_torn_one_left_out() {
    let words = memory(1 << 20);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let key = [b'x'; 100];
    limiter.count_heavy(limiter.tag(&key), &key);
    assert_eq!(limiter.heaviest(1)[0].name, key[..64]);
    let text = u64::from_le_bytes(*b"xxxxxxxx");
    let torn = words.iter().find(|word| word.load(Relaxed) == text).unwrap();
    torn.store(text + 1, Relaxed);
    assert_eq!(limiter.heaviest(1), []);
    (0..256).for_each(|_| limiter.count_heavy(limiter.tag(&key), &key));
    assert_eq!(limiter.heaviest(1)[0].name, key[..64], "in time it is written anew");
}

#[test]
fn a_key_is_told_as_it_is_now() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/s", 4);
    let tag = limiter.tag(b"a");
    assert_eq!(limiter.held(tag, Some(limit.rate), 1_000), None);
    (0..3).for_each(|_| assert!(passes(&limiter, b"a", &limit, 1_000)));
    let held = |rate, now| limiter.held(tag, rate, now);
    assert_eq!(held(Some(limit.rate), 1_000), Some(Held { excess: 3_000, idle: 0 }));
    assert_eq!(held(Some(limit.rate), 2_200), Some(Held { excess: 1_800, idle: 1_200 }));
    assert_eq!(held(Some(limit.rate), 9_000), Some(Held { excess: 0, idle: 8_000 }));
    assert_eq!(held(None, 2_200), Some(Held { excess: 3_000, idle: 1_200 }));
    assert_eq!(held(Some(limit.rate), 990).map(|held| held.idle), Some(0), "a clock behind");
}

#[test]
fn a_key_that_is_forgotten_owes_nothing() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let limit = limit("1r/d", 1);
    let tag = limiter.tag(b"a");
    assert!(!limiter.forget(tag));
    for key in [b"a", b"a", b"b"] {
        assert!(passes(&limiter, key, &limit, 7));
    }
    assert!(!passes(&limiter, b"a", &limit, 7));
    assert_eq!(limiter.keys(), 2);
    assert!(limiter.forget(tag));
    assert!(!limiter.forget(tag));
    assert_eq!((limiter.keys(), limiter.held(tag, None, 7)), (1, None));
    assert_eq!((0..3).filter(|_| passes(&limiter, b"a", &limit, 7)).count(), 2);
    assert_eq!((0..3).filter(|_| passes(&limiter, b"b", &limit, 7)).count(), 1);
}

#[test]
fn the_count_of_keys_needs_no_look_at_them() {
    let words = memory(256 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    let fast = limit("1r/s", 1);
    for key in 0..3 * limiter.capacity() as u32 {
        let now = u64::from(key / 8);
        assert!(passes(&limiter, &key.to_le_bytes(), &fast, now));
        if key % 7 == 0 {
            limiter.forget(limiter.tag(&(key / 2).to_le_bytes()));
        }
        if key % 1_000 == 0 {
            assert_eq!(limiter.keys(), limiter.table.in_use() as u64, "key {key}");
        }
    }
    assert!(limiter.counted(Counter::Evicted) > 0 && limiter.keys() > 0);
    (0..SLICES).for_each(|_| limiter.sweep(Some(fast.rate), 60_000));
    assert_eq!(limiter.keys(), 0);
}

#[test]
fn counters_of_all_workers_are_one_sum() {
    let words = memory(64 << 10);
    let limiter = Limiter::create(&words, SECRET).unwrap();
    for worker in 0..40 {
        limiter.count(Counter::Passed, Turn { now: 0, worker });
    }
    assert_eq!(limiter.counted(Counter::Passed), 40);
    assert_eq!(limiter.counted(Counter::Delayed), 0);
}
