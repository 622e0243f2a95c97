//! What was measured of buffers, what they are set to, and what is advised.

use crate::core::histogram::Histogram;

/// All that is measured.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// The locations.
    pub locations: Vec<Location>,
    /// The servers: what nginx reads a request's header into is theirs.
    pub servers: Vec<Server>,
    /// What the host allows.
    pub host: Host,
    /// Locations for which the zone has no room.
    pub unmeasured: u64,
}

/// Of which locations and servers something is to be told; `None`: of any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The first name of the server.
    pub server: Option<Vec<u8>>,
    /// The location, as it is written; without a name, the server itself. With one, no server's header is told, which
    /// no location can set.
    pub location: Option<Vec<u8>>,
}

impl Buffers {
    /// What a filter takes of it. `None`: it names what is not measured.
    pub fn only(mut self, filter: &Filter) -> Option<Self> {
        let Filter { server, location } = filter;
        if server.is_none() && location.is_none() {
            return Some(self);
        }
        let is_of = |wanted: &Option<Vec<u8>>, name: &[u8]| {
            wanted.as_ref().is_none_or(|wanted| wanted == name)
        };
        self.locations.retain(|it| is_of(server, &it.server) && is_of(location, &it.location));
        self.servers.retain(|it| is_of(server, &it.server) && is_of(location, b""));
        let is_empty = self.locations.is_empty() && self.servers.is_empty();
        (!is_empty).then_some(self)
    }
}

/// What the host allows. `None`: it could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The bytes of a page of memory.
    pub page_size: u64,
    /// The most that a socket's receive buffer grows to: the third number of `net.ipv4.tcp_rmem`.
    pub tcp_rmem_max: Option<u64>,
    /// The most that a socket's send buffer grows to: the third number of `net.ipv4.tcp_wmem`.
    pub tcp_wmem_max: Option<u64>,
    /// The most that a program may ask for with `SO_RCVBUF`: `net.core.rmem_max`.
    pub rmem_max: Option<u64>,
    /// The most that a program may ask for with `SO_SNDBUF`: `net.core.wmem_max`.
    pub wmem_max: Option<u64>,
}

/// The module that talks to a location's upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `proxy_pass`.
    Proxy,
    /// `fastcgi_pass`.
    Fastcgi,
    /// `uwsgi_pass`.
    Uwsgi,
    /// `scgi_pass`.
    Scgi,
    /// `grpc_pass`.
    Grpc,
}

impl Protocol {
    /// All, each at the place of its number.
    pub const ALL: [Self; 5] = [Self::Proxy, Self::Fastcgi, Self::Uwsgi, Self::Scgi, Self::Grpc];

    /// What its directives begin with, without the underscore.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Fastcgi => "fastcgi",
            Self::Uwsgi => "uwsgi",
            Self::Scgi => "scgi",
            Self::Grpc => "grpc",
        }
    }
}

/// A location.
#[derive(Clone, Debug, Default)]
pub struct Location {
    /// The first name of its server; empty if it has none.
    pub server: Vec<u8>,
    /// The location as it is written, such as `/`, `= /x` or `~ \.php$`; empty for requests of the server that no
    /// location takes.
    pub location: Vec<u8>,
    /// What was measured.
    pub measured: Measured,
    /// What it is set to.
    pub settings: Settings,
    /// How many more locations have this name in servers of this name, and are set otherwise.
    pub set_otherwise: u64,
    /// `smart_buffers_budget`, in bytes.
    pub budget: u64,
}

/// What was measured of a location. Sizes are in bytes.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Requests.
    pub requests: u64,
    /// Bodies of requests that were read.
    pub body: Histogram,
    /// Of those, how many were written to a file though nobody had asked for it.
    pub bodies_spilled: u64,
    /// Answers of upstreams that were begun by this location.
    pub upstream: Upstream,
    /// Bodies of answers that no upstream gave, before gzip: as sent, times the ratio of what was compressed.
    pub response: Histogram,
    /// How many times smaller gzip has made an answer, in hundredths: 340 is a ratio of 3.40.
    pub gzip_ratio: Histogram,
}

/// What was measured of upstreams.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// Answers by protocol, those whose header was too big included, in the order of [`Protocol::ALL`].
    pub by_protocol: [u64; Protocol::ALL.len()],
    /// Headers. Those of FastCGI and gRPC have the framing of their protocol in them.
    pub header: Histogram,
    /// Bodies that were buffered, or not, as the location is set to.
    pub response: Histogram,
    /// How many bodies were not: `X-Accel-Buffering` had it otherwise.
    pub buffered_otherwise: u64,
    /// Bodies of which something was written to a temporary file, though nobody had asked for it by a cache or a
    /// store.
    pub spilled: u64,
    /// Headers that were too big for the buffer. Inferred: no header, 502, and the buffer full.
    pub header_too_big: u64,
    /// The largest buffer that one of them was too big for, in bytes; 0 if none was.
    pub header_too_big_for: u64,
}

impl Upstream {
    /// The protocol that most answers came by. `None`: there were none.
    pub fn protocol(&self) -> Option<Protocol> {
        let counted = Protocol::ALL.into_iter().zip(self.by_protocol);
        counted.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count).map(|(it, _)| it)
    }

    /// Whether most answers are buffered, where a setting says whether they are to be.
    pub fn is_buffered(&self, is_set: bool) -> bool {
        is_set != (self.buffered_otherwise > self.response.count())
    }
}

/// A server that listens, of which clients are told by what they connect to.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Its first name; empty if it has none.
    pub server: Vec<u8>,
    /// Headers of HTTP/1 requests, the request line included.
    pub header: Histogram,
    /// Headers that were too big. Inferred: 400 with the buffers used up, or 414.
    pub header_too_big: u64,
    /// The largest of `large_client_header_buffers` that one of them was too big for, in bytes; 0 if none was.
    pub header_too_big_for: u64,
    /// `client_header_buffer_size`.
    pub client_header_buffer_size: Option<u64>,
    /// `large_client_header_buffers`.
    pub large_client_header_buffers: Option<Chain>,
    /// How many more servers have this name, and are set otherwise.
    pub set_otherwise: u64,
}

/// A number of buffers of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// How many.
    pub number: u64,
    /// Of how many bytes each.
    pub size: u64,
}

impl Chain {
    /// The bytes of all.
    pub fn total(self) -> u64 {
        self.number.saturating_mul(self.size)
    }
}

/// What a location is set to. `None`: it is not known, because the module is not there or its version is not one
/// whose structures are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `client_body_buffer_size`.
    pub client_body_buffer_size: Option<u64>,
    /// The settings of the protocol that most answers came by.
    pub upstream: Option<UpstreamSettings>,
    /// Whether `gzip` is on.
    pub gzip: Option<bool>,
    /// `gzip_buffers`.
    pub gzip_buffers: Option<Chain>,
    /// `output_buffers`.
    pub output_buffers: Option<Chain>,
    /// Whether `sendfile` is on.
    pub sendfile: Option<bool>,
}

/// The settings of one protocol, by the names of its directives without what they begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Whose they are.
    pub protocol: Protocol,
    /// `…_buffering`; gRPC has none and does as if it were off.
    pub buffering: bool,
    /// `…_buffer_size`.
    pub buffer_size: u64,
    /// `…_buffers`.
    pub buffers: Chain,
    /// `…_busy_buffers_size`.
    pub busy_buffers_size: u64,
    /// `…_temp_file_write_size`.
    pub temp_file_write_size: u64,
    /// `…_max_temp_file_size`; 0: no file is written.
    pub max_temp_file_size: u64,
}
