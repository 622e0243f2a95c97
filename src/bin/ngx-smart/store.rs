//! A memcached, as one to write to.

use std::io;
use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context, Result};
use memcache::exp::{Error, MetaClient, Set};
use memcache::{Client, Stream, ToMemcacheValue};

use crate::load::show;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of one batch.
const TIMEOUT: Duration = Duration::from_secs(30);
/// memcached takes longer times than this for a moment in Unix time.
const LONGEST_RELATIVE: u32 = 30 * 24 * 60 * 60;

/// An entry, ready to be stored.
pub struct Entry {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Where it comes from.
    pub origin: Vec<u8>,
    /// How much of the source has been read with it.
    pub position: u64,
}

/// What is the same for all entries.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Bits by which client libraries know how a value is encoded.
    pub flags: u32,
    /// Seconds that an entry lives; 0 without end.
    pub expire: u32,
}

pub struct Store {
    server: String,
    settings: Settings,
    /// For batches, where the server speaks the meta protocol: memcached from 1.6 on, by TCP.
    batches: Option<MetaClient>,
    /// For everything that speaks memcached's protocol at all: one entry a round trip.
    classic: Client,
    evictions: u64,
}

impl Store {
    /// Connects to `HOST:PORT`, `HOST` or `unix:PATH`.
    pub fn connect(server: &str, settings: Settings) -> Result<Self> {
        let expire = match settings.expire {
            relative @ 0..=LONGEST_RELATIVE => relative,
            long => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
                u32::try_from(now)?.saturating_add(long)
            }
        };
        let settings = Settings { expire, ..settings };
        Self::open(server, settings).with_context(|| format!("memcached at {server}"))
    }

    fn open(server: &str, settings: Settings) -> Result<Self> {
        let (batches, url) = match server.strip_prefix("unix:") {
            Some(path) => (None, format!("memcache://{path}?protocol=ascii")),
            None => {
                let address = with_port(server);
                let url = format!("memcache://{address}?protocol=ascii");
                (speaks_meta(&address)?, url)
            }
        };
        let classic = Client::builder()
            .with_connection_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(TIMEOUT)
            .with_write_timeout(TIMEOUT)
            .add_server(url)?
            .build()?;
        let mut store = Store {
            server: server.to_owned(),
            settings,
            batches,
            classic,
            evictions: 0,
        };
        store.evictions = store.evictions_ever()?;
        Ok(store)
    }

    /// Stores all of `entries`, or says which one was refused first.
    pub fn set(&self, entries: &[Entry]) -> Result<()> {
        match &self.batches {
            Some(client) => self.set_in_one_go(client, entries),
            None => entries
                .iter()
                .try_for_each(|entry| self.set_one(entry).with_context(|| self.failed(entry))),
        }
    }

    fn set_in_one_go(&self, client: &MetaClient, entries: &[Entry]) -> Result<()> {
        let Settings { flags, expire } = self.settings;
        let sets = entries.iter().map(|entry| {
            Set::new(&entry.key, &entry.value)
                .client_flags(flags)
                .ttl_raw(expire)
        });
        let results = client.run_many(sets).with_context(|| self.server.clone())?;
        for (entry, result) in entries.iter().zip(results) {
            let result = result.with_context(|| self.failed(entry))?;
            ensure!(result.applied(), "{}: not stored", self.failed(entry));
        }
        Ok(())
    }

    fn set_one(&self, entry: &Entry) -> Result<()> {
        let key = str::from_utf8(&entry.key).context("the key is not UTF-8")?;
        let value = Flagged {
            value: &entry.value,
            flags: self.settings.flags,
        };
        Ok(self.classic.set(key, value, self.settings.expire)?)
    }

    fn failed(&self, entry: &Entry) -> String {
        format!("memcached at {}: {}", self.server, show(&entry.origin))
    }

    /// How many entries the server has thrown out for want of memory since this began.
    pub fn evictions(&self) -> Result<u64> {
        Ok(self.evictions_ever()?.saturating_sub(self.evictions))
    }

    pub fn server(&self) -> &str {
        &self.server
    }

    /// 0 where the server does not say, as proxies do not.
    fn evictions_ever(&self) -> Result<u64> {
        let stats = self.classic.stats()?;
        let evictions = stats
            .first()
            .and_then(|(_, stats)| stats.get("evictions")?.parse().ok());
        Ok(evictions.unwrap_or(0))
    }
}

/// A client for batches, if what listens at `address` understands its protocol.
fn speaks_meta(address: &str) -> Result<Option<MetaClient>> {
    let client = MetaClient::builder()
        .connect_timeout(Some(CONNECT_TIMEOUT))
        .io_timeout(Some(TIMEOUT))
        .connect(address)?;
    match client.noop() {
        Ok(()) => Ok(Some(client)),
        Err(Error::Rejected(_) | Error::Protocol(_) | Error::Server(_)) => Ok(None),
        // What some proxies do about a command that they do not know.
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `server`, with memcached's own port if it names none.
fn with_port(server: &str) -> String {
    let host_ends = server.rfind(']').unwrap_or(0);
    match server[host_ends..].contains(':') {
        true => server.to_owned(),
        false => format!("{server}:11211"),
    }
}

/// A value with client flags.
struct Flagged<'a> {
    value: &'a [u8],
    flags: u32,
}

impl ToMemcacheValue<Stream> for Flagged<'_> {
    fn get_flags(&self) -> u32 {
        self.flags
    }

    fn get_length(&self) -> usize {
        self.value.len()
    }

    fn write_to(&self, stream: &mut Stream) -> io::Result<()> {
        io::Write::write_all(stream, self.value)
    }
}
