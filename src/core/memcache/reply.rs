//! Replies to `get`, from the front of what has arrived.

use super::ProtocolError;
use crate::core::{key, value};

/// A part of a server's answer to `get`: a value for each key that it has, then the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply<'a> {
    /// A value, whole: its end has been seen and is right.
    Value {
        /// The key, as the server gives it back: to be compared with the one that was asked for.
        key: &'a [u8],
        /// The stored bytes.
        data: &'a [u8],
    },
    /// There are no more values: the server has none for the keys not named.
    End,
    /// The server could not answer, or not go on (`SERVER_ERROR`), with its text, which has no
    /// control bytes. The answer ends with it.
    ServerError(&'a [u8]),
    /// A value longer than [`value::MAX_STORED`]. Its header line alone is consumed: what follows,
    /// and is for the caller to skip, are `length` bytes and the two of `"\r\n"`.
    TooLarge {
        /// The key, as in [`Reply::Value`].
        key: &'a [u8],
        /// Bytes of the value, at most 1 GiB.
        length: u64,
    },
}

/// What is at the front of the bytes that have arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed<'a> {
    /// The beginning of a reply: to be tried again when more has come. At most
    /// [`value::MAX_STORED`] bytes and a line of about 1 KiB are ever asked for.
    Partial,
    /// A reply.
    Complete {
        /// The reply.
        reply: Reply<'a>,
        /// How many bytes it took. Others may follow, of the next reply.
        consumed: usize,
    },
    /// No reply, and none whatever follows.
    Invalid(ProtocolError),
}

/// The most digits of flags: they are of 32 bits.
const MAX_FLAGS_DIGITS: usize = 10;
/// The most digits of a length: those of the largest number of 64 bits.
const MAX_LENGTH_DIGITS: usize = 20;
/// The most bytes of an error's text.
const MAX_TEXT: usize = 1024;
/// The most that memcached can be told to store in one item (its option `-I`).
const MAX_ITEM: u64 = 1 << 30;

/// What parsing ends with where there is no reply.
enum Stop {
    Partial,
    Invalid(ProtocolError),
}

/// Parses one reply from the front of `input`.
pub fn parse_get_reply(input: &[u8]) -> Parsed<'_> {
    match reply(input) {
        Ok((reply, rest)) => {
            Parsed::Complete { reply, consumed: input.len().saturating_sub(rest.len()) }
        }
        Err(Stop::Partial) => Parsed::Partial,
        Err(Stop::Invalid(error)) => Parsed::Invalid(error),
    }
}

/// A reply, and what follows it.
fn reply(input: &[u8]) -> Result<(Reply<'_>, &[u8]), Stop> {
    match input {
        [] => Err(Stop::Partial),
        [b'V', ..] => value(literal(input, b"VALUE ", ProtocolError::UnknownLine)?),
        [b'E', b'R', ..] => refusal(input, b"ERROR", ProtocolError::Error),
        [b'E', ..] => Ok((Reply::End, literal(input, b"END\r\n", ProtocolError::UnknownLine)?)),
        [b'S', ..] => server_error(literal(input, b"SERVER_ERROR", ProtocolError::UnknownLine)?),
        [b'C', ..] => refusal(input, b"CLIENT_ERROR", ProtocolError::ClientError),
        _ => Err(Stop::Invalid(ProtocolError::UnknownLine)),
    }
}

/// What follows `VALUE `.
fn value(input: &[u8]) -> Result<(Reply<'_>, &[u8]), Stop> {
    let (key, input) = field(input, key::MAX_LEN, key::is_allowed, ProtocolError::BadKey)?;
    let input = literal(input, b" ", ProtocolError::BadKey)?;
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let (_, input) = field(input, MAX_FLAGS_DIGITS, is_digit, ProtocolError::BadFlags)?;
    let input = literal(input, b" ", ProtocolError::BadFlags)?;
    let (digits, input) = field(input, MAX_LENGTH_DIGITS, is_digit, ProtocolError::BadLength)?;
    let length = number(digits)
        .filter(|&length| length <= MAX_ITEM)
        .ok_or(Stop::Invalid(ProtocolError::BadLength))?;
    let input = literal(input, b"\r\n", ProtocolError::BadLength)?;

    match usize::try_from(length) {
        Ok(length) if length <= value::MAX_STORED => {
            let (data, input) = input.split_at_checked(length).ok_or(Stop::Partial)?;
            let input = literal(input, b"\r\n", ProtocolError::BadTrailer)?;
            Ok((Reply::Value { key, data }, input))
        }
        _ => Ok((Reply::TooLarge { key, length }, input)),
    }
}

/// What follows `SERVER_ERROR`: a space and a text, or (from some proxies) nothing.
fn server_error(input: &[u8]) -> Result<(Reply<'_>, &[u8]), Stop> {
    let is_text = |byte: u8| !byte.is_ascii_control();
    let (text, input) = match input {
        [b' ', input @ ..] => span(input, MAX_TEXT, is_text, ProtocolError::BadText)?,
        _ => input.split_at(0),
    };
    let input = literal(input, b"\r\n", ProtocolError::BadText)?;
    Ok((Reply::ServerError(text), input))
}

/// A line that refuses the request itself: whatever its text, it ends the connection.
fn refusal<T>(input: &[u8], word: &[u8], error: ProtocolError) -> Result<T, Stop> {
    literal(input, word, ProtocolError::UnknownLine)?;
    Err(Stop::Invalid(error))
}

/// What follows `expected`.
fn literal<'a>(input: &'a [u8], expected: &[u8], error: ProtocolError) -> Result<&'a [u8], Stop> {
    match input.strip_prefix(expected) {
        Some(rest) => Ok(rest),
        None if expected.starts_with(input) => Err(Stop::Partial),
        None => Err(Stop::Invalid(error)),
    }
}

/// One to `max` accepted bytes, and what follows them; none only where nothing has arrived yet.
fn field(
    input: &[u8],
    max: usize,
    accepted: impl Fn(u8) -> bool,
    error: ProtocolError,
) -> Result<(&[u8], &[u8]), Stop> {
    match span(input, max, accepted, error)? {
        ([], [_, ..]) => Err(Stop::Invalid(error)),
        found => Ok(found),
    }
}

/// Up to `max` accepted bytes, and what follows them.
fn span(
    input: &[u8],
    max: usize,
    accepted: impl Fn(u8) -> bool,
    error: ProtocolError,
) -> Result<(&[u8], &[u8]), Stop> {
    let window = input.get(..=max).unwrap_or(input);
    match window.iter().take_while(|&&byte| accepted(byte)).count() {
        length if length > max => Err(Stop::Invalid(error)),
        length => Ok(input.split_at(length)),
    }
}

/// The number that digits stand for; `None` if it does not fit.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &digit| {
        value.checked_mul(10)?.checked_add(digit.wrapping_sub(b'0').into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that are exactly one reply.
    #[track_caller]
    fn complete(input: &[u8]) -> Reply<'_> {
        match parse_get_reply(input) {
            Parsed::Complete { reply, consumed } if consumed == input.len() => reply,
            other => panic!("{}: {other:?}", input.escape_ascii()),
        }
    }

    #[test]
    fn replies() {
        assert_eq!(
            complete(b"VALUE file:7 0 9\r\naa/aa.dat\r\n"),
            Reply::Value { key: b"file:7", data: b"aa/aa.dat" }
        );
        assert_eq!(
            complete(b"VALUE 7 4294967295 0\r\n\r\n"),
            Reply::Value { key: b"7", data: b"" }
        );
        assert_eq!(
            complete(b"VALUE 7 1 00000000000000000002\r\n\r\n\r\n"),
            Reply::Value { key: b"7", data: b"\r\n" }
        );
        assert_eq!(complete(b"END\r\n"), Reply::End);
        assert_eq!(
            complete(b"SERVER_ERROR out of memory\r\n"),
            Reply::ServerError(b"out of memory")
        );
        assert_eq!(complete(b"SERVER_ERROR \r\n"), Reply::ServerError(b""));
        assert_eq!(complete(b"SERVER_ERROR\r\n"), Reply::ServerError(b""));
    }

    #[test]
    fn lengths_that_are_or_may_be_lies() {
        let large = |length: u64| Reply::TooLarge { key: b"7", length };
        assert_eq!(complete(b"VALUE 7 0 1048576\r\n"), large(1 << 20));
        assert_eq!(complete(b"VALUE 7 0 1073741824\r\n"), large(1 << 30));
        let limit = value::MAX_STORED;
        assert_eq!(
            complete(format!("VALUE 7 0 {}\r\n", limit + 1).as_bytes()),
            large(limit as u64 + 1)
        );
        assert_eq!(parse_get_reply(format!("VALUE 7 0 {limit}\r\n").as_bytes()), Parsed::Partial);

        for length in [
            "-1",
            "+1",
            "1.",
            "1e1",
            "0x1",
            " 1",
            "1 2",
            "1073741825",
            "2147483648",
            "4294967296",
            "18446744073709551615",
            "18446744073709551616",
            "000000000000000000001",
            "99999999999999999999999",
        ] {
            assert_eq!(
                parse_get_reply(format!("VALUE 7 0 {length}\r\n").as_bytes()),
                Parsed::Invalid(ProtocolError::BadLength),
                "{length}"
            );
        }
    }

    #[test]
    fn what_is_no_reply() {
        let long_key = ["VALUE ".as_bytes(), &[b'7'; 251]].concat();
        let long_text = ["SERVER_ERROR ".as_bytes(), &[b'x'; 1025]].concat();
        let cases: [(&[u8], ProtocolError); 23] = [
            (b"x", ProtocolError::UnknownLine),
            (b"\0", ProtocolError::UnknownLine),
            (b"\r\n", ProtocolError::UnknownLine),
            (b"end\r\n", ProtocolError::UnknownLine),
            (b"END\n", ProtocolError::UnknownLine),
            (b"END \r\n", ProtocolError::UnknownLine),
            (b"STORED\r\n", ProtocolError::UnknownLine),
            (b"HD", ProtocolError::UnknownLine),
            (b"VALUES", ProtocolError::UnknownLine),
            (b"ERROR\r\n", ProtocolError::Error),
            (b"ERROR Too many open connections\r\n", ProtocolError::Error),
            (b"CLIENT_ERROR bad command line format\r\n", ProtocolError::ClientError),
            (b"VALUE  0 1\r\n", ProtocolError::BadKey),
            (b"VALUE a\tb 0 1\r\n", ProtocolError::BadKey),
            (b"VALUE 7\r\n", ProtocolError::BadKey),
            (&long_key, ProtocolError::BadKey),
            (b"VALUE 7  1\r\n", ProtocolError::BadFlags),
            (b"VALUE 7 -1 1\r\n", ProtocolError::BadFlags),
            (b"VALUE 7 12345678901 1\r\n", ProtocolError::BadFlags),
            (b"VALUE 7 0 1\n", ProtocolError::BadLength),
            (b"VALUE 7 0 1\r\nab", ProtocolError::BadTrailer),
            (b"SERVER_ERROR a\tb\r\n", ProtocolError::BadText),
            (&long_text, ProtocolError::BadText),
        ];
        for (input, error) in cases {
            assert_eq!(parse_get_reply(input), Parsed::Invalid(error), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn longest_fields() {
        let key = [b'7'; 250];
        let input = [b"VALUE ", &key[..], b" 4294967295 1\r\na\r\n"].concat();
        assert_eq!(complete(&input), Reply::Value { key: &key, data: b"a" });
        let text = [b'x'; 1024];
        let input = [b"SERVER_ERROR ", &text[..], b"\r\n"].concat();
        assert_eq!(complete(&input), Reply::ServerError(&text));
    }

    #[test]
    fn a_reply_ends_where_the_next_begins() {
        let input = b"END\r\nVALUE 7 0 1\r\na\r\nEND\r\nx";
        assert_eq!(parse_get_reply(input), Parsed::Complete { reply: Reply::End, consumed: 5 });
        assert_eq!(
            parse_get_reply(&input[5..]),
            Parsed::Complete { reply: Reply::Value { key: b"7", data: b"a" }, consumed: 16 }
        );
    }
}
