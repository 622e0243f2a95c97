//! Who waits for what, and what they are told.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use nginx_sys::NGX_LOG_ERR;
use slotmap::SecondaryMap;

use super::network::ConnectionId;
use crate::core::flight::{FlightId, Flights, Target, WaiterId};
use crate::core::pipeline::{Answer, Asker};
use crate::core::policy::{fallback, Cached, Outcome, Verdict as CacheVerdict};
use crate::core::value::path_of;
use crate::core::NoMemory;
use crate::nginx::log::{Log, Shown};
use crate::nginx::peer::{Chosen, Peer, Verdict};
use crate::nginx::request::Request;
use crate::nginx::{now, record};
use crate::sendfile::conf::Settings;
use crate::sendfile::record::Record;
use crate::shm::cache::{Cache, Lookup, Moment};

/// Why a server did not help.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It has no such key; another may.
    Miss,
    /// It could not be reached, or broke off, or answered with an error.
    Error,
    /// It could not be reached in time.
    Timeout,
}

impl Failure {
    fn outcome(self) -> Outcome {
        match self {
            Self::Miss => Outcome::Miss,
            Self::Error => Outcome::Error,
            Self::Timeout => Outcome::Timeout,
        }
    }

    /// The bit of `http_sendfile_next_upstream`.
    fn bit(self) -> usize {
        match self {
            Self::Miss => fallback::MISS,
            Self::Error => fallback::ERROR,
            Self::Timeout => fallback::TIMEOUT,
        }
    }

    fn verdict(self) -> Verdict {
        match self {
            Self::Miss => Verdict::Next,
            Self::Error | Self::Timeout => Verdict::Failed,
        }
    }
}

/// What is kept of a flight.
#[derive(Default)]
pub struct Attempt {
    settings: Option<&'static Settings>,
    /// The choice of servers, made in the memory of the request that leads.
    peer: Option<Peer>,
    leader: Option<WaiterId>,
    connection: Option<ConnectionId>,
    address: Option<&'static [u8]>,
    had_second_chance: bool,
    last: Option<Failure>,
    /// When the cache had no answer.
    asked: Moment,
    /// Whether the server has been found to be late with the answer.
    is_late: bool,
}

/// All flights of this worker, and those that can be resumed.
#[derive(Default)]
pub struct Desk {
    pub flights: Flights<Request, Attempt>,
    /// Flights whose server has just failed them, for the store to retry.
    pub failed: Vec<(FlightId, Failure)>,
    /// Those who have their answers, in order; one who has ended meanwhile is only in the queue.
    ready: SecondaryMap<WaiterId, Request>,
    ready_queue: VecDeque<WaiterId>,
    spare_peers: Vec<Peer>,
    hasher: RandomState,
}

impl Desk {
    /// Makes room for one more flight and one more waiter, whatever becomes of them.
    ///
    /// # Errors
    /// There is no memory.
    pub fn reserve(&mut self, settings: &Settings) -> Result<(), NoMemory> {
        self.flights.reserve(settings.class)?;
        let (flights, waiters) = self.flights.count();
        self.ready.try_set_capacity(self.flights.waiter_slots()).map_err(|_| NoMemory)?;
        self.ready_queue.try_reserve(waiters + 1).map_err(|_| NoMemory)?;
        self.failed.try_reserve(flights + 1).map_err(|_| NoMemory)?;
        self.spare_peers.try_reserve(flights + 1).map_err(|_| NoMemory)?;
        if self.spare_peers.is_empty() {
            self.spare_peers.push(Peer::new().ok_or(NoMemory)?);
        }
        Ok(())
    }

    /// The flight for a key, and whether it has to be started.
    pub fn enter(&mut self, settings: &'static Settings, key: &[u8]) -> (FlightId, bool) {
        let hash = self.hasher.hash_one((settings.class, key));
        let (flight, is_new) = self.flights.enter(Target { hash, class: settings.class, key });
        if let Some(attempt) = self.flights.attempt(flight).filter(|_| is_new) {
            attempt.settings = Some(settings);
            attempt.asked = settings.cache().map_or_else(Moment::default, Cache::moment);
        }
        (flight, is_new)
    }

    /// By which settings a flight is made. `None`: no such flight.
    pub fn settings(&mut self, flight: FlightId) -> Option<&'static Settings> {
        self.flights.attempt(flight)?.settings
    }

    /// Chooses a server for a flight. `None`: there is none left, or nobody waits.
    pub fn choose(&mut self, flight: FlightId) -> Option<Chosen> {
        let (leader, r) = self.flights.first_waiter(flight)?;
        let attempt = self.flights.attempt(flight)?;
        let settings = attempt.settings?;
        if attempt.peer.is_none() {
            attempt.peer = self.spare_peers.pop();
        }
        let peer = attempt.peer.as_mut()?;
        if attempt.leader.is_none() {
            attempt.leader = Some(leader);
            if !peer.begin(r, settings.upstream) {
                return None;
            }
        }
        let chosen = peer.choose();
        if chosen.is_none() {
            r.log().write(NGX_LOG_ERR, format_args!("no live upstreams for a lookup"));
        }
        chosen
    }

    /// What a flight ends with that no server is left for.
    pub fn outcome_without_server(&mut self, flight: FlightId) -> Outcome {
        if self.flights.first_waiter(flight).is_none() {
            return Outcome::Error;
        }
        let last = self.flights.attempt(flight).and_then(|attempt| attempt.last);
        last.map_or(Outcome::Error, Failure::outcome)
    }

    /// Takes note of where a flight has been sent.
    pub fn sent(&mut self, flight: FlightId, connection: ConnectionId, address: &'static [u8]) {
        if let Some(attempt) = self.flights.attempt(flight) {
            attempt.connection = Some(connection);
            attempt.is_late = false;
            attempt.address = Some(address);
        }
    }

    /// Whether a failure leaves another server to try; if it does not, the flight has ended.
    pub fn may_retry(&mut self, flight: FlightId, failure: Failure) -> bool {
        let Some(attempt) = self.flights.attempt(flight) else {
            return false;
        };
        attempt.last = Some(failure);
        attempt.connection = None;
        let wanted = attempt.settings.is_some_and(|s| s.next_upstream & failure.bit() != 0);
        let mut has_more = attempt.leader.is_none();
        if let Some(peer) = &mut attempt.peer {
            peer.end(failure.verdict());
            has_more |= peer.has_more();
        }
        if !(wanted && has_more) {
            self.land(flight, failure.outcome(), None);
            return false;
        }
        true
    }

    /// Whether a flight that was abandoned through no fault of its own may be sent again to the
    /// same server: once.
    pub fn second_chance(&mut self, flight: FlightId) -> bool {
        let attempt = self.flights.attempt(flight);
        attempt.is_some_and(|attempt| !std::mem::replace(&mut attempt.had_second_chance, true))
    }

    /// Takes note that a waiter's time is up. The connection that the flight is on, and whether it is the first
    /// time there that somebody has waited in vain.
    pub fn overdue(&mut self, flight: FlightId, waiter: WaiterId) -> Option<(ConnectionId, bool)> {
        self.lead_no_more(flight, waiter, Verdict::Failed);
        let attempt = self.flights.attempt(flight)?;
        let is_first = !std::mem::replace(&mut attempt.is_late, true);
        Some((attempt.connection?, is_first))
    }

    /// Takes note that a request has ended, whether it waits or is to be resumed.
    pub fn forget(&mut self, waiter: WaiterId) {
        match self.flights.leave(waiter) {
            Some((_, flight)) => self.lead_no_more(flight, waiter, Verdict::Fine),
            None => {
                self.ready.remove(waiter);
            }
        }
    }

    /// The balancer's notes are in the leader's memory, so they end with it.
    fn lead_no_more(&mut self, flight: FlightId, waiter: WaiterId, verdict: Verdict) {
        let Some(attempt) = self.flights.attempt(flight) else {
            return;
        };
        if attempt.leader == Some(waiter) {
            attempt.leader = None;
            if let Some(peer) = &mut attempt.peer {
                peer.end(verdict);
            }
        }
    }

    /// Ends a flight with the same outcome for all who wait.
    pub fn land(&mut self, flight: FlightId, outcome: Outcome, path: Option<&[u8]>) {
        if let Some(peer) = self.flights.attempt(flight).and_then(|a| a.peer.as_mut()) {
            peer.end(Verdict::Fine);
        }
        self.remember(flight, outcome, path);
        while let Some((waiter, r)) = self.flights.first_waiter(flight) {
            self.flights.leave(waiter);
            self.deliver(flight, (waiter, r), outcome, path);
        }
        if let Some(Attempt { peer: Some(peer), .. }) = self.flights.land(flight) {
            self.spare_peers.push(peer);
        }
    }

    /// Gives one who has left the flight its outcome, and makes it ready to be resumed.
    pub fn deliver(
        &mut self,
        flight: FlightId,
        (waiter, r): (WaiterId, Request),
        outcome: Outcome,
        path: Option<&[u8]>,
    ) {
        self.ready.insert(waiter, r);
        self.ready_queue.push_back(waiter);
        let Some(record) = record::current::<Record>(r) else {
            return;
        };
        let Some(attempt) = self.flights.attempt(flight) else {
            return;
        };
        record.address.set(attempt.address);
        let root = crate::sendfile::location_conf(r).root.as_bytes();
        let settings = attempt.settings;
        if let Some(path) = path {
            return record.answer_with(r, outcome, root, path, now());
        }
        let failed = matches!(outcome, Outcome::Error | Outcome::Timeout);
        if let Some(settings) = settings.filter(|_| failed && record.stale.get()) {
            let key = self.flights.key(flight);
            let answered = super::with_scratch(|path| {
                let found = stale_path(settings, key, path);
                if found {
                    record.answer_with(r, Outcome::Stale, root, path, now());
                }
                found
            });
            if answered == Some(true) {
                return;
            }
        }
        record.answer(r, outcome, now());
    }

    /// Whether a waiter's answer has come before it began to wait; it is then not to be resumed.
    pub fn take_ready(&mut self, waiter: WaiterId) -> bool {
        self.ready.remove(waiter).is_some()
    }

    /// Somebody to be resumed.
    pub fn next_ready(&mut self) -> Option<Request> {
        while let Some(waiter) = self.ready_queue.pop_front() {
            if let Some(r) = self.ready.remove(waiter) {
                return Some(r);
            }
        }
        None
    }

    /// Where to say something of a flight: the log of who has waited longest.
    pub fn log(&self, flight: FlightId) -> Log {
        self.flights.first_waiter(flight).map_or_else(Log::cycle, |(_, r)| r.log())
    }

    /// Lets the cache know what the store has said.
    fn remember(&mut self, flight: FlightId, outcome: Outcome, path: Option<&[u8]>) {
        let Some(Attempt { settings: Some(settings), asked, .. }) = self.flights.attempt(flight)
        else {
            return;
        };
        let (settings, asked) = (*settings, *asked);
        let Some(cache) = settings.cache() else {
            return;
        };
        let lookup = Lookup { store: settings.store, key: self.flights.key(flight) };
        match (outcome, path) {
            (Outcome::Found, Some(path)) => cache.put_path(lookup, path, now(), asked),
            (Outcome::Miss, _) => cache.put_miss(lookup, now(), asked),
            _ => {}
        }
    }

    fn found(&mut self, flight: FlightId, settings: &Settings, value: &[u8]) {
        match path_of(value, settings.encoding) {
            Ok(path) => self.land(flight, Outcome::Found, Some(path)),
            Err(error) => self.refuse(flight, format_args!("{error}")),
        }
    }

    fn refuse(&mut self, flight: FlightId, reason: std::fmt::Arguments<'_>) {
        let key = Shown(self.flights.key(flight));
        let message = format_args!("invalid path for key \"{key}\": {reason}");
        self.log(flight).write(NGX_LOG_ERR, message);
        self.land(flight, Outcome::Invalid, None);
    }
}

impl Asker for Desk {
    fn has_asked(&self, flight: FlightId, key: &[u8]) -> bool {
        self.flights.key(flight) == key
    }

    fn answered(&mut self, flight: FlightId, answer: Answer<'_>) {
        let Some(settings) = self.settings(flight) else { return };
        match answer {
            Answer::Value(value) => self.found(flight, settings, value),
            Answer::Miss if settings.next_upstream & fallback::MISS != 0 => {
                self.failed.push((flight, Failure::Miss));
            }
            Answer::Miss => self.land(flight, Outcome::Miss, None),
            Answer::TooLarge(length) => {
                self.refuse(flight, format_args!("the value has {length} bytes"));
            }
            Answer::Error(text) => {
                let message = format_args!("memcached sent SERVER_ERROR \"{}\"", Shown(text));
                self.log(flight).write(NGX_LOG_ERR, message);
                self.failed.push((flight, Failure::Error));
            }
        }
    }
}

/// Whether the cache still holds a path that may answer while the store fails.
fn stale_path(settings: &Settings, key: &[u8], path: &mut Vec<u8>) -> bool {
    let Some((zone, validity)) = settings.cache else {
        return false;
    };
    let lookup = Lookup { store: settings.store, key };
    let cached = zone.get().and_then(|cache| cache.get(lookup, now(), path));
    cached.is_some_and(|cached| {
        matches!(cached, Cached::Path(_)) && validity.judge(cached) != CacheVerdict::Expired
    })
}
