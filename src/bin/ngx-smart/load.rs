//! `ngx-smart load`: IDs and paths from a directory or a CSV file into memcached.

use std::collections::hash_map::{self, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{ArgGroup, Args, ValueEnum};
use ngx_http_smart_module::core::value::marshal_string;
use ngx_http_smart_module::core::{key, path};

use crate::journal::Journal;
use crate::report::{Kind, Problem, Report};
use crate::source::{Found, Source};
use crate::store::{Entry, Settings, Store};

/// Entries that are stored in one go: enough that round trips do not count.
const BATCH: usize = 512;
/// The client flag by which Dalli, the Ruby client, knows what it has marshalled.
const DALLI_MARSHAL: u32 = 1;

/// Store which file each ID stands for
///
/// Ends with status 0 when all is stored, 1 when anything was wrong (what was right is stored
/// nevertheless), 2 for wrong arguments. Loading the same again does no harm.
#[derive(Args)]
#[command(group = ArgGroup::new("source").required(true).args(["from", "csv"]))]
pub struct Arguments {
    /// Take each file below DIR: the digits at the end of its name before the first dot are its
    /// ID (scan-297887.tar.gz: 297887), its path below DIR is stored. A file without such digits
    /// is skipped. Symbolic links are followed
    #[arg(long, value_name = "DIR", required_unless_present = "csv", conflicts_with = "csv")]
    from: Option<PathBuf>,

    /// Take each record of FILE ("-": standard input): an ID and a path. A first record with
    /// the fields "id" and "path" says which columns these are; without it they are the first two
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// With --csv: a path that is no file below DIR is an error
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    check_root: Option<PathBuf>,

    /// HOST:PORT, HOST or unix:PATH of a memcached. May be given several times: each entry is
    /// stored in each of them, so that whichever an upstream chooses has it
    #[arg(long, default_value = "127.0.0.1:11211")]
    server: Vec<String>,

    /// What stands before the ID in a key, as in http_sendfile_key
    #[arg(long, default_value = "")]
    prefix: String,

    /// How a path is stored: as it is, or as Ruby's Marshal.dump of a String (with the client
    /// flag by which Dalli knows it)
    #[arg(long, value_enum, default_value_t = Value::Raw)]
    value: Value,

    /// How long an entry lives; 0: until memcached needs the memory
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    expire: u32,

    /// Keep in FILE how far the load has come. If there is such a file, go on from there; at most
    /// the 512 entries that were on their way are stored again. Removed when the load is complete
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,

    /// Write everything that was skipped or wrong to FILE, as CSV: what, where, why
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,

    /// No progress, no summary: say only what is wrong
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Value {
    Raw,
    Marshal,
}

impl Arguments {
    fn source(&self) -> Source {
        match (&self.from, &self.csv) {
            (Some(directory), _) => Source::Directory(directory.clone()),
            (None, file) => Source::Csv(file.clone().filter(|file| file.as_os_str() != "-")),
        }
    }

    fn stores(&self) -> Result<Vec<Store>> {
        let flags = match self.value {
            Value::Raw => 0,
            Value::Marshal => DALLI_MARSHAL,
        };
        let settings = Settings { flags, expire: self.expire };
        self.server.iter().map(|server| Store::connect(server, settings)).collect()
    }

    /// What makes a load this one and not another, as one would type it.
    fn identity(&self) -> String {
        let source = match (&self.from, &self.csv) {
            (Some(directory), _) => format!("--from {directory:?}"),
            (None, file) => format!("--csv {:?}", file.as_deref().unwrap_or(Path::new("-"))),
        };
        let value = match self.value {
            Value::Raw => "raw",
            Value::Marshal => "marshal",
        };
        let servers = self.server.join(" --server ");
        let Arguments { prefix, expire, .. } = self;
        format!("{source} --prefix {prefix:?} --value {value} --expire {expire} --server {servers}")
    }
}

/// Loads. Whether everything was right; an error is what ended the load early.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let source = arguments.source();
    let items = source.items()?;
    let mut checks = Checks { arguments, seen: HashMap::new() };
    let mut load = Load {
        journal: Journal::open(arguments.resume.as_deref(), arguments.identity())?,
        report: Report::new(&source, arguments.quiet, arguments.errors.as_deref())?,
        stores: arguments.stores()?,
        batch: Vec::with_capacity(BATCH),
        first: Vec::new(),
    };
    for found in items {
        match found?.and_then(|found| checks.check(found)) {
            Ok(entry) => load.take(entry)?,
            Err(problem) => load.report.problem(&problem)?,
        }
    }
    load.finish()
}

struct Load {
    journal: Journal,
    report: Report,
    stores: Vec<Store>,
    /// What is to be stored next.
    batch: Vec<Entry>,
    /// What was stored first, and is thrown out first where the memory does not suffice.
    first: Vec<Entry>,
}

impl Load {
    fn take(&mut self, entry: Entry) -> Result<()> {
        if self.journal.has(&entry.origin) {
            self.report.stored_before(entry.position);
            return Ok(());
        }
        self.batch.push(entry);
        match self.batch.len() {
            BATCH => self.store(),
            _ => Ok(()),
        }
    }

    fn store(&mut self) -> Result<()> {
        let Some(last) = self.batch.last() else { return Ok(()) };
        for store in &mut self.stores {
            store.set(&self.batch).with_context(|| self.journal.advice())?;
        }
        self.journal.record(&last.origin)?;
        self.report.stored(self.batch.len(), last.position);
        if self.first.is_empty() {
            self.first.append(&mut self.batch);
        }
        self.batch.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<bool> {
        self.journal.found()?;
        self.store()?;
        self.journal.remove()?;
        for store in &mut self.stores {
            let (missing, first) = (store.missing(&self.first)?, self.first.len());
            if missing > 0 {
                let reason = format!(
                    "{missing} of the first {first} entries are gone: memcached needs more \
                     memory (-m)"
                );
                let server = store.server().as_bytes().to_vec();
                self.report.problem(&Problem::new(Kind::Evicted, server, reason))?;
            }
        }
        self.report.finish()
    }
}

/// What an entry must be for the module to serve it.
struct Checks<'a> {
    arguments: &'a Arguments,
    /// Each key, and where it comes from.
    seen: HashMap<Box<[u8]>, Box<[u8]>>,
}

impl Checks<'_> {
    fn check(&mut self, found: Found) -> Result<Entry, Problem> {
        let Found { origin, id, path, position } = found;
        let key = [self.arguments.prefix.as_bytes(), &id].concat();
        if let Err(error) = key::check(&id).and_then(|()| key::check(&key)) {
            return Err(Problem::new(Kind::InvalidKey, origin, error));
        }
        if let Err(error) = path::check(&path) {
            return Err(Problem::new(Kind::InvalidPath, origin, error));
        }
        if let Some(root) = &self.arguments.check_root {
            let file = root.join(OsStr::from_bytes(&path));
            if !file.is_file() {
                let reason = format!("there is no file {}", file.display());
                return Err(Problem::new(Kind::MissingFile, origin, reason));
            }
        }
        match self.seen.entry(key.clone().into()) {
            hash_map::Entry::Occupied(first) => {
                let reason = format!("key {} is that of {}", show(&key), show(first.get()));
                return Err(Problem::new(Kind::DuplicateId, origin, reason));
            }
            hash_map::Entry::Vacant(new) => new.insert(origin.clone().into()),
        };
        let value = match self.arguments.value {
            Value::Raw => path,
            Value::Marshal => marshal_string(&path),
        };
        Ok(Entry { key, value, origin, position })
    }
}

/// Bytes for people to read.
pub fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
