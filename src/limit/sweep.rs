//! The care for what nobody asks for: each second for rooms, each minute for a slice of every limiter's keys.

use std::cell::{Cell, RefCell};

use super::directives::Module;
use super::room;
use super::zone::Zone;
use crate::nginx::event::{Event, Handler};
use crate::nginx::log::Log;
use crate::nginx::module::running_main_conf;
use crate::nginx::{exiting, now, serves};
use crate::shm::limiter::counters::Counter;

/// Milliseconds between two turns.
const PAUSE: u64 = 1_000;

/// Of so many turns one is also for the limiters.
const LIMITERS: u32 = 60;

thread_local! {
    static TIMER: RefCell<Option<Event>> = const { RefCell::new(None) };
    static TURN: Cell<u32> = const { Cell::new(0) };
}

/// Begins, in a process that serves requests, where there are zones.
pub fn start() {
    let has_zones = running_main_conf::<Module>()
        .is_some_and(|main| !main.zones.is_empty() || !main.rooms.is_empty());
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
        let turn = TURN.get().wrapping_add(1);
        TURN.set(turn);
        if let Some(main) = running_main_conf::<Module>() {
            main.rooms.iter().for_each(|zone| room::sweep::sweep(zone, PAUSE));
            if turn % LIMITERS == 0 {
                main.zones.iter().for_each(sweep);
            }
        }
        TIMER.with_borrow_mut(|timer| {
            if let Some(timer) = timer {
                timer.at(now().saturating_add(PAUSE));
            }
        });
    }
}
