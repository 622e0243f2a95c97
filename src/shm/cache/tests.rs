use std::sync::atomic::AtomicBool;

use super::*;

fn memory(words: usize) -> Vec<Word> {
    (0..words).map(|_| Word::new(u64::MAX / 3)).collect()
}

fn of(key: &str) -> Lookup<'_> {
    Lookup { store: 7, key: key.as_bytes() }
}

fn path_of(cache: &Cache<'_>, key: &str) -> Option<String> {
    let mut path = Vec::new();
    match cache.get(of(key), 0, &mut path)? {
        Cached::Path(_) => Some(String::from_utf8(path).unwrap()),
        Cached::Miss(_) => None,
    }
}

#[test]
fn what_is_put_is_got_by_its_key_and_store_only() {
    let words = memory(WORDS_MIN);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    cache.put_path(of("297887"), b"aa/aa.dat", 1000, cache.moment());
    let mut path = Vec::new();
    assert_eq!(cache.get(of("297887"), 1500, &mut path), Some(Cached::Path(500)));
    assert_eq!(path, b"aa/aa.dat");
    assert_eq!(cache.get(of("29788"), 1500, &mut path), None);
    let other_store = Lookup { store: 8, ..of("297887") };
    assert_eq!(cache.get(other_store, 1500, &mut path), None);
    assert_eq!(cache.get(of("297887"), 900, &mut path), Some(Cached::Path(0)), "a clock behind");
}

#[test]
fn the_longest_key_and_path_fit_and_nothing_longer() {
    let words = memory(1 << 16);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    let (key, path) = ("k".repeat(250), "p".repeat(4096));
    cache.put_path(of(&key), path.as_bytes(), 0, cache.moment());
    assert_eq!(path_of(&cache, &key).as_deref(), Some(&*path));
    let key = "k".repeat(251);
    cache.put_path(of(&key), b"x", 0, cache.moment());
    assert_eq!(path_of(&cache, &key), None);
    cache.put_path(of("1"), "p".repeat(4097).as_bytes(), 0, cache.moment());
    assert_eq!(path_of(&cache, "1"), None);
}

#[test]
fn a_newer_answer_takes_the_place_of_an_older() {
    let words = memory(WORDS_MIN);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    let mut path = Vec::new();
    cache.put_path(of("1"), b"old", 0, cache.moment());
    cache.put_path(of("1"), b"new", 1, cache.moment());
    assert_eq!(path_of(&cache, "1").as_deref(), Some("new"));
    cache.put_miss(of("1"), 2, cache.moment());
    assert_eq!(cache.get(of("1"), 2, &mut path), Some(Cached::Miss(0)));
    cache.put_path(of("1"), b"again", 3, cache.moment());
    assert_eq!(cache.get(of("1"), 4, &mut path), Some(Cached::Path(1)));
}

#[test]
fn a_reopened_cache_holds_what_it_held_and_foreign_memory_is_refused() {
    let words = memory(WORDS_MIN);
    assert!(Cache::open(&words).is_none());
    let cache = Cache::create(&words, (1, 2)).unwrap();
    cache.put_path(of("1"), b"x", 0, cache.moment());
    assert_eq!(path_of(&Cache::open(&words).unwrap(), "1").as_deref(), Some("x"));
    assert!(Cache::open(&words[..WORDS_MIN - 1]).is_none(), "another size");
    words[0].store(MAGIC + (1 << 56), Relaxed);
    assert!(Cache::open(&words).is_none(), "another version");
    assert_eq!(path_of(&Cache::create(&words, (1, 2)).unwrap(), "1"), None);
    assert!(Cache::create(&memory(WORDS_MIN - 1), (1, 2)).is_none());
}

#[test]
fn a_scan_of_absent_ids_pushes_out_no_path() {
    let words = memory(1 << 14);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    for id in 0..500 {
        cache.put_path(of(&format!("{id}")), format!("{id}.dat").as_bytes(), 0, cache.moment());
    }
    let held = |id: &i32| path_of(&cache, &format!("{id}")) == Some(format!("{id}.dat"));
    let before = (0..500).filter(held).count();
    assert!(before > 490, "{before} of 500 fit");
    for id in 1000..50_000 {
        cache.put_miss(of(&format!("{id}")), 0, cache.moment());
    }
    assert_eq!((0..500).filter(held).count(), before);
}

#[test]
fn what_is_in_use_outlives_many_laps_of_what_is_not() {
    let words = memory(1 << 14);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    cache.put_path(of("hot"), b"hot.dat", 0, cache.moment());
    for id in 0..20_000 {
        cache.put_path(of(&format!("{id}")), b"cold.dat", 0, cache.moment());
        if id % 50 == 0 {
            assert!(path_of(&cache, "hot").is_some(), "gone after {id}");
        }
    }
    assert!(path_of(&cache, "0").is_none());
}

#[test]
fn an_entry_of_a_short_id_and_path_takes_at_most_128_bytes() {
    let words = memory(1 << 17);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    let entries = words.len() * 8 / 128;
    let (key, path) = (|id| format!("{id:010}"), |id| format!("aa/aa/{id:010}.dat"));
    for id in 0..entries {
        cache.put_path(of(&key(id)), path(id).as_bytes(), 0, cache.moment());
    }
    let held = (0..entries).filter(|id| path_of(&cache, &key(*id)) == Some(path(*id))).count();
    assert!(held * 100 >= entries * 97, "{held} of {entries}");
}

#[test]
fn torn_and_overwritten_words_are_a_miss() {
    let words = memory(WORDS_MIN);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    cache.put_path(of("1"), b"aa/aa.dat", 5, cache.moment());
    let ring = cache.paths.ring;
    for word in ring.iter().take(6) {
        let good = word.load(Relaxed);
        for bit in 0..64 {
            word.store(good ^ 1 << bit, Relaxed);
            assert_eq!(path_of(&cache, "1"), None, "bit {bit}");
        }
        word.store(good, Relaxed);
    }
    assert_eq!(path_of(&cache, "1").as_deref(), Some("aa/aa.dat"));
}

/// Writers lap a small ring over and over while readers check that a key's path is its own.
#[test]
fn threads_never_see_the_path_of_another_key() {
    let words = memory(WORDS_MIN);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    let done = AtomicBool::new(false);
    let name = |id: u32| format!("{}/{id}", "d".repeat(id as usize % 90));
    let found = std::thread::scope(|scope| {
        for part in 0..3u32 {
            let (cache, done) = (&cache, &done);
            scope.spawn(move || {
                for round in 0..60_000u32 {
                    let id = round.wrapping_mul(2_654_435_761).wrapping_add(part) % 64;
                    let key = format!("{id}");
                    match round % 7 {
                        0 => cache.put_miss(of(&key), round.into(), cache.moment()),
                        _ => cache.put_path(
                            of(&key),
                            name(id).as_bytes(),
                            round.into(),
                            cache.moment(),
                        ),
                    }
                }
                done.store(true, Relaxed);
            });
        }
        let mut found = 0;
        while !done.load(Relaxed) {
            for id in 0..64 {
                if let Some(path) = path_of(&cache, &format!("{id}")) {
                    assert_eq!(path, name(id));
                    found += 1;
                }
            }
        }
        found
    });
    assert!(found > 0);
}

fn usage(cache: &Cache<'_>) -> [u64; 3] {
    let usage = cache.usage();
    [usage.paths, usage.misses, usage.evicted]
}

#[test]
fn entries_are_counted_exactly_until_the_ring_has_been_filled() {
    let words = memory(1 << 15);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    assert_eq!(cache.usage(), Usage { size: 1 << 18, ..Usage::default() });
    for round in 0..3 {
        for id in 0..300 {
            cache.put_path(of(&format!("{id}")), b"x.dat", round, cache.moment());
            cache.put_miss(of(&format!("not {id}")), round, cache.moment());
        }
        assert_eq!(usage(&cache), [300, 300, 0], "round {round}: a refresh is no entry more");
    }
    for id in 0..100 {
        cache.put_miss(of(&format!("{id}")), 3, cache.moment());
    }
    for id in 0..50 {
        cache.put_path(of(&format!("not {id}")), b"y.dat", 3, cache.moment());
    }
    assert_eq!(usage(&cache), [250, 350, 0]);
}

#[test]
fn entries_are_counted_nearly_when_the_ring_has_been_filled_and_evictions_too() {
    let words = memory(1 << 16);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    for id in 0..100_000_u64 {
        cache.put_path(of(&format!("{id}")), b"aa/aa.dat", 0, cache.moment());
        if id % 9_973 == 0 && id > 20_000 {
            // Counted by hand, without an effect on what is in use.
            let held = (0..=id).filter(|id| {
                let key = format!("{id}");
                cache.paths.holds(cache.hash(of(&key)), of(&key))
            });
            let held = held.count() as u64;
            let [paths, _, evicted] = usage(&cache);
            assert!(paths.abs_diff(held) <= held / 32, "{paths} for {held}");
            assert_eq!(paths + evicted, id + 1, "each is held or has given way");
        }
    }
}

#[test]
fn a_forgotten_key_is_gone_for_its_store_alone() {
    let words = memory(WORDS_MIN);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    let other_store = Lookup { store: 8, ..of("1") };
    cache.put_path(of("1"), b"a", 0, cache.moment());
    cache.put_path(other_store, b"b", 0, cache.moment());
    cache.put_miss(of("2"), 0, cache.moment());
    assert!(cache.forget(of("1")) && cache.forget(of("2")));
    assert!(!cache.forget(of("1")) && !cache.forget(of("2")) && !cache.forget(of("3")));
    let mut path = Vec::new();
    assert_eq!(cache.get(of("1"), 0, &mut path), None);
    assert_eq!(cache.get(of("2"), 0, &mut path), None);
    assert_eq!(cache.get(other_store, 0, &mut path), Some(Cached::Path(0)));
    assert_eq!(usage(&cache), [1, 0, 0]);
}

#[test]
fn a_cleared_cache_holds_nothing_and_fills_again() {
    let words = memory(1 << 14);
    let (cache, other_worker) =
        (Cache::create(&words, (1, 2)).unwrap(), Cache::open(&words).unwrap());
    assert!(!cache.clear());
    for (round, entries) in [3, 200, 5_000, 1].into_iter().enumerate() {
        for id in 0..entries {
            cache.put_path(of(&format!("{id}")), b"x", 0, cache.moment());
            cache.put_miss(of(&format!("not {id}")), 0, cache.moment());
        }
        assert!(cache.usage().paths > 0);
        let evicted = cache.usage().evicted;
        assert!(other_worker.clear(), "round {round}");
        assert_eq!(usage(&cache), [0, 0, evicted], "round {round}");
        let mut path = Vec::new();
        for id in 0..entries {
            assert_eq!(cache.get(of(&format!("{id}")), 0, &mut path), None);
            assert_eq!(cache.get(of(&format!("not {id}")), 0, &mut path), None);
        }
        assert!(!cache.clear());
        cache.put_path(of("0"), b"again", 0, cache.moment());
        assert_eq!(usage(&cache), [1, 0, evicted], "what was cleared has given way to nobody");
        assert_eq!(path_of(&cache, "0").as_deref(), Some("again"));
    }
}

#[test]
fn what_was_asked_for_before_a_removal_is_not_kept() {
    let words = memory(WORDS_MIN);
    let cache = Cache::create(&words, (1, 2)).unwrap();
    for remove in [|cache: &Cache<'_>| cache.forget(of("other")), |cache: &Cache<'_>| cache.clear()]
    {
        let asked = cache.moment();
        remove(&cache);
        cache.put_path(of("1"), b"old", 0, asked);
        cache.put_miss(of("2"), 0, asked);
        assert_eq!(usage(&cache), [0, 0, 0]);
        cache.put_path(of("1"), b"new", 0, cache.moment());
        assert_eq!(path_of(&cache, "1").as_deref(), Some("new"));
        cache.forget(of("1"));
    }
}
