//! The room's machine alone, in memory of the size of a zone of 64 MB: how long who works in it holds the lock.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{ensure, Result};
use ngx_http_smart_module::core::room::rules::{Order, Rules};
use ngx_http_smart_module::shm::room::{Birth, Outcome, Room, Visit};
use ngx_http_smart_module::shm::Word;
use rustix::time::{clock_gettime, ClockId};

/// What nginx leaves of a zone of 64 MB: its own pages for the slab allocator come first.
const MEMORY: usize = (64 << 20) - (600 << 10);

/// Those who wait where many do.
pub const MANY: u64 = 1_000_000;

/// Polls whose time is measured.
const POLLS: u64 = 200_000;

/// The time that a deed took, and what it was.
pub struct Deed {
    pub what: &'static str,
    /// The longest section.
    pub longest: Duration,
    /// All of them together.
    pub all: Duration,
    /// How many there were.
    pub sections: usize,
}

/// What was measured.
pub struct Machine {
    /// Places of a zone of 64 MB.
    pub capacity: usize,
    /// Its seats.
    pub seats: usize,
    /// Nanoseconds of a poll with so many who wait.
    pub polls: Vec<(u64, f64)>,
    /// What takes long.
    pub deeds: Vec<Deed>,
}

impl Machine {
    /// How long it takes to build all anew.
    pub fn rebuild(&self) -> Duration {
        self.deeds.first().map_or(Duration::ZERO, |deed| deed.longest)
    }
}

/// Rules with so many seats.
pub fn rules(max_active: u32) -> Rules {
    Rules {
        max_active,
        admit: None,
        session: 600_000,
        renew: false,
        idle: None,
        absent: 20_000,
        max_waiting: None,
        per_net: Some(1000),
        entry_delay: 0,
        order: Order::Fifo,
        refresh: (5_000, 60_000),
    }
}

/// A mixture of bits, as a hash gives it (SplitMix64).
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Memory for a room.
pub fn memory(bytes: usize) -> Vec<Word> {
    (0..bytes / size_of::<Word>()).map(|_| Word::new(0)).collect()
}

/// A room in it.
pub fn room<'a>(words: &'a [Word], rules: &Rules) -> Room<'a> {
    let birth = Birth { secret: [1, 2, 3, 4], signing: [5; 4], wall: 1, now: 1 };
    let room = Room::create(words, &birth).expect("the memory is large enough");
    room.install(rules);
    room
}

/// A visit of somebody, who has a network of his own.
pub fn visit(number: u64) -> Visit {
    Visit {
        session: mix(number) | 1,
        issued: 10,
        wall: 20,
        network: Some((mix(number) >> 24).max(1)),
        is_hidden: false,
        random: mix(number ^ 0xabcd),
    }
}

/// Lets all of them come, each over a limit key of his own.
fn fill(room: &Room<'_>, people: std::ops::Range<u64>, now: u64) -> Result<()> {
    for number in people {
        let outcome = room.enter(now).arrive(&visit(number), mix(!number));
        ensure!(!matches!(outcome, Outcome::Full(_)), "the room is full with {number}");
    }
    Ok(())
}

/// Measures everything.
pub fn measure() -> Result<Machine> {
    let words = memory(MEMORY);
    let polls = [1, 10_000, MANY].map(|waiting| Ok((waiting, poll(&words, waiting)?)));
    let polls = polls.into_iter().collect::<Result<Vec<_>>>()?;
    let deeds = vec![
        rebuild(&words)?,
        absent_heads(&words)?,
        seats_end(&words)?,
        arrivals(&words)?,
        sweep(&words)?,
        last_of_many(&words)?,
    ];
    let room = room(&words, &rules(1));
    Ok(Machine { capacity: room.capacity(), seats: room.seats(), polls, deeds })
}

/// The processor time of this thread: others who run meanwhile do not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Times each section of a deed; it ends when one tells so.
fn time(what: &'static str, mut section: impl FnMut() -> bool) -> Deed {
    let mut deed = Deed { what, longest: Duration::ZERO, all: Duration::ZERO, sections: 0 };
    let mut goes_on = true;
    while goes_on {
        let start = cpu_time();
        goes_on = section();
        let took = cpu_time() - start;
        deed.longest = deed.longest.max(took);
        deed.all += took;
        deed.sections += 1;
    }
    deed
}

fn sweep_all(room: &Room<'_>, now: u64) {
    let mut next = Some(0);
    while let Some(from) = next {
        next = room.enter(now).sweep(from);
    }
}

/// Nanoseconds of a poll.
fn poll(words: &[Word], waiting: u64) -> Result<f64> {
    let room = room(words, &rules(1));
    fill(&room, 0..waiting + 1, 1_000)?;
    let start = cpu_time();
    for poll in 0..POLLS {
        black_box(room.enter(1_001).poll(&visit(1 + mix(poll) % waiting)));
    }
    Ok((cpu_time() - start).as_nanos() as f64 / POLLS as f64)
}

fn rebuild(words: &[Word]) -> Result<Deed> {
    let seats = room(words, &rules(1)).seats() as u32;
    let room = room(words, &rules(seats));
    fill(&room, 0..MANY + u64::from(seats), 1_000)?;
    // As if who was in had died there.
    std::mem::forget(room.enter(1_001));
    Ok(time("after a death: all is built anew", || {
        drop(room.enter(1_001));
        false
    }))
}

fn absent_heads(words: &[Word]) -> Result<Deed> {
    let room = room(words, &rules(1));
    fill(&room, 0..10_001, 1_000)?;
    fill(&room, 20_000..20_000 + MANY, 40_000)?;
    // The intervals of the others are not over, nor those that they may be absent.
    let late = 100_000;
    let mut turns = 0..2;
    Ok(time("10,000 absentees stand before who polls", || {
        black_box(room.enter(late).poll(&visit(20_500)));
        turns.next();
        !turns.is_empty()
    }))
}

fn seats_end(words: &[Word]) -> Result<Deed> {
    let seats = room(words, &rules(1)).seats() as u32;
    let room = room(words, &rules(seats));
    fill(&room, 0..u64::from(seats), 1_000)?;
    fill(&room, 200_000..200_000 + MANY, 599_000)?;
    Ok(time("all seats end at once", || {
        black_box(room.enter(601_001).poll(&visit(200_000 + MANY - 1)));
        // Who polls stands too far back for a seat.
        black_box(room.enter(599_000).welcome()).active > 0
    }))
}

/// The ring is compacted while people come: a head that stays, and behind it holes between those who do.
fn arrivals(words: &[Word]) -> Result<Deed> {
    let room = room(words, &rules(1));
    fill(&room, 0..MANY, 1_000)?;
    // Every second one is still there, and then the others are not.
    let late = 60_000;
    (1..MANY / 2).for_each(|turn| _ = room.enter(late).poll(&visit(2 * turn)));
    sweep_all(&room, 100_000);
    let mut number = 2 * MANY;
    Ok(time("who comes moves others forward", || {
        number += 1;
        let outcome = room.enter(late).arrive(&visit(number), mix(!number));
        number < 2 * MANY + 500_000 && !matches!(outcome, Outcome::Full(_))
    }))
}

fn sweep(words: &[Word]) -> Result<Deed> {
    let room = room(words, &rules(1));
    fill(&room, 0..MANY, 1_000)?;
    let mut next = 0;
    Ok(time("a sweep of a million absentees, a slice", || match room.enter(500_000).sweep(next) {
        Some(number) => {
            next = number;
            true
        }
        None => false,
    }))
}

/// The head leaves, and who is next stands behind a million holes.
fn last_of_many(words: &[Word]) -> Result<Deed> {
    let room = room(words, &rules(1));
    fill(&room, 0..2, 1_000)?;
    fill(&room, 2..MANY, 1_000)?;
    let late = 60_000;
    room.enter(late).poll(&visit(1));
    room.enter(late).poll(&visit(MANY - 1));
    sweep_all(&room, 100_000);
    Ok(time("who stands first leaves, the next is far behind", || {
        black_box(room.enter(200_000).poll(&visit(MANY - 1)));
        false
    }))
}
