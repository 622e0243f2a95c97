//! The limiter in memory that processes share, as workers do; some are killed.
//!
//! A test starts this very program again and again, as workers: each runs only [`worker`].

use std::fs::File;
use std::hint::spin_loop;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::core::rate::REQUEST;
use crate::shm::map;

const PROCESSES: usize = 8;

/// Bytes of the memory: a page of counts, and the limiter.
const COUNTS: usize = 64 << 10;
const MEMORY: usize = COUNTS + (64 << 10);

/// Words of the counts: who has come to the start; then what has passed.
const ARRIVED: usize = 0;
const PASSED: usize = 8;

const SECRET: Secret = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 77];

/// The memory, as one process sees it.
struct Shared {
    counts: &'static [Word],
    limiter: &'static [Word],
}

impl Shared {
    fn map(file: &File) -> Self {
        let (counts, limiter) = map::shared(file, MEMORY).split_at(COUNTS / size_of::<Word>());
        Self { counts, limiter }
    }
}

/// A clock that all processes read alike.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn limit(burst: u32, rate: &[u8]) -> Limit {
    Limit { rate: Rate::parse(rate).unwrap(), burst: burst * REQUEST, delay: u32::MAX }
}

/// Makes the memory, and starts workers that do `task`.
struct Crowd {
    shared: Shared,
    path: tempfile::TempPath,
    task: &'static str,
    workers: Vec<Child>,
}

impl Crowd {
    fn start(task: &'static str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MEMORY as u64).unwrap();
        let shared = Shared::map(file.as_file());
        Limiter::create(shared.limiter, SECRET).unwrap();
        let mut crowd = Self { shared, path: file.into_temp_path(), task, workers: Vec::new() };
        (0..PROCESSES).for_each(|number| crowd.add(number));
        crowd
    }

    fn add(&mut self, number: usize) {
        let worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shm::limiter::hammer::worker", "--ignored"])
            .env("HAMMER_MEMORY", &self.path)
            .env("HAMMER_TASK", self.task)
            .env("HAMMER_NUMBER", number.to_string())
            .stdout(Stdio::null())
            .spawn();
        self.workers.push(worker.unwrap());
    }

    fn limiter(&self) -> Limiter<'static> {
        Limiter::open(self.shared.limiter).unwrap()
    }

    /// Waits until so many have come to the start.
    fn await_arrivals(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.shared.counts[ARRIVED].load(SeqCst) < count {
            assert!(Instant::now() < deadline, "the workers did not start");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(&mut self, worker: usize) {
        let mut killed = self.workers.remove(worker);
        killed.kill().unwrap();
        killed.wait().unwrap();
    }

    /// Waits until all have done their task.
    fn finish(&mut self) {
        for worker in &mut self.workers {
            assert!(worker.wait().unwrap().success());
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

#[test]
#[ignore = "is what the other tests start"]
fn worker() {
    let Ok(path) = std::env::var("HAMMER_MEMORY") else { return };
    let shared = Shared::map(&File::options().read(true).write(true).open(path).unwrap());
    let limiter = Limiter::open(shared.limiter).unwrap();
    let number = std::env::var("HAMMER_NUMBER").unwrap().parse().unwrap();
    match &*std::env::var("HAMMER_TASK").unwrap() {
        "rounds" => all_ask_for_new_keys(&shared, limiter, number),
        _ => all_ask_for_hot_keys(&shared, limiter, number),
    }
}

/// New keys, one a round, that all ask for at the same time.
const ROUNDS: usize = 1500;
const ROUND_BURST: u32 = 2;

fn all_ask_for_new_keys(shared: &Shared, limiter: Limiter<'_>, worker: usize) {
    for round in 0..ROUNDS {
        let all = (PROCESSES * (round + 1)) as u64;
        shared.counts[ARRIVED].fetch_add(1, SeqCst);
        while shared.counts[ARRIVED].load(SeqCst) < all {
            spin_loop();
            std::thread::yield_now();
        }
        let tag = limiter.tag(&(round as u64).to_le_bytes());
        let limit = limit(ROUND_BURST, b"1r/d");
        let passes = limiter.pass(tag, limit, now()).is_ok()
            || limiter.charge(tag, limit, Turn { now: now(), worker }).1.is_some();
        if passes {
            shared.counts[PASSED + round].fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn a_new_key_has_one_allowance_however_many_ask_at_once() {
    let mut crowd = Crowd::start("rounds");
    crowd.finish();
    for (round, passed) in crowd.shared.counts[PASSED..PASSED + ROUNDS].iter().enumerate() {
        assert_eq!(passed.load(SeqCst), u64::from(ROUND_BURST) + 1, "round {round}");
    }
}

/// Keys that all ask for all the time, in a table that other keys fill many times over.
const HOT: usize = 4;
const HOT_BURST: u32 = 50;
const HOT_RATE: u64 = 200;
const HOT_TIME: Duration = Duration::from_millis(2500);

fn hot_limit() -> Limit {
    limit(HOT_BURST, b"200r/s")
}

fn all_ask_for_hot_keys(shared: &Shared, limiter: Limiter<'_>, worker: usize) {
    shared.counts[ARRIVED].fetch_add(1, SeqCst);
    let mut noise = worker as u64;
    loop {
        for key in 0..HOT {
            let turn = Turn { now: now(), worker };
            let tag = limiter.tag(&[key as u8]);
            if limiter.charge(tag, hot_limit(), turn).1.is_some() {
                shared.counts[PASSED + key].fetch_add(1, SeqCst);
            }
            noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(worker as u64 * 2 + 1);
            limiter.charge(limiter.tag(&noise.to_le_bytes()), limit(0, b"200r/s"), turn);
        }
    }
}

#[test]
fn a_hot_key_passes_at_its_rate_while_workers_are_killed() {
    let mut crowd = Crowd::start("hot");
    crowd.await_arrivals(PROCESSES as u64);
    let (before, start) = (crowd.passed(), now());
    for kill in 0..20 {
        std::thread::sleep(HOT_TIME / 20);
        crowd.kill(kill * 5 % PROCESSES);
        crowd.add(kill);
    }
    let (after, time) = (crowd.passed(), now() - start);
    for (key, (before, after)) in before.into_iter().zip(after).enumerate() {
        let passed = after - before;
        // A passing is counted a moment after it is charged, so one of each worker may be on either side.
        let most = u64::from(HOT_BURST) + 1 + HOT_RATE * (time + 1) / 1000 + PROCESSES as u64;
        assert!(passed <= most, "key {key}: {passed} of at most {most} in {time} ms");
        assert!(passed >= HOT_RATE * time / 1000 * 6 / 10, "key {key}: {passed} in {time} ms");
    }
    let limiter = crowd.limiter();
    assert!(limiter.counted(Counter::Inserted) > 4 * limiter.capacity() as u64);
}

impl Crowd {
    fn passed(&self) -> Vec<u64> {
        let counts = &self.shared.counts[PASSED..PASSED + HOT];
        counts.iter().map(|count| count.load(SeqCst)).collect()
    }
}
