//! How far a load has come, in a file, so that it can go on after an end that nobody foresaw.
//!
//! Two lines: what the load is, and the origin of the last entry that is stored for
//! certain. Sources give their entries in the same order every time, so all before it are, too.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

pub struct Journal {
    file: Option<PathBuf>,
    identity: String,
    /// The entry that was the last, as long as it has not been met.
    awaited: Option<String>,
}

impl Journal {
    /// Reads `file` if it is there. It must be of a load with the same identity.
    pub fn open(file: Option<&Path>, identity: String) -> Result<Self> {
        let mut journal = Journal { file: file.map(Path::to_owned), identity, awaited: None };
        let Some(file) = file else { return Ok(journal) };
        match fs::read_to_string(file) {
            Ok(text) => {
                let lines: Vec<&str> = text.lines().collect();
                let [identity, last] = lines[..] else {
                    bail!("{} is not a file that a load has written", file.display());
                };
                ensure!(
                    identity == journal.identity,
                    "{} is of another load ({identity}); remove it to begin anew",
                    file.display()
                );
                journal.awaited = Some(last.to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        }
        Ok(journal)
    }

    /// Whether an entry was stored before; to be asked of each, in their order.
    pub fn has(&mut self, origin: &[u8]) -> bool {
        let Some(last) = &self.awaited else {
            return false;
        };
        if *last == origin.escape_ascii().to_string() {
            self.awaited = None;
        }
        true
    }

    /// Asserts, at the end of the source, that the last entry has been met.
    pub fn found(&self) -> Result<()> {
        match (&self.awaited, &self.file) {
            (Some(last), Some(file)) => bail!(
                "the source has changed: {last} is no longer there, up to which it was loaded; \
                 remove {} to begin anew",
                file.display()
            ),
            _ => Ok(()),
        }
    }

    /// Writes down that everything up to the entry from `origin` is stored.
    pub fn record(&mut self, origin: &[u8]) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut new = OsString::from(file);
        new.push(".new");
        fs::write(&new, format!("{}\n{}\n", self.identity, origin.escape_ascii()))
            .and_then(|()| fs::rename(&new, file))
            .with_context(|| format!("writing {}", file.display()))
    }

    /// The load is complete.
    pub fn remove(&self) -> Result<()> {
        match self.file.as_ref().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context("removing the file of --resume")
            }
            _ => Ok(()),
        }
    }

    /// What to do when a load has ended early.
    pub fn advice(&self) -> &'static str {
        match self.file {
            Some(_) => "stopped; the same command goes on from here",
            None => "stopped; with --resume FILE a load can be continued",
        }
    }
}
