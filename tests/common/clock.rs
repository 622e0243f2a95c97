//! Clocks that stand still until the test moves them: the library `tests/preload/clock.c`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

use super::preload;
use super::setup::Setup;

/// A client sends as fast as a busy machine can, while minutes or days pass: without these, nginx would close a
/// connection that it has accepted and whose request it has not read before the clock moved.
const PATIENCE: &str = "client_header_timeout 20d; send_timeout 20d;\n";

/// Where the time of day begins that stands still: 2030-01-01.
const DAY: Duration = Duration::from_secs(1_893_456_000);

/// nginx's monotonic clock, and perhaps its time of day. A request on a new connection sees every move made
/// before: nginx looks at the clock when it learns of the connection. One on an old connection need not,
/// because nginx may read it in the same turn of its loop as the one before.
pub struct Clock {
    file: File,
    monotonic: AtomicU64,
    /// Since 1970; 0: the real one.
    time_of_day: AtomicU64,
}

impl Clock {
    /// Puts the nginx of `setup` under this clock. Its time of day stays real.
    pub fn into(setup: Setup) -> (Self, Setup) {
        Self::from(setup, Duration::ZERO)
    }

    /// The same, with a time of day that moves with the clock alone.
    pub fn with_time_of_day(setup: Setup) -> (Self, Setup) {
        Self::from(setup, DAY)
    }

    fn from(setup: Setup, time_of_day: Duration) -> (Self, Setup) {
        static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| preload::build("clock"));
        let path = setup.prefix().join("clock");
        let start = Duration::from_secs(1_000_000);
        fs::write(&path, [0; 16]).expect("a file");
        let file = File::options().write(true).open(&path).expect("the file");
        let time_of_day = AtomicU64::new(milliseconds(time_of_day));
        let clock = Self { file, monotonic: AtomicU64::new(0), time_of_day };
        clock.advance(start);
        let setup = setup
            .http(PATIENCE)
            .preload(library)
            .environment("NGX_SMART_CLOCK", &path.display().to_string());
        (clock, setup)
    }

    /// Moves the clock, in milliseconds: what is less is not seen.
    pub fn advance(&self, time: Duration) {
        let step = milliseconds(time);
        let now = self.monotonic.fetch_add(step, Ordering::SeqCst) + step;
        self.write(0, now);
        if self.time_of_day.load(Ordering::SeqCst) != 0 {
            self.set_time_of_day(self.time_of_day() + time);
        }
    }

    /// Moves the clock by whole seconds.
    pub fn advance_seconds(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// The time of day that stands still, since 1970.
    pub fn time_of_day(&self) -> Duration {
        Duration::from_millis(self.time_of_day.load(Ordering::SeqCst))
    }

    /// Sets the time of day alone, as an operator or NTP does it. From now on it stands still.
    pub fn set_time_of_day(&self, time: Duration) {
        self.time_of_day.store(milliseconds(time), Ordering::SeqCst);
        self.write(8, milliseconds(time));
    }

    fn write(&self, place: u64, milliseconds: u64) {
        self.file.write_all_at(&milliseconds.to_ne_bytes(), place).expect("to write the time");
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a time that nginx can count")
}
