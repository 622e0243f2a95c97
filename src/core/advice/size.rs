//! Sizes of buffers, and how numbers are told.

use std::fmt;

use crate::core::histogram::{bounds_of, bucket_of, Histogram};
use crate::core::report::buffers::Chain;

/// What all advised sizes are multiples of.
pub const STEP: u64 = 4096;

/// The next multiple of a step that is not smaller, and not zero.
pub fn round_up(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(STEP).unwrap_or(u64::MAX / STEP * STEP)
}

/// The next multiple of a step that is not larger.
pub fn round_down(size: u64) -> u64 {
    (size / STEP).saturating_mul(STEP)
}

/// How often a part is needed for a whole: at least once.
pub fn times(whole: u64, part: u64) -> u64 {
    whole.div_ceil(part.max(1)).max(1)
}

/// The least value that may be meant where a histogram tells the largest of a bucket.
pub fn least_of(quantile: u64) -> u64 {
    bounds_of(bucket_of(quantile)).0
}

/// Whether a size serves as well as another would, which is a quantile rounded up: the quantile may fit it, and it is
/// not smaller by more than a step.
pub fn serves(size: u64, quantile: u64, wanted: u64) -> bool {
    size >= wanted || (least_of(quantile) <= size && size.saturating_add(STEP) >= wanted)
}

/// The values up to a limit, if they are at least half of all.
pub fn predominant(histogram: &Histogram, limit: u64) -> Option<Histogram> {
    let short = histogram.limited_to(limit);
    let count = short.count();
    (count > 0 && count >= histogram.count() / 2).then_some(short)
}

/// The share of values, in thousandths, that certainly do not exceed a limit.
pub fn share_up_to(histogram: &Histogram, limit: u64) -> u64 {
    share(histogram.up_to(limit), histogram.count())
}

/// A share, in thousandths.
pub fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part).saturating_mul(1000).checked_div(whole.into()).unwrap_or(0);
    u64::try_from(share).unwrap_or(1000)
}

/// A size as it is written in a configuration.
pub struct Written(pub u64);

impl fmt::Display for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            0 => formatter.write_str("0"),
            size if size % (1 << 20) == 0 => write!(formatter, "{}m", size >> 20),
            size if size % 1024 == 0 => write!(formatter, "{}k", size >> 10),
            size => write!(formatter, "{size}"),
        }
    }
}

/// Buffers as they are written in a configuration.
pub fn written(chain: Chain) -> String {
    format!("{} {}", chain.number, Written(chain.size))
}

/// A size as it is said, to three digits: `11.8k`.
pub struct About(pub u64);

impl fmt::Display for About {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let (shift, unit) = match self.0 {
            size if size < 1 << 10 => return write!(formatter, "{size} bytes"),
            size if size < 1 << 20 => (10, 'k'),
            size if size < 1 << 30 => (20, 'm'),
            _ => (30, 'g'),
        };
        let tenths = u128::from(self.0).saturating_mul(10).checked_shr(shift).unwrap_or(0);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(formatter, "{whole}{unit}"),
            (whole, tenth) => write!(formatter, "{whole}.{tenth}{unit}"),
        }
    }
}

/// A count as it is said: `38,211`.
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            count if count < 1000 => write!(formatter, "{count}"),
            count => write!(formatter, "{},{:03}", Grouped(count / 1000), count % 1000),
        }
    }
}

/// A share, of thousandths, as it is said: `12.3%`.
pub struct Percent(pub u64);

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(formatter, "{whole}%"),
            (whole, tenth) => write!(formatter, "{whole}.{tenth}%"),
        }
    }
}
