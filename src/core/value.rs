//! Stored values: a path as it is, or a path in a String that Ruby has marshalled.
//!
//! Of Ruby's Marshal format 4.8 exactly the Strings are read, in each form in which a Ruby writes
//! them: bare (`"`: binary ones, and all before Ruby 1.9) or with their encoding (`I"`). The bytes
//! are taken whatever the encoding. Objects of a subclass, Strings with other instance variables
//! and everything else are refused: who stores these stores more than a path.
//!
//! memcached's flags are not looked at, for every client library has its own meaning for them. A
//! value that a library has compressed on its own (Dalli does from 4 KiB on) therefore fails as
//! any unknown bytes do: by its control bytes, or by naming no file.

use std::error::Error;
use std::fmt;

use super::path::{self, PathError};

mod marshal;

pub use marshal::{marshal_string, MarshalError, MAX_STORED};

/// How a path is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Marshal if the value begins with Marshal's version bytes 04 08 (no valid path does), else
    /// raw.
    Auto,
    /// The value is the path.
    Raw,
    /// The value is a Ruby String in Marshal format 4.8.
    Marshal,
}

/// Why a value names no path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueError {
    /// It is not what Ruby writes for a String.
    Marshal(MarshalError),
    /// The path is not one to serve.
    Path(PathError),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::Marshal(error) => error.fmt(f),
            ValueError::Path(error) => error.fmt(f),
        }
    }
}

impl Error for ValueError {}

/// The relative path that a stored value names: decoded by `encoding`, then checked by
/// [`path::check`].
pub fn path_of(value: &[u8], encoding: Encoding) -> Result<&[u8], ValueError> {
    let marshalled = match encoding {
        Encoding::Auto => value.starts_with(marshal::VERSION),
        Encoding::Raw => false,
        Encoding::Marshal => true,
    };
    let path = match marshalled {
        true => marshal::string_of(value).map_err(ValueError::Marshal)?,
        false => value,
    };
    path::check(path).map_err(ValueError::Path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_decides() {
        let stored = b"\x04\x08\"\x06a";
        assert_eq!(path_of(stored, Encoding::Auto), Ok(&b"a"[..]));
        assert_eq!(path_of(stored, Encoding::Marshal), Ok(&b"a"[..]));
        assert_eq!(
            path_of(stored, Encoding::Raw),
            Err(ValueError::Path(PathError::ControlByte { byte: 4, offset: 0 }))
        );
        assert_eq!(path_of(b"a", Encoding::Auto), Ok(&b"a"[..]));
        assert_eq!(path_of(b"a", Encoding::Raw), Ok(&b"a"[..]));
        assert_eq!(
            path_of(b"a", Encoding::Marshal),
            Err(ValueError::Marshal(MarshalError::Version))
        );
    }

    #[test]
    fn what_is_marshalled_is_checked_too() {
        assert_eq!(
            path_of(&marshal_string(b"../x"), Encoding::Auto),
            Err(ValueError::Path(PathError::DotSegment))
        );
        assert_eq!(
            path_of(&marshal_string(b""), Encoding::Auto),
            Err(ValueError::Path(PathError::Empty))
        );
    }

    #[test]
    fn the_longest_stored_value() {
        let number = |number: usize| [&[4][..], &(number as u32).to_le_bytes()].concat();
        let value = [
            &b"\x04\x08I\""[..],
            &number(4096),
            &[b'a'; 4096],
            &number(1),
            b":",
            &number(8),
            b"encoding\"",
            &number(64),
            &[b'x'; 64],
        ]
        .concat();
        assert_eq!(value.len(), MAX_STORED);
        assert_eq!(path_of(&value, Encoding::Auto), Ok(&[b'a'; 4096][..]));
    }

    #[test]
    fn reasons_are_for_the_log() {
        let reason = |value| path_of(value, Encoding::Marshal).unwrap_err().to_string();
        assert_eq!(reason(b"\x04\x080"), "the Marshal data holds no String but nil");
        assert_eq!(reason(b"\x04\x08\"\x06/"), "the path begins with \"/\"");
    }
}
