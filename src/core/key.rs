//! What memcached takes as a key (its `protocol.txt`, section "Keys").

use std::error::Error;
use std::fmt;

/// The most bytes of a key.
pub const MAX_LEN: usize = 250;

/// Why a key cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyError {
    /// It has no byte.
    Empty,
    /// It has more than [`MAX_LEN`] bytes.
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// A space or a control byte (0x00 to 0x1f, 0x7f), which would end the key or the command.
    Forbidden {
        /// The first such byte.
        byte: u8,
        /// Where it stands, from 0.
        offset: usize,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Empty => f.write_str("it is empty"),
            KeyError::TooLong { length } => {
                write!(f, "it has {length} bytes, memcached takes {MAX_LEN}")
            }
            KeyError::Forbidden { byte, offset } => {
                write!(f, "byte 0x{byte:02x} at offset {offset} is a space or a control byte")
            }
        }
    }
}

impl Error for KeyError {}

/// Whether `key` can be sent to memcached as it is.
pub fn check(key: &[u8]) -> Result<(), KeyError> {
    match key.len() {
        0 => Err(KeyError::Empty),
        length if length > MAX_LEN => Err(KeyError::TooLong { length }),
        _ => match key.iter().zip(0..).find(|(byte, _)| !is_allowed(**byte)) {
            Some((&byte, offset)) => Err(KeyError::Forbidden { byte, offset }),
            None => Ok(()),
        },
    }
}

/// Whether `byte` may stand in a key.
pub(super) fn is_allowed(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(check(b""), Err(KeyError::Empty));
        assert_eq!(check(b"7"), Ok(()));
        assert_eq!(check(&[b'7'; 250]), Ok(()));
        assert_eq!(check(&[b'7'; 251]), Err(KeyError::TooLong { length: 251 }));
    }

    #[test]
    fn every_byte() {
        for byte in 0..=u8::MAX {
            let forbidden = byte <= 0x20 || byte == 0x7f;
            let expected = match forbidden {
                true => Err(KeyError::Forbidden { byte, offset: 5 }),
                false => Ok(()),
            };
            assert_eq!(check(&[b"file:", &[byte][..], b"7"].concat()), expected);
        }
    }

    #[test]
    fn reasons_are_for_the_log() {
        assert_eq!(
            check(b"a b").unwrap_err().to_string(),
            "byte 0x20 at offset 1 is a space or a control byte"
        );
        assert_eq!(
            check(&[b'7'; 300]).unwrap_err().to_string(),
            "it has 300 bytes, memcached takes 250"
        );
        assert_eq!(check(b"").unwrap_err().to_string(), "it is empty");
    }
}
