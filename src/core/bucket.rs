//! The leaky bucket as a meter: what `ngx_http_limit_req_module` decides by, in integers.
//!
//! A request fills a bucket by [`REQUEST`]; the bucket leaks at the limit's rate. A request passes
//! while what the bucket holds before it, the *excess*, is no more than the burst. (nginx keeps the
//! excess of the last request, we keep the level after it, which is one request more; so that an empty
//! bucket is zero, and a key that was never seen is the same as one that has long been idle.)

use super::rate::{Rate, REQUEST};

/// The largest burst, in requests: with one request more a level still fits 32 bits.
pub const BURST_MAX: u32 = u32::MAX / REQUEST - 1;

/// A clock that is behind the one that wrote a bucket by no more than this, in milliseconds, is
/// taken to show the same time (`ngx_http_limit_req_lookup`).
const CLOCK_STEP: u32 = 60_000;

/// A bucket idle for longer, in milliseconds, is written anew by [`Bucket::rest`], long before the
/// clock of 32 bits comes round: 12.4 days.
const IDLE_MAX: u32 = 1 << 30;

/// A bucket of which nobody knows how fast it leaks is forgotten when it was idle for longer, in
/// milliseconds: 45 days, of the 49.7 in which the clock comes round.
const UNKNOWN_MAX: u32 = 45 * 86_400_000;

/// What a limit asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How fast its bucket leaks.
    pub rate: Rate,
    /// The greatest excess that passes, in thousandths of a request; at most [`BURST_MAX`] requests.
    pub burst: u32,
    /// The greatest excess that passes without a delay, in thousandths of a request.
    pub delay: u32,
}

/// A bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What it held after the last request, in thousandths of a request.
    pub level: u32,
    /// When that was: the lower 32 bits of a clock of milliseconds.
    pub last: u32,
}

/// What a limit says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It passes.
    Passes {
        /// What the bucket held before it.
        excess: u32,
        /// How long it is to be held back, in milliseconds.
        delay: u64,
        /// The bucket with this request in it.
        charged: Bucket,
    },
    /// It is over the burst.
    Refused {
        /// What the bucket holds.
        excess: u32,
        /// The least number of milliseconds after which it passes, if no other request comes.
        wait: u64,
    },
}

/// What becomes of a bucket that nobody has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It stays.
    Stays,
    /// It is empty: as good as none.
    IsEmpty,
    /// It is written with a newer time.
    Becomes(Bucket),
}

impl Bucket {
    /// The bucket of a key that was never seen.
    pub const EMPTY: Self = Self { level: 0, last: 0 };

    /// As one word.
    #[inline]
    pub fn to_word(self) -> u64 {
        u64::from(self.level) << 32 | u64::from(self.last)
    }

    /// From its word.
    #[inline]
    pub fn from_word(word: u64) -> Self {
        Self { level: (word >> 32) as u32, last: word as u32 }
    }

    /// The milliseconds since the last request; none if the clock is a little behind.
    #[inline]
    pub fn idle(self, now: u64) -> u32 {
        let idle = (now as u32).wrapping_sub(self.last);
        if idle > u32::MAX - CLOCK_STEP {
            0
        } else {
            idle
        }
    }

    /// What it holds at `now`, in thousandths of a request.
    #[inline]
    pub fn level_at(self, rate: Rate, now: u64) -> u32 {
        let leaks = rate.leaks(self.idle(now));
        u64::from(self.level).saturating_sub(leaks) as u32
    }

    /// What `limit` says to a request at `now`.
    #[inline(always)]
    pub fn offer(self, limit: &Limit, now: u64) -> Offer {
        let idle = self.idle(now);
        let excess = u64::from(self.level).saturating_sub(limit.rate.leaks(idle)) as u32;
        if excess > limit.burst {
            return Offer::Refused { excess, wait: self.wait(limit, now) };
        }
        let over = excess.saturating_sub(limit.delay);
        let delay = if over == 0 { 0 } else { limit.rate.time_of(over) };
        // A clock that is behind does not set the time back, or the leak would count twice.
        let is_behind = idle == 0 && self.level > 0;
        let last = if is_behind { self.last } else { now as u32 };
        Offer::Passes {
            excess,
            delay,
            charged: Self { level: excess.saturating_add(REQUEST), last },
        }
    }

    /// The least number of milliseconds after which `limit` lets a request pass, if there is no other.
    fn wait(self, limit: &Limit, now: u64) -> u64 {
        let needed = limit.rate.time_until(self.level.saturating_sub(limit.burst));
        match self.idle(now) {
            0 => needed.saturating_add(self.last.wrapping_sub(now as u32).into()),
            idle => needed.saturating_sub(idle.into()),
        }
    }

    /// The bucket as it was before one of its requests: what is taken back leaves no trace.
    pub fn without_request(self) -> Self {
        match self.level.checked_sub(REQUEST) {
            None | Some(0) => Self::EMPTY,
            Some(level) => Self { level, ..self },
        }
    }

    /// How much it matters that this bucket is kept: first what it holds, then how lately it was used.
    #[inline]
    pub fn weight(self, rate: Rate, now: u64) -> (u64, u32) {
        let idle = self.idle(now);
        (rate.left(self.level, idle), u32::MAX.wrapping_sub(idle))
    }

    /// No bucket's weight is more.
    pub const HEAVIEST: (u64, u32) = (u64::MAX, u32::MAX);

    /// What becomes of it at `now`, if it is asked so again within four days. A limit whose rate is each
    /// request's own gives none: then nothing leaks here, and the bucket stays as it is for 45 days.
    pub fn rest(self, rate: Option<Rate>, now: u64) -> Rest {
        let Some(rate) = rate else {
            let is_over = self.level == 0 || self.idle(now) > UNKNOWN_MAX;
            return if is_over { Rest::IsEmpty } else { Rest::Stays };
        };
        match self.level_at(rate, now) {
            0 => Rest::IsEmpty,
            level if self.idle(now) > IDLE_MAX => Rest::Becomes(Self { level, last: now as u32 }),
            _ => Rest::Stays,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn limit(rate: &str, burst: u32) -> Limit {
        let rate = Rate::parse(rate.as_bytes()).unwrap();
        Limit { rate, burst: burst * REQUEST, delay: 0 }
    }

    /// The bucket after one more request. `None`: it was refused.
    fn after(bucket: Bucket, limit: &Limit, now: u64) -> Option<Bucket> {
        match bucket.offer(limit, now) {
            Offer::Passes { charged, .. } => Some(charged),
            Offer::Refused { .. } => None,
        }
    }

    /// A bucket in which `count` requests came at once.
    fn of(count: u32, limit: &Limit, now: u64) -> Bucket {
        (0..count).fold(Bucket::EMPTY, |bucket, _| after(bucket, limit, now).unwrap())
    }

    #[test]
    fn a_burst_passes_and_no_more() {
        let limit = limit("1r/s", 5);
        let full = of(6, &limit, 7);
        assert_eq!(full, Bucket { level: 6000, last: 7 });
        assert_eq!(full.offer(&limit, 7), Offer::Refused { excess: 6000, wait: 1000 });
        assert_eq!(full.offer(&limit, 1006), Offer::Refused { excess: 5001, wait: 1 });
        assert_eq!(after(full, &limit, 1007), Some(Bucket { level: 6000, last: 1007 }));
    }

    #[test]
    fn the_delay_is_of_the_excess_over_what_passes_at_once() {
        let limit = Limit { delay: 2000, ..limit("2r/s", 5) };
        let delays = (0..6).map(|count| match of(count, &limit, 0).offer(&limit, 0) {
            Offer::Passes { delay, .. } => delay,
            Offer::Refused { .. } => panic!("refused"),
        });
        assert_eq!(delays.collect::<Vec<_>>(), [0, 0, 0, 500, 1000, 1500]);
    }

    #[test]
    fn an_idle_key_is_forgotten_however_long_it_idles() {
        let limit = limit("1r/s", 0);
        for days in [1, 20, 25, 49] {
            for start in [0, 3_000_000_000, u64::from(u32::MAX), DAY * 1000] {
                let bucket = of(1, &limit, start);
                let now = start + days * DAY;
                assert_eq!(bucket.level_at(limit.rate, now), 0, "{days} days from {start}");
                assert!(after(bucket, &limit, now).is_some());
            }
        }
    }

    #[test]
    fn a_sweep_keeps_the_clock_from_coming_round() {
        for rate in ["1r/s", "1r/d"] {
            let limit = limit(rate, 0);
            let (mut bucket, mut now) = (of(1, &limit, 0), 0);
            let mut forgotten = false;
            // 50 days, of which the last is one in which the 32 bits come round.
            while now < 50 * DAY && !forgotten {
                now += DAY;
                match bucket.rest(Some(limit.rate), now) {
                    Rest::Stays => {}
                    Rest::IsEmpty => forgotten = true,
                    Rest::Becomes(rewritten) => bucket = rewritten,
                }
            }
            assert!(forgotten, "{rate}");
            assert!(now <= 2 * DAY);
        }
    }

    #[test]
    fn a_debt_of_months_is_paid_at_its_rate() {
        let limit = limit("1r/d", 200);
        let mut bucket = of(200, &limit, 0);
        for day in 1..=100 {
            match bucket.rest(Some(limit.rate), day * DAY) {
                Rest::Stays => {}
                Rest::IsEmpty => panic!("forgotten after {day} days"),
                Rest::Becomes(rewritten) => bucket = rewritten,
            }
        }
        let level = bucket.level_at(limit.rate, 100 * DAY);
        assert!((100_000..=100_010).contains(&level), "{level}");
    }

    #[test]
    fn a_bucket_without_a_rate_of_its_own_stays_for_45_days() {
        let limit = limit("1r/40d", 0);
        let bucket = of(1, &limit, 0);
        for day in 1..=49 {
            let forgotten = day > 45;
            let rest = if forgotten { Rest::IsEmpty } else { Rest::Stays };
            assert_eq!(bucket.rest(None, day * DAY), rest, "day {day}");
            let passes = matches!(bucket.offer(&limit, day * DAY), Offer::Passes { .. });
            assert_eq!(passes, day >= 40, "day {day}");
        }
    }

    #[test]
    fn a_clock_a_little_behind_neither_leaks_nor_sets_the_time_back() {
        let limit = limit("1r/s", 5);
        let bucket = of(1, &limit, 100_000);
        for now in [99_999, 40_000] {
            let charged = after(bucket, &limit, now).unwrap();
            assert_eq!(charged, Bucket { level: 2000, last: 100_000 }, "at {now}");
        }
        assert_eq!(
            after(Bucket::EMPTY, &limit, u64::from(u32::MAX - 5)).unwrap().last,
            u32::MAX - 5
        );
    }

    #[test]
    fn the_wait_is_exact() {
        for rate in ["1r/s", "7r/s", "1r/m", "1000r/d", "10r/7s"] {
            for burst in [0, 3] {
                let limit = limit(rate, burst);
                let full = of(burst + 1, &limit, 500);
                for now in [500, 501, 499, 700] {
                    let Offer::Refused { wait, .. } = full.offer(&limit, now) else { continue };
                    assert!(after(full, &limit, now + wait).is_some(), "{rate} {burst} {now}");
                    assert!(after(full, &limit, now + wait - 1).is_none(), "{rate} {burst} {now}");
                }
            }
        }
    }

    #[test]
    fn the_largest_burst_fits() {
        assert_eq!(BURST_MAX, 4_294_966);
        let limit = limit("1r/s", BURST_MAX);
        let full = Bucket { level: limit.burst, last: 0 };
        let charged = after(full, &limit, 0).unwrap();
        assert_eq!(charged.level, BURST_MAX * REQUEST + REQUEST);
        assert!(after(charged, &limit, 0).is_none());
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let limit = limit("1r/s", 5);
        assert_eq!(of(1, &limit, 7).without_request(), Bucket::EMPTY);
        assert_eq!(of(3, &limit, 7).without_request(), of(2, &limit, 7));
    }

    #[test]
    fn the_weight_is_of_the_debt_then_of_the_use() {
        let limit = limit("1r/s", 9);
        let weight = |count, last| of(count, &limit, last).weight(limit.rate, 10_000);
        let order = [weight(1, 1000), weight(1, 8000), weight(2, 9999), weight(8, 5000)];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn a_word_is_a_bucket() {
        let bucket = Bucket { level: 0x1234_5678, last: 0x9abc_def0 };
        assert_eq!(Bucket::from_word(bucket.to_word()), bucket);
    }
}
