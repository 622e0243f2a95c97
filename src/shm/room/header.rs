//! The first words of a room: what is known of it as a whole, and the operator's rules.

use super::cells::Cells;
use crate::core::rate::Rate;
use crate::core::room::pace::Meter;
use crate::core::room::rules::{Order, Rules};
use crate::shm::histogram;

/// The first word: "smartRM" and the version of the layout.
pub const MAGIC_NUMBER: u64 = u64::from_le_bytes(*b"smartRM\x02");

/// Words of the header.
pub const WORDS: usize = at::WAITS + histogram::WORDS.next_multiple_of(8);

/// Where each word is.
pub mod at {
    /// [`super::MAGIC_NUMBER`].
    pub const MAGIC: usize = 0;
    /// How many words the room has.
    pub const LENGTH: usize = 1;
    /// Whether somebody is within, or has died there.
    pub const DIRTY: usize = 2;
    /// Who sweeps, and until when.
    pub const LEASE: usize = 3;
    /// The secret of the hashes: four words.
    pub const SECRET: usize = 4;
    /// The key with which tokens are signed where no file has one: four words.
    pub const SIGNING: usize = 8;
    /// How many wait; read without the lock, as the next, [`PROVISIONAL`], the rules, the counters and the waits.
    pub const WAITING: usize = 16;
    /// How many seats are held.
    pub const HELD: usize = 17;
    /// The number of the first place that is taken, if one is.
    pub const HEAD: usize = 24;
    /// The number that the next place will have.
    pub const TAIL: usize = 25;
    /// Up to where the ring is being compacted; 0: it is not.
    pub const READ: usize = 26;
    /// Up to where it has been compacted.
    pub const WRITE: usize = 27;
    /// How many of the seats are provisional.
    pub const PROVISIONAL: usize = 28;
    /// Seats that have become free, and were not taken since.
    pub const FREED: usize = 29;
    /// The bucket of admissions.
    pub const ADMISSIONS: usize = 30;
    /// When the room was made, in seconds of wall clock.
    pub const CREATED: usize = 31;
    /// The same, in milliseconds of the clock of deadlines.
    pub const CREATED_AT: usize = 32;
    /// Whether somebody has come back whose token is older than the room.
    pub const RETURNING: usize = 33;
    /// The meter of seats that were free and are taken again: three words.
    pub const METER: usize = 34;
    /// The rules: [`super::RULES`] words.
    pub const RULES: usize = 48;
    /// The counters.
    pub const COUNTERS: usize = 64;
    /// How long those waited who were admitted: a histogram of milliseconds.
    pub const WAITS: usize = 128;
}

const RULES: usize = 12;
const _: () = assert!(at::RULES + RULES <= at::COUNTERS);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Places taken.
    Entered,
    /// Seats given, provisional ones included.
    Admitted,
    /// Seats that were given on a first visit, without a place.
    Provisional,
    /// Places lost because their owners were absent.
    Absent,
    /// Seats that ended.
    Ended,
    /// Visitors who were told that the room is full.
    Full,
    /// Requests of those who had a place already.
    Polls,
    /// Requests that passed in the queue's order, by the rate's own capacity.
    Passed,
    /// Requests that a dry run would have made wait.
    WaitingDryRun,
    /// Requests that a dry run would have turned away.
    FullDryRun,
    /// How often the derived parts were built anew.
    Rebuilt,
}

/// `None`, written as a word.
const NONE: u64 = u64::MAX;

/// Writes the rules.
pub fn write_rules(cells: Cells<'_>, rules: &Rules) {
    let bound = |number: Option<u32>| number.map_or(NONE, u64::from);
    let words: [u64; RULES] = [
        rules.max_active.into(),
        rules.admit.map_or(0, Rate::to_word),
        rules.session,
        rules.renew.into(),
        rules.idle.unwrap_or(NONE),
        rules.absent,
        bound(rules.max_waiting),
        bound(rules.per_net),
        rules.entry_delay,
        (rules.order == Order::Random).into(),
        rules.refresh.0,
        rules.refresh.1,
    ];
    for (place, word) in words.into_iter().enumerate() {
        cells.set(at::RULES + place, word);
    }
}

/// Reads the rules.
pub fn read_rules(cells: Cells<'_>) -> Rules {
    let word = |place: usize| cells.get(at::RULES + place);
    let bound = |place: usize| u32::try_from(word(place)).ok();
    Rules {
        max_active: word(0) as u32,
        admit: Rate::from_word(word(1)),
        session: word(2),
        renew: word(3) != 0,
        idle: Some(word(4)).filter(|idle| *idle != NONE),
        absent: word(5),
        max_waiting: bound(6),
        per_net: bound(7),
        entry_delay: word(8),
        order: if word(9) == 0 { Order::Fifo } else { Order::Random },
        refresh: (word(10), word(11)),
    }
}

/// Reads the meter.
pub fn read_meter(cells: Cells<'_>) -> Meter {
    let [start, current, previous] = [0, 1, 2].map(|place| cells.get(at::METER + place));
    Meter { start, current, previous }
}

/// Writes the meter.
pub fn write_meter(cells: Cells<'_>, meter: Meter) {
    for (place, word) in [meter.start, meter.current, meter.previous].into_iter().enumerate() {
        cells.set(at::METER + place, word);
    }
}
