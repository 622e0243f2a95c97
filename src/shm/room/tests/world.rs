//! People who come to a room and to its model, and do as people do; each outcome is compared.

use std::collections::BTreeSet;

use super::super::*;
use super::invariants;
use super::model::{Counts, Model, Said};
use super::steps::{mix, Start, Step};
use super::{rules, BIRTH};
use crate::core::rate::Rate;
use crate::core::report::SessionState;
use crate::core::room::pace;
use crate::core::room::rules::{Order, Rules};

/// One who has come.
struct Person {
    visit: Visit,
    key: u64,
    is_faithful: bool,
    /// When he comes back, while he waits.
    due: Option<u64>,
    /// Up to when he cannot have been lost.
    deadline: u64,
    position: u64,
    was_seated: bool,
}

/// A room, its model, and the people.
pub struct World<'a> {
    pub room: Room<'a>,
    pub model: Model,
    pub now: u64,
    lag: u64,
    is_crowded: bool,
    people: Vec<Person>,
    /// When which of the faithful comes back.
    due: BTreeSet<(u64, usize)>,
    noise: u64,
    /// How many newcomers found the ring being compacted.
    pub compacted: u64,
}

impl<'a> World<'a> {
    pub fn new(words: &'a [Word], start: Start) -> Self {
        let room = Room::create(words, &BIRTH).expect("enough words");
        let seats = room.seats() as u16;
        let rules = Rules {
            session: 500 + u64::from(start.rules % 5_000),
            absent: 500 + u64::from(start.rules % 2_000),
            refresh: (1_000, 4_000),
            ..rules((1 + start.rules % seats).into())
        };
        room.install(&rules);
        Self {
            room,
            model: Model::new(room.capacity(), &rules),
            now: 10_000,
            lag: 0,
            is_crowded: start.is_crowded,
            people: Vec::new(),
            due: BTreeSet::new(),
            noise: 0,
            compacted: 0,
        }
    }

    /// What happens, happens in the room and in the model.
    pub fn take(&mut self, step: Step) {
        match step {
            Step::Arrive { key, network, is_faithful, is_old } => {
                let who = self.newcomer(key, network, is_faithful, is_old);
                self.arrive(who);
            }
            Step::Again { who, key } => {
                if let Some(who) = self.somebody(who) {
                    self.people[who].key = self.key(key);
                    self.arrive(who);
                }
            }
            Step::Poll { who } => _ = self.somebody(who).map(|who| self.poll(who)),
            Step::Seat { network } => self.seat_at_once(network),
            Step::Request { who } => _ = self.somebody(who).map(|who| self.request(who)),
            Step::Pass { time } => self.pass(time.into()),
            Step::Lag { time } => self.lag = (time % 16).into(),
            Step::Sweep => self.sweep(),
            Step::Ask { who } => _ = self.somebody(who).map(|who| self.ask(who)),
            Step::Remove { who } => _ = self.somebody(who).map(|who| self.remove(who)),
            Step::Change { parameter, value } => self.change(parameter, value.into()),
        }
        if !matches!(step, Step::Lag { .. }) {
            self.lag = 0;
        }
        let section = self.room.enter(self.now);
        self.model.enter(self.now);
        assert_eq!(section.waiting(), self.model.queue.len() as u64);
        assert_eq!(self.room.seats.held(), self.model.seats.len());
    }

    /// The whole of the room is that of the model.
    pub fn compare(&mut self) {
        let state = invariants::check(&self.room, self.now);
        self.model.enter(self.now);
        let queue = state.queue.iter();
        let queue = queue
            .map(|place| (place.session, place.key, place.network, place.deadline, place.since));
        let expected = self.model.queue.iter();
        let expected = expected.map(|one| {
            (one.session, one.key, one.network, one.deadline, places::moment(one.since))
        });
        assert_eq!(queue.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let mut seats = self.model.seats.clone();
        seats.sort_unstable_by_key(|seat| seat.session);
        let expected =
            seats.iter().map(|one| (one.session, one.until, one.end, one.is_provisional));
        let seats = state.seats.iter();
        let seats = seats.map(|seat| (seat.session, seat.until, seat.end, seat.is_provisional));
        assert_eq!(seats.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let counted = |counter| self.room.counted(counter);
        let counts = Counts {
            entered: counted(Counter::Entered),
            admitted: counted(Counter::Admitted),
            provisional: counted(Counter::Provisional),
            absent: counted(Counter::Absent),
            ended: counted(Counter::Ended),
            full: counted(Counter::Full),
            polls: counted(Counter::Polls),
        };
        assert_eq!(counts, self.model.counts);
        let waits = self.room.waits();
        assert_eq!(waits.count(), self.model.waits.count());
        let (sum, expected) = (waits.sum(), self.model.waits.sum());
        assert!(sum.abs_diff(expected) <= waits.count() * 64, "{sum} and {expected}");
    }

    /// Nobody new comes. Whoever polls in time is admitted in the end, and the room closes.
    pub fn drain(&mut self) {
        // Each seat serves its share of the queue, in turn; `admit=` may be the bound.
        let turns = self.model.queue.len() as u64 / u64::from(self.model.rules.max_active) + 2;
        let turn = self.model.rules.session + 10_000;
        let by_admissions = self.model.queue.len() as u64 * 5_000;
        let end = self.now + 20 * turns * turn + by_admissions;
        while !self.room.is_idle() {
            assert!(self.now < end, "the queue does not empty");
            self.pass(1_000);
            self.sweep();
            let section = self.room.enter(self.now);
            self.model.enter(self.now);
            assert_eq!(section.waiting(), self.model.queue.len() as u64);
        }
        assert!(self.due.is_empty(), "who polled in time has not been admitted");
    }

    pub fn sessions(&self) -> usize {
        self.people.len()
    }

    pub fn admitted(&self) -> usize {
        self.people.iter().filter(|person| person.was_seated).count()
    }

    /// A visit of somebody who has come already, as far as anybody has.
    pub fn visit_of(&self, who: u16) -> Option<(Visit, u64)> {
        let who = self.somebody(who)?;
        Some((self.people[who].visit, self.people[who].key))
    }

    /// A number that is spread over all bits, unless the world is crowded.
    fn name(&self, number: u64) -> u64 {
        match self.is_crowded {
            true => u64::MAX << 20 | number,
            false => mix(number),
        }
    }

    fn key(&self, number: u8) -> u64 {
        self.name(number.into()) & HIGH_MAX
    }

    fn somebody(&self, who: u16) -> Option<usize> {
        // Those who came lately.
        let back = usize::from(who).checked_rem(self.people.len().min(200))?;
        Some(self.people.len() - 1 - back)
    }

    fn newcomer(&mut self, key: u8, network: u8, is_faithful: bool, is_old: bool) -> usize {
        let number = self.people.len() as u64;
        let network = match (network, self.is_crowded) {
            (0, _) => None,
            (network, false) => Some((mix(network.into()) & HIGH_MAX).max(1)),
            (network, true) => Some(HIGH_MAX - u64::from(network)),
        };
        let wall = self.wall();
        let visit = Visit {
            session: self.name(number + 1_000),
            issued: if is_old { BIRTH.wall - 1 } else { wall },
            wall,
            network,
            is_hidden: number % 16 == 0,
            random: 0,
        };
        self.people.push(Person {
            visit,
            key: self.key(key),
            is_faithful,
            due: None,
            deadline: 0,
            position: u64::MAX,
            was_seated: false,
        });
        self.people.len() - 1
    }

    fn wall(&self) -> u64 {
        BIRTH.wall + self.now / 1000
    }

    fn visit(&mut self, who: usize) -> Visit {
        self.noise += 1;
        Visit { wall: self.wall(), random: mix(self.noise), ..self.people[who].visit }
    }

    fn arrive(&mut self, who: usize) {
        let (visit, key, now) = (self.visit(who), self.people[who].key, self.now - self.lag);
        let outcome = self.room.enter(now).arrive(&visit, key);
        self.compacted += u64::from(self.room.cells.get(at::READ) != 0);
        self.model.enter(now);
        let expected = self.with_said(outcome, |model, said| model.arrive(&visit, key, said));
        self.note(who, outcome, expected);
    }

    fn poll(&mut self, who: usize) {
        let (visit, now) = (self.visit(who), self.now - self.lag);
        let outcome = self.room.enter(now).poll(&visit);
        self.model.enter(now);
        let waits = outcome.unwrap_or(Outcome::Seated { is_new: false });
        match self.with_said(waits, |model, said| model.poll(&visit, said)) {
            Some(expected) => self.note(who, outcome.expect("he is known"), expected),
            None => {
                assert_eq!(outcome, None);
                self.lose(who);
            }
        }
    }

    /// What the model says, with what the room has said already.
    fn with_said<T>(&mut self, outcome: Outcome, ask: impl FnOnce(&mut Model, Said<'_>) -> T) -> T {
        let refresh = match outcome {
            Outcome::Waits(place) => place.told.refresh,
            _ => 0,
        };
        let (now, room) = (self.now - self.lag, self.room);
        let is_gone = move |session| {
            let section = room.enter(now);
            room.sessions.find(session, |spot| section.session_at(spot)).is_none()
        };
        ask(&mut self.model, Said { now, refresh, is_gone: &is_gone })
    }

    /// He who polls in time is still known, and no further back.
    fn note(&mut self, who: usize, outcome: Outcome, expected: Outcome) {
        assert_eq!(without_opinion(outcome), expected, "{who}");
        let now = self.now - self.lag;
        let rules = self.model.rules;
        let was_in_time = self.people[who].due.is_some() && now <= self.people[who].deadline;
        let person = &mut self.people[who];
        match outcome {
            Outcome::Waits(place) => {
                assert!(!(was_in_time && place.is_new), "{who} has lost his place");
                let position = place.told.position.unwrap_or(u64::MAX);
                if was_in_time && position != u64::MAX {
                    assert!(position <= person.position, "{who} is further back");
                }
                person.position = position;
                let patience = pace::patience(person.visit.is_hidden, &rules);
                person.deadline = now + place.told.refresh * 1000 + patience;
                self.expect(who, Some(now + place.told.refresh * 1000));
            }
            Outcome::Seated { .. } => {
                person.was_seated = true;
                self.expect(who, None);
            }
            Outcome::Joins(_) | Outcome::Full(_) => {
                assert!(!was_in_time, "{who} has lost his place");
                self.expect(who, None);
            }
        }
    }

    /// Notes when somebody is to come back.
    fn expect(&mut self, who: usize, due: Option<u64>) {
        let person = &mut self.people[who];
        let old = std::mem::replace(&mut person.due, due);
        if person.is_faithful {
            old.map(|old| self.due.remove(&(old, who)));
            due.map(|due| self.due.insert((due, who)));
        }
    }

    fn lose(&mut self, who: usize) {
        let person = &self.people[who];
        let is_late = self.now - self.lag > person.deadline;
        assert!(person.due.is_none() || is_late, "{who} has lost his place");
        self.expect(who, None);
    }

    fn seat_at_once(&mut self, network: u8) {
        let who = self.newcomer(0, network, false, false);
        let (visit, now) = (self.visit(who), self.now - self.lag);
        let is_seated = self.room.enter(now).seat_at_once(&visit);
        self.model.enter(now);
        assert_eq!(is_seated, self.model.seat_at_once(&visit, now));
        self.people[who].was_seated = is_seated;
    }

    fn request(&mut self, who: usize) {
        let (session, now) = (self.people[who].visit.session, self.now - self.lag);
        let is_seated = self.room.enter(now).is_seated(session);
        self.model.enter(now);
        assert_eq!(is_seated, self.model.is_seated(session, now));
    }

    /// What an operator is told.
    fn ask(&mut self, who: usize) {
        let (session, now) = (self.people[who].visit.session, self.now - self.lag);
        let said = self.room.enter(now).state(session);
        self.model.enter(now);
        match (said, self.model.state(session, now)) {
            (
                Some(SessionState::Waiting { position, waited, .. }),
                Some(SessionState::Waiting { position: expected, waited: exactly, .. }),
            ) => {
                assert_eq!(position, expected);
                assert!(waited.abs_diff(exactly) <= 64, "{waited} ms, {exactly} ms");
            }
            (said, expected) => assert_eq!(said, expected),
        }
        let room = &self.room;
        let provisional = self.model.seats.iter().filter(|seat| seat.is_provisional).count();
        assert_eq!(room.waiting(), self.model.queue.len() as u64);
        assert_eq!(room.active(), self.model.seats.len() as u64);
        assert_eq!(room.provisional(), provisional as u64);
    }

    /// An operator takes somebody out.
    fn remove(&mut self, who: usize) {
        let (session, now) = (self.people[who].visit.session, self.now - self.lag);
        let is_removed = self.room.enter(now).remove(session);
        self.model.enter(now);
        assert_eq!(is_removed, self.model.remove(session));
        assert_eq!(self.room.enter(now).state(session), None);
        if is_removed {
            self.expect(who, None);
        }
    }

    fn pass(&mut self, time: u64) {
        let end = self.now + time;
        while let Some((due, who)) = self.due.first().copied().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.poll(who);
        }
        self.now = end;
    }

    fn sweep(&mut self) {
        let now = self.now - self.lag;
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.room.enter(now).sweep(from);
        }
        self.model.enter(now);
        self.model.sweep(now);
    }

    fn change(&mut self, parameter: u8, value: u64) {
        let rules = &mut self.model.rules;
        let is_on = value % 3 == 0;
        match parameter % 10 {
            0 | 1 => rules.max_active = 1 + (value % self.room.seats() as u64) as u32,
            2 => {
                self.model.admit = is_on.then_some(1 + value % 20);
                let text = self.model.admit.map(|rate| format!("{rate}r/s"));
                rules.admit = text.map(|text| Rate::parse(text.as_bytes()).unwrap());
            }
            3 => rules.session = 500 + value % 5_000,
            4 => rules.renew = is_on,
            5 => rules.idle = is_on.then_some(500 + value % 5_000),
            6 => rules.max_waiting = is_on.then_some((value % 200) as u32),
            7 => rules.per_net = is_on.then_some((value % 20) as u32),
            8 => rules.entry_delay = if is_on { value % 4_000 } else { 0 },
            _ => rules.order = if is_on { Order::Random } else { Order::Fifo },
        }
        self.room.install(rules);
    }
}

/// An outcome without what the model has no opinion of.
fn without_opinion(outcome: Outcome) -> Outcome {
    let bare = |told| Told { wait: 0, refresh: 0, ..told };
    match outcome {
        Outcome::Waits(place) => Outcome::Waits(Place { told: bare(place.told), ..place }),
        Outcome::Joins(told) => Outcome::Joins(bare(told)),
        Outcome::Full(told) => Outcome::Full(bare(told)),
        seated => seated,
    }
}
