//! How many requests a limit lets through in a time, as directives write it: `10r/s`, `30r/m`,
//! `100r/h`, `1000r/d`, `10r/5s`.

use std::error::Error;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

/// A request, in the unit in which requests are counted: `ngx_http_limit_req_module` too counts
/// thousandths.
pub const REQUEST: u32 = 1000;

/// The longest time a rate may be over: 49 days, which is less than the clock of a bucket.
const SECONDS_MAX: u64 = 49 * 86_400;

/// The units of time, in seconds, and how they are written.
const UNITS: [(u64, &[u8]); 4] = [(86_400, b"d"), (3600, b"h"), (60, b"m"), (1, b"s")];

/// A rate: an exact fraction, where `limit_req` rounds to thousandths of a request per second.
///
/// So many requests in so many seconds, in lowest terms; which is as many thousandths of a request in
/// as many milliseconds. Both are of 32 bits, so that no product with a level or a time overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    amount: NonZeroU32,
    period: NonZeroU32,
}

/// The text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRate;

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate is written as 10r/s, 30r/m, 100r/h, 1000r/d or 10r/5s")
    }
}

impl Error for InvalidRate {}

impl Rate {
    /// One request a second: what a limit has that names no rate.
    pub const DEFAULT: Self = Self { amount: NonZeroU32::MIN, period: NonZeroU32::MIN };

    /// Reads a rate: a number of requests, then `r/`, a number of units if it is more than one, and
    /// the unit: `s`, `m`, `h` or `d`. A number alone is per second, as for `limit_req`. In lowest terms
    /// both numbers must fit 32 bits, and the time 49 days.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidRate> {
        let (requests, rest) = number(text).ok_or(InvalidRate)?;
        let (units, unit) = match rest.strip_prefix(b"r/") {
            Some(time) => number(time).unwrap_or((1, time)),
            None if rest.is_empty() => (1, &b"s"[..]),
            None => return Err(InvalidRate),
        };
        let (unit, _) = UNITS.iter().find(|(_, letter)| unit == *letter).ok_or(InvalidRate)?;
        let seconds = units.checked_mul(*unit).filter(|seconds| *seconds <= SECONDS_MAX);
        let (requests, seconds) = lowest(requests, seconds.ok_or(InvalidRate)?)?;
        let narrow = |number| NonZeroU32::try_from(number).map_err(|_| InvalidRate);
        Ok(Self { amount: narrow(requests)?, period: narrow(seconds)? })
    }

    /// As one word, which is never zero.
    pub fn to_word(self) -> u64 {
        u64::from(self.amount.get()) << 32 | u64::from(self.period.get())
    }

    /// From its word. `None`: it is none.
    pub fn from_word(word: u64) -> Option<Self> {
        let amount = NonZeroU32::new((word >> 32) as u32)?;
        Some(Self { amount, period: NonZeroU32::new(word as u32)? })
    }

    /// What leaks in `time` milliseconds, in thousandths of a request, rounded down.
    #[inline]
    pub fn leaks(self, time: u32) -> u64 {
        product(time, self.amount) / NonZeroU64::from(self.period)
    }

    /// The milliseconds in which `amount` thousandths of a request leak, rounded down.
    #[inline]
    pub fn time_of(self, amount: u32) -> u64 {
        product(amount, self.period) / NonZeroU64::from(self.amount)
    }

    /// The least number of milliseconds after which `amount` has leaked.
    #[inline]
    pub fn time_until(self, amount: u32) -> u64 {
        product(amount, self.period).div_ceil(u64::from(self.amount.get()))
    }

    /// What is left of `level` after `time`, on a scale of its own, without rounding.
    #[inline]
    pub(super) fn left(self, level: u32, time: u32) -> u64 {
        product(level, self.period).saturating_sub(product(time, self.amount))
    }
}

/// A product of two numbers of 32 bits, which 64 bits hold.
#[inline]
fn product(a: u32, b: NonZeroU32) -> u64 {
    u64::from(a).wrapping_mul(u64::from(b.get()))
}

/// A fraction in lowest terms. An error if a term is zero.
fn lowest(a: u64, b: u64) -> Result<(NonZeroU64, NonZeroU64), InvalidRate> {
    let (mut divisor, mut rest) = (a, b);
    while let Some(next) = divisor.checked_rem(rest) {
        (divisor, rest) = (rest, next);
    }
    let term = |number: u64| number.checked_div(divisor).and_then(NonZeroU64::new);
    term(a).zip(term(b)).ok_or(InvalidRate)
}

/// The decimal number at the start of a text, and the rest. `None`: there is none, or it is too large.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(digits)?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_way_to_write_a_rate() {
        assert_eq!(rate("1r/s"), Rate::DEFAULT);
        for (text, requests, seconds) in [
            ("10r/s", 10, 1),
            ("10", 10, 1),
            ("30r/m", 1, 2),
            ("100r/h", 1, 36),
            ("1000r/d", 5, 432),
            ("10r/5s", 2, 1),
            ("10r/7s", 10, 7),
            ("1r/49d", 1, 49 * 86_400),
            ("007r/1s", 7, 1),
            ("4294967295r/s", u32::MAX, 1),
            ("10000000000r/10s", 1_000_000_000, 1),
        ] {
            let rate = rate(text);
            assert_eq!((rate.amount.get(), rate.period.get()), (requests, seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate() {
        for text in [
            "",
            "r/s",
            "0",
            "0r/s",
            "-1r/s",
            "1.5r/s",
            "1r/",
            "1r",
            "1/s",
            "1r/0s",
            "1r/w",
            "1r/ss",
            "1R/s",
            "1r/S",
            "1r/s ",
            " 1r/s",
            "1r/50d",
            "4294967296r/s",
            "18446744073709551616r/s",
            "1r/18446744073709551616s",
            "1r/213503982334602d",
            "1r/-1s",
            "1\0r/s",
            "1r/5",
        ] {
            assert_eq!(Rate::parse(text.as_bytes()), Err(InvalidRate), "{text:?}");
        }
    }

    #[test]
    fn leaking_and_its_time_are_each_others_inverse() {
        for text in ["1r/s", "7r/s", "1r/m", "1000r/d", "10r/7s", "1r/49d", "4294967295r/s"] {
            let rate = rate(text);
            for amount in [1, 999, 1000, 1001, 123_456, u32::MAX] {
                let time = rate.time_until(amount);
                let Ok(time) = u32::try_from(time) else { continue };
                assert!(rate.leaks(time) >= amount.into(), "{text} {amount}");
                assert!(time == 0 || rate.leaks(time - 1) < amount.into(), "{text} {amount}");
            }
        }
    }

    #[test]
    fn the_greatest_numbers_do_not_overflow() {
        let most = u64::from(u32::MAX);
        assert_eq!(rate("4294967295r/s").leaks(u32::MAX), most * most);
        assert_eq!(rate("1r/49d").time_of(u32::MAX), most * 49 * 86_400);
    }
}
