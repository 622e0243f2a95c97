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
use super::zone::Zone;
use crate::core::bucket::{Limit, Offer};
use crate::core::rate::REQUEST;
use crate::core::verdict::{decisive, Status, Vote};
use crate::core::NoMemory;
use crate::nginx::log::Shown;
use crate::nginx::preaccess::{preaccess_handler, Passage};
use crate::nginx::request::Request;
use crate::nginx::{now, worker};
use crate::shm::limiter::counters::Counter;
use crate::shm::limiter::table::Charge;
use crate::shm::limiter::{Limiter, Tag, Turn};

/// The longest key that is limited, in bytes; as `limit_req`.
const KEY_MAX: usize = 65_535;

/// The most limits of a location that need no memory of their own.
const FEW: usize = 4;

preaccess_handler!(ngx_http_smart_limit_handler, handle);

/// A limit that has been asked.
pub struct Asked {
    pub zone: Zone,
    limiter: &'static Limiter<'static>,
    key: &'static [u8],
    tag: Tag,
    pub vote: Vote,
}

fn handle(r: Request) -> Passage {
    let conf = r.location_conf::<Module>();
    let limits = conf.limits.as_deref().unwrap_or_default();
    let Some(notes) = r.main_conf::<Module>().notes.as_ref().filter(|_| !limits.is_empty()) else {
        return Passage::Declined;
    };
    if notes.is_decided(r) {
        return Passage::Declined;
    }
    decide(r, conf, notes, limits).unwrap_or(Passage::Status(500))
}

#[inline]
fn decide(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    limits: &[LimitConf],
) -> Result<Passage, NoMemory> {
    if is_bypassed(r, conf)? {
        notes.bypass(r);
        return Ok(Passage::Declined);
    }
    let turn = Turn { now: now(), worker: worker() };
    let [limit] = limits else {
        return decide_by_all(r, conf, notes, limits, turn);
    };
    let Some(mut asked) = ask(r, conf, limit)? else {
        return Ok(Passage::Declined);
    };
    asked.charge(turn);
    match asked.vote.offer {
        // The way of most requests.
        Offer::Passes { delay: 0, excess, .. } if conf.headers != headers::DRAFT => {
            asked.limiter.count(Counter::Passed, turn);
            notes.decide(r, Status::Passed, asked.zone, excess);
            Ok(Passage::Declined)
        }
        Offer::Passes { .. } => conclude(r, conf, notes, &[asked], None, turn),
        Offer::Refused { .. } => conclude(r, conf, notes, &[asked], Some(0), turn),
    }
}

/// Decides where there are several limits.
#[inline(never)]
fn decide_by_all(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    limits: &[LimitConf],
    turn: Turn,
) -> Result<Passage, NoMemory> {
    let mut asked = SmallVec::<[Asked; FEW]>::new();
    for limit in limits {
        if let Some(one) = ask(r, conf, limit)? {
            asked.try_reserve(1).map_err(|_| NoMemory)?;
            asked.push(one);
        }
    }
    let refused = charge_all(&mut asked, turn, conf.dry_run == 1)?;
    conclude(r, conf, notes, &asked, refused, turn)
}

fn is_bypassed(r: Request, conf: &LocationConf) -> Result<bool, NoMemory> {
    for value in conf.bypass.iter().flatten() {
        let value = r.evaluate(*value).ok_or(NoMemory)?;
        if !value.is_empty() && value != b"0" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a limit is to be asked about a request. `None`: it has no key here.
#[inline]
fn ask(r: Request, conf: &LocationConf, limit: &LimitConf) -> Result<Option<Asked>, NoMemory> {
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
    let rate = settings.rate.of(r)?;
    let vote = Vote {
        limit: Limit { rate, burst: limit.burst, delay: limit.delay },
        offer: Offer::Refused { excess: 0, wait: 0 },
        is_dry: limit.is_dry || conf.dry_run == 1,
    };
    Ok(Some(Asked { zone: limit.zone, limiter, key, tag: limiter.tag(key), vote }))
}

#[cold]
fn log_long_key(r: Request, text: &ngx_str_t, key: &[u8]) {
    let key = Shown(key);
    r.log().write(
        NGX_LOG_ERR,
        format_args!("the value of the \"{text}\" key is more than 65535 bytes: \"{key}\""),
    );
}

impl Asked {
    /// Takes the limit's vote, and charges its key if it lets the request pass.
    #[inline]
    fn charge(&mut self, turn: Turn) -> Option<Charge<'static>> {
        let (offer, charge) = self.limiter.charge(self.tag, &self.vote.limit, turn);
        self.vote.offer = offer;
        charge
    }

    /// Takes the limit's vote alone.
    fn read(&mut self, turn: Turn) {
        let bucket = self.limiter.bucket(self.tag);
        self.vote.offer = bucket.offer(&self.vote.limit, turn.now);
    }

    fn refuses(&self) -> bool {
        matches!(self.vote.offer, Offer::Refused { .. })
    }
}

/// Charges all limits, or none. Returns the place of the one that refuses. One that runs dry, where not all
/// do, refuses nobody.
fn charge_all(
    asked: &mut [Asked],
    turn: Turn,
    all_are_dry: bool,
) -> Result<Option<usize>, NoMemory> {
    asked.iter_mut().for_each(|one| one.read(turn));
    let ends = |one: &Asked| one.refuses() && (all_are_dry || !one.vote.is_dry);
    if let Some(refused) = asked.iter().position(ends) {
        return Ok(Some(refused));
    }
    let mut charges = SmallVec::<[(&'static Limiter<'static>, Charge<'static>); FEW]>::new();
    charges.try_reserve(asked.len()).map_err(|_| NoMemory)?;
    for (place, one) in asked.iter_mut().enumerate() {
        if one.refuses() {
            continue;
        }
        match one.charge(turn) {
            Some(charge) => charges.push((one.limiter, charge)),
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
fn conclude(
    r: Request,
    conf: &LocationConf,
    notes: &Notes,
    asked: &[Asked],
    refused: Option<usize>,
    turn: Turn,
) -> Result<Passage, NoMemory> {
    let Some(place) = refused.or_else(|| decisive(asked.iter().map(|one| one.vote))) else {
        return Ok(Passage::Declined);
    };
    let decisive = &asked[place];
    let status = decisive.vote.status();
    notes.decide(r, status, decisive.zone, decisive.vote.excess());
    for (other, one) in asked.iter().enumerate() {
        // Who was asked before somebody refused was not charged, and has nothing to count.
        if refused.is_none() || other == place {
            count(one, turn);
        }
        if other == place || (refused.is_none() && one.refuses()) {
            report(r, conf, one);
        }
    }
    if conf.headers == headers::DRAFT {
        add_draft(r, asked, refused.is_none())?;
    }
    match status {
        Status::Rejected | Status::RejectedDryRun => {
            let seconds = asked.iter().map(|one| one.vote.retry_after()).max().unwrap_or_default();
            notes.retry_after(r, seconds);
            if status == Status::RejectedDryRun {
                return Ok(Passage::Declined);
            }
            if conf.headers != headers::OFF {
                add_retry_after(r, seconds)?;
            }
            Ok(Passage::Status(conf.status as u16))
        }
        Status::Delayed => Ok(Passage::Delayed(decisive.vote.delay())),
        _ => Ok(Passage::Declined),
    }
}

#[inline]
fn count(one: &Asked, turn: Turn) {
    let counter = match one.vote.status() {
        Status::Passed | Status::Bypassed => Counter::Passed,
        Status::Delayed => Counter::Delayed,
        Status::Rejected => Counter::Rejected,
        Status::DelayedDryRun => Counter::DelayedDryRun,
        Status::RejectedDryRun => Counter::RejectedDryRun,
    };
    one.limiter.count(counter, turn);
}

/// Logs that a limit has refused or held back a request, or would have, and remembers the key.
#[inline]
fn report(r: Request, conf: &LocationConf, one: &Asked) {
    let excess = one.vote.excess();
    let (whole, part) = (excess / REQUEST, excess % REQUEST);
    let dry_run = if one.vote.is_dry { ", dry run" } else { "" };
    let zone = one.zone.name();
    match one.vote.status() {
        Status::Passed | Status::Bypassed => return,
        Status::Rejected | Status::RejectedDryRun => r.log().write(
            conf.refusal_log_level(),
            format_args!(
                "limiting requests{dry_run}, excess: {whole}.{part:03} by zone \"{zone}\""
            ),
        ),
        Status::Delayed | Status::DelayedDryRun => r.log().write(
            conf.delay_log_level(),
            format_args!(
                "delaying request{dry_run}, excess: {whole}.{part:03}, by zone \"{zone}\""
            ),
        ),
    }
    one.limiter.count_heavy(one.tag, one.key);
}
