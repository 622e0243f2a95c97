//! A memcached, as one to write to.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{anyhow, ensure, Context, Result};
use memcache::exp::{build_noop, Error, MetaCommand, MetaConnection, MetaOp, ReturnCode};
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

enum Protocol {
    /// The meta protocol, in batches, as memcached speaks it from 1.6 on.
    Meta(Box<MetaConnection>),
    /// What everything speaks: one entry a round trip.
    Classic(Client),
}

pub struct Store {
    server: String,
    settings: Settings,
    protocol: Protocol,
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
        let address = Address::of(server);
        let protocol = match speaks_meta(&address)? {
            Some(connection) => Protocol::Meta(Box::new(connection)),
            None => Protocol::Classic(
                Client::builder()
                    .with_connection_timeout(CONNECT_TIMEOUT)
                    .with_read_timeout(TIMEOUT)
                    .with_write_timeout(TIMEOUT)
                    .add_server(address.url())?
                    .build()?,
            ),
        };
        Ok(Store { server: server.to_owned(), settings, protocol })
    }

    /// Stores all of `entries`. After an error it is unknown which of them are.
    pub fn set(&mut self, entries: &[Entry]) -> Result<()> {
        let settings = self.settings;
        let done = match &mut self.protocol {
            Protocol::Meta(connection) => set_in_one_go(connection, settings, entries),
            Protocol::Classic(client) => {
                entries.iter().try_for_each(|entry| set_one(client, settings, entry))
            }
        };
        done.with_context(|| format!("memcached at {}", self.server))
    }

    /// How many of `entries` the server does not have.
    pub fn missing(&mut self, entries: &[Entry]) -> Result<usize> {
        let missing = match &mut self.protocol {
            Protocol::Meta(connection) => missing_in_one_go(connection, entries),
            Protocol::Classic(client) => entries.iter().try_fold(0, |count, entry| {
                let value: Option<Vec<u8>> = client.get(str::from_utf8(&entry.key)?)?;
                Ok(count + usize::from(value.is_none()))
            }),
        };
        missing.with_context(|| format!("memcached at {}", self.server))
    }

    pub fn server(&self) -> &str {
        &self.server
    }
}

fn set_in_one_go(
    connection: &mut MetaConnection,
    Settings { flags, expire }: Settings,
    entries: &[Entry],
) -> Result<()> {
    let command = |entry: &Entry| {
        MetaCommand::new(MetaOp::Set, &*entry.key)
            .flag(format!("F{flags}"))
            .flag(format!("T{expire}"))
            .value(&*entry.value)
    };
    let commands: Vec<_> = entries.iter().map(command).collect();
    let responses = connection.execute_batch(&commands).map_err(said)?;
    for (entry, response) in entries.iter().zip(responses) {
        let answer = response.rc();
        ensure!(answer == ReturnCode::Hd, "answered {answer:?} to {}", show(&entry.origin));
    }
    Ok(())
}

fn missing_in_one_go(connection: &mut MetaConnection, entries: &[Entry]) -> Result<usize> {
    let command = |entry: &Entry| MetaCommand::new(MetaOp::Get, &*entry.key);
    let commands: Vec<_> = entries.iter().map(command).collect();
    let responses = connection.execute_batch(&commands).map_err(said)?;
    Ok(responses.iter().filter(|response| response.rc() == ReturnCode::En).count())
}

fn set_one(client: &Client, Settings { flags, expire }: Settings, entry: &Entry) -> Result<()> {
    let set = || {
        let key = str::from_utf8(&entry.key).context("the key is not UTF-8")?;
        anyhow::Ok(client.set(key, Flagged { value: &entry.value, flags }, expire)?)
    };
    set().with_context(|| show(&entry.origin))
}

/// A connection for batches, if what listens at `address` understands them.
fn speaks_meta(address: &Address) -> Result<Option<MetaConnection>> {
    let mut connection = MetaConnection::from_stream(address.connect()?);
    connection.set_io_timeout(Some(TIMEOUT));
    match connection.execute(&build_noop()) {
        Ok(_) => Ok(Some(connection)),
        Err(Error::Rejected(_) | Error::Protocol(_) | Error::Server(_)) => Ok(None),
        // What some proxies do about a command that they do not know.
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(said(error)),
    }
}

/// An error whose text has all that its sources would say again.
fn said(error: Error) -> anyhow::Error {
    anyhow!("{error}")
}

/// Where a memcached listens.
enum Address<'a> {
    Unix(&'a str),
    Tcp(String),
}

impl<'a> Address<'a> {
    /// A TCP address without a port has memcached's own.
    fn of(server: &'a str) -> Self {
        let port_is_after = server.rfind(']').unwrap_or(0);
        match server.strip_prefix("unix:") {
            Some(path) => Address::Unix(path),
            None if server[port_is_after..].contains(':') => Address::Tcp(server.to_owned()),
            None => Address::Tcp(format!("{server}:11211")),
        }
    }

    fn connect(&self) -> Result<TcpStream> {
        match self {
            // No more is asked of a stream than what every socket can do, and this type is the
            // one that the client for batches takes.
            Address::Unix(path) => Ok(OwnedFd::from(UnixStream::connect(path)?).into()),
            Address::Tcp(address) => {
                let mut last = None;
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                        Ok(stream) => return Ok(stream),
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.map_or_else(|| anyhow!("no address"), Into::into))
            }
        }
    }

    fn url(&self) -> String {
        match self {
            Address::Unix(path) => format!("memcache://{path}?protocol=ascii"),
            Address::Tcp(address) => format!("memcache://{address}?protocol=ascii"),
        }
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
