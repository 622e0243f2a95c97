//! What happens to a request whose location has a room: who has a seat passes, who waits is answered, and who
//! is over a limit, or came after somebody who waits under its key, joins them.

use nginx_sys::NGX_LOG_INFO;

use super::answer;
use super::visitor::{asks_room, Kind, Visitor};
use crate::core::room::accept::Wanted;
use crate::core::room::report;
use crate::core::verdict::Status;
use crate::core::NoMemory;
use crate::limit::conf::{LimitConf, LocationConf};
use crate::limit::handler::{charge_all, conclude, read_all, Answered, Answers};
use crate::limit::notes::Notes;
use crate::nginx::preaccess::Passage;
use crate::nginx::request::Request;
use crate::nginx::{now, worker};
use crate::shm::limiter::Turn;
use crate::shm::room::{Counter, Outcome, Place, Room, Told};

/// Decides about a request that the room may have to do with.
#[cold]
pub fn decide(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    turn: Turn,
) -> Result<Passage, NoMemory> {
    let Some(visitor) = Visitor::of(r) else {
        return Ok(Passage::Status(500));
    };
    let limits = conf.limits.as_deref().unwrap_or_default();
    notes.room.decide(r, visitor.room.zone);
    if let Some(session) = visitor.session() {
        notes.room.know(r, session)?;
    }
    Door { visitor, conf, notes, limits, turn }.decide()
}

/// Answers a request that nothing is asked about, if it is the room that it asks. `None`: it passes.
#[cold]
pub fn bypass(r: Request, conf: &LocationConf, notes: &Notes) -> Result<Option<Passage>, NoMemory> {
    let Some(visitor) = asks_room(r).then(|| Visitor::of(r)).flatten() else {
        return Ok(None);
    };
    let turn = Turn { now: now(), worker: worker() };
    let door = Door { visitor, conf, notes, limits: &[], turn };
    door.farewell(report::Status::Passed).map(Some)
}

/// A request at the door of its room.
struct Door<'a> {
    visitor: Visitor,
    conf: &'a LocationConf,
    notes: &'a Notes,
    limits: &'a [LimitConf],
    turn: Turn,
}

/// Why somebody may not pass.
#[derive(Clone, Copy)]
struct Stop {
    /// What he is to wait under.
    key: u64,
    /// Whether it is only said.
    is_dry: bool,
}

impl Door<'_> {
    fn decide(mut self) -> Result<Passage, NoMemory> {
        match self.known() {
            Some(Outcome::Seated { is_new }) => self.admit(is_new, false),
            Some(Outcome::Waits(place)) => self.poll(place),
            _ => self.arrive(),
        }
    }

    /// What the room says to somebody whom it knows already.
    fn known(&self) -> Option<Outcome> {
        let session = self.visitor.session()?.number();
        let is_seated =
            self.visitor.within(|room, section| section.is_seated(room.session(session)));
        if is_seated == Some(true) {
            return Some(Outcome::Seated { is_new: false });
        }
        if self.visitor.kind == Kind::Subrequest {
            return None;
        }
        let visit = self.visitor.visit()?;
        self.visitor.within(|_, section| section.poll(&visit)).flatten()
    }

    /// Answers somebody who has a place: the limits let him pass in the queue's order, or he waits.
    fn poll(&self, place: Place) -> Result<Passage, NoMemory> {
        if place.is_first {
            if let Some(passage) = self.pass_in_turn(place.key)? {
                return Ok(passage);
            }
        }
        let mut others = self.limits.iter().filter(|limit| limit.has_room);
        let everyone = self.visitor.room.everyone;
        let is_dry = others.all(|limit| limit.runs_dry(self.conf))
            && everyone.is_none_or(|everyone| everyone.runs_dry(self.conf));
        self.settle(Outcome::Waits(place), is_dry)
    }

    /// The rate's own capacity goes to those who wait, in their order: `None` where it is used up, or another
    /// key's turn.
    fn pass_in_turn(&self, key: u64) -> Result<Option<Passage>, NoMemory> {
        let r = self.visitor.r;
        let everyone = self.visitor.room.everyone;
        let needs_seat = everyone.is_some_and(|everyone| !everyone.runs_dry(self.conf));
        let Some(session) = self.visitor.session().filter(|_| !needs_seat) else {
            return Ok(None);
        };
        let mut answers = read_all(r, self.conf, self.limits, self.turn)?;
        let is_his_turn = self.visitor.within(|room, section| {
            let session = room.session(session.number());
            let keys = || answers.iter().filter_map(|one| key_of(room, one));
            let mut others = keys().filter(|other| *other != key);
            let is_late = others.any(|other| section.waits_before(other, session));
            keys().any(|other| other == key) && !is_late
        });
        let stops = |one: &Answered| one.refuses() && (one.has_room || !one.vote.is_dry);
        let is_refused = answers.iter().any(stops);
        if is_his_turn != Some(true) || is_refused {
            return Ok(None);
        }
        if self.visitor.asks_room() {
            return self.farewell(report::Status::Passed).map(Some);
        }
        if charge_all(&mut answers, self.turn, self.conf.dry_run == 1)?.is_some() {
            return Ok(None);
        }
        self.visitor.within(|_, section| section.count(Counter::Passed));
        self.send_token_along()?;
        conclude(r, self.conf, self.notes, &answers, None, self.turn).map(Some)
    }

    /// Asks the limits about somebody whom the room does not know.
    fn arrive(&mut self) -> Result<Passage, NoMemory> {
        let answers = read_all(self.visitor.r, self.conf, self.limits, self.turn)?;
        let mut dry = None;
        for one in &answers {
            if !one.has_room && one.refuses() && !one.vote.is_dry {
                return self.pass(answers, None);
            }
            match self.stop_of(one) {
                Some(stop) if stop.is_dry => dry = dry.or(Some(stop)),
                Some(stop) => return self.turn_away(stop),
                None => {}
            }
        }
        match self.stop_of_everyone() {
            Some(stop) if stop.is_dry => dry = dry.or(Some(stop)),
            Some(stop) => return self.turn_away(stop),
            None => {}
        }
        match dry {
            Some(stop) if self.visitor.kind == Kind::Visit => self.turn_away(stop),
            _ if self.visitor.asks_room() => self.farewell(report::Status::Passed),
            _ => {
                self.send_token_along()?;
                self.pass(answers, None)
            }
        }
    }

    /// Whether a limit sends somebody to the room: it refuses, or others wait under its key.
    fn stop_of(&self, one: &Answered) -> Option<Stop> {
        let room = self.visitor.room.zone.get()?;
        let key = key_of(room, one)?;
        let is_late = || {
            !room.is_empty()
                && self.visitor.within(|_, section| section.waits_under(key)) == Some(true)
        };
        let is_dry = one.vote.is_dry;
        (one.refuses() || is_late()).then_some(Stop { key, is_dry })
    }

    fn stop_of_everyone(&self) -> Option<Stop> {
        let everyone = self.visitor.room.everyone?;
        let key = self.visitor.room.zone.get()?.key(b"", b"");
        Some(Stop { key, is_dry: everyone.runs_dry(self.conf) })
    }

    /// Sends somebody into the room.
    fn turn_away(&mut self, stop: Stop) -> Result<Passage, NoMemory> {
        let r = self.visitor.r;
        match self.visitor.kind {
            Kind::Visit => {
                let outcome = self.join(stop.key)?;
                self.settle(outcome, stop.is_dry)
            }
            Kind::Resource => self.settle(Outcome::Joins(self.told()), stop.is_dry),
            Kind::Subrequest => {
                self.notes.set_status(r, Status::Rejected);
                Ok(Passage::Status(self.conf.status as u16))
            }
        }
    }

    /// Goes into the room; with a new token, if there was none.
    fn join(&mut self, key: u64) -> Result<Outcome, NoMemory> {
        if self.visitor.token.is_some() {
            let visit = self.visitor.visit().ok_or(NoMemory)?;
            let outcome = self.visitor.within(|_, section| section.arrive(&visit, key));
            return outcome.ok_or(NoMemory);
        }
        if !self.visitor.may_be_given_token() {
            let told = self.visitor.within(|_, section| section.welcome());
            return told.map(Outcome::Joins).ok_or(NoMemory);
        }
        let session = self.visitor.welcome()?;
        self.notes.room.know(self.visitor.r, session)?;
        let visit = self.visitor.visit().ok_or(NoMemory)?;
        let needs_seat = self.visitor.room.everyone.is_some();
        let outcome =
            self.visitor.within(|_, section| match needs_seat && section.seat_at_once(&visit) {
                true => Outcome::Seated { is_new: true },
                false => Outcome::Joins(section.welcome()),
            });
        outcome.ok_or(NoMemory)
    }

    /// Who is the first over his limits comes back when they let him pass, if that is sooner than his turn for a
    /// seat: or their own capacity would lie idle.
    fn hasten(&self, place: Place) -> Result<Place, NoMemory> {
        let is_hidden = self.visitor.wanted() == Wanted::Room { is_hidden: true };
        if !place.is_first || self.visitor.room.everyone.is_some() || is_hidden {
            return Ok(place);
        }
        let answers = read_all(self.visitor.r, self.conf, self.limits, self.turn)?;
        let wait = answers.iter().map(|one| one.vote.retry_after()).max().unwrap_or_default();
        let soonest = self.visitor.settings.rules.refresh.0.div_ceil(1000);
        let refresh = place.told.refresh.min(wait.max(soonest));
        Ok(Place { told: Told { refresh, ..place.told }, ..place })
    }

    /// Carries out what the room has said, or only says it.
    fn settle(&self, outcome: Outcome, is_dry: bool) -> Result<Passage, NoMemory> {
        let outcome = match outcome {
            Outcome::Waits(place) => Outcome::Waits(self.hasten(place)?),
            other => other,
        };
        let (r, status, told) = match &outcome {
            Outcome::Seated { is_new } => return self.admit(*is_new, is_dry),
            Outcome::Waits(Place { told, .. }) | Outcome::Joins(told) => {
                (self.visitor.r, Status::Waiting, told)
            }
            Outcome::Full(told) => (self.visitor.r, Status::Full, told),
        };
        self.report(&outcome, is_dry);
        self.notes.room.tell(r, told);
        if is_dry {
            let counter = match status {
                Status::Full => Counter::FullDryRun,
                _ => Counter::WaitingDryRun,
            };
            self.visitor.within(|_, section| section.count(counter));
            if self.visitor.asks_room() {
                return self.farewell(report::Status::Passed);
            }
            self.send_token_along()?;
            let others = |limit: &LimitConf| !limit.has_room || !limit.runs_dry(self.conf);
            return self.pass_some(others, Status::WaitingDryRun);
        }
        self.notes.set_status(r, status);
        self.notes.retry_after(r, told.refresh);
        let status = match status {
            Status::Full => report::Status::Full,
            _ => report::Status::Waiting,
        };
        self.reply(status, told)
    }

    fn reply(&self, status: report::Status, told: &Told) -> Result<Passage, NoMemory> {
        self.notes.filter.answer_by_room(self.visitor.r);
        if self.visitor.kind == Kind::Resource {
            return answer::status_alone(&self.visitor, told);
        }
        self.send_token_along()?;
        answer::reply(&self.visitor, status, told)
    }

    /// Lets a session pass the limits of its room. Others count.
    fn admit(&self, is_new: bool, is_dry: bool) -> Result<Passage, NoMemory> {
        if is_new {
            self.report(&Outcome::Seated { is_new }, is_dry);
        }
        if self.visitor.asks_room() {
            return self.farewell(report::Status::Admitted);
        }
        self.send_token_along()?;
        self.pass_some(|limit| !limit.has_room, Status::Admitted)
    }

    /// Asks and charges only some of the limits.
    fn pass_some(
        &self,
        which: impl Fn(&LimitConf) -> bool,
        status: Status,
    ) -> Result<Passage, NoMemory> {
        let limits = self.limits.iter().filter(|limit| which(limit));
        let answers = read_all(self.visitor.r, self.conf, limits, self.turn)?;
        self.pass(answers, Some(status))
    }

    /// Charges limits. If they let the request pass it has `status`, or else the status that they give it.
    fn pass(&self, mut answers: Answers, status: Option<Status>) -> Result<Passage, NoMemory> {
        let r = self.visitor.r;
        let refused = charge_all(&mut answers, self.turn, self.conf.dry_run == 1)?;
        let passage = conclude(r, self.conf, self.notes, &answers, refused, self.turn)?;
        if let (Some(status), Passage::Declined) = (status, &passage) {
            self.notes.set_status(r, status);
        }
        Ok(passage)
    }

    /// The last answer that the page of somebody gets who may go in.
    fn farewell(&self, status: report::Status) -> Result<Passage, NoMemory> {
        let shown = match status {
            report::Status::Admitted => Status::Admitted,
            _ => Status::Passed,
        };
        self.notes.set_status(self.visitor.r, shown);
        self.reply(status, &self.told())
    }

    fn told(&self) -> Told {
        self.visitor.within(|_, section| section.farewell()).unwrap_or_default()
    }

    /// Lets the answer to a request that passes carry the token, if there is a new one.
    fn send_token_along(&self) -> Result<(), NoMemory> {
        if let Some(token) = self.visitor.token_to_send() {
            self.notes.filter.set_cookie(self.visitor.r, self.visitor.cookie(token)?);
        }
        Ok(())
    }

    /// Logs who comes in, who begins to wait, and whom there was no place for.
    fn report(&self, outcome: &Outcome, is_dry: bool) {
        let (name, log) = (self.visitor.room.zone.name(), self.visitor.r.log());
        let dry_run = if is_dry { ", dry run" } else { "" };
        let write = |level, text: std::fmt::Arguments<'_>| {
            if log.writes(level) {
                log.write(level, text);
            }
        };
        match outcome {
            Outcome::Seated { .. } => {
                write(NGX_LOG_INFO, format_args!("admitted from room \"{name}\"{dry_run}"));
            }
            Outcome::Waits(Place { is_new: true, told, .. }) => {
                let position = told.position.unwrap_or(told.waiting);
                let level = self.conf.delay_log_level();
                let text =
                    format_args!("waiting in room \"{name}\"{dry_run}, position: {position}");
                write(level, text);
            }
            Outcome::Full(_) => {
                write(
                    self.conf.refusal_log_level(),
                    format_args!("room \"{name}\" is full{dry_run}"),
                );
            }
            Outcome::Waits(_) | Outcome::Joins(_) => {}
        }
    }
}

/// What those are called who wait over a limit. `None`: they do not wait.
fn key_of(room: &Room, one: &Answered) -> Option<u64> {
    one.has_room.then(|| room.key(one.zone.name().as_bytes(), one.key()))
}
