//! What can be done in a room by whoever holds its lock.

use std::sync::atomic::{fence, Ordering::SeqCst};

use super::header::{self, at, Counter};
use super::{places, Room};
use crate::core::room::pace::{self, Prospect};
use crate::core::room::rules::{Order, Rules};

/// The most of those at the head whom nobody has heard of that one poll takes out, and of seats that have
/// ended that one section frees, so that nobody waits long for the lock: some ten milliseconds at worst.
pub(super) const AT_ONCE: usize = 16_384;

/// The longest wait that is told, in milliseconds: a week.
const FORESEEABLE: u64 = 7 * 86_400_000;

/// A request of somebody who has a token.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The session: [`Room::session`].
    pub session: u64,
    /// When its token was issued, in seconds of wall clock.
    pub issued: u64,
    /// The wall clock.
    pub wall: u64,
    /// The mark of his network, if he has one: [`Room::network`].
    pub network: Option<u64>,
    /// Whether he does not look at the page.
    pub is_hidden: bool,
    /// A random number.
    pub random: u64,
}

/// What one who waits is told. Numbers are of people, times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// His place in the queue, from 1 on; none before he has one, or where seats are drawn.
    pub position: Option<u64>,
    /// How many wait.
    pub waiting: u64,
    /// How many have a seat.
    pub active: u64,
    /// How many may have one.
    pub max_active: u64,
    /// How long he is likely to wait.
    pub wait: u64,
    /// The seconds after which he is to come back.
    pub refresh: u64,
}

impl Told {
    /// The seconds that he is likely to wait; none if that is more than anybody can say.
    pub fn wait_seconds(&self) -> Option<u64> {
        self.foreseeable_wait().map(|wait| wait.div_ceil(1000))
    }

    /// The same in milliseconds.
    pub fn foreseeable_wait(&self) -> Option<u64> {
        Some(self.wait).filter(|wait| *wait <= FORESEEABLE)
    }
}

/// What has become of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// He has a seat; just now, or from before.
    Seated {
        /// Whether he has just been given it.
        is_new: bool,
    },
    /// He has a place.
    Waits(Place),
    /// He is to come back, and has no place yet.
    Joins(Told),
    /// There is no place for him.
    Full(Told),
}

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What he is told.
    pub told: Told,
    /// The key under which he waits.
    pub key: u64,
    /// Whether he is the first of those who wait under it.
    pub is_first: bool,
    /// Whether he has just been given it.
    pub is_new: bool,
}

/// A room whose lock is held.
pub struct Section<'a> {
    pub(super) room: &'a Room<'a>,
    pub(super) rules: Rules,
    pub(super) now: u64,
}

impl Room<'_> {
    /// Goes in, at a time in milliseconds. The caller holds the room's lock as long as the section lives. If
    /// whoever was in before has died there, what he left is mended first.
    pub fn enter(&self, now: u64) -> Section<'_> {
        let section = Section { room: self, rules: header::read_rules(self.cells), now };
        let is_dirty = section.get(at::DIRTY) != 0;
        section.set(at::DIRTY, 1);
        fence(SeqCst);
        if is_dirty {
            section.rebuild();
        }
        section.free_ended_seats();
        section
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        // After a panic it stays as dirty as it is.
        if !std::thread::panicking() {
            fence(SeqCst);
            self.set(at::DIRTY, 0);
        }
    }
}

impl Section<'_> {
    /// Whether a session, which is [`Room::session`], has a seat. It is noted that it was heard of.
    pub fn is_seated(&self, session: u64) -> bool {
        match self.find(session) {
            Some(Spot::Seat(seat)) => {
                self.touch(seat);
                true
            }
            _ => false,
        }
    }

    /// Answers somebody who has a seat or a place. `None`: he has neither.
    pub fn poll(&self, visit: &Visit) -> Option<Outcome> {
        match self.find(visit.session)? {
            Spot::Seat(seat) => {
                self.touch(seat);
                Some(Outcome::Seated { is_new: false })
            }
            Spot::Place(slot) => {
                self.count(Counter::Polls);
                self.drop_absent_heads(visit.session);
                Some(self.answer(slot, visit, false))
            }
        }
    }

    /// Answers somebody who is over a limit, with a seat, a place under `key`, or that there is none.
    pub fn arrive(&self, visit: &Visit, key: u64) -> Outcome {
        if let Some(outcome) = self.poll(visit) {
            return outcome;
        }
        if let Some(refresh) = self.others_return(visit).or_else(|| self.youth(visit)) {
            return Outcome::Joins(Told { refresh, ..self.told(None) });
        }
        self.drop_absent_heads(visit.session);
        let network = visit.network.unwrap_or_default();
        let place = places::Place {
            session: visit.session,
            key,
            since: places::moment(self.now),
            deadline: self.now,
            network,
        };
        let slot = (self.has_room(network)).then(|| self.append(place)).flatten();
        let Some(slot) = slot else {
            return self.full();
        };
        self.room.sessions.insert(visit.session, slot);
        self.count(Counter::Entered);
        self.answer(slot, visit, true)
    }

    /// What somebody is told who has no token yet.
    pub fn welcome(&self) -> Told {
        Told { refresh: pace::joining_interval(&self.rules), ..self.told(None) }
    }

    /// What somebody is told who is let in, and asks.
    pub fn farewell(&self) -> Told {
        Told { position: None, wait: 0, refresh: 1, ..self.told(None) }
    }

    /// Whether somebody waits who came over this key.
    pub fn waits_under(&self, key: u64) -> bool {
        self.waiting() > 0 && self.room.places.first_of(key).is_some()
    }

    /// Whether somebody waits who came over this key, and before a session that waits too.
    pub fn waits_before(&self, key: u64, session: u64) -> bool {
        match (self.room.places.first_of(key), self.find(session)) {
            (Some(first), Some(Spot::Place(slot))) => self.rank(first) < self.rank(slot),
            _ => false,
        }
    }

    /// Counts something.
    pub fn count(&self, counter: Counter) {
        self.room.cells.add(at::COUNTERS + counter as usize, 1);
    }

    pub(super) fn get(&self, word: usize) -> u64 {
        self.room.cells.get(word)
    }

    pub(super) fn set(&self, word: usize, value: u64) {
        self.room.cells.set(word, value);
    }

    /// Who has a place or a seat: the indexes know both by one number.
    pub(super) fn session_at(&self, spot: usize) -> u64 {
        match Spot::of(spot, self.room.slots) {
            Spot::Place(slot) => self.room.places.session(slot),
            Spot::Seat(seat) => self.room.seats.session(seat),
        }
    }

    pub(super) fn find(&self, session: u64) -> Option<Spot> {
        let spot = self.room.sessions.find(session, |spot| self.session_at(spot))?;
        Some(Spot::of(spot, self.room.slots))
    }

    /// The seconds after which somebody may have a place who came after a room was lost, if others are just
    /// returning to it.
    pub(super) fn others_return(&self, visit: &Visit) -> Option<u64> {
        if visit.issued < self.get(at::CREATED) {
            self.set(at::RETURNING, 1);
            return None;
        }
        let end = self.get(at::CREATED_AT).saturating_add(pace::longest_interval(&self.rules));
        let left = end.checked_sub(self.now).filter(|_| self.get(at::RETURNING) != 0)?;
        Some(left.min(self.rules.refresh.1).div_ceil(1000).max(1))
    }

    /// The seconds after which a token is old enough for a place, if it is not.
    fn youth(&self, visit: &Visit) -> Option<u64> {
        let age = visit.wall.saturating_sub(visit.issued);
        let is_old_enough = pace::is_old_enough(age, &self.rules);
        (!is_old_enough).then(|| pace::joining_interval(&self.rules))
    }

    fn has_room(&self, network: u64) -> bool {
        let most = self.rules.max_waiting.map_or(u64::MAX, u64::from);
        self.waiting() < most.min(self.room.capacity as u64) && self.allows(network)
    }

    /// Whether a network may have one more place or provisional seat.
    pub(super) fn allows(&self, network: u64) -> bool {
        let most = self.rules.per_net.map_or(usize::MAX, |most| most as usize);
        network == 0 || self.room.networks.count(network) < most
    }

    fn full(&self) -> Outcome {
        self.count(Counter::Full);
        Outcome::Full(Told { refresh: self.rules.refresh.1.div_ceil(1000), ..self.told(None) })
    }

    /// Answers the owner of a slot: with a seat if it is his turn, else with a new deadline.
    fn answer(&self, slot: usize, visit: &Visit, is_new: bool) -> Outcome {
        let rank = self.rank(slot);
        let since = self.room.places.since(slot);
        if self.is_next(rank, visit.random) && self.admit(slot) {
            // Who finds a seat as he comes has not waited.
            if !is_new {
                self.room.waits.add(places::milliseconds_since(since, self.now));
            }
            return Outcome::Seated { is_new: true };
        }
        let told = self.told(Some(rank));
        let refresh = pace::interval(told.wait, visit.is_hidden, &self.rules, visit.random);
        let back = self.now.saturating_add(refresh.saturating_mul(1000));
        let patience = pace::patience(visit.is_hidden, &self.rules);
        self.room.places.set_deadline(slot, back.saturating_add(patience));
        let key = self.room.places.get(slot).key;
        let is_first = self.room.places.first_of(key) == Some(slot);
        Outcome::Waits(Place { told: Told { refresh, ..told }, key, is_first, is_new })
    }

    fn is_next(&self, rank: u64, random: u64) -> bool {
        let open = self.open_seats();
        match self.rules.order {
            Order::Fifo => rank <= open,
            // With the probability free / waiting.
            Order::Random => {
                let drawn = (u128::from(random) * u128::from(self.waiting())) >> 64;
                open > 0 && drawn < u128::from(self.free_seats())
            }
        }
    }

    /// Takes those out who stand first and have not been heard of, but not the one who polls.
    fn drop_absent_heads(&self, session: u64) {
        for _ in 0..AT_ONCE {
            match self.head() {
                Some(slot) if self.room.places.session(slot) != session => {
                    if !self.vacate_if_absent(slot) {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    pub(super) fn told(&self, rank: Option<u64>) -> Told {
        let waiting = self.waiting();
        let is_fifo = self.rules.order == Order::Fifo;
        let prospect = Prospect {
            rank: match is_fifo {
                true => rank.unwrap_or(waiting + 1),
                false => waiting.div_ceil(2).max(1),
            },
            free: self.free_seats(),
            next_free: self.room.seats.first().map(|(_, until)| until.saturating_sub(self.now)),
            pause: header::read_meter(self.room.cells).pause(self.now),
        };
        Told {
            position: rank.filter(|_| is_fifo),
            waiting,
            active: self.room.seats.held() as u64,
            max_active: self.rules.max_active.into(),
            wait: prospect.wait(&self.rules),
            refresh: 0,
        }
    }
}

/// Where a session is.
#[derive(Clone, Copy)]
pub(super) enum Spot {
    Place(usize),
    Seat(usize),
}

impl Spot {
    fn of(number: usize, slots: usize) -> Self {
        match number.checked_sub(slots) {
            None => Self::Place(number),
            Some(seat) => Self::Seat(seat),
        }
    }
}
