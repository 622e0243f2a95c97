//! The samples of the last minutes: taken by whichever worker is first, told to whoever asks.

use std::cell::RefCell;

use super::directives::Module;
use super::zone::Zone;
use crate::core::report::{History, Kind};
use crate::core::NoMemory;
use crate::nginx::event::{Event, Handler};
use crate::nginx::guard::panics;
use crate::nginx::log::Log;
use crate::nginx::module::running_main_conf;
use crate::nginx::{exiting, now, reserve, serves, time_of_day};
use crate::shm::history::{self, Sample, VALUES};
use crate::{limit, sendfile};

/// Milliseconds of a tick: between two samples.
const TICK: u64 = 5_000;

thread_local! {
    static TIMER: RefCell<Option<Event>> = const { RefCell::new(None) };
}

/// Begins to take samples, in a process that serves requests, where a location has the interface.
pub fn start() {
    if memory().is_some() && serves() {
        let mut timer = Event::new::<Sampling>(Log::cycle());
        timer.keep_worker(false);
        timer.at(now());
        TIMER.set(Some(timer));
    }
}

/// Ends.
pub fn stop() {
    TIMER.take();
}

fn memory() -> Option<&'static history::History<'static>> {
    running_main_conf::<Module>()?.zone.as_ref().and_then(Zone::get)
}

/// The tick that it is now.
fn tick() -> u32 {
    // More than 600 years fit.
    (now() / TICK + 1) as u32
}

struct Sampling;
impl Handler for Sampling {
    fn run() {
        // What an exiting worker knows of zones may not be of the configuration that runs now.
        let Some(memory) = memory().filter(|_| !exiting()) else { return };
        let next = u64::from(tick()) * TICK;
        TIMER.with_borrow_mut(|timer| timer.iter_mut().for_each(|timer| timer.at(next)));
        if memory.begin(tick()) {
            // Without memory there is no sample, or not of every series.
            let _ = reserve::with(|| take(memory));
        }
    }
}

fn take(memory: &history::History<'static>) {
    let (sendfile, limits, rooms) =
        (sendfile::report(), limit::report::limits(), limit::report::counted_rooms());
    let lookups = sendfile.iter().map(|it| sample(Kind::Sendfile, b"", it.values()));
    let limits = limits.iter().map(|it| sample(Kind::Limit, &it.name, it.values()));
    let rooms = rooms.iter().map(|it| sample(Kind::Room, &it.name, it.values()));
    let module = sample(Kind::Module, b"", [panics()]);
    memory.write(tick(), lookups.chain(limits).chain(rooms).chain([module]));
}

fn sample(kind: Kind, name: &[u8], columns: impl IntoIterator<Item = u64>) -> Sample<'_> {
    let mut values = [0; VALUES];
    values.iter_mut().zip(columns).for_each(|(value, column)| *value = column);
    Sample { kind, name, values }
}

/// The last minutes.
///
/// # Errors
/// There is no memory.
pub fn report() -> Result<History, NoMemory> {
    let Some(memory) = memory() else {
        return Ok(History { interval: TICK, ..History::default() });
    };
    let began = u64::from(memory.last().saturating_sub(1)) * TICK;
    let time = time_of_day().saturating_sub(now().saturating_sub(began) / 1_000);
    Ok(History { interval: TICK, time, series: memory.read()? })
}
