//! Log-linear histograms: of sizes in bytes and of times, whatever their range, in one fixed size.
//!
//! Each power of two is divided into eight equal buckets, as in HdrHistogram (Tene, 2012), so that a bucket is
//! never wider than an eighth of the least value in it: a quantile is too high by at most 12.5 %.

/// Buckets of each power of two, and those of the values below.
const STEPS: usize = 8;

/// Its logarithm.
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// The bits of the largest value that has a bucket of its own; what is larger is in that one too: 64 GiB where the unit
/// is a byte, 19 hours where it is a microsecond.
const VALUE_BITS: u32 = 36;

/// How many buckets there are.
pub const BUCKETS: usize = (VALUE_BITS - STEP_BITS + 1) as usize * STEPS;

/// The bucket of a value. What is too large has the last one.
#[inline]
#[allow(clippy::arithmetic_side_effects)] // The logarithm is in 4…63 where that of a step is 3.
pub fn bucket_of(value: u64) -> usize {
    // Below two steps' worth each value has a bucket of its own, by the same formula.
    let log = (value | (2 * STEPS as u64 - 1)).ilog2() as usize;
    // The value in whole steps, of which the leading bit is one power's worth, behind the buckets of the smaller
    // powers; all by so much too high as the smallest power is, which costs nothing where it is an index. Bits that are
    // lost are those of a value that is too large.
    let above = ((value << STEP_BITS) >> log) as usize + (log << STEP_BITS);
    above.min(BUCKETS - 1 + BELOW) - BELOW
}

/// What the powers of two that have no eight buckets would take.
const BELOW: usize = (STEP_BITS as usize) << STEP_BITS;

/// The least and the largest value of a bucket.
#[allow(clippy::arithmetic_side_effects)] // A bucket's shift is in 0…32.
pub fn bounds_of(bucket: usize) -> (u64, u64) {
    let bucket = bucket.min(BUCKETS - 1);
    if bucket < STEPS {
        return (bucket as u64, bucket as u64);
    }
    let shift = (bucket / STEPS - 1) as u32;
    let least = ((bucket % STEPS + STEPS) as u64) << shift;
    (least, least + (1 << shift) - 1)
}

/// A histogram as it was when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Up to the last bucket that has something.
    counts: Vec<u64>,
    count: u64,
    sum: u64,
}

impl Histogram {
    /// Of the counts of the buckets, the first first, and the sum of all values. What is missing is zero.
    pub fn new(counts: impl IntoIterator<Item = u64>, sum: u64) -> Self {
        let mut histogram = Self { sum, ..Self::default() };
        for (bucket, count) in counts.into_iter().take(BUCKETS).enumerate() {
            if count > 0 {
                histogram.put(bucket, count);
            }
        }
        histogram
    }

    fn put(&mut self, bucket: usize, count: u64) {
        let length = bucket.saturating_add(1);
        if self.counts.len() < length {
            // In one go: most histograms end within a few buckets of where they begin.
            self.counts.reserve_exact(BUCKETS.saturating_sub(self.counts.len()));
            self.counts.resize(length, 0);
        }
        if let Some(place) = self.counts.get_mut(bucket) {
            *place = place.saturating_add(count);
        }
        self.count = self.count.saturating_add(count);
    }

    /// Counts `times` more of a value.
    pub fn add(&mut self, value: u64, times: u64) {
        if times > 0 {
            self.put(bucket_of(value), times);
        }
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
    }

    /// Counts all of another too.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.put(bucket, *count);
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The mean of all values. `None`: there are none.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.count())
    }

    /// The value that so many thousandths of all do not exceed, or up to 12.5 % more: the largest value of its
    /// bucket. `None`: there are none.
    pub fn quantile(&self, permille: u64) -> Option<u64> {
        let wanted = u128::from(self.count).saturating_mul(permille.min(1000).into());
        let wanted = u64::try_from(wanted.div_ceil(1000)).unwrap_or(self.count).max(1);
        let mut passed = 0_u64;
        for (bucket, here) in self.counts.iter().enumerate() {
            passed = passed.saturating_add(*here);
            if passed >= wanted {
                return Some(bounds_of(bucket).1);
            }
        }
        None
    }

    /// How many values are in buckets that end at or below a limit.
    pub fn up_to(&self, limit: u64) -> u64 {
        self.buckets()
            .take_while(|(_, largest, _)| *largest <= limit)
            .fold(0, |sum, (_, _, count)| sum.saturating_add(count))
    }

    /// How many values are [up to](Self::up_to) each of some limits, then (`None`) how many there are.
    pub fn cumulative<'a>(
        &'a self,
        limits: &'a [u64],
    ) -> impl Iterator<Item = (Option<u64>, u64)> + 'a {
        let limited = limits.iter().map(|limit| (Some(*limit), self.up_to(*limit)));
        limited.chain(std::iter::once_with(|| (None, self.count())))
    }

    /// The values in buckets that end at or below a limit alone.
    pub fn limited_to(&self, limit: u64) -> Self {
        let kept = self.buckets().take_while(|(_, largest, _)| *largest <= limit);
        let mut limited = Self::default();
        for (least, largest, count) in kept {
            limited.add(least.midpoint(largest), count);
        }
        limited
    }

    /// The buckets: least and largest value, and how many values.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.counts.iter().enumerate().map(|(bucket, count)| {
            let (least, largest) = bounds_of(bucket);
            (least, largest, *count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            let (least, largest) = bounds_of(bucket);
            assert_eq!(least, next, "bucket {bucket}");
            assert_eq!((bucket_of(least), bucket_of(largest)), (bucket, bucket));
            next = largest + 1;
        }
        assert_eq!(next, 1 << VALUE_BITS);
        assert_eq!(bucket_of(next), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn no_bucket_is_wider_than_an_eighth_of_its_least_value() {
        for bucket in STEPS..BUCKETS {
            let (least, largest) = bounds_of(bucket);
            assert!((largest - least) * 8 < least.max(1), "bucket {bucket}");
        }
    }

    #[test]
    fn quantiles_are_no_more_than_an_eighth_too_high() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(500), histogram.mean()), (None, None));
        (1..=1000).for_each(|value| histogram.add(value * 1000, 1));
        for permille in [1, 10, 500, 900, 990, 1000] {
            let exact = permille * 1000;
            let told = histogram.quantile(permille).unwrap();
            assert!(told >= exact && told - exact <= exact / 8, "{permille}: {told}");
        }
        assert_eq!((histogram.count(), histogram.mean()), (1000, Some(500_500)));
    }

    #[test]
    fn what_is_up_to_a_limit_is_in_whole_buckets() {
        let mut histogram = Histogram::default();
        histogram.add(100, 3);
        histogram.add(1 << 20, 2);
        let largest = bounds_of(bucket_of(100)).1;
        assert_eq!(histogram.up_to(largest), 3);
        assert_eq!(histogram.up_to(largest - 1), 0);
        assert_eq!(histogram.limited_to(largest).count(), 3);
        assert_eq!(histogram.up_to(u64::MAX), 5);
        let cumulative: Vec<_> = histogram.cumulative(&[1, largest]).collect();
        assert_eq!(cumulative, [(Some(1), 0), (Some(largest), 3), (None, 5)]);
    }
}
