//! Workers that die with the lock of a zone, at an instruction that the test names: the library
//! `tests/preload/death.c`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::nginx::Nginx;
use super::setup::{self, Setup};
use super::{preload, sanitized};

/// More instructions than anything takes.
const ALL: u64 = 1 << 40;

/// Commands a loaded library.
pub struct Death {
    file: File,
}

impl Death {
    /// Makes the nginx of `setup` load the library. `None`: this one cannot be killed so.
    pub fn into(setup: Setup) -> Option<(Self, Setup)> {
        if cfg!(not(target_arch = "x86_64")) || sanitized() || !setup::built_with("debug") {
            eprintln!(
                "not run: it needs x86-64, and an nginx with a debug log and without a sanitizer"
            );
            return None;
        }
        static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| preload::build("death"));
        let path = setup.prefix().join("death.control");
        fs::write(&path, [0; 8]).expect("a file");
        let file = File::options().read(true).write(true).open(&path).expect("the file");
        let log = format!("error_log {}/debug.log debug_core;\n", setup.prefix().display());
        let setup = setup
            .main(&log)
            .preload(library)
            .environment("NGX_SMART_DEATH_CONTROL", &path.display().to_string());
        Some((Self { file }, setup))
    }

    /// How many instructions workers execute with the lock while `work` is done.
    pub fn measure(&self, work: impl FnOnce()) -> u64 {
        self.strike_after(ALL);
        work();
        ALL - self.left()
    }

    /// The worker that executes the `number`th instruction from now on with a lock dies.
    pub fn strike_after(&self, number: u64) {
        self.file.write_all_at(&number.to_ne_bytes(), 0).expect("to write a word");
    }

    /// Spares the workers; tells whether one has died.
    pub fn spare(&self) -> bool {
        let has_struck = self.left() == 0;
        self.strike_after(0);
        has_struck
    }

    fn left(&self) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 0).expect("to read a word");
        u64::from_ne_bytes(bytes)
    }
}

impl Nginx {
    /// Says that workers are killed here, and die with a lock too.
    pub fn allow_deaths(&self) {
        self.allow("exited on signal 9");
        self.allow("was locked by");
    }

    /// How many have died with a lock, which the master has opened.
    pub fn deaths_with_lock(&self) -> usize {
        self.error_log().matches("was locked by").count()
    }
}
