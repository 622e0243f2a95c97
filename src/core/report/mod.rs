//! The state of everything, as the status interface tells it: one model, which the capabilities fill in and which
//! is written as JSON, as Prometheus text, and, by the page and the tool that read the JSON, for people.
//!
//! Names are bytes: a configuration may have any. Counts are since the zone that holds them was made, which a reload
//! keeps; times are in the unit that a field's name or comment gives.

pub mod buffers;
pub mod json;
pub mod page;
pub mod prometheus;

use self::buffers::Buffers;
use super::histogram::Histogram;
use super::policy::Outcome;

/// The times, in microseconds, up to which lookups are counted for who draws them. They are counted first in finer
/// buckets; of those the one that a bound divides is counted to the next bound.
const LOOKUP_BOUNDS: [u64; 16] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// The same for waits in a room, in milliseconds.
const WAIT_BOUNDS: [u64; 13] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000,
    3_600_000, 7_200_000,
];

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The module's version.
    pub version: &'static str,
    /// nginx's version, as it calls itself: `nginx/1.28.3`.
    pub nginx: &'static str,
    /// The time of day, in seconds since 1970.
    pub time: u64,
    /// The process that has answered, by its number in the system.
    pub process: u32,
    /// How many workers the configuration asks for.
    pub workers: u64,
    /// When the configuration that answers was taken into use, in seconds since 1970.
    pub configured: u64,
    /// Panics that were caught, in all processes.
    pub panics: u64,
    /// Lookups. `None`: no location makes any.
    pub sendfile: Option<Sendfile>,
    /// The zones of limits.
    pub limits: Vec<Limit>,
    /// The rooms.
    pub rooms: Vec<Room>,
    /// What was measured of buffers. `None`: nothing is.
    pub buffers: Option<Buffers>,
}

/// Lookups of `http_sendfile`.
#[derive(Clone, Debug, Default)]
pub struct Sendfile {
    /// What has become of them: one for each of [`Outcome::ALL`].
    pub outcomes: Vec<Outcomes>,
    /// Requests that wait for the store.
    pub in_flight: u64,
    /// How long those took that asked the store, in microseconds.
    pub latency: Histogram,
    /// The servers that were asked.
    pub servers: Vec<Server>,
    /// The caches.
    pub caches: Vec<Cache>,
}

impl Sendfile {
    /// What has become of lookups: of each outcome its word, as in [`Kind::columns`], how many there were, and how
    /// long they took together, in microseconds.
    pub fn by_outcome(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + '_ {
        Outcome::ALL.into_iter().zip(Kind::Sendfile.columns()).map(|(outcome, word)| {
            let of_it = self.outcomes.iter().find(|outcomes| outcomes.outcome == outcome);
            of_it.map_or((*word, 0, 0), |outcomes| (*word, outcomes.count, outcomes.time))
        })
    }
}

/// Lookups that ended alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// How.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
    /// How long they took together, in microseconds.
    pub time: u64,
}

/// A server of a store.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Its address, as in `$sendfile_addr`.
    pub address: Vec<u8>,
    /// Connections that are open.
    pub connections: u64,
    /// Questions that it owes an answer to.
    pub in_flight: u64,
    /// Questions that it was asked.
    pub questions: u64,
    /// Connections that were made.
    pub connects: u64,
    /// Of those, how many took the place of one that was lost.
    pub reconnects: u64,
    /// Times that it could not be reached, broke off, or did not say what it should have.
    pub failures: u64,
    /// Times that it did not answer, or could not be reached, in time.
    pub timeouts: u64,
}

/// A cache of lookups.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// The zone's name.
    pub name: Vec<u8>,
    /// Its size, in bytes.
    pub size: u64,
    /// Entries that it holds, paths and misses: exact until its memory has been used up once, an estimate then.
    pub entries: u64,
    /// Of those, how many are misses.
    pub misses: u64,
    /// Entries that gave way to others.
    pub evicted: u64,
}

/// A zone of limits. The counts are named as NGINX Plus names them.
#[derive(Clone, Debug, Default)]
pub struct Limit {
    /// The zone's name.
    pub name: Vec<u8>,
    /// Its key, as it is written.
    pub key: Vec<u8>,
    /// Its rate, as it is written.
    pub rate: Vec<u8>,
    /// Requests that passed at once.
    pub passed: u64,
    /// Requests that were held back.
    pub delayed: u64,
    /// Requests that were refused.
    pub rejected: u64,
    /// Requests that a dry run would have held back.
    pub delayed_dry_run: u64,
    /// Requests that a dry run would have refused.
    pub rejected_dry_run: u64,
    /// Keys that it holds.
    pub keys: u64,
    /// Keys that it has room for.
    pub capacity: u64,
    /// Keys that gave way to others while they owed nothing any more.
    pub evicted: u64,
    /// Keys that gave way to others while they still owed: for these it was laxer than it should have been.
    pub evicted_in_debt: u64,
}

/// What is held of a key of a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// The key; an address in its text form, where the zone's key is `$binary_remote_addr`. Of one of the heaviest,
    /// no more than the first 64 bytes.
    pub key: Vec<u8>,
    /// What its bucket holds now, in thousandths of a request. `None`: the zone does not hold the key.
    pub excess: Option<u64>,
    /// Milliseconds since it was last charged. `None`: as above.
    pub idle: Option<u64>,
    /// How often it was delayed or refused, or a little more, if it is one of the heaviest.
    pub heavy: Option<u64>,
}

/// A waiting room.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// Its name.
    pub name: Vec<u8>,
    /// How many wait.
    pub waiting: u64,
    /// How many may.
    pub max_waiting: u64,
    /// How many have a seat.
    pub active: u64,
    /// How many may have one.
    pub max_active: u64,
    /// How many of the seats are of first visitors who have not come back yet.
    pub provisional: u64,
    /// How long who comes now would wait, in milliseconds. `None`: it cannot be foreseen.
    pub estimated_wait: Option<u64>,
    /// Places taken.
    pub entered: u64,
    /// Seats given.
    pub admitted: u64,
    /// Places lost because their owners were absent.
    pub absent: u64,
    /// Seats that ended.
    pub expired: u64,
    /// Visitors who were told that it is full.
    pub refused: u64,
    /// Requests that passed in the queue's order, by the rate's own capacity.
    pub passed: u64,
    /// Requests of those who had a place.
    pub polls: u64,
    /// Requests that a dry run would have made wait.
    pub waiting_dry_run: u64,
    /// Requests that a dry run would have turned away.
    pub full_dry_run: u64,
    /// How often it was mended after a worker's death.
    pub rebuilt: u64,
    /// How long those waited who were admitted from a place, in milliseconds.
    pub wait: Histogram,
}

/// What a room knows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It has a seat for so many milliseconds more; whether it is a first visitor's who has not come back yet.
    Active {
        /// Milliseconds until the seat is free, if nothing is heard of it.
        left: u64,
        /// Whether it has not come back yet.
        is_provisional: bool,
    },
    /// It waits.
    Waiting {
        /// Its position, from 1.
        position: u64,
        /// How long it is likely to wait, in milliseconds. `None`: for longer than can be foreseen.
        wait: Option<u64>,
        /// How long it has waited, in milliseconds.
        waited: u64,
    },
}

/// The last minutes of a series: totals as they were at regular times, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Milliseconds between two samples.
    pub interval: u64,
    /// When the last sample was taken, in seconds since 1970.
    pub time: u64,
    /// The series.
    pub series: Vec<Series>,
}

impl History {
    /// How much a total has grown in a minute, in thousandths: on average, over the last minute. `None`: nothing is
    /// known of it.
    pub fn per_minute(&self, kind: Kind, name: &[u8], column: &str) -> Option<u64> {
        const MINUTE: u64 = 60_000;
        let series = self.series.iter().find(|it| it.kind == kind && it.name == name)?;
        let column = kind.columns().iter().position(|known| *known == column)?;
        let steps = MINUTE.checked_div(self.interval)? as usize;
        let first = series.samples.len().saturating_sub(steps.saturating_add(1));
        let value = |sample: &Option<Vec<u64>>| sample.as_ref()?.get(column).copied();
        let (mut grown, mut time) = (0_u64, 0_u64);
        for pair in series.samples.get(first..)?.windows(2) {
            let [before, after] = pair else { continue };
            // A total that goes down is a beginning anew.
            let more =
                value(after).zip(value(before)).and_then(|(now, then)| now.checked_sub(then));
            if let Some(more) = more {
                grown = grown.saturating_add(more);
                time = time.saturating_add(self.interval);
            }
        }
        grown.saturating_mul(1000 * MINUTE).checked_div(time)
    }
}

/// A series.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is of.
    pub kind: Kind,
    /// The name of its zone; empty for lookups, and for the module itself.
    pub name: Vec<u8>,
    /// For each time the values that [`Kind::columns`] names; none where no sample was taken.
    pub samples: Vec<Option<Vec<u64>>>,
}

/// What a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lookups, by outcome: counts, then microseconds.
    Sendfile,
    /// A zone of limits.
    Limit,
    /// A room.
    Room,
    /// The module itself.
    Module,
}

/// How many columns of a limit are what was said of requests: the first.
pub const VERDICTS: usize = 5;

impl Kind {
    /// What the values of a sample are. All are totals but `waiting` and `active`.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Sendfile => &[
                "hit",
                "found",
                "miss",
                "miss_cached",
                "stale",
                "error",
                "timeout",
                "invalid",
                "hit_microseconds",
                "found_microseconds",
                "miss_microseconds",
                "miss_cached_microseconds",
                "stale_microseconds",
                "error_microseconds",
                "timeout_microseconds",
                "invalid_microseconds",
            ],
            Self::Limit => &[
                "passed",
                "delayed",
                "rejected",
                "delayed_dry_run",
                "rejected_dry_run",
                "evicted_in_debt",
            ],
            Self::Room => {
                &["waiting", "active", "entered", "admitted", "absent", "refused", "rebuilt"]
            }
            Self::Module => &["panics"],
        }
    }
}

impl Sendfile {
    /// The values that [`Kind::columns`] names.
    pub fn values(&self) -> impl Iterator<Item = u64> + '_ {
        let counts = self.outcomes.iter().map(|outcome| outcome.count);
        counts.chain(self.outcomes.iter().map(|outcome| outcome.time))
    }
}

impl Limit {
    /// The values that [`Kind::columns`] names.
    pub fn values(&self) -> [u64; VERDICTS + 1] {
        [
            self.passed,
            self.delayed,
            self.rejected,
            self.delayed_dry_run,
            self.rejected_dry_run,
            self.evicted_in_debt,
        ]
    }
}

impl Room {
    /// The values that [`Kind::columns`] names.
    pub fn values(&self) -> [u64; 7] {
        [
            self.waiting,
            self.active,
            self.entered,
            self.admitted,
            self.absent,
            self.refused,
            self.rebuilt,
        ]
    }
}
