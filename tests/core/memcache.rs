//! memcached's protocol: whatever is cut, joined, changed or made up.

use ngx_http_smart_module::core::memcache::{parse_get_reply, Parsed, ProtocolError, Reply};
use ngx_http_smart_module::core::value::MAX_STORED;
use proptest::prelude::*;

/// A reply as a server would send it.
#[derive(Clone, Debug)]
enum Sent {
    Value { key: Vec<u8>, flags: u32, data: Vec<u8> },
    TooLarge { key: Vec<u8>, length: u64 },
    End,
    ServerError(String),
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Sent::Value { key, flags, data } => {
                let header = format!(" {flags} {}\r\n", data.len());
                [b"VALUE ", &key[..], header.as_bytes(), data, b"\r\n"].concat()
            }
            Sent::TooLarge { key, length } => {
                [b"VALUE ", &key[..], format!(" 0 {length}\r\n").as_bytes()].concat()
            }
            Sent::End => b"END\r\n".to_vec(),
            Sent::ServerError(text) => format!("SERVER_ERROR {text}\r\n").into_bytes(),
        }
    }

    fn reply(&self) -> Reply<'_> {
        match self {
            Sent::Value { key, data, .. } => Reply::Value { key, data },
            Sent::TooLarge { key, length } => Reply::TooLarge { key, length: *length },
            Sent::End => Reply::End,
            Sent::ServerError(text) => Reply::ServerError(text.as_bytes()),
        }
    }
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![0x21_u8..=0x7e, 0x80_u8..];
    prop::collection::vec(byte, 1..=250)
}

fn sent() -> impl Strategy<Value = Sent> {
    // Of the protocol's own words, so that a value looks like what may follow it.
    let data = prop::collection::vec(
        prop_oneof![
            Just(b"\r\nEND\r\n".to_vec()),
            Just(b"VALUE 7 0 1\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
        ],
        0..6,
    );
    prop_oneof![
        4 => (key(), any::<u32>(), data)
            .prop_map(|(key, flags, data)| Sent::Value { key, flags, data: data.concat() }),
        1 => (key(), MAX_STORED as u64 + 1..=1 << 30)
            .prop_map(|(key, length)| Sent::TooLarge { key, length }),
        1 => Just(Sent::End),
        1 => "[ -~]{0,100}".prop_map(Sent::ServerError),
    ]
}

/// Bytes that look like a reply for a while: one with some bytes changed, or without some.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (sent(), changes, any::<prop::sample::Index>()).prop_map(|(sent, changes, end)| {
        let mut bytes = sent.bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        bytes
    })
}

/// Whether there is something that makes a reply, or a refusal, of `bytes`, found byte by byte: the bytes that end
/// what is begun are tried first.
fn can_be_completed(bytes: &[u8]) -> bool {
    use ProtocolError::{ClientError, Error};
    let mut bytes = bytes.to_vec();
    for _ in 0..2 * MAX_STORED {
        let next = b"\r\n 0ENDVALUERSRO_CIT".iter().find_map(|&next| {
            bytes.push(next);
            let parsed = parse_get_reply(&bytes);
            let is_end =
                matches!(parsed, Parsed::Complete { .. } | Parsed::Invalid(Error | ClientError));
            let goes_on = is_end || parsed == Parsed::Partial;
            bytes.pop();
            goes_on.then_some((next, is_end))
        });
        match next {
            Some((next, false)) => bytes.push(next),
            Some((_, true)) => return true,
            None => return false,
        }
    }
    false
}

proptest! {
    #[test]
    fn every_prefix_of_a_reply_asks_for_more(sent in sent(), after in any::<[u8; 3]>()) {
        let bytes = sent.bytes();
        for end in 0..bytes.len() {
            prop_assert_eq!(parse_get_reply(&bytes[..end]), Parsed::Partial, "cut at {}", end);
        }
        let complete = Parsed::Complete { reply: sent.reply(), consumed: bytes.len() };
        prop_assert_eq!(parse_get_reply(&bytes), complete);
        let longer = [&bytes[..], &after].concat();
        prop_assert_eq!(parse_get_reply(&longer), complete);
    }

    #[test]
    fn replies_in_a_row_are_told_apart(
        replies in prop::collection::vec(
            sent().prop_filter("nothing may follow a header alone",
                |sent| !matches!(sent, Sent::TooLarge { .. })),
            0..8,
        ),
    ) {
        let stream: Vec<u8> = replies.iter().flat_map(Sent::bytes).collect();
        let mut rest = &stream[..];
        for sent in &replies {
            match parse_get_reply(rest) {
                Parsed::Complete { reply, consumed } => {
                    prop_assert_eq!(reply, sent.reply());
                    rest = &rest[consumed..];
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn more_bytes_never_change_a_verdict(bytes in damaged(), after in any::<[u8; 8]>()) {
        let longer = [&bytes[..], &after].concat();
        match parse_get_reply(&bytes) {
            Parsed::Partial => prop_assert!(can_be_completed(&bytes), "{}", bytes.escape_ascii()),
            Parsed::Complete { reply, consumed } => {
                prop_assert!(0 < consumed && consumed <= bytes.len());
                prop_assert_eq!(parse_get_reply(&longer), Parsed::Complete { reply, consumed });
            }
            Parsed::Invalid(error) => {
                prop_assert_eq!(parse_get_reply(&longer), Parsed::Invalid(error));
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        match parse_get_reply(&bytes) {
            Parsed::Partial => prop_assert!(can_be_completed(&bytes)),
            Parsed::Complete { consumed, .. } => prop_assert!(consumed <= bytes.len()),
            Parsed::Invalid(_) => {}
        }
    }
}

#[test]
fn every_word_that_is_begun_can_be_completed() {
    for word in [&b"END\r"[..], b"VALUE 7 0 1", b"ERRO", b"CLIENT_ERRO", b"SERVER_ERROR"] {
        for end in 1..=word.len() {
            assert!(can_be_completed(&word[..end]), "{}", word[..end].escape_ascii());
        }
    }
}

#[test]
fn claimed_lengths() {
    let header = |length: &str| format!("VALUE 7 0 {length}\r\n");
    let verdict = |length: &str| match parse_get_reply(header(length).as_bytes()) {
        Parsed::Complete { reply: Reply::TooLarge { length, .. }, .. } => Ok(Some(length)),
        Parsed::Partial => Ok(None),
        Parsed::Invalid(error) => Err(error),
        other => panic!("{length}: {other:?}"),
    };
    assert_eq!(verdict("0"), Ok(None));
    assert_eq!(verdict(&MAX_STORED.to_string()), Ok(None));
    assert_eq!(verdict("8192"), Ok(Some(8192)));
    assert_eq!(verdict("1073741824"), Ok(Some(1 << 30)));
    for lie in ["-1", "1073741825", "2147483648", "4294967296", "18446744073709551616"] {
        assert_eq!(verdict(lie), Err(ProtocolError::BadLength), "{lie}");
    }
}
