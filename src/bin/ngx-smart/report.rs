//! What a load tells: its progress, what is wrong as it is met, and the sums.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::load::show;
use crate::source::Source;

/// How many problems of a kind are named on standard error.
const NAMED: u64 = 10;

/// What can be the matter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    NoId,
    NotAFile,
    Unreadable,
    MalformedRecord,
    InvalidKey,
    InvalidPath,
    MissingFile,
    DuplicateId,
    Evicted,
}

impl Kind {
    /// Whether it is to be expected, and no error.
    fn is_skipped(self) -> bool {
        matches!(self, Kind::NoId | Kind::NotAFile)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::NoId => "no ID",
            Kind::NotAFile => "not a file",
            Kind::Unreadable => "unreadable",
            Kind::MalformedRecord => "malformed record",
            Kind::InvalidKey => "invalid key",
            Kind::InvalidPath => "invalid path",
            Kind::MissingFile => "missing file",
            Kind::DuplicateId => "duplicate ID",
            Kind::Evicted => "evicted",
        })
    }
}

pub struct Problem {
    kind: Kind,
    /// Which file, line or server.
    origin: Vec<u8>,
    reason: String,
}

impl Problem {
    pub fn new(kind: Kind, origin: Vec<u8>, reason: impl fmt::Display) -> Self {
        Problem { kind, origin, reason: reason.to_string() }
    }
}

pub struct Report {
    quiet: bool,
    started: Instant,
    bar: ProgressBar,
    errors: Option<csv::Writer<File>>,
    stored: u64,
    stored_before: u64,
    problems: BTreeMap<Kind, u64>,
}

impl Report {
    /// Begins, with all problems to be written to `errors` as CSV.
    pub fn new(source: &Source, quiet: bool, errors: Option<&Path>) -> Result<Self> {
        let create = |path: &Path| {
            let mut writer = csv::Writer::from_path(path)?;
            writer.write_record(["what", "where", "why"])?;
            anyhow::Ok(writer)
        };
        let errors = errors.map(|path| create(path).with_context(|| path.display().to_string()));
        Ok(Report {
            quiet,
            bar: if quiet { ProgressBar::hidden() } else { progress_bar(source) },
            errors: errors.transpose()?,
            started: Instant::now(),
            stored: 0,
            stored_before: 0,
            problems: BTreeMap::new(),
        })
    }

    pub fn stored(&mut self, entries: usize, position: u64) {
        self.stored += entries as u64;
        self.show_progress(position);
    }

    pub fn stored_before(&mut self, position: u64) {
        self.stored_before += 1;
        self.show_progress(position);
    }

    fn show_progress(&self, position: u64) {
        self.bar.set_position(position);
        self.bar.set_message(format!("{} stored, {} errors", self.stored, self.sum(false)));
    }

    pub fn problem(&mut self, problem: &Problem) -> Result<()> {
        let Problem { kind, origin, reason } = problem;
        let count = self.problems.entry(*kind).or_default();
        *count += 1;
        match *count {
            ..=NAMED => self.say(format!("{kind}: {}: {reason}", show(origin))),
            count if count == NAMED + 1 => self.say(match self.errors {
                Some(_) => format!("{kind}: more of them, see the file of --errors"),
                None => format!("{kind}: more of them; --errors FILE names all"),
            }),
            _ => {}
        }
        if let Some(errors) = &mut self.errors {
            errors.write_record([kind.to_string().as_bytes(), origin, reason.as_bytes()])?;
        }
        Ok(())
    }

    fn say(&self, line: String) {
        self.bar.suspend(|| eprintln!("ngx-smart: {line}"));
    }

    /// What was skipped, or what was wrong.
    fn kinds(&self, skipped: bool) -> impl Iterator<Item = (&Kind, &u64)> {
        self.problems.iter().filter(move |(kind, _)| kind.is_skipped() == skipped)
    }

    fn sum(&self, skipped: bool) -> u64 {
        self.kinds(skipped).map(|(_, count)| count).sum()
    }

    /// Ends with the sums. Whether nothing was wrong.
    pub fn finish(mut self) -> Result<bool> {
        self.bar.finish_and_clear();
        if let Some(errors) = &mut self.errors {
            errors.flush()?;
        }
        if !self.quiet {
            self.print_sums();
        }
        Ok(self.sum(false) == 0)
    }

    fn print_sums(&self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = self.stored as f64 / seconds;
        println!("stored: {} in {seconds:.1} s ({rate:.0} per second)", self.stored);
        if self.stored_before > 0 {
            println!("stored before: {}", self.stored_before);
        }
        for (skipped, word) in [(true, "skipped"), (false, "errors")] {
            let kinds = self.kinds(skipped).map(|(kind, count)| format!("{kind}: {count}"));
            let kinds: Vec<_> = kinds.collect();
            if !kinds.is_empty() {
                println!("{word}: {} ({})", self.sum(skipped), kinds.join(", "));
            }
        }
    }
}

/// On a terminal, how far the load is; elsewhere nothing.
fn progress_bar(source: &Source) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match source.size() {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {percent}% {msg} {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
