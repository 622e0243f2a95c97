//! A room as one would write it without a thought for memory and time: lists of people.

use super::super::*;
use crate::core::histogram::Histogram;
use crate::core::report::SessionState;
use crate::core::room::pace;
use crate::core::room::rules::{Order, Rules};

/// One who waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub session: u64,
    pub key: u64,
    pub network: u64,
    pub since: u64,
    pub deadline: u64,
}

/// One who has a seat.
#[derive(Clone, Debug)]
pub struct Seated {
    pub session: u64,
    pub network: u64,
    pub until: u64,
    pub end: u64,
    pub is_provisional: bool,
}

/// What has happened, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub entered: u64,
    pub admitted: u64,
    pub provisional: u64,
    pub absent: u64,
    pub ended: u64,
    pub full: u64,
    pub polls: u64,
}

/// The room.
pub struct Model {
    pub rules: Rules,
    /// `admit=` in requests per second.
    pub admit: Option<u64>,
    pub capacity: usize,
    pub queue: Vec<Waiting>,
    pub seats: Vec<Seated>,
    pub counts: Counts,
    pub waits: Histogram,
    /// What the bucket of admissions held, in thousandths, and when.
    admissions: (u64, u64),
    is_returning: bool,
}

/// What the room itself has said, where the model has no opinion.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    pub now: u64,
    /// The seconds after which he is to come back.
    pub refresh: u64,
    /// Whether somebody who is absent has been taken out in passing.
    pub is_gone: &'a dyn Fn(u64) -> bool,
}

impl Model {
    pub fn new(capacity: usize, rules: &Rules) -> Self {
        Self {
            rules: *rules,
            admit: None,
            capacity,
            queue: Vec::new(),
            seats: Vec::new(),
            counts: Counts::default(),
            waits: Histogram::default(),
            admissions: (0, 0),
            is_returning: false,
        }
    }

    /// What happens before anything else: seats end.
    pub fn enter(&mut self, now: u64) {
        let before = self.seats.len();
        self.seats.retain(|seat| seat.until > now);
        self.counts.ended += (before - self.seats.len()) as u64;
    }

    pub fn is_seated(&mut self, session: u64, now: u64) -> bool {
        let Rules { renew, session: length, .. } = self.rules;
        let idle = self.rules.idle.map_or(u64::MAX, |idle| now + idle);
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.session == session) else {
            return false;
        };
        if renew {
            seat.end = now + length;
        }
        seat.until = seat.end.min(idle);
        seat.is_provisional = false;
        true
    }

    pub fn poll(&mut self, visit: &Visit, said: Said<'_>) -> Option<Outcome> {
        if self.is_seated(visit.session, said.now) {
            return Some(Outcome::Seated { is_new: false });
        }
        self.queue.iter().find(|waiting| waiting.session == visit.session)?;
        self.counts.polls += 1;
        self.drop_heads(visit.session, said.now);
        Some(self.answer(visit, said, false))
    }

    pub fn arrive(&mut self, visit: &Visit, key: u64, said: Said<'_>) -> Outcome {
        if let Some(outcome) = self.poll(visit, said) {
            return outcome;
        }
        let age = visit.wall - visit.issued;
        let is_young =
            self.rules.entry_delay > 0 && age.saturating_sub(1) * 1000 < self.rules.entry_delay;
        if self.others_return(visit, said.now) || is_young {
            return Outcome::Joins(self.told(None));
        }
        self.drop_heads(visit.session, said.now);
        let network = visit.network.unwrap_or_default();
        let most = self.rules.max_waiting.map_or(usize::MAX, |most| most as usize);
        if self.queue.len() >= most.min(self.capacity) || !self.allows(network) {
            self.counts.full += 1;
            return Outcome::Full(self.told(None));
        }
        // Only who takes a place moves others, and whoever is absent may be taken out by that.
        self.drop(|waiting| waiting.deadline < said.now && (said.is_gone)(waiting.session));
        let session = visit.session;
        let since = said.now;
        self.queue.push(Waiting { session, key, network, since, deadline: said.now });
        self.counts.entered += 1;
        self.answer(visit, said, true)
    }

    pub fn seat_at_once(&mut self, visit: &Visit, now: u64) -> bool {
        let network = visit.network.unwrap_or_default();
        let provisional = self.seats.iter().filter(|seat| seat.is_provisional).count();
        let is_seated = self.queue.len() < self.open(now)
            && provisional < self.rules.max_active as usize / 2
            && self.allows(network)
            && !self.others_return(visit, now);
        if is_seated {
            self.admitted(now);
            let end = now + self.rules.session;
            let until = end.min(now + self.rules.absent);
            self.seat(Seated { session: visit.session, network, until, end, is_provisional: true });
            self.counts.provisional += 1;
        }
        is_seated
    }

    pub fn state(&self, session: u64, now: u64) -> Option<SessionState> {
        if let Some(seat) = self.seats.iter().find(|seat| seat.session == session) {
            let left = seat.until - now;
            return Some(SessionState::Active { left, is_provisional: seat.is_provisional });
        }
        let place = self.queue.iter().position(|waiting| waiting.session == session)?;
        let waited = now.saturating_sub(self.queue[place].since);
        Some(SessionState::Waiting { position: place as u64 + 1, wait: Some(0), waited })
    }

    pub fn remove(&mut self, session: u64) -> bool {
        let (seats, waiting) = (self.seats.len(), self.queue.len());
        self.seats.retain(|seat| seat.session != session);
        self.queue.retain(|waiting| waiting.session != session);
        let is_unseated = self.seats.len() < seats;
        self.counts.ended += u64::from(is_unseated);
        is_unseated || self.queue.len() < waiting
    }

    pub fn sweep(&mut self, now: u64) {
        self.drop(|waiting| waiting.deadline < now);
    }

    fn free(&self) -> usize {
        (self.rules.max_active as usize).saturating_sub(self.seats.len())
    }

    fn drop_heads(&mut self, session: u64, now: u64) {
        let stays = |waiting: &Waiting| waiting.session == session || waiting.deadline >= now;
        let heads = self.queue.iter().position(stays).unwrap_or(self.queue.len());
        self.queue.drain(..heads);
        self.counts.absent += heads as u64;
    }

    fn drop(&mut self, is_absent: impl Fn(&Waiting) -> bool) {
        let before = self.queue.len();
        self.queue.retain(|waiting| !is_absent(waiting));
        self.counts.absent += (before - self.queue.len()) as u64;
    }

    fn allows(&self, network: u64) -> bool {
        let provisional = self.seats.iter().filter(|seat| seat.is_provisional);
        let networks = self.queue.iter().map(|waiting| waiting.network);
        let all = networks.chain(provisional.map(|seat| seat.network));
        let count = all.filter(|other| *other == network).count();
        network == 0 || self.rules.per_net.is_none_or(|most| count < most as usize)
    }

    fn others_return(&mut self, visit: &Visit, now: u64) -> bool {
        let is_old = visit.issued < super::BIRTH.wall;
        self.is_returning |= is_old;
        let end = super::BIRTH.now + pace::longest_interval(&self.rules);
        self.is_returning && !is_old && now <= end
    }

    /// How many may be given a seat now.
    fn open(&self, now: u64) -> usize {
        let Some(rate) = self.admit else { return self.free() };
        let most = (rate * pace::shortest_interval(&self.rules)).max(1000);
        let allowed = most.saturating_sub(self.admissions_at(now)) / 1000;
        self.free().min(allowed as usize)
    }

    fn admissions_at(&self, now: u64) -> u64 {
        let (level, last) = self.admissions;
        level.saturating_sub(self.admit.unwrap_or(0) * now.saturating_sub(last))
    }

    fn admitted(&mut self, now: u64) {
        if self.admit.is_some() {
            self.admissions = (self.admissions_at(now) + 1000, now.max(self.admissions.1));
        }
    }

    fn answer(&mut self, visit: &Visit, said: Said<'_>, is_new: bool) -> Outcome {
        let is_he = |waiting: &Waiting| waiting.session == visit.session;
        let place = self.queue.iter().position(is_he).expect("he has a place");
        let (rank, waiting) = (place as u64 + 1, self.queue.len());
        let is_next = match self.rules.order {
            Order::Fifo => rank <= self.open(said.now) as u64,
            Order::Random => {
                self.open(said.now) > 0
                    && (u128::from(visit.random) * waiting as u128) >> 64 < self.free() as u128
            }
        };
        if is_next {
            self.admitted(said.now);
            let left = self.queue.remove(place);
            if !is_new {
                self.waits.add(said.now.saturating_sub(left.since), 1);
            }
            let end = said.now + self.rules.session;
            let until = self.rules.idle.map_or(end, |idle| end.min(said.now + idle));
            let session = visit.session;
            self.seat(Seated { session, network: 0, until, end, is_provisional: false });
            return Outcome::Seated { is_new: true };
        }
        assert!(said.refresh * 1000 <= pace::longest_interval(&self.rules));
        let patience = pace::patience(visit.is_hidden, &self.rules);
        self.queue[place].deadline = said.now + said.refresh * 1000 + patience;
        let key = self.queue[place].key;
        let is_first = !self.queue[..place].iter().any(|waiting| waiting.key == key);
        let position = Some(rank).filter(|_| self.rules.order == Order::Fifo);
        Outcome::Waits(Place { told: self.told(position), key, is_first, is_new })
    }

    fn seat(&mut self, seat: Seated) {
        assert!(self.seats.len() < self.rules.max_active as usize, "more seats than there are");
        self.counts.admitted += 1;
        self.seats.push(seat);
    }

    /// Without what the model has no opinion of.
    fn told(&self, position: Option<u64>) -> Told {
        Told {
            position,
            waiting: self.queue.len() as u64,
            active: self.seats.len() as u64,
            max_active: self.rules.max_active.into(),
            wait: 0,
            refresh: 0,
        }
    }
}
