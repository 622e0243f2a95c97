//! What all workers count of lookups: how they ended, how long the store took, and what became of its
//! servers' connections.
//!
//! Totals are in stripes, so that workers do not wait for one another, and outlive whoever counted. What is so at
//! the moment, connections and those who wait, is kept by process (`processes`), and ends with it.

mod processes;
mod servers;

#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::Relaxed;

pub use self::processes::{Gauges, ProcessNumber};
pub use self::servers::{Event, ServerNumber};

use self::processes::Processes;
use self::servers::Servers;
use super::histogram::{self, Histogram};
use crate::core::histogram::Histogram as Values;
use crate::core::policy::Outcome;
use crate::core::report::{Outcomes, Sendfile, Server};
use crate::shm::{self, Word};

/// "smartLK" and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"smartLK\x01");

/// Words of a cache line.
const LINE: usize = 8;

/// Stripes of counters. Workers of one number modulo this share one: after a reload there are two.
const STRIPES: usize = 16;

/// Words of a stripe: the count of each outcome, the microseconds of each, and the histogram of latencies.
const STRIPE: usize = 2 * OUTCOMES + histogram::WORDS.next_multiple_of(LINE);
const OUTCOMES: usize = Outcome::ALL.len();
const _: () = assert!(OUTCOMES == LINE);

/// Words of all. The header has magic and length.
pub const WORDS: usize = LINE + STRIPES * STRIPE + servers::WORDS + processes::WORDS;

/// The counters over their memory. Cheap to make; all state is in the words.
#[derive(Clone, Copy)]
pub struct Lookups<'a> {
    stripes: &'a [Word],
    servers: Servers<'a>,
    processes: Processes<'a>,
}

impl<'a> Lookups<'a> {
    /// Begins to count in `words`, from zero. `None`: fewer than [`WORDS`] words.
    pub fn create(words: &'a [Word]) -> Option<Self> {
        let words = words.get(..WORDS)?;
        shm::clear(words, LINE);
        shm::seal(words, MAGIC);
        Self::open(words)
    }

    /// The counters that [`Self::create`] has begun. `None`: these words are none of this layout.
    pub fn open(words: &'a [Word]) -> Option<Self> {
        let words = words.get(..WORDS).filter(|words| shm::is_sealed(words, MAGIC))?;
        let (stripes, rest) = words[LINE..].split_at(STRIPES * STRIPE);
        let (servers, processes) = rest.split_at(servers::WORDS);
        let (servers, processes) = (Servers::new(servers), Processes::new(processes));
        Some(Self { stripes, servers, processes })
    }

    /// Counts a lookup that ended without the store.
    #[inline]
    pub fn count(&self, outcome: Outcome, worker: usize) {
        self.stripe(worker)[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Counts a lookup that asked the store, and took so many microseconds.
    pub fn count_timed(&self, outcome: Outcome, time: u64, worker: usize) {
        self.count(outcome, worker);
        let stripe = self.stripe(worker);
        stripe[OUTCOMES + outcome as usize].fetch_add(time, Relaxed);
        if let Some(latency) = latency(stripe) {
            latency.add(time);
        }
    }

    /// The number of a server by its address.
    pub fn server(&self, address: &[u8]) -> ServerNumber {
        self.servers.number(address)
    }

    /// Counts what has happened with a server.
    pub fn count_event(&self, server: ServerNumber, event: Event, worker: usize) {
        self.servers.counter(server, event, worker % STRIPES).fetch_add(1, Relaxed);
    }

    /// Begins a process's figures, at zero. `None`: there are too many processes, and nothing will be known of
    /// this one's.
    pub fn join(&self, process: u32, is_alive: impl Fn(u32) -> bool) -> Option<ProcessNumber> {
        // What bears its number already is left of another that had it.
        self.processes.bury(process, |other| other != process && is_alive(other));
        self.processes.join(process)
    }

    /// A process's own figures, which it alone changes.
    pub fn gauges(&self, process: ProcessNumber) -> Gauges<'a> {
        self.processes.gauges(process)
    }

    /// Ends a process's figures.
    pub fn leave(&self, process: ProcessNumber) {
        self.processes.leave(process);
    }

    /// What has been counted, and what is so now; without the caches. `process` is the one that asks.
    pub fn report(&self, process: u32, is_alive: impl Fn(u32) -> bool) -> Sendfile {
        self.processes.bury(process, is_alive);
        let outcomes = Outcome::ALL.map(|outcome| Outcomes {
            outcome,
            count: self.sum(outcome as usize),
            time: self.sum(OUTCOMES + outcome as usize),
        });
        let mut latency = Values::default();
        self.stripes.chunks(STRIPE).filter_map(self::latency).for_each(|part| {
            latency.merge(&part.read());
        });
        Sendfile {
            outcomes: outcomes.into(),
            in_flight: self.processes.sum(Gauges::in_flight),
            latency,
            servers: self
                .servers
                .named()
                .map(|(number, name)| self.server_of(number, name))
                .collect(),
            caches: Vec::new(),
        }
    }

    fn server_of(&self, number: ServerNumber, address: Vec<u8>) -> Server {
        let sum = |event| -> u64 {
            let counters = (0..STRIPES).map(|stripe| self.servers.counter(number, event, stripe));
            counters.map(|counter| counter.load(Relaxed)).sum()
        };
        Server {
            address,
            connections: self.processes.sum(|gauges| gauges.connections(number)),
            in_flight: self.processes.sum(|gauges| gauges.owed(number)),
            questions: sum(Event::Question),
            connects: sum(Event::Connect),
            reconnects: sum(Event::Reconnect),
            failures: sum(Event::Failure),
            timeouts: sum(Event::Timeout),
        }
    }

    #[inline]
    fn stripe(&self, worker: usize) -> &'a [Word] {
        &self.stripes[worker % STRIPES * STRIPE..][..STRIPE]
    }

    fn sum(&self, word: usize) -> u64 {
        self.stripes.chunks(STRIPE).map(|stripe| stripe[word].load(Relaxed)).sum()
    }
}

fn latency(stripe: &[Word]) -> Option<Histogram<'_>> {
    Histogram::new(&stripe[2 * OUTCOMES..])
}
