//! A room in memory that processes share, as workers do; some are killed, wherever they are.
//!
//! A test starts this very program again and again, as workers: each runs only [`worker`]. The lock is a word
//! with its owner's number, which the test opens when it finds the owner dead, as nginx's master does.
//!
//! Each visitor has some words of what he was told, written under the lock too. Who polls in time must still be
//! known, and no further back; unless whoever worked for him last was killed meanwhile.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::tests::{invariants, mix, rules, BIRTH};
use super::*;
use crate::core::room::rules::Rules;
use crate::shm::map;

/// Bytes of the memory: what the workers share beside the room, and the room.
const NOTES: usize = 64 << 10;
const MEMORY: usize = NOTES + (24 << 10);

/// Words of the notes.
const LOCK: usize = 0;
const CLOCK: usize = 1;
const TURNS: usize = 2;
const DEFECTS: usize = 3;
const PEOPLE: usize = 16;

/// How many come and go; a word of each says what he was told.
const VISITORS: u64 = 1_500;
const WORDS: usize = 4;
const POSITION: usize = 0;
const DEADLINE: usize = 1;
const SEATED_UNTIL: usize = 2;
const IS_UNDER_WAY: usize = 3;

const MAX_ACTIVE: u32 = 20;
const SESSION: u64 = 4_000;
const KILLS: usize = 20;

/// Defects that a worker finds: the numbers of bits.
const TOO_MANY_SEATS: u32 = 0;
const LOST: u32 = 1;
const FURTHER_BACK: u32 = 2;
const SEAT_LOST: u32 = 3;
const SEAT_TOO_LONG: u32 = 4;

/// The memory, as one process sees it.
struct Shared {
    notes: &'static [Word],
    room: &'static [Word],
}

/// The lock, held.
struct Guard<'a>(&'a Shared);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.notes[LOCK].store(0, SeqCst);
    }
}

impl Shared {
    fn map(file: &File) -> Self {
        let (notes, room) = map::shared(file, MEMORY).split_at(NOTES / size_of::<Word>());
        Self { notes, room }
    }

    fn lock(&self) -> Guard<'_> {
        let me = u64::from(std::process::id());
        while self.notes[LOCK].compare_exchange(0, me, SeqCst, SeqCst).is_err() {
            std::thread::yield_now();
        }
        Guard(self)
    }

    fn note(&self, visitor: u64, word: usize) -> &Word {
        &self.notes[PEOPLE + visitor as usize * WORDS + word]
    }

    fn accuse(&self, defect: u32) {
        self.notes[DEFECTS].fetch_or(1 << defect, SeqCst);
    }
}

#[test]
#[ignore = "is what the other tests start"]
fn worker() {
    let Ok(path) = std::env::var("HAMMER_MEMORY") else { return };
    let shared = Shared::map(&File::options().read(true).write(true).open(path).unwrap());
    let room = Room::open(shared.room).unwrap();
    let mut noise = u64::from(std::process::id()) << 32;
    // Clocks of workers differ by some milliseconds.
    let lag = mix(noise) % 8;
    loop {
        noise += 1;
        let random = mix(noise);
        let _guard = shared.lock();
        let turns = shared.notes[TURNS].fetch_add(1, SeqCst);
        let now = shared.notes[CLOCK].fetch_add(random % 8, SeqCst) - lag;
        if turns % 512 == 0 {
            room.enter(now).sweep(0);
        } else {
            // A half of them come again and again, the others when it happens.
            let all = if random % 2 == 0 { VISITORS / 10 } else { VISITORS };
            serve(&shared, &room, mix(random) % all, now, random);
        }
        if room.seats.held() > MAX_ACTIVE as usize {
            shared.accuse(TOO_MANY_SEATS);
        }
    }
}

/// A request of somebody, and whether he is treated as he was told.
fn serve(shared: &Shared, room: &Room, visitor: u64, now: u64, random: u64) {
    let [position, deadline, until, is_under_way] =
        [POSITION, DEADLINE, SEATED_UNTIL, IS_UNDER_WAY].map(|word| shared.note(visitor, word));
    let visit = Visit {
        session: mix(visitor),
        issued: BIRTH.wall + 1,
        wall: BIRTH.wall + 2,
        network: Some(1 + visitor % 50),
        is_hidden: false,
        random,
    };
    // Whoever was cut off for him may have lost him.
    let is_sure = is_under_way.swap(1, SeqCst) == 0;
    let was_waiting = is_sure && now <= deadline.load(SeqCst);
    let was_seated = is_sure && now + 8 < until.load(SeqCst);
    let section = room.enter(now);
    let is_new = !was_waiting && !was_seated && random % 5 == 0;
    let outcome = match section.poll(&visit) {
        None if is_new && section.seat_at_once(&visit) => Some(Outcome::Seated { is_new: true }),
        None => Some(section.arrive(&visit, visitor % 7)).filter(|_| random % 3 > 0),
        outcome => outcome,
    };
    drop(section);
    let (mut new_position, mut new_deadline, mut new_until) = (u64::MAX, 0, 0);
    let mut is_known = true;
    match outcome {
        Some(Outcome::Waits(place)) => {
            new_position = place.told.position.unwrap();
            new_deadline = now + place.told.refresh * 1000 + 20_000;
            is_known = !place.is_new;
            if was_waiting && new_position > position.load(SeqCst) {
                shared.accuse(FURTHER_BACK);
            }
            if was_seated {
                shared.accuse(SEAT_LOST);
            }
        }
        Some(Outcome::Seated { is_new }) => {
            // It is not known when a seat ends that one gave who was killed.
            let old = until.load(SeqCst) * u64::from(is_sure);
            new_until = if is_new { now + SESSION } else { old };
            if !is_new && old != 0 && old + 8 < now {
                shared.accuse(SEAT_TOO_LONG);
            }
        }
        _ => is_known = false,
    }
    if was_waiting && !is_known {
        shared.accuse(LOST);
    }
    position.store(new_position, SeqCst);
    deadline.store(new_deadline, SeqCst);
    until.store(new_until, SeqCst);
    is_under_way.store(0, SeqCst);
}

/// Workers, and their memory.
struct Crowd {
    shared: Shared,
    path: tempfile::TempPath,
    workers: Vec<Child>,
}

impl Crowd {
    fn start(processes: usize) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MEMORY as u64).unwrap();
        let shared = Shared::map(file.as_file());
        let room = Room::create(shared.room, &BIRTH).unwrap();
        let refresh = (1_000, 20_000);
        room.install(&Rules { session: SESSION, refresh, ..rules(MAX_ACTIVE) });
        shared.notes[CLOCK].store(1_000, SeqCst);
        let mut crowd = Self { shared, path: file.into_temp_path(), workers: Vec::new() };
        (0..processes).for_each(|_| crowd.add());
        crowd
    }

    fn add(&mut self) {
        let worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shm::room::hammer::worker", "--ignored"])
            .env("HAMMER_MEMORY", &self.path)
            .stdout(Stdio::null())
            .spawn();
        self.workers.push(worker.unwrap());
    }

    /// Waits until so many more requests were served.
    fn await_turns(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let end = self.turns() + count;
        while self.turns() < end {
            assert!(Instant::now() < deadline, "the workers stand still");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn turns(&self) -> u64 {
        self.shared.notes[TURNS].load(SeqCst)
    }

    /// Kills whoever is within, or else the oldest. Tells whether he was within.
    fn kill(&mut self) -> bool {
        let mut worker = self.workers.remove(0);
        assert!(worker.try_wait().unwrap().is_none(), "a worker has ended");
        worker.kill().unwrap();
        worker.wait().unwrap();
        let lock = &self.shared.notes[LOCK];
        lock.compare_exchange(worker.id().into(), 0, SeqCst, SeqCst).is_ok()
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

fn hammer(processes: usize) {
    let mut crowd = Crowd::start(processes);
    crowd.await_turns(5_000);
    let (mut within, mut kills) = (0, 0);
    let room = Room::open(crowd.shared.room).unwrap();
    let wanted = [Counter::Admitted, Counter::Absent, Counter::Rebuilt, Counter::Provisional];
    // Not all die within; but some must, leave something to mend, and all that there is to see must have been seen, or
    // the test shows nothing.
    let is_short = || wanted.into_iter().any(|counter| room.counted(counter) == 0);
    while kills < KILLS || within < KILLS / 5 || is_short() {
        assert!(kills < 50 * KILLS, "nobody dies within, or too little is seen");
        crowd.await_turns(500 + mix(kills as u64) % 500);
        within += usize::from(crowd.kill());
        kills += 1;
        crowd.add();
    }
    crowd.await_turns(5_000);
    while !crowd.workers.is_empty() {
        crowd.kill();
    }
    let now = crowd.shared.notes[CLOCK].load(SeqCst);
    invariants::check(&room, now);
    let defects = crowd.shared.notes[DEFECTS].load(SeqCst);
    assert_eq!(defects, 0, "{defects:b}: see the numbers of defects");
}

#[test]
fn two_workers_that_are_killed_leave_a_room_in_order() {
    hammer(2);
}

#[test]
fn four_workers_that_are_killed_leave_a_room_in_order() {
    hammer(4);
}

#[test]
fn eight_workers_that_are_killed_leave_a_room_in_order() {
    hammer(8);
}
