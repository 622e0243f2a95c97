//! The files that are served, and the IDs that stand for them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::common::Numbers;
use crate::memcached::Memcached;

/// Files in directories of two levels, each with a random ID of ten digits.
pub struct Site {
    directory: TempDir,
    entries: Vec<(u64, String)>,
}

impl Site {
    /// Makes `count` files of 5 KB on average, the same in every run.
    pub fn make(count: usize) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("ngx-smart-bench-").tempdir()?;
        let mut numbers = Numbers::new(7);
        let mut known = HashSet::new();
        let mut entries = Vec::with_capacity(count);
        while entries.len() < count {
            let id = 1_000_000_000 + numbers.below(9_000_000_000);
            if !known.insert(id) {
                continue;
            }
            // The directories follow from another number than the ID: nothing can be computed.
            let (a, b) = (numbers.below(64), numbers.below(64));
            let path = format!("{a:02x}/{b:02x}/{id}.dat");
            let file = directory.path().join("files").join(&path);
            fs::create_dir_all(file.parent().expect("a file has a directory"))?;
            let lines = (3_000 + numbers.below(4_000)) / 16;
            fs::write(file, format!("file {id}\n").repeat(lines as usize))?;
            entries.push((id, path));
        }
        Ok(Self { directory, entries })
    }

    /// The directory that has `files/` in it, and where configurations and logs go.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// IDs and paths below `files/`.
    pub fn entries(&self) -> &[(u64, String)] {
        &self.entries
    }

    /// What the file of an entry holds.
    pub fn content(&self, path: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.directory().join("files").join(path))?)
    }

    /// Stores the paths under the IDs, and under the URIs, which are the keys of `memcached_pass`.
    pub fn fill(&self, store: &Memcached) -> Result<()> {
        store.fill(self.entries.iter().map(|(id, path)| (id.to_string(), path.as_str())))?;
        store.fill(self.entries.iter().map(|(id, path)| (uri(*id), path.as_str())))
    }

    /// Writes a file into the directory and returns its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.directory().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// The URI that asks for an ID.
pub fn uri(id: u64) -> String {
    format!("/file/{id}")
}
