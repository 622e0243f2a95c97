//! What a request asks of the status interface: a method, a path under the location, and arguments become a
//! [`Route`], or are refused.

mod content;
mod query;
mod refusal;
#[cfg(test)]
mod tests;

use super::report::buffers::Filter;
pub use content::Content;
use query::arguments;
pub use query::{decode, VALUE_MAX};
pub use refusal::Refusal;

/// The most of the heaviest keys that can be asked for.
pub const TOP_MAX: usize = 256;

/// A request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD: nginx leaves the body out.
    Get,
    /// DELETE.
    Delete,
    /// Any other.
    Other,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// The path under the location, decoded by nginx, without the slash that begins it.
    pub path: &'a [u8],
    /// What follows the question mark, as the client wrote it.
    pub query: &'a [u8],
    /// Whether the location lets anything be removed.
    pub may_write: bool,
}

/// What a good request asks for. Names are those of zones; they may have any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// The page for people.
    Page,
    /// Everything, as JSON.
    Status,
    /// Everything, for Prometheus.
    Metrics,
    /// The last minutes.
    History,
    /// A zone of limits.
    Limit(&'a [u8]),
    /// What a zone of limits holds of a key.
    Key {
        /// The zone.
        limit: &'a [u8],
        /// The key: at most [`VALUE_MAX`] bytes.
        key: Vec<u8>,
    },
    /// The heaviest keys.
    Heaviest {
        /// The zone.
        limit: &'a [u8],
        /// How many at most: from 1 to [`TOP_MAX`].
        most: usize,
    },
    /// A room.
    Room(&'a [u8]),
    /// What a room knows of a session.
    Session {
        /// The room.
        room: &'a [u8],
        /// The session, by the number that `$smart_limit_session` shows.
        session: u64,
    },
    /// What was measured of buffers, and what is advised, as JSON.
    Buffers(Filter),
    /// What is advised for buffers, as directives.
    Snippet(Filter),
    /// To remove something.
    Remove(Removal<'a>),
}

/// What is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal<'a> {
    /// What a zone of limits holds of a key.
    Key {
        /// The zone.
        limit: &'a [u8],
        /// The key.
        key: Vec<u8>,
    },
    /// A session's seat or place.
    Session {
        /// The room.
        room: &'a [u8],
        /// The session.
        session: u64,
    },
    /// What a cache of lookups holds.
    Lookups {
        /// The cache.
        cache: &'a [u8],
        /// Of which key. `None`: of all.
        key: Option<Vec<u8>>,
    },
}

/// Where a URI leads from the location that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under<'a> {
    /// To the location itself, whose name does not end with a slash. What the page asks for beside it would not be in
    /// the location, so who asks for it is sent to the name with a slash.
    Itself,
    /// To a path under it, without the slash that begins it.
    Path(&'a [u8]),
}

impl<'a> Under<'a> {
    /// Of the location of a prefix, and a URI as nginx has decoded it. `None`: it is not under the prefix, which only
    /// begins like one of its names; or it was rewritten.
    pub fn of(prefix: &[u8], uri: &'a [u8]) -> Option<Self> {
        let rest = uri.strip_prefix(prefix)?;
        match (prefix.ends_with(b"/"), rest) {
            (true, path) => Some(Self::Path(path)),
            (false, b"") => Some(Self::Itself),
            (false, rest) => rest.strip_prefix(b"/").map(Self::Path),
        }
    }
}

/// What a path names.
enum Resource<'a> {
    Page,
    Status,
    Metrics,
    History,
    Limit(&'a [u8]),
    Room(&'a [u8]),
    Cache(&'a [u8]),
    Buffers,
    Snippet,
}

impl<'a> Resource<'a> {
    fn of(path: &'a [u8]) -> Option<Self> {
        let name = |prefix: &[u8]| path.strip_prefix(prefix).filter(|name| !name.is_empty());
        Some(match path {
            b"" => Self::Page,
            b"status.json" => Self::Status,
            b"metrics" => Self::Metrics,
            b"history.json" => Self::History,
            b"buffers" => Self::Buffers,
            b"buffers.conf" => Self::Snippet,
            _ => {
                let limit = || name(b"limits/").map(Self::Limit);
                let room = || name(b"rooms/").map(Self::Room);
                let cache = || name(b"sendfile/cache/").map(Self::Cache);
                limit().or_else(room).or_else(cache)?
            }
        })
    }

    /// The methods that it has, as `Allow` names them.
    fn methods(&self) -> &'static str {
        match self {
            Self::Limit(_) | Self::Room(_) => "GET, HEAD, DELETE",
            Self::Cache(_) => "DELETE",
            _ => "GET, HEAD",
        }
    }
}

impl<'a> Request<'a> {
    /// What it asks for.
    ///
    /// # Errors
    /// It is nothing that the interface answers, or there is no memory for its arguments.
    pub fn route(&self) -> Result<Route<'a>, Refusal<'a>> {
        let query = self.query;
        let resource = Resource::of(self.path).ok_or(Refusal::NoSuchPath)?;
        match (self.method, resource) {
            (Method::Get, Resource::Page) => without(query, Route::Page),
            (Method::Get, Resource::Status) => without(query, Route::Status),
            (Method::Get, Resource::Metrics) => without(query, Route::Metrics),
            (Method::Get, Resource::History) => without(query, Route::History),
            (Method::Get, Resource::Buffers) => Ok(Route::Buffers(filter(query)?)),
            (Method::Get, Resource::Snippet) => Ok(Route::Snippet(filter(query)?)),
            (Method::Get, Resource::Limit(limit)) => match arguments(query, ["key", "top"])? {
                [None, None] => Ok(Route::Limit(limit)),
                [Some(key), None] => Ok(Route::Key { limit, key }),
                [None, Some(top)] => Ok(Route::Heaviest { limit, most: most(&top)? }),
                [Some(_), Some(_)] => Err(Refusal::Together("key", "top")),
            },
            (Method::Get, Resource::Room(room)) => match arguments(query, ["session"])? {
                [None] => Ok(Route::Room(room)),
                [Some(text)] => Ok(Route::Session { room, session: session(&text)? }),
            },
            (Method::Delete, Resource::Limit(limit)) => {
                let [key] = self.removes(["key"])?;
                let key = key.ok_or(Refusal::Missing("key"))?;
                Ok(Route::Remove(Removal::Key { limit, key }))
            }
            (Method::Delete, Resource::Room(room)) => {
                let [text] = self.removes(["session"])?;
                let text = text.ok_or(Refusal::Missing("session"))?;
                let session = session(&text)?;
                Ok(Route::Remove(Removal::Session { room, session }))
            }
            (Method::Delete, Resource::Cache(cache)) => {
                let [key] = self.removes(["key"])?;
                Ok(Route::Remove(Removal::Lookups { cache, key }))
            }
            (_, resource) => Err(Refusal::Method { allow: resource.methods() }),
        }
    }

    /// The arguments of a request that removes something, if it may.
    fn removes<const COUNT: usize>(
        &self,
        names: [&'static str; COUNT],
    ) -> Result<[Option<Vec<u8>>; COUNT], Refusal<'a>> {
        match self.may_write {
            true => arguments(self.query, names),
            false => Err(Refusal::ReadOnly),
        }
    }
}

/// A route that has no arguments.
fn without<'a>(query: &'a [u8], route: Route<'a>) -> Result<Route<'a>, Refusal<'a>> {
    arguments(query, []).map(|[]| route)
}

fn filter(query: &[u8]) -> Result<Filter, Refusal<'_>> {
    arguments(query, ["server", "location"]).map(|[server, location]| Filter { server, location })
}

fn most(text: &[u8]) -> Result<usize, Refusal<'static>> {
    let digits = std::str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_digit));
    let most = digits.and_then(|digits| digits.parse().ok());
    most.filter(|most| (1..=TOP_MAX).contains(most)).ok_or(Refusal::NotACount)
}

/// A session, as `$smart_limit_session` writes it.
fn session(text: &[u8]) -> Result<u64, Refusal<'static>> {
    let is_session = text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(text).ok().filter(|_| is_session);
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(Refusal::NotASession)
}
