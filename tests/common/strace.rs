//! The command `strace`: which system calls a process makes, and how many.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::{self, Id, Signal};
use super::wait_until;

/// A process whose system calls are being counted.
pub struct Counting {
    child: Child,
    summary: PathBuf,
}

/// How many system calls there were, by name.
#[derive(Debug, Default)]
pub struct Calls(BTreeMap<String, u64>);

impl Counting {
    /// Begins to count those of a process, and keeps its notes in a directory.
    #[track_caller]
    pub fn of(process: Id, directory: &Path) -> Self {
        let (summary, told) = (directory.join("strace"), directory.join("strace.log"));
        let log = File::create(&told).expect("a file");
        let child = Command::new("strace")
            .args(["-c", "-f", "-p", &process.to_string(), "-o"])
            .arg(&summary)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("strace starts: scripts/setup installs it");
        let mut counting = Self { child, summary };
        wait_until("strace", || {
            let told = fs::read_to_string(&told).expect("a file");
            let has_ended = counting.child.try_wait().expect("strace").is_some();
            assert!(!has_ended, "may this user trace processes? {told}");
            told.contains("attached")
        });
        counting
    }

    /// Ends counting.
    #[track_caller]
    pub fn stop(mut self) -> Calls {
        process::signal(self.child.id().try_into().expect("the id of a process"), Signal::INT);
        self.child.wait().expect("strace has ended");
        // % time, seconds, usecs/call, calls, perhaps errors, and the name; under a line of dashes.
        let text = fs::read_to_string(&self.summary).expect("a summary");
        let call = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            Some(((*fields.last()?).to_owned(), fields.get(3)?.parse().ok()?))
        };
        let calls: BTreeMap<String, u64> = text.lines().filter_map(call).collect();
        assert!(calls.contains_key("total"), "a summary of strace: {text}");
        Calls(calls)
    }
}

impl Calls {
    /// How many there were of these.
    pub fn named(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.0.get(*name)).sum()
    }

    /// All.
    pub fn all(&self) -> u64 {
        self.0.iter().filter(|(name, _)| *name != "total").map(|(_, calls)| calls).sum()
    }
}
