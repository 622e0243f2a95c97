//! The care for keys that nobody asks for: a slice of every zone each minute, in each worker.

use std::cell::RefCell;

use super::directives::Module;
use super::zone::Zone;
use crate::nginx::event::{Event, Handler};
use crate::nginx::log::Log;
use crate::nginx::module::running_main_conf;
use crate::nginx::{exiting, now, serves};
use crate::shm::limiter::counters::Counter;

/// Milliseconds between two slices.
const PAUSE: u64 = 60_000;

thread_local! {
    static TIMER: RefCell<Option<Event>> = const { RefCell::new(None) };
}

/// Begins, in a process that serves requests, where there are zones.
pub fn start() {
    let has_zones = running_main_conf::<Module>().is_some_and(|main| !main.zones.is_empty());
    if has_zones && serves() {
        let mut timer = Event::new::<Sweep>(Log::cycle());
        timer.keep_worker(false);
        timer.at(now().saturating_add(PAUSE));
        TIMER.set(Some(timer));
    }
}

/// Ends.
pub fn stop() {
    TIMER.take();
}

fn sweep(zone: &Zone) {
    if let (Some(limiter), Some(settings)) = (zone.get(), zone.settings()) {
        // A look at memory makes it resident, so a zone that no key is in is left alone.
        if limiter.counted(Counter::Inserted) > 0 {
            limiter.sweep(settings.rate.of_all(), now());
        }
    }
}

struct Sweep;
impl Handler for Sweep {
    fn run() {
        if exiting() {
            // The rates that this worker knows may not be those of the configuration that runs now.
            return;
        }
        for zone in running_main_conf::<Module>().iter().flat_map(|main| &main.zones) {
            sweep(zone);
        }
        TIMER.with_borrow_mut(|timer| {
            if let Some(timer) = timer {
                timer.at(now().saturating_add(PAUSE));
            }
        });
    }
}
