//! How many requests a limit lets through in a time, as directives write it: `10r/s`, `30r/m`,
//! `100r/h`, `1000r/d`, `10r/5s`.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU64;

/// A request, in the unit in which requests are counted: `ngx_http_limit_req_module` too counts
/// thousandths.
pub const REQUEST: u32 = 1000;

/// The longest time a rate may be over, in milliseconds: 49.7 days.
const PERIOD_MAX: u64 = u32::MAX as u64;

/// The units of time, in milliseconds, and how they are written.
const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];

const THOUSAND: NonZeroU64 = match NonZeroU64::new(1000) {
    Some(thousand) => thousand,
    None => NonZeroU64::MIN,
};

/// A rate: an exact fraction, where `limit_req` rounds to thousandths of a request per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Thousandths of a request …
    amount: NonZeroU64,
    /// … in so many milliseconds.
    period: NonZeroU64,
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
    pub const DEFAULT: Self = Self { amount: THOUSAND, period: THOUSAND };

    /// Reads a rate: a number of requests, then `r/`, a number of units if it is more than one, and
    /// the unit: `s`, `m`, `h` or `d`. A number alone is per second, as for `limit_req`.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidRate> {
        let (requests, rest) = number(text).ok_or(InvalidRate)?;
        let (units, unit) = match rest.strip_prefix(b"r/") {
            Some(time) => number(time).unwrap_or((1, time)),
            None if rest.is_empty() => (1, &b"s"[..]),
            None => return Err(InvalidRate),
        };
        let unit = UNITS.iter().find(|(_, letter)| unit == letter.as_bytes());
        let (unit, _) = unit.ok_or(InvalidRate)?;
        let amount = requests.checked_mul(REQUEST.into()).and_then(NonZeroU64::new);
        let period = units.checked_mul(*unit).filter(|period| *period <= PERIOD_MAX);
        match (amount, period.and_then(NonZeroU64::new)) {
            (Some(amount), Some(period)) => Ok(Self { amount, period }),
            _ => Err(InvalidRate),
        }
    }

    /// What leaks in `time` milliseconds, in thousandths of a request, rounded down.
    #[inline]
    pub fn leaks(self, time: u32) -> u64 {
        // A product over the range divides to more than any bucket holds, because of `PERIOD_MAX`.
        u64::from(time).saturating_mul(self.amount.get()) / self.period
    }

    /// The milliseconds in which `amount` thousandths of a request leak, rounded down.
    #[inline]
    pub fn time_of(self, amount: u32) -> u64 {
        u64::from(amount).saturating_mul(self.period.get()) / self.amount
    }

    /// The least number of milliseconds after which `amount` has leaked.
    pub fn time_until(self, amount: u32) -> u64 {
        u64::from(amount).saturating_mul(self.period.get()).div_ceil(self.amount.get())
    }

    /// Two amounts on one scale: what `level` holds and what leaks in `time`, neither rounded.
    #[inline]
    pub(super) fn compare(self, level: u32, time: u32) -> (u64, u64) {
        let level = u64::from(level).saturating_mul(self.period.get());
        (level, u64::from(time).saturating_mul(self.amount.get()))
    }
}

impl fmt::Display for Rate {
    /// As a directive would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.amount.get() / THOUSAND;
        let period = self.period.get();
        let divides = |unit: &u64| period.checked_rem(*unit) == Some(0);
        let (unit, letter) =
            UNITS.into_iter().find(|(unit, _)| divides(unit)).unwrap_or((1000, "s"));
        match period.checked_div(unit) {
            Some(1) => write!(f, "{requests}r/{letter}"),
            units => write!(f, "{requests}r/{}{letter}", units.unwrap_or_default()),
        }
    }
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

    fn of(requests: u64, period: u64) -> Rate {
        let of = |number| NonZeroU64::new(number).unwrap();
        Rate { amount: of(requests * 1000), period: of(period) }
    }

    fn rate(text: &str) -> Rate {
        Rate::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_way_to_write_a_rate() {
        assert_eq!(rate("1r/s"), Rate::DEFAULT);
        for (text, requests, period) in [
            ("10r/s", 10, 1000),
            ("10", 10, 1000),
            ("30r/m", 30, 60_000),
            ("100r/h", 100, 3_600_000),
            ("1000r/d", 1000, 86_400_000),
            ("10r/5s", 10, 5000),
            ("1r/49d", 1, 49 * 86_400_000),
            ("007r/1s", 7, 1000),
        ] {
            assert_eq!(rate(text), of(requests, period), "{text}");
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
            "18446744073709551616r/s",
            "18446744073709552r/s",
            "1r/18446744073709551616s",
            "1r/-1s",
            "1\0r/s",
            "1r/5",
        ] {
            assert_eq!(Rate::parse(text.as_bytes()), Err(InvalidRate), "{text:?}");
        }
    }

    #[test]
    fn a_rate_is_written_as_it_was_read() {
        for text in ["1r/s", "30r/m", "100r/h", "1000r/d", "10r/5s", "3r/90s", "7r/49d"] {
            assert_eq!(rate(text).to_string(), text);
        }
        assert_eq!(rate("60r/60s").to_string(), "60r/m");
    }

    #[test]
    fn leaking_and_its_time_are_each_others_inverse() {
        for text in ["1r/s", "7r/s", "1r/m", "1000r/d", "10r/7s", "1r/49d", "4294967r/s"] {
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
        let fast = rate("18446744073709551r/s");
        assert!(fast.leaks(u32::MAX) >= u32::MAX.into());
        let fast = rate("18446744073709551r/49d");
        assert!(fast.leaks(u32::MAX) >= u32::MAX.into());
        assert_eq!(rate("1r/49d").time_of(u32::MAX), 18_183_173_540_112_000);
    }
}
