//! Numbers with a fraction, written exactly.

use std::fmt;
use std::num::NonZero;

const TEN: NonZero<u64> = NonZero::<u64>::MIN.saturating_add(9);
const HUNDRED: NonZero<u64> = TEN.saturating_pow(2);
const THOUSAND: NonZero<u64> = TEN.saturating_pow(3);
const MILLION: NonZero<u64> = TEN.saturating_pow(6);

/// A whole number of hundredths, thousandths or millionths: written without exponent and exactly, which floating
/// point could not promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    parts: u64,
    parts_of_one: NonZero<u64>,
}

impl Decimal {
    /// Hundredths.
    pub fn of_hundredths(parts: u64) -> Self {
        Self { parts, parts_of_one: HUNDRED }
    }

    /// Thousandths, such as milliseconds of seconds.
    pub fn of_thousandths(parts: u64) -> Self {
        Self { parts, parts_of_one: THOUSAND }
    }

    /// Millionths, such as microseconds of seconds.
    pub fn of_millionths(parts: u64) -> Self {
        Self { parts, parts_of_one: MILLION }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut rest = self.parts % self.parts_of_one;
        let mut places = self.parts_of_one.ilog10() as usize;
        // Zeros at the end say nothing, but for the one behind the point.
        while places > 1 && rest % 10 == 0 {
            rest /= 10;
            places = places.saturating_sub(1);
        }
        write!(formatter, "{}.{rest:0places$}", self.parts / self.parts_of_one)
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn is_exact_without_exponent_and_without_zeros_that_say_nothing() {
        for (micros, text) in [
            (0, "0.0"),
            (1, "0.000001"),
            (10, "0.00001"),
            (999_999, "0.999999"),
            (1_000_000, "1.0"),
            (1_000_001, "1.000001"),
            (1_200_000, "1.2"),
            (9_007_199_254_740_993, "9007199254.740993"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(Decimal::of_millionths(micros).to_string(), text);
        }
        assert_eq!(Decimal::of_thousandths(1500).to_string(), "1.5");
        assert_eq!(Decimal::of_thousandths(u64::MAX).to_string(), "18446744073709551.615");
        assert_eq!(Decimal::of_hundredths(340).to_string(), "3.4");
    }
}
