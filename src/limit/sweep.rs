//! The care for what nobody asks for: each second of rooms, each minute of a slice of every limiter's keys.

use std::cell::RefCell;

use super::directives::Module;
use super::room;
use super::zone::Zone;
use crate::nginx::event::{Event, Handler};
use crate::nginx::log::Log;
use crate::nginx::module::running_main_conf;
use crate::nginx::{exiting, now, serves};
use crate::shm::limiter::counters::Counter;

/// Milliseconds between two slices of the limiters.
const LIMITERS: u64 = 60_000;

/// Milliseconds between the beginnings of two sweeps of the rooms.
const ROOMS: u64 = 1_000;

/// Milliseconds between two parts of a sweep.
const PARTS: u64 = 20;

/// Milliseconds after which another worker takes a room over from one that does not come any more.
const LEASE: u64 = 3 * ROOMS;

/// A worker's care.
struct Care {
    timer: Event,
    /// When the limiters are next.
    limiters: u64,
    /// When the rooms are next.
    rooms: u64,
    /// Where the sweep of each room goes on.
    parts: Vec<Option<u64>>,
}

thread_local! {
    static CARE: RefCell<Option<Care>> = const { RefCell::new(None) };
}

/// Begins, in a process that serves requests, where there are zones.
pub fn start() {
    let Some(main) = running_main_conf::<Module>().filter(|_| serves()) else { return };
    if main.zones.is_empty() && main.rooms.is_empty() {
        return;
    }
    let mut timer = Event::new::<Sweep>(Log::cycle());
    timer.keep_worker(false);
    let (limiters, rooms) = (now().saturating_add(LIMITERS), now().saturating_add(ROOMS));
    let mut care = Care { timer, limiters, rooms, parts: vec![None; main.rooms.len()] };
    care.wait();
    CARE.set(Some(care));
}

/// Ends.
pub fn stop() {
    CARE.take();
}

impl Care {
    fn turn(&mut self) {
        let Some(main) = running_main_conf::<Module>() else { return };
        if self.limiters <= now() {
            self.limiters = now().saturating_add(LIMITERS);
            main.zones.iter().for_each(sweep);
        }
        if self.rooms <= now() {
            self.rooms = now().saturating_add(ROOMS);
            self.parts.fill(Some(0));
        }
        for (zone, part) in main.rooms.iter().zip(&mut self.parts) {
            let until = now().saturating_add(LEASE);
            *part = part.and_then(|from| room::sweep::sweep(zone, from, until));
        }
        self.wait();
    }

    fn wait(&mut self) {
        let is_under_way = self.parts.iter().any(Option::is_some);
        let rooms = match (self.parts.is_empty(), is_under_way) {
            (true, _) => u64::MAX,
            (_, true) => now().saturating_add(PARTS),
            (_, false) => self.rooms,
        };
        self.timer.at(self.limiters.min(rooms));
    }
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
        // What an exiting worker knows of rates may not be of the configuration that runs now.
        if !exiting() {
            CARE.with_borrow_mut(|care| care.iter_mut().for_each(Care::turn));
        }
    }
}
