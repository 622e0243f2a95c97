//! Whoever works in a room may die before any of his writes. Who comes next mends it, and nobody but the one
//! under way has lost anything.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::super::*;
use super::fuse;
use super::invariants::{check, copy, State};
use super::memory;
use super::steps::{mix, step, Start};
use super::world::World;

/// Steps of each history, and the moments in it at which somebody dies in each way: these, and a few in which
/// the ring is being compacted.
const STEPS: usize = 3_000;
const MOMENTS: [usize; 2] = [50, 400];
const COMPACTIONS: u64 = 3;

/// The deed by which somebody loses his seat or place on purpose.
const REMOVE: &str = "be removed";

/// Something that is done in a room, and for whom.
struct Deed {
    name: &'static str,
    session: u64,
    now: u64,
    /// Whether its session may lose what it has.
    may_lose: bool,
    work: Box<dyn Fn(&Room)>,
}

/// Memory as it is, in which the same room lies.
fn reopened<R>(words: &[Word], work: impl FnOnce(&Room) -> R) -> R {
    let words = copy(words);
    work(&Room::open(&words).expect("the same layout"))
}

/// What may be done at this moment of a world's history.
fn deeds(world: &World, turn: usize) -> Vec<Deed> {
    let now = world.now;
    let mut deeds = Vec::new();
    let mut deed = |name, session, now, work: Box<dyn Fn(&Room)>| {
        let may_lose = name == REMOVE;
        deeds.push(Deed { name, session, now, may_lose, work });
    };
    let (known, key) = world.visit_of(turn as u16).expect("somebody has come");
    let random = mix(turn as u64);
    let stranger = Visit { session: u64::MAX / 7, issued: known.wall, ..known };
    deed(
        "arrive",
        stranger.session,
        now,
        Box::new(move |room| {
            room.enter(now).arrive(&stranger, key);
        }),
    );
    deed(
        "poll",
        known.session,
        now,
        Box::new(move |room| {
            room.enter(now).poll(&Visit { random, ..known });
        }),
    );
    deed(
        "take a seat at once",
        stranger.session,
        now,
        Box::new(move |room| {
            let section = room.enter(now);
            // Nobody asks for it twice.
            if !section.is_seated(stranger.session) {
                section.seat_at_once(&stranger);
            }
        }),
    );
    // Those who have a seat, of which one may be provisional; and the first, for whom one may be free.
    for seat in world.model.seats.iter().rev().take(2) {
        let session = seat.session;
        deed(
            "confirm",
            session,
            now,
            Box::new(move |room| {
                room.enter(now).is_seated(session);
            }),
        );
    }
    for waiting in world.model.queue.iter().take(2) {
        let visit = Visit { session: waiting.session, ..known };
        deed(
            "be admitted",
            visit.session,
            now,
            Box::new(move |room| {
                let mut section = room.enter(now);
                section.rules.max_active = room.seats() as u32;
                section.poll(&visit);
            }),
        );
    }
    let seats = world.model.seats.iter().rev().take(2).map(|seat| seat.session);
    let places = world.model.queue.iter().map(|waiting| waiting.session);
    for session in seats.chain(places.clone().take(1)).chain(places.skip(3).take(2)) {
        deed(
            REMOVE,
            session,
            now,
            Box::new(move |room| {
                room.enter(now).remove(session);
            }),
        );
    }
    let later = now + 1_500;
    deed(
        "sweep",
        0,
        later,
        Box::new(move |room| {
            room.enter(later).sweep(0);
        }),
    );
    deeds
}

/// Who was there still is, in the same order; but for the one under way, and whose time is over.
fn assert_nobody_lost(before: &State, after: &State, deed: &Deed, writes: u64) {
    let context = format!("{}, cut off after {writes} writes", deed.name);
    let held = |session: u64| after.seats.iter().any(|seat| seat.session == session);
    for seat in &before.seats {
        let is_over = seat.until <= deed.now;
        let may_be_gone = is_over || (deed.may_lose && seat.session == deed.session);
        assert!(may_be_gone || held(seat.session), "{context}: a seat is lost");
    }
    let mut others = after.queue.iter().map(|place| place.session).peekable();
    for place in &before.queue {
        if others.next_if(|session| *session == place.session).is_none() {
            let may_be_gone = place.deadline < deed.now || place.session == deed.session;
            assert!(may_be_gone, "{context}: a place is lost");
        }
    }
    let left = others.collect::<Vec<_>>();
    assert!(left.iter().all(|session| *session == deed.session) && left.len() <= 1, "{context}");
    let was_held = |session| before.seats.iter().any(|seat| seat.session == session);
    let mut new = after.seats.iter().filter(|seat| !was_held(seat.session));
    assert!(new.all(|seat| seat.session == deed.session), "{context}: a seat from nowhere");
}

/// Dies before each write of a deed, and looks at what is left. Tells how many writes there were.
fn die_everywhere(words: &[Word], before: &State, deed: &Deed) -> u64 {
    for writes in 0.. {
        let words = copy(words);
        let room = Room::open(&words).expect("the same layout");
        let is_done = fuse::after(writes, || (deed.work)(&room)).is_some();
        assert_eq!(room.cells.get(at::DIRTY) == 0, is_done || writes == 0);
        // Who mends may die as well.
        if writes % 5 == 0 {
            reopened(&words, |room| {
                fuse::after(writes * 7 % 300, || room.enter(deed.now));
                assert_nobody_lost(before, &check(room, deed.now), deed, writes);
            });
        }
        assert_nobody_lost(before, &check(&room, deed.now), deed, writes);
        if is_done {
            return writes;
        }
        // He comes again, and all is as if nothing had been.
        (deed.work)(&room);
        let after = check(&room, deed.now);
        assert_nobody_lost(before, &after, deed, writes);
        if deed.may_lose {
            assert_eq!(room.enter(deed.now).state(deed.session), None);
        }
    }
    unreachable!("a deed has an end");
}

#[test]
fn whoever_dies_loses_nothing_but_his_own() {
    let mut runner = TestRunner::deterministic();
    let (mut deaths, mut compactions) = (0, 0);
    for history in 0..4 {
        let words = memory((9 + history) << 10);
        let start = Start { size: 0, is_crowded: history % 2 == 0, rules: 40 + history as u16 };
        let mut world = World::new(&words, start);
        let most = compactions + COMPACTIONS;
        for turn in 1..STEPS {
            let step = step().new_tree(&mut runner).expect("a step").current();
            world.take(step);
            let is_compacted = world.room.cells.get(at::READ) != 0;
            let is_next = is_compacted && turn % 10 == 0 && compactions < most;
            if is_next || MOMENTS.contains(&turn) {
                compactions += u64::from(is_next);
                let before = check(&world.room, world.now);
                for deed in deeds(&world, turn) {
                    deaths += die_everywhere(&words, &before, &deed);
                }
            }
        }
    }
    assert!(deaths > 4_000 && compactions > 8, "{deaths}, {compactions}");
}
