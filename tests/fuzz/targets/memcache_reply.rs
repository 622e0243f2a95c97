//! The parser of memcached's replies, against a slow one that reads the protocol line by line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::memcache::{parse_get_reply, Parsed, Reply};
use ngx_http_smart_module::core::{key, value};

/// What an incomplete reply may have at most: the longest value with the longest header, or an
/// error's line of 1 KiB.
const LONGEST_PARTIAL: usize = value::MAX_STORED + 300;

fuzz_target!(|input: &[u8]| {
    let parsed = parse_get_reply(input);
    let expected = read_slowly(input);
    match parsed {
        Parsed::Complete { reply, consumed } => assert_eq!(expected, Some((reply, consumed))),
        _ => assert_eq!(expected, None),
    }

    // No verdict changes when more arrives, and none comes late.
    let longer = [input, b"\r\nEND\r\n"].concat();
    match parsed {
        Parsed::Partial => {
            assert!(input.len() <= LONGEST_PARTIAL);
            assert_partial_before(input, input.len());
        }
        Parsed::Complete { consumed, .. } => {
            assert_eq!(parse_get_reply(&longer), parsed);
            assert_partial_before(input, consumed);
        }
        Parsed::Invalid(_) => assert_eq!(parse_get_reply(&longer), parsed),
    }
});

/// Every prefix shorter than `end` has asked for more; of a long one some are tried.
fn assert_partial_before(input: &[u8], end: usize) {
    for shorter in (0..end).step_by(1 + end / 64).chain(end.checked_sub(1)) {
        assert_eq!(parse_get_reply(&input[..shorter]), Parsed::Partial, "cut at {shorter}");
    }
}

/// The reply that is complete at the front of `input`, if there is one.
fn read_slowly(input: &[u8]) -> Option<(Reply<'_>, usize)> {
    let line_end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, body) = (&input[..line_end], &input[line_end + 2..]);
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    match words[..] {
        [b"END"] => Some((Reply::End, 5)),
        [b"SERVER_ERROR", ..] => {
            let text = line.get(b"SERVER_ERROR ".len()..).unwrap_or_default();
            let valid = text.len() <= 1024 && !text.iter().any(u8::is_ascii_control);
            valid.then_some((Reply::ServerError(text), line_end + 2))
        }
        [b"VALUE", key, flags, length] => {
            key::check(key).ok()?;
            number_of_digits(flags, 10)?;
            let length = number_of_digits(length, 20)?;
            let length = u64::try_from(length).ok().filter(|length| *length <= 1 << 30)?;
            if length > value::MAX_STORED as u64 {
                return Some((Reply::TooLarge { key, length }, line_end + 2));
            }
            let data = body.get(..length as usize)?;
            let end = line_end + 2 + data.len() + 2;
            body[data.len()..].starts_with(b"\r\n").then_some((Reply::Value { key, data }, end))
        }
        _ => None,
    }
}

fn number_of_digits(word: &[u8], most: usize) -> Option<u128> {
    let digits = word.len() <= most && word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| digits)?.parse().ok()
}
