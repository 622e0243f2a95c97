//! Why a server's bytes are no reply.

use std::error::Error;
use std::fmt;

/// What is wrong with a server's bytes. Where the next reply would begin is not known then: the
/// connection is of no further use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// `ERROR`: the server does not know the command, or has too many connections.
    Error,
    /// `CLIENT_ERROR`: the server did not understand the request.
    ClientError,
    /// A line that is no reply to `get`.
    UnknownLine,
    /// A line of the server's own text that does not end where it should, or has control bytes.
    BadText,
    /// A key that is none, or is longer than any.
    BadKey,
    /// Flags that are not up to ten digits.
    BadFlags,
    /// A length that is not up to twenty digits, or is above what any server stores (1 GiB).
    BadLength,
    /// Something else than a line break after a value: its length was a lie.
    BadTrailer,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProtocolError::Error => "\"ERROR\"",
            ProtocolError::ClientError => "\"CLIENT_ERROR\"",
            ProtocolError::UnknownLine => "an unknown line",
            ProtocolError::BadText => "a line that is too long or has control bytes",
            ProtocolError::BadKey => "\"VALUE\" with an invalid key",
            ProtocolError::BadFlags => "\"VALUE\" with invalid flags",
            ProtocolError::BadLength => "\"VALUE\" with an invalid length",
            ProtocolError::BadTrailer => "no line break after a value",
        })
    }
}

impl Error for ProtocolError {}
