//! The counters of lookups: a zone of our own, and this process's place in it.
//!
//! The zone is that of the running configuration each time it is asked for: it is there if any location makes
//! lookups, and what it was before a reload may be unmapped.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use super::conf::MainConf;
use super::directives::Module;
use crate::core::policy::Outcome;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::module::running_main_conf;
use crate::nginx::request::Request;
use crate::nginx::zone::{is_alive, Shared, Zone};
use crate::nginx::{process, serves, worker};
use crate::shm::lookups::{Event, Lookups, ProcessNumber, ServerNumber, WORDS};
use crate::shm::Word;

/// The name of the zone, and its size in bytes. What is not used of it takes no memory.
const NAME: &[u8] = b"ngx_smart_sendfile";
const SIZE: usize = 1024 * 1024;

// nginx keeps some pages for itself; the largest have 64 KiB.
const _: () = assert!(WORDS * size_of::<Word>() <= SIZE - 4 * 64 * 1024);

thread_local! {
    /// This process's place among those that have figures of their own.
    static PLACE: Cell<Option<ProcessNumber>> = const { Cell::new(None) };
}

impl Shared for Lookups<'static> {
    const DIRECTIVE: &'static str = "zone";
    type Settings = ();

    fn tag() -> *mut c_void {
        static TAG: u8 = 0;
        ptr::from_ref(&TAG).cast_mut().cast()
    }

    fn create(words: &'static [Word]) -> Option<Self> {
        Lookups::create(words)
    }

    fn open(words: &'static [Word]) -> Option<Self> {
        Lookups::open(words)
    }
}

/// Declares the zone.
pub fn declare(cf: Conf) -> Result<Zone<Lookups<'static>>, Refusal> {
    Zone::declare_sized(cf, cf.copy(NAME)?, SIZE, ())
}

/// The counters. `None`: no location makes lookups.
pub fn counters() -> Option<&'static Lookups<'static>> {
    counters_of(running_main_conf::<Module>()?)
}

#[inline]
fn counters_of(main: &MainConf) -> Option<&'static Lookups<'static>> {
    main.lookups.as_ref()?.get()
}

/// Begins this process's own figures.
pub fn join() {
    let join = |counters: &Lookups<'_>| counters.join(process(), is_alive);
    PLACE.set(counters().filter(|_| serves()).and_then(join));
}

/// Ends them.
pub fn leave() {
    if let (Some(counters), Some(place)) = (counters(), PLACE.take()) {
        counters.leave(place);
    }
}

/// Counts a request's lookup, and the microseconds that it took if it asked the store.
#[inline]
pub fn count(r: Request, outcome: Outcome, time: Option<u64>) {
    let Some(counters) = counters_of(r.main_conf::<Module>()) else {
        return;
    };
    match time {
        None => counters.count(outcome, worker()),
        Some(time) => counters.count_timed(outcome, time, worker()),
    }
}

/// Counts what has happened with a server.
pub fn count_event(server: Option<ServerNumber>, event: Event) {
    if let (Some(counters), Some(server)) = (counters(), server) {
        counters.count_event(server, event, worker());
    }
}

/// The number of a server by its address.
pub fn server(address: &[u8]) -> Option<ServerNumber> {
    counters().map(|counters| counters.server(address))
}

/// Says how many connections to a server are open, and how many answers it owes.
pub fn server_has(server: Option<ServerNumber>, before: [u64; 2], after: [u64; 2]) {
    if let (Some(counters), Some(place), Some(server)) = (counters(), PLACE.get(), server) {
        counters.gauges(place).change(server, before, after);
    }
}

/// Says how many requests wait for the store.
pub fn set_in_flight(requests: usize) {
    if let (Some(counters), Some(place)) = (counters(), PLACE.get()) {
        counters.gauges(place).set_in_flight(requests as u64);
    }
}
