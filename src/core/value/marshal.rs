//! Ruby's Marshal format 4.8, as far as it holds Strings.

use std::error::Error;
use std::fmt;

use crate::core::path;

/// Why marshalled bytes are no String.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarshalError {
    /// The value does not begin with 04 08.
    Version,
    /// It ends early.
    Truncated,
    /// It holds something else than a String.
    NotAString {
        /// Marshal's letter for it.
        kind: u8,
    },
    /// A length or count is negative.
    Negative,
    /// The String has instance variables besides its encoding.
    InstanceVariables,
    /// What should be the encoding of the String is not.
    Encoding,
    /// Bytes follow the String.
    Trailing {
        /// How many.
        length: usize,
    },
}

impl fmt::Display for MarshalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MarshalError::Version => f.write_str("no Marshal data: it does not begin with 04 08"),
            MarshalError::Truncated => f.write_str("the Marshal data is cut off"),
            MarshalError::NotAString { kind } => {
                write!(f, "the Marshal data holds no String but {}", kind_name(*kind))
            }
            MarshalError::Negative => f.write_str("the Marshal data has a negative length"),
            MarshalError::InstanceVariables => {
                f.write_str("the Marshal data holds a String with instance variables")
            }
            MarshalError::Encoding => {
                f.write_str("the Marshal data holds a String of a malformed encoding")
            }
            MarshalError::Trailing { length } => {
                write!(f, "the Marshal data has {length} bytes too many")
            }
        }
    }
}

impl Error for MarshalError {}

/// What Marshal's letters stand for, as far as a reader of the log may know it.
fn kind_name(kind: u8) -> &'static str {
    match kind {
        b'0' => "nil",
        b'T' => "true",
        b'F' => "false",
        b'i' | b'l' => "an Integer",
        b'f' => "a Float",
        b':' => "a Symbol",
        b'[' => "an Array",
        b'{' | b'}' => "a Hash",
        b'/' => "a Regexp",
        b'C' => "an object of a subclass of String, Array, Hash or Regexp",
        b'e' => "an object extended by a module",
        b'o' | b'u' | b'U' | b'd' => "an object, such as an ActiveSupport::Cache entry",
        b'S' => "a Struct",
        b'c' | b'm' | b'M' => "a Class or Module",
        _ => "unknown data",
    }
}

/// Marshal's version bytes.
pub(super) const VERSION: &[u8] = &[4, 8];
/// The most bytes of Marshal's integers: their size, and four more.
const MAX_INTEGER: usize = 5;
/// The most bytes of an encoding's name that are looked at; Ruby's own have up to 26.
const MAX_ENCODING_NAME: usize = 64;

/// The most bytes of a stored value that can hold a valid path: the longest path in a String with
/// the longest encoding, and with each number in its longest form.
pub const MAX_STORED: usize = VERSION.len()
    + b"I\"".len()
    + MAX_INTEGER
    + path::MAX_LEN
    + MAX_INTEGER
    + b":".len()
    + MAX_INTEGER
    + b"encoding".len()
    + b"\"".len()
    + MAX_INTEGER
    + MAX_ENCODING_NAME;

/// What Ruby's `Marshal.dump` writes for a UTF-8 String of these bytes (fewer than 2³¹, Ruby's own
/// limit).
pub fn marshal_string(bytes: &[u8]) -> Vec<u8> {
    let mut out = [VERSION, b"I\""].concat();
    match u8::try_from(bytes.len()) {
        Ok(0) => out.push(0),
        Ok(length @ 1..=122) => out.push(length.saturating_add(5)),
        _ => {
            let mut length = bytes.len().to_le_bytes().to_vec();
            while length.last() == Some(&0) {
                length.pop();
            }
            out.push(length.len() as u8);
            out.append(&mut length);
        }
    }
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\x06:\x06ET");
    out
}

/// The bytes of a marshalled String that is all there is in `value`.
pub(super) fn string_of(value: &[u8]) -> Result<&[u8], MarshalError> {
    let data = value.strip_prefix(VERSION).ok_or(MarshalError::Version)?;
    let (string, rest) = match data.strip_prefix(b"I") {
        Some(data) => {
            let (string, rest) = quoted(data)?;
            (string, skip_encoding(rest)?)
        }
        None => quoted(data)?,
    };
    match rest.len() {
        0 => Ok(string),
        length => Err(MarshalError::Trailing { length }),
    }
}

/// A bare String, and what follows it.
fn quoted(data: &[u8]) -> Result<(&[u8], &[u8]), MarshalError> {
    match data.split_first() {
        Some((b'"', data)) => sized(data),
        Some((&kind, _)) => Err(MarshalError::NotAString { kind }),
        None => Err(MarshalError::Truncated),
    }
}

/// What follows the instance variables of a String, of which there may be one: its encoding, as
/// `E` (true for UTF-8, false for US-ASCII) or as `encoding` with a name.
fn skip_encoding(data: &[u8]) -> Result<&[u8], MarshalError> {
    let (count, data) = integer(data)?;
    match count {
        0 => return Err(MarshalError::Encoding),
        1 => {}
        _ => return Err(MarshalError::InstanceVariables),
    }
    let (&kind, data) = data.split_first().ok_or(MarshalError::Truncated)?;
    if kind != b':' {
        return Err(MarshalError::Encoding);
    }
    let (variable, data) = sized(data)?;
    let (&kind, data) = data.split_first().ok_or(MarshalError::Truncated)?;
    match (variable, kind) {
        (b"E", b'T' | b'F') => Ok(data),
        (b"encoding", b'"') => match sized(data)? {
            (name, rest) if name.len() <= MAX_ENCODING_NAME => Ok(rest),
            _ => Err(MarshalError::Encoding),
        },
        (b"E" | b"encoding", _) => Err(MarshalError::Encoding),
        _ => Err(MarshalError::InstanceVariables),
    }
}

/// A length and as many bytes, and what follows them.
fn sized(data: &[u8]) -> Result<(&[u8], &[u8]), MarshalError> {
    let (length, data) = integer(data)?;
    data.split_at_checked(length).ok_or(MarshalError::Truncated)
}

/// A non-negative integer, and what follows it. Its first byte is 0, or the value plus 5, or how
/// many bytes of it follow, the least significant first; the upper half is for negative ones.
fn integer(data: &[u8]) -> Result<(usize, &[u8]), MarshalError> {
    let (&first, data) = data.split_first().ok_or(MarshalError::Truncated)?;
    match first {
        0 => Ok((0, data)),
        1..=4 => {
            let (digits, rest) =
                data.split_at_checked(first.into()).ok_or(MarshalError::Truncated)?;
            let value =
                digits.iter().rev().fold(0, |value, &digit| value << 8 | usize::from(digit));
            Ok((value, rest))
        }
        5..=0x7f => Ok((first.saturating_sub(5).into(), data)),
        0x80.. => Err(MarshalError::Negative),
    }
}

#[cfg(test)]
mod tests {
    use super::string_of as marshal;
    use super::*;

    #[test]
    fn each_form_of_a_length() {
        for length in [&b"\x08"[..], b"\x01\x03", b"\x02\x03\0", b"\x03\x03\0\0", b"\x04\x03\0\0\0"]
        {
            assert_eq!(marshal(&[b"\x04\x08\"", length, b"abc"].concat()), Ok(&b"abc"[..]));
        }
        for first in 0x80..=u8::MAX {
            assert_eq!(
                marshal(&[b"\x04\x08\"", &[first][..], b"abc"].concat()),
                Err(MarshalError::Negative)
            );
        }
        assert_eq!(marshal(b"\x04\x08\"\x04\xff\xff\xff\xffabc"), Err(MarshalError::Truncated));
    }

    #[test]
    fn each_encoding() {
        for encoding in [&b":\x06ET"[..], b":\x06EF", b":\x0dencoding\"\x0eShift_JIS"] {
            assert_eq!(marshal(&[b"\x04\x08I\"\x08abc\x06", encoding].concat()), Ok(&b"abc"[..]));
        }
        let long = |length: u8| {
            let name = vec![b'x'; length.into()];
            [b"\x04\x08I\"\x08abc\x06:\x0dencoding\"", &[length + 5][..], &name].concat()
        };
        assert_eq!(marshal(&long(64)), Ok(&b"abc"[..]));
        assert_eq!(marshal(&long(65)), Err(MarshalError::Encoding));
    }

    #[test]
    fn what_is_no_string() {
        let cases: [(&[u8], MarshalError); 17] = [
            (b"", MarshalError::Version),
            (b"\x04", MarshalError::Version),
            (b"\x04\x09\"\x06a", MarshalError::Version),
            (b"\x04\x08", MarshalError::Truncated),
            (b"\x04\x08I", MarshalError::Truncated),
            (b"\x04\x08\"\x07a", MarshalError::Truncated),
            (b"\x04\x08\"\x06ab", MarshalError::Trailing { length: 1 }),
            (b"\x04\x08I\"\x06a\x06:\x06ETx", MarshalError::Trailing { length: 1 }),
            (b"\x04\x08\"\x06a\x06:\x06ET", MarshalError::Trailing { length: 5 }),
            (b"\x04\x08[\x06\"\x06a", MarshalError::NotAString { kind: b'[' }),
            (b"\x04\x08IC:\x06S\"\x06a\x06:\x06ET", MarshalError::NotAString { kind: b'C' }),
            (b"\x04\x08I\"\x06a\x07:\x06ET:\x07@ai\x06", MarshalError::InstanceVariables),
            (b"\x04\x08I\"\x06a\x06:\x07@ai\x06", MarshalError::InstanceVariables),
            (b"\x04\x08I\"\x06a\0", MarshalError::Encoding),
            (b"\x04\x08I\"\x06a\x06;\0T", MarshalError::Encoding),
            (b"\x04\x08I\"\x06a\x06:\x06E0", MarshalError::Encoding),
            (b"\x04\x08I\"\x06a\x06:\x0dencodingT", MarshalError::Encoding),
        ];
        for (value, error) in cases {
            assert_eq!(marshal(value), Err(error), "{}", value.escape_ascii());
        }
    }
}
