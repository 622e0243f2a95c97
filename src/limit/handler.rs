//! The handler: asks the limits of a location about a request.
//!
//! First all are read and decide without writing; then those that let it pass are charged, each by
//! one exchange that decides again. If another worker was faster and one refuses now, what was charged is
//! taken back. So a refused request is charged nowhere. A limit alone is charged at once.

use nginx_sys::{ngx_str_t, NGX_LOG_ERR};
use smallvec::SmallVec;

use super::conf::{headers, LimitConf, LocationConf};
use super::directives::Module;
use super::headers::{add_draft, add_retry_after};
use super::notes::Notes;
use super::room;
use super::zone::Zone;
use crate::core::bucket::{Bucket, Limit, Offer};
use crate::core::rate::REQUEST;
use crate::core::verdict::{decisive, Status, Vote};
use crate::core::NoMemory;
use crate::nginx::conf::ComplexValue;
use crate::nginx::log::Shown;
use crate::nginx::phase::phase_handler;
use crate::nginx::preaccess::{self, Passage};
use crate::nginx::request::Request;
use crate::nginx::{now, worker};
use crate::shm::limiter::counters::Counter;
use crate::shm::limiter::table::Charge;
use crate::shm::limiter::{Limiter, Tag, Turn};

/// The longest key that is limited, in bytes; as `limit_req`.
const KEY_MAX: usize = 65_535;

/// The most limits of a location that need no memory of their own.
const FEW: usize = 4;

phase_handler!(ngx_http_smart_limit_handler, preaccess::run, handle);

/// What a limit is asked.
struct Question {
    limiter: &'static Limiter<'static>,
    key: &'static [u8],
    tag: Tag,
    limit: Limit,
}

/// A limit that has answered.
pub struct Answered {
    pub zone: Zone,
    question: Question,
    pub vote: Vote,
    /// Whether those over it wait in the location's room.
    pub has_room: bool,
}

/// The limits of a location, as they have answered.
pub type Answers = SmallVec<[Answered; FEW]>;

fn handle(r: Request) -> Passage {
    let conf = r.location_conf::<Module>();
    let limits = conf.limits.as_deref().unwrap_or_default();
    if limits.is_empty() && conf.room.is_none() {
        return Passage::Declined;
    }
    let Some(notes) = r.main_conf::<Module>().notes.as_ref() else {
        return Passage::Declined;
    };
    if notes.is_decided(r) {
        return Passage::Declined;
    }
    decide(r, conf, notes, limits).unwrap_or(Passage::Status(500))
}

#[inline(always)]
fn decide(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    limits: &[LimitConf],
) -> Result<Passage, NoMemory> {
    if is_bypassed(r, conf)? {
        let answer = conf.room.map(|_| room::handler::bypass(r, conf, notes)).transpose()?;
        notes.set_status(r, Status::Bypassed);
        return Ok(answer.flatten().unwrap_or(Passage::Declined));
    }
    let turn = Turn { now: now(), worker: worker() };
    if conf.room.as_ref().is_some_and(|room| !room.is_idle(r)) {
        return room::handler::decide(r, conf, notes, turn);
    }
    let [limit] = limits else {
        return decide_by_all(r, conf, notes, limits, turn);
    };
    if conf.tells_all() {
        return decide_by_all(r, conf, notes, limits, turn);
    }
    let Some(question) = ask(r, limit)? else {
        return Ok(Passage::Declined);
    };
    match question.limiter.pass(question.tag, question.limit, turn.now) {
        Ok(excess) => {
            question.limiter.count(Counter::Passed, turn);
            notes.decide(r, Status::Passed, limit.zone, excess);
            Ok(Passage::Declined)
        }
        Err(held) => {
            // Put together here, so that it is no structure in memory on the way above.
            let question = Question { ..question };
            decide_by_one(r, conf, notes, limit, question, held, turn)
        }
    }
}

/// Decides where there is one limit that does not let the request pass at once, or has to find a place for
/// its key. `held`: the key's bucket, if it has one.
#[inline(never)]
fn decide_by_one(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    limit: &LimitConf,
    question: Question,
    held: Option<Bucket>,
    turn: Turn,
) -> Result<Passage, NoMemory> {
    let limiter = question.limiter;
    let offer = match held.map(|bucket| bucket.offer(&question.limit, turn.now)) {
        None => limiter.charge_new(question.tag, question.limit, turn).0,
        Some(Offer::Passes { .. }) => limiter.charge(question.tag, question.limit, turn).0,
        Some(refused) => refused,
    };
    if limit.has_room && matches!(offer, Offer::Refused { .. }) {
        return room::handler::decide(r, conf, notes, turn);
    }
    let is_dry = limit.runs_dry(conf);
    match offer {
        Offer::Passes { delay: 0, excess, .. } => {
            limiter.count(Counter::Passed, turn);
            notes.decide(r, Status::Passed, limit.zone, excess);
            Ok(Passage::Declined)
        }
        Offer::Refused { excess, wait } if !is_dry => {
            limiter.count(Counter::Rejected, turn);
            notes.decide(r, Status::Rejected, limit.zone, excess);
            let vote = Vote { limit: question.limit, offer, is_dry };
            report(r, conf, limit.zone, &question, vote);
            reject(r, conf, notes, wait.div_ceil(1000))
        }
        _ => {
            let vote = Vote { limit: question.limit, offer, is_dry };
            let refused = matches!(offer, Offer::Refused { .. }).then_some(0);
            let answered = Answered { zone: limit.zone, question, vote, has_room: false };
            conclude(r, conf, notes, &[answered], refused, turn)
        }
    }
}

/// Decides where there are several limits, or more to tell than whether the request passes.
#[inline(never)]
fn decide_by_all(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    limits: &[LimitConf],
    turn: Turn,
) -> Result<Passage, NoMemory> {
    let mut answers = read_all(r, conf, limits, turn)?;
    if answers.iter().any(|one| one.has_room && one.refuses()) {
        return room::handler::decide(r, conf, notes, turn);
    }
    let refused = charge_all(&mut answers, turn, conf.dry_run == 1)?;
    conclude(r, conf, notes, &answers, refused, turn)
}

/// What each of the limits says now; nothing is charged.
pub fn read_all<'a>(
    r: Request,
    conf: &LocationConf,
    limits: impl IntoIterator<Item = &'a LimitConf>,
    turn: Turn,
) -> Result<Answers, NoMemory> {
    let mut answers = Answers::new();
    for limit in limits {
        if let Some(question) = ask(r, limit)? {
            answers.try_reserve(1).map_err(|_| NoMemory)?;
            let mut answered = Answered::new(limit, question, conf);
            answered.read(turn);
            answers.push(answered);
        }
    }
    Ok(answers)
}

#[inline(always)]
fn is_bypassed(r: Request, conf: &LocationConf) -> Result<bool, NoMemory> {
    match &conf.bypass {
        None => Ok(false),
        Some(values) => is_any_set(r, values),
    }
}

fn is_any_set(r: Request, values: &[ComplexValue]) -> Result<bool, NoMemory> {
    for value in values {
        let value = r.evaluate(*value).ok_or(NoMemory)?;
        if !value.is_empty() && value != b"0" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a limit is to be asked about a request. `None`: it has no key here.
#[inline(always)]
fn ask(r: Request, limit: &LimitConf) -> Result<Option<Question>, NoMemory> {
    let (Some(limiter), Some(settings)) = (limit.zone.get(), limit.zone.settings()) else {
        return Ok(None);
    };
    let key = settings.key_of(r)?;
    if key.is_empty() {
        return Ok(None);
    }
    if key.len() > KEY_MAX {
        log_long_key(r, &settings.text, key);
        return Ok(None);
    }
    let limit = Limit { rate: settings.rate.of(r)?, burst: limit.burst, delay: limit.delay };
    Ok(Some(Question { limiter, key, tag: limiter.tag(key), limit }))
}

#[cold]
fn log_long_key(r: Request, text: &ngx_str_t, key: &[u8]) {
    let key = Shown(key);
    r.log().write(
        NGX_LOG_ERR,
        format_args!("the value of the \"{text}\" key is more than 65535 bytes: \"{key}\""),
    );
}

impl Answered {
    /// A limit that has not answered yet.
    fn new(conf: &LimitConf, question: Question, location: &LocationConf) -> Self {
        let is_dry = conf.runs_dry(location);
        let offer = Offer::Refused { excess: 0, wait: 0 };
        let vote = Vote { limit: question.limit, offer, is_dry };
        Self { zone: conf.zone, vote, question, has_room: conf.has_room }
    }

    /// The key.
    pub fn key(&self) -> &'static [u8] {
        self.question.key
    }

    /// Takes the limit's answer, and charges its key if it lets the request pass.
    fn charge(&mut self, turn: Turn) -> Option<Charge<'static>> {
        let Question { limiter, tag, limit, .. } = self.question;
        let (offer, charge) = limiter.charge(tag, limit, turn);
        self.vote.offer = offer;
        charge
    }

    /// Takes the limit's answer alone.
    fn read(&mut self, turn: Turn) {
        let Question { limiter, tag, ref limit, .. } = self.question;
        self.vote.offer = limiter.bucket(tag).offer(limit, turn.now);
    }

    /// Whether it refuses.
    pub fn refuses(&self) -> bool {
        matches!(self.vote.offer, Offer::Refused { .. })
    }
}

/// Charges all limits, or none. Returns the place of the one that refuses. One that runs dry, where not all
/// do, refuses nobody.
pub fn charge_all(
    answers: &mut [Answered],
    turn: Turn,
    all_are_dry: bool,
) -> Result<Option<usize>, NoMemory> {
    let ends = |one: &Answered| one.refuses() && (all_are_dry || !one.vote.is_dry);
    if let Some(refused) = answers.iter().position(ends) {
        return Ok(Some(refused));
    }
    let mut charges = SmallVec::<[(&'static Limiter<'static>, Charge<'static>); FEW]>::new();
    charges.try_reserve(answers.len()).map_err(|_| NoMemory)?;
    for (place, one) in answers.iter_mut().enumerate() {
        if one.refuses() {
            continue;
        }
        match one.charge(turn) {
            Some(charge) => charges.push((one.question.limiter, charge)),
            None if ends(one) => {
                charges.into_iter().for_each(|(limiter, charge)| limiter.restore(charge));
                return Ok(Some(place));
            }
            None => {}
        }
    }
    Ok(None)
}

/// Carries out what the votes say.
#[inline(never)]
pub fn conclude(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    answers: &[Answered],
    refused: Option<usize>,
    turn: Turn,
) -> Result<Passage, NoMemory> {
    let Some(place) = refused.or_else(|| decisive(answers.iter().map(|one| one.vote))) else {
        return Ok(Passage::Declined);
    };
    let decisive = &answers[place];
    let status = decisive.vote.status();
    notes.decide(r, status, decisive.zone, decisive.vote.excess());
    for (other, one) in answers.iter().enumerate() {
        // Who was asked before somebody refused was not charged, and has nothing to count.
        if refused.is_none() || other == place {
            count(one, turn);
        }
        if other == place || (refused.is_none() && one.refuses()) {
            report(r, conf, one.zone, &one.question, one.vote);
        }
    }
    if conf.tells_all() {
        add_draft(r, answers, refused.is_none())?;
    }
    match status {
        Status::Rejected | Status::RejectedDryRun => {
            let of_a_kind = answers.iter().filter(|one| one.vote.is_dry == decisive.vote.is_dry);
            let seconds = of_a_kind.map(|one| one.vote.retry_after()).max().unwrap_or_default();
            if status == Status::Rejected {
                return reject(r, conf, notes, seconds);
            }
            notes.retry_after(r, seconds);
            Ok(Passage::Declined)
        }
        Status::Delayed => Ok(Passage::Delayed(decisive.vote.delay())),
        _ => Ok(Passage::Declined),
    }
}

#[inline]
fn count(one: &Answered, turn: Turn) {
    let counter = match one.vote.status() {
        Status::Passed => Counter::Passed,
        Status::Delayed => Counter::Delayed,
        Status::Rejected => Counter::Rejected,
        Status::DelayedDryRun => Counter::DelayedDryRun,
        Status::RejectedDryRun => Counter::RejectedDryRun,
        _ => return,
    };
    one.question.limiter.count(counter, turn);
}

/// Refuses a request that would pass after so many seconds.
#[inline]
fn reject(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    seconds: u64,
) -> Result<Passage, NoMemory> {
    notes.retry_after(r, seconds);
    if conf.headers != headers::OFF {
        add_retry_after(r, seconds)?;
    }
    Ok(Passage::Status(conf.status as u16))
}

/// Logs what a limit has said other than that the request passes, and remembers the key.
#[inline]
fn report(r: Request, conf: &LocationConf, zone: Zone, question: &Question, vote: Vote) {
    let (level, action, comma) = match vote.status() {
        Status::Rejected | Status::RejectedDryRun => {
            (conf.refusal_log_level(), "limiting requests", "")
        }
        Status::Delayed | Status::DelayedDryRun => {
            (conf.delay_log_level(), "delaying request", ",")
        }
        _ => return,
    };
    if r.log().writes(level) {
        let dry_run = if vote.is_dry { ", dry run" } else { "" };
        log(r, level, [action, dry_run, comma], vote.excess(), zone);
    }
    question.limiter.count_heavy(question.tag, question.key);
}

/// In `limit_req`'s words, commas included.
#[cold]
fn log(r: Request, level: u32, [action, dry_run, comma]: [&str; 3], excess: u32, zone: Zone) {
    let (whole, part) = (excess / REQUEST, excess % REQUEST);
    let zone = zone.name();
    r.log().write(
        level,
        format_args!("{action}{dry_run}, excess: {whole}.{part:03}{comma} by zone \"{zone}\""),
    );
}
