//! The store: this worker's conversations with memcached, and who waits for what.
//!
//! Everything here belongs to one worker and is made at its first lookup. [`desk`] knows the
//! flights and gives answers, [`network`] knows servers and connections; this module lets events
//! in and decides what happens to a flight whose server has failed.
//!
//! A request may end while it is resumed, and may ask again: so nothing is borrowed then. What an
//! event has decided is gathered in the desk and carried out by [`settle`].

mod desk;
mod network;
mod server;

use std::cell::RefCell;

use nginx_sys::NGX_LOG_ERR;
use slotmap::{Key, KeyData};

use self::desk::{Desk, Failure};
use self::network::{ConnectionId, Loss, Network};
use super::conf::Settings;
use super::counters;
use crate::core::flight::{FlightId, WaiterId};
use crate::core::policy::Outcome;
use crate::core::{path, NoMemory};
use crate::nginx::event::{Event, Handler};
use crate::nginx::log::Shown;
use crate::nginx::now;
use crate::nginx::request::Request;
use crate::nginx::socket::Events;
use crate::nginx::suspend::{resume, sleep, Sleeper};
use crate::shm::lookups::Event as Occasion;

/// A path in whole words.
const SCRATCH_BYTES: usize = path::MAX_LEN + 8;

struct Store {
    desk: Desk,
    network: Network,
    /// Runs when the first deadline may have come.
    deadlines: Event,
    /// How many wait, as last told.
    told: usize,
}

thread_local! {
    static STORE: RefCell<Option<Store>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer for a path. `None`: there is no memory.
pub fn with_scratch<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
    SCRATCH.with_borrow_mut(|path| {
        path.clear();
        path.try_reserve(SCRATCH_BYTES).ok()?;
        Some(work(path))
    })
}

fn with<T>(work: impl FnOnce(&mut Store) -> T) -> T {
    STORE.with_borrow_mut(|store| {
        let store = store.get_or_insert_with(Store::new);
        let result = work(store);
        store.tell();
        result
    })
}

/// Asks for `key` on behalf of `r`. The record is either answered when this returns, or will be when
/// the handler is called again.
///
/// # Errors
/// There is no memory to wait in.
pub fn ask(r: Request, settings: &'static Settings, key: &[u8]) -> Result<(), NoMemory> {
    let Some(waiter) = with(|store| store.ask(r, settings, key))? else {
        return Ok(());
    };
    let number = waiter.data().as_ffi();
    if sleep::<Waiting>(r, number) {
        return Ok(());
    }
    Waiting::ended(number);
    Err(NoMemory)
}

/// Makes what a worker needs, so that only a worker that cannot start fails for want of memory.
pub fn open() {
    with(|_| ());
    with_scratch(|_| ());
}

/// Closes all connections, for a worker that exits.
pub fn close() {
    if let Some(store) = STORE.take() {
        store.network.close();
    }
}

/// A request that waits, by the number of its waiter.
struct Waiting;

impl Sleeper for Waiting {
    fn ended(number: u64) {
        let waiter = WaiterId::from(KeyData::from_ffi(number));
        // Making a connection can make nginx close others for want of room: those of clients that have
        // their answers, so that nobody is forgotten who waits.
        STORE.with(|store| {
            if let Some(store) = store.try_borrow_mut().ok().as_mut().and_then(|s| s.as_mut()) {
                store.desk.forget(waiter);
                store.let_go();
                store.tell();
            }
        });
    }
}

/// Resumes those whose answers have come. Each may ask again, or end others that are to be resumed.
fn settle() {
    while let Some(r) = with(|store| store.desk.next_ready()) {
        resume(r);
    }
    with(Store::let_go);
}

/// The end of a turn of the event loop: what was asked in it leaves in one write for each connection.
struct Turn;

impl Handler for Turn {
    fn run() {
        with(Store::flush);
        settle();
    }
}

struct Deadline;

impl Handler for Deadline {
    fn run() {
        with(Store::expire);
        settle();
    }
}

struct Traffic;

impl Events for Traffic {
    fn readable(token: u64) {
        with(|store| store.readable(KeyData::from_ffi(token).into()));
        settle();
    }

    fn writable(token: u64) {
        with(|store| store.writable(KeyData::from_ffi(token).into()));
        settle();
    }
}

impl Store {
    fn new() -> Self {
        let network = Network::new();
        let deadlines = Event::new::<Deadline>(network.log());
        Self { desk: Desk::default(), network, deadlines, told: 0 }
    }

    /// Says how many wait.
    fn tell(&mut self) {
        let (_, waiters) = self.desk.flights.count();
        if waiters != self.told {
            counters::set_in_flight(waiters);
            self.told = waiters;
        }
    }

    /// `None`: the record has been answered.
    fn ask(
        &mut self,
        r: Request,
        settings: &'static Settings,
        key: &[u8],
    ) -> Result<Option<WaiterId>, NoMemory> {
        self.desk.reserve(settings)?;
        self.network.reserve()?;
        let (flight, is_new) = self.desk.enter(settings, key);
        let deadline = now().saturating_add(settings.timeout);
        let waiter = self.desk.flights.wait(flight, r, deadline).ok_or(NoMemory)?;
        self.deadlines.at(deadline);
        self.deadlines.keep_worker(true);
        if is_new {
            self.try_servers(flight);
        }
        if self.desk.take_ready(waiter) {
            self.let_go();
            return Ok(None);
        }
        Ok(Some(waiter))
    }

    /// Sends a flight to the next server that can be reached, or ends it.
    fn try_servers(&mut self, flight: FlightId) {
        loop {
            let Some(chosen) = self.desk.choose(flight) else {
                let outcome = self.desk.outcome_without_server(flight);
                return self.desk.land(flight, outcome, None);
            };
            match self.network.server(&chosen) {
                Some(server) if self.send(flight, server) => return,
                Some(server) => {
                    let name = Shown(self.network.name(server));
                    let message = format_args!("no connection to memcached, upstream: {name}");
                    self.desk.log(flight).write(NGX_LOG_ERR, message);
                }
                None => {}
            }
            if !self.desk.may_retry(flight, Failure::Error) {
                return;
            }
        }
    }

    /// Asks a server. `false`: there is no connection to it and none can be made now.
    fn send(&mut self, flight: FlightId, server: usize) -> bool {
        let Some(settings) = self.desk.settings(flight) else { return true };
        let Some(id) = self.network.connection_to(server, settings.connect_timeout) else {
            return false;
        };
        self.desk.sent(flight, id, self.network.name(server));
        let key = self.desk.flights.key(flight);
        if let Err(loss) = self.network.ask(id, flight, settings.class, key) {
            self.lose(id, loss);
        }
        true
    }

    /// Goes on with a flight whose server has failed it.
    fn retry(&mut self, flight: FlightId, failure: Failure) {
        if self.desk.may_retry(flight, failure) {
            self.try_servers(flight);
        }
    }

    fn flush(&mut self) {
        while let Some(id) = self.network.next_unflushed() {
            if let Err(loss) = self.network.flush(id) {
                self.lose(id, loss);
            }
        }
    }

    fn readable(&mut self, id: ConnectionId) {
        let received = self.network.receive(id, &mut self.desk);
        let refused = self.desk.failed.iter().filter(|(_, failure)| *failure == Failure::Error);
        refused.for_each(|_| self.network.count(id, Occasion::Failure));
        if let Err(loss) = received {
            self.lose(id, loss);
        }
        while let Some((flight, failure)) = self.desk.failed.pop() {
            self.retry(flight, failure);
        }
    }

    fn writable(&mut self, id: ConnectionId) {
        if let Err(loss) = self.network.writable(id) {
            self.lose(id, loss);
        }
    }

    /// Ends a connection. Who waited on it innocently gets one more chance with the same server.
    fn lose(&mut self, id: ConnectionId, loss: Loss) {
        let Some(mut remains) = self.network.remove(id, loss) else {
            return;
        };
        for (place, flight) in remains.pipeline.abandon().enumerate() {
            // What is no answer is the fault of the question at the front.
            let innocent = remains.forgiven && !(place == 0 && loss == Loss::Protocol);
            if self.desk.flights.first_waiter(flight).is_none() {
                self.desk.land(flight, Outcome::Error, None);
                continue;
            }
            // Silence has used up the time of one; the others wait until theirs is up.
            let again = innocent && (loss == Loss::Hung || self.desk.second_chance(flight));
            if !(again && self.send(flight, remains.server)) {
                self.retry(flight, loss.failure());
            }
        }
    }

    /// Lets a worker go that has been told to, if nobody waits.
    fn let_go(&mut self) {
        if self.desk.flights.nobody_waits() {
            self.deadlines.keep_worker(false);
        }
    }

    fn expire(&mut self) {
        while let Some(waiter) = self.desk.flights.overdue(now()) {
            let Some((r, flight)) = self.desk.flights.leave(waiter) else {
                return;
            };
            r.log().write(NGX_LOG_ERR, format_args!("memcached timed out"));
            self.desk.deliver(flight, (waiter, r), Outcome::Timeout, None);
            let Some((id, is_first)) = self.desk.overdue(flight, waiter) else {
                continue;
            };
            if is_first {
                self.network.count(id, Occasion::Timeout);
            }
            let timeout = self.desk.settings(flight).map_or(u64::MAX, |settings| settings.timeout);
            if self.network.is_hung(id, timeout) {
                self.lose(id, Loss::Hung);
            }
        }
        if let Some(deadline) = self.desk.flights.next_deadline() {
            self.deadlines.at(deadline);
        }
    }
}
