//! What a room promises of itself at every moment between two sections.

use std::collections::{BTreeMap, HashMap};

use super::super::places::Place;
use super::super::seats::Seat;
use super::super::section::Section;
use super::super::*;

/// Who waits, in order, and who has a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub queue: Vec<Place>,
    pub seats: Vec<Seat>,
}

/// A copy of memory.
pub fn copy(words: &[Word]) -> Vec<Word> {
    words.iter().map(|word| Word::new(word.load(Relaxed))).collect()
}

/// Checks all that is promised, and that everything derived is the same when it is built anew: elsewhere, so
/// that a defect stays where it is.
pub fn check(room: &Room, now: u64) -> State {
    let before = state(&room.enter(now));
    let words = copy(room.words);
    let other = Room::open(&words).expect("the same layout");
    let section = other.enter(now);
    section.rebuild();
    assert_eq!(state(&section), before, "built anew it is another");
    before
}

/// Reads the truth, and checks that all that is derived agrees with it.
pub fn state(section: &Section) -> State {
    let state = State { queue: queue(section), seats: seats(section) };
    let sessions = state.queue.iter().map(|place| place.session);
    let held = state.seats.iter().map(|seat| seat.session);
    let mut all = sessions.chain(held).collect::<Vec<_>>();
    assert_eq!(section.room.sessions.count(), all.len(), "sessions that are known");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), state.queue.len() + state.seats.len(), "a session is in two places");
    check_keys(section, &state.queue);
    check_networks(section, &state);
    state
}

fn queue(section: &Section) -> Vec<Place> {
    let room = section.room;
    let (head, tail) = (section.get(at::HEAD), section.get(at::TAIL));
    let mut queue = Vec::new();
    for number in head..tail {
        let slot = section.slot_of(number);
        let place = room.places.get(slot);
        assert_eq!(room.alive.is_set(slot), place.session != 0);
        if place.session != 0 {
            queue.push(place);
            assert_eq!(section.rank(slot), queue.len() as u64);
            let spot = room.sessions.find(place.session, |spot| section.session_at(spot));
            assert_eq!(spot, Some(slot), "where a place is found");
        }
    }
    let is_taken = |slot: &usize| room.places.session(*slot) != 0 || room.alive.is_set(*slot);
    assert_eq!((0..room.slots).filter(is_taken).count(), queue.len(), "a place outside the ring");
    assert_eq!(section.waiting(), queue.len() as u64);
    match section.head() {
        Some(first) => assert_ne!(room.places.session(first), 0, "nobody stands at the head"),
        None => assert_eq!(head, tail),
    }
    queue
}

fn seats(section: &Section) -> Vec<Seat> {
    let room = section.room;
    let places = (0..room.seats.len()).filter(|place| room.seats.session(*place) != 0);
    let mut held = Vec::new();
    for place in places {
        let seat = room.seats.get(place);
        let spot = room.sessions.find(seat.session, |spot| section.session_at(spot));
        assert_eq!(spot, Some(room.slots + place), "where a seat is found");
        held.push(seat);
    }
    room.seats.check_heap();
    assert_eq!(held.len(), room.seats.held());
    let provisional = held.iter().filter(|seat| seat.is_provisional).count();
    assert_eq!(section.get(at::PROVISIONAL), provisional as u64);
    held.sort_unstable_by_key(|seat| seat.session);
    held
}

/// Who waits under a key is in its list, in order, from the first on and round.
fn check_keys(section: &Section, queue: &[Place]) {
    let places = section.room.places;
    let mut lists = HashMap::<u64, Vec<u64>>::new();
    for place in queue {
        lists.entry(place.key).or_default().push(place.session);
    }
    assert_eq!(places.keys(), lists.len(), "keys that are known");
    for (key, sessions) in lists {
        let mut slot = places.first_of(key).expect("somebody waits under the key");
        for (turn, session) in sessions.iter().enumerate() {
            assert_eq!(places.session(slot), *session, "number {turn} of a key");
            let next = places.next(slot);
            assert_eq!(places.previous(next), slot);
            slot = next;
        }
        assert_eq!(Some(slot), places.first_of(key), "a list is a circle");
    }
}

fn check_networks(section: &Section, state: &State) {
    let mut counts = BTreeMap::<u64, usize>::new();
    let provisional = state.seats.iter().filter(|seat| seat.is_provisional);
    let networks = provisional.map(|seat| seat.network);
    for network in networks.chain(state.queue.iter().map(|place| place.network)) {
        *counts.entry(network).or_default() += usize::from(network != 0);
    }
    assert_eq!(section.room.networks.sum(), counts.values().sum::<usize>());
    for (network, count) in counts.into_iter().filter(|(network, _)| *network != 0) {
        assert_eq!(section.room.networks.count(network), count, "places of a network");
    }
}
