//! The grammar of rates, against one read in another way; and that no bucket at such a rate lets more
//! through than it may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::bucket::{Bucket, Limit, Offer};
use ngx_http_smart_module::core::rate::{Rate, REQUEST};

fuzz_target!(|text: &[u8]| {
    let rate = Rate::parse(text);
    let expected = expected(text);
    assert_eq!(rate.is_ok(), expected.is_some());
    if let (Ok(rate), Some((requests, seconds))) = (rate, expected) {
        leaks_as_it_says(rate, requests, seconds);
        lets_no_more_through(rate, text);
    }
});

/// The requests and seconds of a rate, in lowest terms.
fn expected(text: &[u8]) -> Option<(u128, u128)> {
    let text = std::str::from_utf8(text).ok()?;
    let (requests, time) = text.split_once("r/").unwrap_or((text, "s"));
    let units = time.strip_suffix(['s', 'm', 'h', 'd'])?;
    let unit = match time.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        _ => 86_400,
    };
    let units = if units.is_empty() { 1 } else { decimal(units)? };
    let (requests, seconds) = (decimal(requests)?, units * unit);
    if requests == 0 || seconds == 0 || seconds > 49 * 86_400 {
        return None;
    }
    let divisor = (1..=seconds).rev().find(|by| seconds % by == 0 && requests % by == 0)?;
    let (requests, seconds) = (requests / divisor, seconds / divisor);
    (requests <= u32::MAX.into()).then_some((requests, seconds))
}

/// A decimal number that 64 bits hold.
fn decimal(text: &str) -> Option<u128> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = text.parse().ok().filter(|_| is_decimal)?;
    Some(number.into())
}

fn leaks_as_it_says(rate: Rate, requests: u128, seconds: u128) {
    for time in [0, 1, 999, 1000, 86_400_000, u32::MAX] {
        assert_eq!(u128::from(rate.leaks(time)), u128::from(time) * requests / seconds);
    }
}

/// A burst of three, then requests at times that the text chooses.
fn lets_no_more_through(rate: Rate, text: &[u8]) {
    let limit = Limit { rate, burst: 3 * REQUEST, delay: 0 };
    let (mut bucket, mut now, mut passed) = (Bucket::EMPTY, 1000, 0_u64);
    for byte in text.iter().cycle().take(100) {
        now += u64::from(*byte) * u64::from(*byte);
        if let Offer::Passes { charged, .. } = bucket.offer(&limit, now) {
            passed += 1;
            bucket = charged;
        }
        let time = u32::try_from(now - 1000).expect("some hours");
        let most = (4 * u64::from(REQUEST)).saturating_add(rate.leaks(time)) / u64::from(REQUEST);
        assert!(passed <= most, "{passed} of {most} in {time} ms");
    }
}
