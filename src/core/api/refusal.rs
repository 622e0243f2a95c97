//! Why a request is refused.

use std::fmt::{self, Write};

use crate::core::NoMemory;

/// Why a request is refused. As text it is a sentence for people, in which bytes of the request that are not UTF-8
/// are replaced; it is not escaped for any format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// There is nothing of this path.
    NoSuchPath,
    /// The path has only these other methods.
    Method {
        /// They, as `Allow` names them.
        allow: &'static str,
    },
    /// It would remove something, which the location does not let it.
    ReadOnly,
    /// An argument that the path does not have.
    Unknown(&'a [u8]),
    /// An argument that is there twice.
    Repeated(&'static str),
    /// An argument without a value, or with one that is not well encoded.
    Malformed(&'static str),
    /// An argument with too long a value.
    TooLong(&'static str),
    /// An argument that must be there and is not.
    Missing(&'static str),
    /// Two arguments of which only one can be.
    Together(&'static str, &'static str),
    /// There is no zone of this kind and name.
    NoZone(&'static str, &'a [u8]),
    /// What is to be shown or removed is not held.
    NotHeld(&'static str),
    /// No location's buffers are measured.
    NotMeasured,
    /// Not those of this server or location.
    NoPlace,
    /// `top` is none that may be asked for.
    NotACount,
    /// `session` is none.
    NotASession,
    /// There is no memory for its arguments or for the answer.
    NoMemory,
}

impl From<NoMemory> for Refusal<'_> {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl Refusal<'_> {
    /// The status: 400, 403, 404, 405 or 500.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoSuchPath
            | Self::NoZone(..)
            | Self::NotHeld(_)
            | Self::NotMeasured
            | Self::NoPlace => 404,
            Self::Method { .. } => 405,
            Self::ReadOnly => 403,
            Self::NoMemory => 500,
            _ => 400,
        }
    }

    /// The methods for `Allow`.
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Method { allow } => Some(allow),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPath => f.write_str("there is nothing of this name"),
            Self::Method { allow } => write!(f, "the method must be one of {allow}"),
            Self::ReadOnly => f.write_str("nothing can be removed without \"smart_api write\""),
            Self::Unknown(name) => write!(f, "unknown argument \"{}\"", Lossy(name)),
            Self::Repeated(name) => write!(f, "\"{name}\" is there twice"),
            Self::Malformed(name) => write!(f, "the value of \"{name}\" is not percent-encoded"),
            Self::TooLong(name) => {
                write!(f, "\"{name}\" is longer than {} bytes", super::VALUE_MAX)
            }
            Self::Missing(name) => write!(f, "\"{name}\" must be given"),
            Self::Together(one, other) => write!(f, "\"{one}\" and \"{other}\" exclude each other"),
            Self::NoZone(kind, name) => write!(f, "no {kind} \"{}\"", Lossy(name)),
            Self::NotHeld(what) => write!(f, "no such {what} is held"),
            Self::NoPlace => f.write_str("no such server or location is measured"),
            Self::NotMeasured => f.write_str("no buffers are measured"),
            Self::NotACount => write!(f, "\"top\" must be a number from 1 to {}", super::TOP_MAX),
            Self::NotASession => f.write_str("\"session\" must be 16 hexadecimal digits"),
            Self::NoMemory => f.write_str("there is no memory"),
        }
    }
}

/// Bytes as text: what is not UTF-8 is replaced.
struct Lossy<'a>(&'a [u8]);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}
