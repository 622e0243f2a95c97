//! A crowd before a room, in virtual time: a wave of people, some of them impatient, some with several tabs; bots
//! that keep no cookie, bots that hoard tokens; and then nobody.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::{ensure, Result};
use ngx_http_smart_module::core::room::rules::{Order, Rules};
use ngx_http_smart_module::shm::room::{Outcome, Room, Told, Visit};

use crate::common::Numbers;
use crate::room_machine::{memory, mix, room, rules};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// Milliseconds in which all come; most of them in the middle.
const WAVE: u64 = 10 * MINUTE;

/// How long people wait before they give up, at most: each has a patience of his own, evenly distributed.
const PATIENCE_MAX: u64 = 240 * MINUTE;

/// Bots that ask each second and keep no cookie.
const FORGETFUL: u64 = 50;

/// Networks whose bots have many tokens, and how many each; the room lets a network have so many places.
pub const HOARDERS: u64 = 3;
const PER_NET: u32 = 100;

/// What a crowd is made of.
#[derive(Clone, Copy)]
pub struct Crowd {
    /// People who come.
    pub people: u64,
    /// Seats.
    pub seats: u32,
    /// Who is admitted.
    pub order: Order,
}

/// The room at a moment.
pub struct Moment {
    /// Minutes since the beginning.
    pub minute: f64,
    /// How many wait.
    pub waiting: u64,
    /// How many seats are held.
    pub held: u64,
    /// Requests to the room in a second, since the moment before.
    pub polls: f64,
}

/// What has become of a crowd.
#[derive(Default)]
pub struct Story {
    pub moments: Vec<Moment>,
    /// People who got a seat, and who gave up before.
    pub admitted: u64,
    pub impatient: u64,
    /// Who came back in time and was not known any more.
    pub lost: u64,
    /// Who came back in time and was told to wait, though somebody who had come later was in.
    pub inversions: u64,
    /// Milliseconds that those who were admitted had waited, in order.
    pub waits: Vec<u64>,
    /// Requests by those who wait, and the most in a second.
    pub polls: u64,
    pub polls_most: u64,
    /// The part of the seats that was held while people waited, from the end of the first rush on.
    pub used: f64,
    /// Requests by bots that keep no cookie.
    pub forgotten: u64,
    /// Tokens of the hoarders, the most places they had, and seats they got.
    pub tokens: u64,
    pub hoarded_most: u64,
    pub hoarded_seats: u64,
    /// When nobody waited any more, and when the room was closed: minutes.
    pub emptied: f64,
    pub closed: f64,
}

/// One who comes, with one or several tabs.
struct Person {
    visit: Visit,
    /// When he has had enough.
    leaves: u64,
    /// When he took his place, and as which of all.
    since: u64,
    place: Option<u64>,
    is_seated: bool,
    is_bot: bool,
}

struct World<'a> {
    room: Room<'a>,
    people: Vec<Person>,
    /// Who comes next, and when.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    now: u64,
    places: u64,
    /// The last place whose owner was admitted.
    last_admitted: u64,
    hoarded: u64,
    in_this_second: u64,
    story: Story,
}

impl Crowd {
    /// What becomes of it.
    pub fn play(self) -> Result<Story> {
        let words = memory(4 << 20);
        let rules = Rules {
            session: 5 * MINUTE,
            per_net: Some(PER_NET),
            order: self.order,
            ..rules(self.seats)
        };
        let room = room(&words, &rules);
        ensure!(self.people < room.capacity() as u64, "too many people");
        let mut world = World {
            room,
            people: Vec::new(),
            due: BinaryHeap::new(),
            now: MINUTE,
            places: 0,
            last_admitted: 0,
            hoarded: 0,
            in_this_second: 0,
            story: Story::default(),
        };
        self.assemble(&mut world);
        self.watch(&mut world)?;
        let mut story = world.story;
        story.waits.sort_unstable();
        Ok(story)
    }

    fn assemble(self, world: &mut World<'_>) {
        let mut numbers = Numbers::new(11);
        for number in 0..self.people {
            let comes = MINUTE + numbers.below(WAVE / 2) + numbers.below(WAVE / 2);
            // A third has the page in the background.
            let is_hidden = numbers.below(3) == 0;
            let patience = numbers.below(PATIENCE_MAX);
            let tabs = if numbers.below(10) == 0 { 3 } else { 1 };
            let who = world.newcomer(number, 1_000 + number, is_hidden);
            world.people[who].leaves = comes + patience;
            (0..tabs).for_each(|tab| world.due.push(Reverse((comes + tab * SECOND, who))));
        }
        let tokens = self.people / 10;
        for number in 0..HOARDERS * tokens {
            let who = world.newcomer(self.people + number, number % HOARDERS, false);
            world.people[who].is_bot = true;
            world.people[who].leaves = MINUTE + 2 * WAVE;
            world.due.push(Reverse((MINUTE + numbers.below(WAVE), who)));
        }
        world.story.tokens = HOARDERS * tokens;
    }

    /// Second by second, until the room is closed.
    fn watch(self, world: &mut World<'_>) -> Result<()> {
        let (mut used, mut seconds, mut polls_before) = (0, 0, 0);
        loop {
            let second = world.now;
            world.pass(second + SECOND);
            let told = world.room.enter(world.now).welcome();
            if second < MINUTE + WAVE {
                // Each has this answer and is forgotten.
                (0..FORGETFUL).for_each(|_| _ = world.room.enter(world.now).welcome());
                world.story.forgotten += FORGETFUL;
            }
            if told.waiting > 0 && told.active > 0 && second > MINUTE + WAVE {
                used += told.active;
                seconds += 1;
            }
            let minute = (world.now - MINUTE) as f64 / MINUTE as f64;
            if world.now % MINUTE == 0 {
                let polls = (world.story.polls - polls_before) as f64 / 60.0;
                polls_before = world.story.polls;
                let Told { waiting, active: held, .. } = told;
                world.story.moments.push(Moment { minute, waiting, held, polls });
            }
            if told.waiting > 0 || second < MINUTE + WAVE {
                world.story.emptied = minute;
            }
            if world.room.is_idle() && second > MINUTE + WAVE {
                world.story.closed = minute;
                world.story.used = used as f64 / seconds as f64 / f64::from(self.seats);
                return Ok(());
            }
            ensure!(minute < 2_000.0, "the room does not close");
        }
    }
}

impl World<'_> {
    fn newcomer(&mut self, number: u64, network: u64, is_hidden: bool) -> usize {
        let network = Some((mix(network) >> 24).max(1));
        let session = mix(number) | 1;
        let visit = Visit { session, issued: 10, wall: 20, network, is_hidden, random: 0 };
        self.people.push(Person {
            visit,
            leaves: 0,
            since: 0,
            place: None,
            is_seated: false,
            is_bot: false,
        });
        self.people.len() - 1
    }

    /// What happens up to a time.
    fn pass(&mut self, end: u64) {
        self.in_this_second = 0;
        while let Some(&Reverse((due, who))) =
            self.due.peek().filter(|Reverse((due, _))| *due < end)
        {
            self.due.pop();
            self.now = self.now.max(due);
            self.come(who);
        }
        self.now = end;
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.room.enter(self.now).sweep(from);
        }
        self.story.polls_most = self.story.polls_most.max(self.in_this_second);
    }

    /// A request of a tab of somebody.
    fn come(&mut self, who: usize) {
        let person = &mut self.people[who];
        if person.is_seated || self.now >= person.leaves {
            if !person.is_seated && !person.is_bot && person.leaves > 0 {
                // Once, however many tabs he closes.
                person.leaves = 0;
                self.story.impatient += 1;
            }
            return;
        }
        self.story.polls += 1;
        self.in_this_second += 1;
        person.visit.random = mix(self.story.polls);
        let outcome = self.room.enter(self.now).arrive(&person.visit, 7);
        let was_waiting = person.place.is_some();
        match outcome {
            Outcome::Waits(place) => {
                if place.is_new {
                    self.story.lost += u64::from(was_waiting);
                    self.places += 1;
                    person.place = Some(self.places);
                    person.since = self.now;
                    if person.is_bot {
                        self.hoarded += 1;
                        self.story.hoarded_most = self.story.hoarded_most.max(self.hoarded);
                    }
                } else if person.place < Some(self.last_admitted) {
                    self.story.inversions += 1;
                }
                self.due.push(Reverse((self.now + place.told.refresh * SECOND, who)));
            }
            Outcome::Seated { .. } => {
                person.is_seated = true;
                self.last_admitted = self.last_admitted.max(person.place.unwrap_or(0));
                if person.is_bot {
                    self.story.hoarded_seats += 1;
                    self.hoarded -= u64::from(was_waiting);
                } else {
                    self.story.admitted += 1;
                    let since = if was_waiting { person.since } else { self.now };
                    self.story.waits.push(self.now - since);
                }
            }
            Outcome::Full(told) | Outcome::Joins(told) => {
                self.story.lost += u64::from(was_waiting);
                self.due.push(Reverse((self.now + told.refresh * SECOND, who)));
            }
        }
    }
}

impl Story {
    /// The wait, in seconds, that this part of those who were admitted did not exceed.
    pub fn wait(&self, part: f64) -> f64 {
        let last = self.waits.len().saturating_sub(1) as f64;
        let wait = self.waits.get((last * part).round() as usize);
        wait.map_or(f64::NAN, |wait| *wait as f64 / SECOND as f64)
    }
}
