//! The request's way: ID, key, cache, store, file.

use std::time::Instant;

use nginx_sys::NGX_LOG_ERR;

use super::conf::{Key, LocationConf, Settings};
use super::record::{Record, State};
use super::store;
use crate::core::policy::{Cached, Outcome, Verdict};
use crate::core::{id, key, NoMemory};
use crate::nginx::request::Request;
use crate::nginx::suspend::{Phase, PhaseHandler, Step};
use crate::nginx::{now, record};
use crate::shm::cache::Lookup;

/// The handler.
pub struct Handler;

/// The request cannot go on for want of memory.
const NO_MEMORY: Step = Step::Status(500);

impl PhaseHandler for Handler {
    fn handle(r: Request, phase: Phase) -> Step {
        if phase == Phase::Precontent && !r.has_content_handler() {
            return Step::Declined;
        }
        let conf = super::location_conf(r);
        let Some(settings) = conf.settings else {
            return Step::Declined;
        };
        match record::current::<Record>(r) {
            Some(record) => match record.state.get() {
                State::Waiting => Step::Wait,
                State::Answered => finish(conf, record),
                State::Redirected => Step::Declined,
            },
            None => begin(r, conf, settings),
        }
    }
}

/// A request that this handler sees for the first time in this location.
fn begin(r: Request, conf: &'static LocationConf, settings: &'static Settings) -> Step {
    let before = if r.is_internal() { record::find::<Record>(r) } else { None };
    if before.is_some_and(|record| record.state.get() == State::Redirected) || !r.is_get_or_head() {
        return Step::Declined;
    }
    let id = id::trailing(r.uri());
    if let Some(record) = before {
        // The key may name the ID: this one, not that of the lookup before the redirect.
        record.id.set(id);
    }
    let key = match conf.key {
        None | Some(Key::Id) => id,
        Some(Key::Text { needs_id: true, .. }) if id.is_none() => None,
        Some(Key::Text { value, .. }) => match r.evaluate(value) {
            Some(key) => Some(key).filter(|key| !key.is_empty()),
            None => return NO_MEMORY,
        },
    };
    let Some(key) = key else {
        return Step::Declined;
    };
    let Some(record) = before.or_else(|| record::create(r)) else {
        return NO_MEMORY;
    };
    record.begin(id, now());
    if let Err(error) = key::check(key) {
        r.log().write(NGX_LOG_ERR, format_args!("invalid key: {error}"));
        record.answer(r, Outcome::Invalid, now());
        return finish(conf, record);
    }
    match look_up(r, conf, settings, record, key) {
        true => finish(conf, record),
        false => ask(r, conf, settings, record, key),
    }
}

/// Whether the cache has answered.
fn look_up(
    r: Request,
    conf: &LocationConf,
    settings: &Settings,
    record: &Record,
    key: &[u8],
) -> bool {
    let Some((zone, validity)) = settings.cache else {
        return false;
    };
    let Some(cache) = zone.get() else {
        return false;
    };
    let lookup = Lookup { store: settings.store, key };
    let answered = store::with_scratch(|path| {
        let Some(cached) = cache.get(lookup, now(), path) else {
            return false;
        };
        match (validity.judge(cached), cached) {
            (Verdict::Fresh, Cached::Path(_)) => {
                record.answer_with(r, Outcome::Hit, conf.root.as_bytes(), path, now());
                true
            }
            (Verdict::Fresh, Cached::Miss(_)) => {
                record.answer(r, Outcome::MissCached, now());
                true
            }
            (verdict, _) => {
                record.stale.set(verdict == Verdict::StaleOnly);
                false
            }
        }
    });
    answered == Some(true)
}

/// Asks the store.
fn ask(
    r: Request,
    conf: &LocationConf,
    settings: &'static Settings,
    record: &Record,
    key: &[u8],
) -> Step {
    record.asked.set(Some(Instant::now()));
    match store::ask(r, settings, key) {
        Err(NoMemory) => NO_MEMORY,
        Ok(()) if record.state.get() == State::Waiting => Step::Wait,
        Ok(()) => finish(conf, record),
    }
}

/// What an outcome means here.
fn finish(conf: &LocationConf, record: &Record) -> Step {
    let Some(outcome) = record.outcome.get() else {
        return NO_MEMORY;
    };
    match outcome.without_file() {
        None => {
            record.state.set(State::Redirected);
            Step::Redirect(record.uri.get())
        }
        Some((bit, _)) if conf.falls_back(bit) => Step::Declined,
        Some((_, status)) => Step::Status(status),
    }
}
