//! A clock that stands still until the test moves it: the library `tests/preload/clock.c`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

use super::preload;
use super::setup::Setup;

/// nginx's monotonic clock. A request on a new connection sees every move made before: nginx looks
/// at the clock when it learns of the connection. One on an old connection need not, because nginx
/// may read it in the same turn of its loop as the one before.
pub struct Clock {
    file: File,
    milliseconds: AtomicU64,
}

impl Clock {
    /// Puts the nginx of `setup` under this clock.
    pub fn into(setup: Setup) -> (Self, Setup) {
        static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| preload::build("clock"));
        let path = setup.prefix().join("clock");
        let start = Duration::from_secs(1_000_000);
        fs::write(&path, [0; 8]).expect("a file");
        let file = File::options().write(true).open(&path).expect("the file");
        let clock = Self { file, milliseconds: AtomicU64::new(0) };
        clock.advance(start);
        let setup = setup
            .environment("LD_PRELOAD", &library.display().to_string())
            .environment("NGX_SMART_CLOCK", &path.display().to_string());
        (clock, setup)
    }

    /// Moves the clock, in milliseconds: what is less is not seen.
    pub fn advance(&self, time: Duration) {
        let step = u64::try_from(time.as_millis()).expect("a time that nginx can count");
        let now = self.milliseconds.fetch_add(step, Ordering::SeqCst) + step;
        self.file.write_all_at(&now.to_ne_bytes(), 0).expect("to write the time");
    }

    /// Moves the clock by whole seconds.
    pub fn advance_seconds(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }
}
