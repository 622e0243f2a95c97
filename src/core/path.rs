//! Which stored paths are safe to append to the root.
//!
//! A path is bytes, not text: `%`, `?`, `#`, UTF-8 and anything else that is not refused here
//! stand for themselves and are neither decoded nor split.

use std::error::Error;
use std::fmt;

/// The most bytes of a path, as Linux' own `PATH_MAX`.
pub const MAX_LEN: usize = 4096;

/// Why a path is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// It has no byte.
    Empty,
    /// It has more than [`MAX_LEN`] bytes.
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// A control byte: 0x00 to 0x1f or 0x7f.
    ControlByte {
        /// The first such byte.
        byte: u8,
        /// Where it stands, from 0.
        offset: usize,
    },
    /// It begins with a slash.
    Absolute,
    /// A segment between slashes is `.` or `..`.
    DotSegment,
    /// Two slashes in a row, or one at the end.
    EmptySegment,
    /// A backslash, which parts segments elsewhere; also the second byte of some Shift_JIS
    /// characters, so paths with these have to be stored in another encoding.
    Backslash {
        /// Where the first one stands, from 0.
        offset: usize,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Empty => f.write_str("the path is empty"),
            PathError::TooLong { length } => {
                write!(f, "the path has {length} bytes, the limit is {MAX_LEN}")
            }
            PathError::ControlByte { byte, offset } => {
                write!(f, "the path has control byte 0x{byte:02x} at offset {offset}")
            }
            PathError::Absolute => f.write_str("the path begins with \"/\""),
            PathError::DotSegment => f.write_str("the path has a segment \".\" or \"..\""),
            PathError::EmptySegment => f.write_str("the path has an empty segment"),
            PathError::Backslash { offset } => {
                write!(f, "the path has a backslash at offset {offset}")
            }
        }
    }
}

impl Error for PathError {}

/// Whether `path` is relative, stays below the directory that it is appended to, and has no byte
/// that anybody on its way could take for something else.
pub fn check(path: &[u8]) -> Result<(), PathError> {
    match path.len() {
        0 => return Err(PathError::Empty),
        length if length > MAX_LEN => return Err(PathError::TooLong { length }),
        _ => {}
    }
    if path.first() == Some(&b'/') {
        return Err(PathError::Absolute);
    }
    for (&byte, offset) in path.iter().zip(0..) {
        match byte {
            b'\\' => return Err(PathError::Backslash { offset }),
            _ if byte.is_ascii_control() => return Err(PathError::ControlByte { byte, offset }),
            _ => {}
        }
    }
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" => return Err(PathError::EmptySegment),
            b"." | b".." => return Err(PathError::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_refused_stands_for_itself() {
        let paths: [&[u8]; 12] = [
            b"aa/aa.dat",
            b"a",
            b"...",
            b"..a/a../.a",
            b".hidden",
            b"%2e%2e%2f",
            b"?x",
            b"#x",
            b"@name",
            b"a b",
            "Gr\u{fc}n/\u{68ee}.jpg".as_bytes(),
            b"\xff\xfe\x80\x9f",
        ];
        for path in paths {
            assert_eq!(check(path), Ok(()), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn every_control_byte_is_refused() {
        for byte in (0..0x20).chain([0x7f]) {
            assert_eq!(
                check(&[b"a/b", &[byte][..]].concat()),
                Err(PathError::ControlByte { byte, offset: 3 })
            );
        }
    }

    #[test]
    fn segments() {
        let cases: [(&[u8], PathError); 15] = [
            (b"/", PathError::Absolute),
            (b"/x", PathError::Absolute),
            (b"//x", PathError::Absolute),
            (b".", PathError::DotSegment),
            (b"..", PathError::DotSegment),
            (b"../x", PathError::DotSegment),
            (b"a/..", PathError::DotSegment),
            (b"a/../../b", PathError::DotSegment),
            (b"a/./b", PathError::DotSegment),
            (b"a/.", PathError::DotSegment),
            (b"a//b", PathError::EmptySegment),
            (b"a/", PathError::EmptySegment),
            (b"\\", PathError::Backslash { offset: 0 }),
            (b"a\\..\\b", PathError::Backslash { offset: 1 }),
            (b"", PathError::Empty),
        ];
        for (path, error) in cases {
            assert_eq!(check(path), Err(error), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(check(&[b'a'; 4096]), Ok(()));
        assert_eq!(check(&[b'a'; 4097]), Err(PathError::TooLong { length: 4097 }));
    }
}
