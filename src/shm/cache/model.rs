//! The cache under a model checker, which chooses at each access who runs next. A ring of a few entries, so
//! that every writer laps the others. `scripts/test` runs it with `--cfg shuttle`.

use shuttle::sync::Arc;
use shuttle::thread;

use super::area::BUCKET;
use super::*;

/// Words of the ring: eight of the largest entries, the least that takes them.
const RING: usize = 56;

/// Schedules that are tried.
const SCHEDULES: usize = 3_000;

fn of(key: &[u8]) -> Lookup<'_> {
    Lookup { store: 7, key }
}

/// An area of one bucket over a ring, as all threads see it.
struct Memory {
    words: Vec<Word>,
    head: [Word; 2],
    tally: [Word; PARTS],
}

impl Memory {
    fn new() -> Self {
        let words = (0..BUCKET + RING).map(|_| Word::new(0)).collect();
        Self {
            words,
            head: [(); 2].map(|()| Word::new(0)),
            tally: [(); PARTS].map(|()| Word::new(0)),
        }
    }

    fn area(&self) -> Area<'_> {
        Area::of_parts(self.words.split_at(BUCKET), &self.head, &self.tally)
    }

    /// What a reader sees of a key is a path that was put for that key.
    fn check(&self, key: u8) {
        let mut path = Vec::new();
        if self.area().get(hash_of(key), of(&[key]), &mut path).is_some() {
            assert!(path.len() >= 9 && path.iter().all(|byte| *byte == key), "{path:?} of {key}");
        }
    }
}

/// All keys fall into one bucket; keys that differ by 2 have the same tag too.
fn hash_of(key: u8) -> u64 {
    u64::from(key % 2) << area::POSITION_BITS | 1
}

fn put(memory: &Memory, key: u8, length: usize) {
    memory.area().put(hash_of(key), of(&[key]), &vec![key; length], 0);
}

#[test]
fn nobody_sees_the_path_of_another_key() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            put(&memory, 1, 9);
            let threads: Vec<_> = (1..4)
                .map(|key| {
                    let memory = Arc::clone(&memory);
                    thread::spawn(move || {
                        for length in [9, 17, 10, 16] {
                            put(&memory, key, length);
                        }
                        memory.check(4 - key);
                    })
                })
                .collect();
            (0..4).for_each(|_| (1..4).for_each(|key| memory.check(key)));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            (1..4).for_each(|key| memory.check(key));
        },
        SCHEDULES,
    );
}

#[test]
fn what_is_removed_while_others_put_is_gone_or_newer() {
    shuttle::check_random(
        || {
            let memory = Arc::new(Memory::new());
            put(&memory, 1, 9);
            let other = Arc::clone(&memory);
            let putting = thread::spawn(move || put(&other, 1, 17));
            memory.area().remove(hash_of(1), of(&[1]));
            putting.join().unwrap();
            let mut path = Vec::new();
            if memory.area().get(hash_of(1), of(&[1]), &mut path).is_some() {
                assert_eq!(path.len(), 17, "the removed entry is back");
            }
        },
        SCHEDULES,
    );
}

#[test]
fn what_was_put_before_all_was_removed_does_not_come_back() {
    // One is to be interrupted once, at a certain point: random choices at each access would hardly do that.
    shuttle::check_pct(
        || {
            let memory = Arc::new(Memory::new());
            put(&memory, 1, 9);
            // The first is in the older half of the ring then: who finds it appends it anew.
            (0..4).for_each(|_| put(&memory, 2, 17));
            let other = Arc::clone(&memory);
            let reading = thread::spawn(move || other.check(1));
            memory.area().clear();
            let mut path = Vec::new();
            assert!(memory.area().get(hash_of(1), of(&[1]), &mut path).is_none());
            reading.join().unwrap();
            assert!(memory.area().get(hash_of(1), of(&[1]), &mut path).is_none(), "it is back");
            assert_eq!(memory.area().entries(), 0);
        },
        SCHEDULES,
        2,
    );
}

#[test]
fn an_answer_that_was_asked_for_before_a_removal_is_not_held_after_it() {
    shuttle::check_random(
        || {
            let words: Arc<Vec<Word>> = Arc::new((0..WORDS_MIN).map(|_| Word::new(0)).collect());
            let cache = Cache::create(&words, (1, 2)).unwrap();
            let asked = cache.moment();
            let shared = Arc::clone(&words);
            let answering = thread::spawn(move || {
                Cache::open(&shared).unwrap().put_path(of(b"1"), b"old", 0, asked);
            });
            cache.forget(of(b"1"));
            answering.join().unwrap();
            assert_eq!(cache.get(of(b"1"), 0, &mut Vec::new()), None);
            assert_eq!(cache.usage().paths, 0);
        },
        SCHEDULES,
    );
}
