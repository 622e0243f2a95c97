//! What several limits together say to a request.

use std::cmp::Reverse;

use super::bucket::{Bucket, Limit, Offer};
use super::rate::REQUEST;

/// What has become of a request: the values of `$smart_limit_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All limits let it pass.
    Passed,
    /// It was held back.
    Delayed,
    /// It was refused.
    Rejected,
    /// It would have been held back.
    DelayedDryRun,
    /// It would have been refused.
    RejectedDryRun,
    /// It was not asked about.
    Bypassed,
    /// It has a seat in the room.
    Admitted,
    /// It waits in the room.
    Waiting,
    /// It would wait in the room.
    WaitingDryRun,
    /// The room is full.
    Full,
}

impl Status {
    /// The text of `$smart_limit_status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Delayed => "DELAYED",
            Self::Rejected => "REJECTED",
            Self::DelayedDryRun => "DELAYED_DRY_RUN",
            Self::RejectedDryRun => "REJECTED_DRY_RUN",
            Self::Bypassed => "BYPASSED",
            Self::Admitted => "ADMITTED",
            Self::Waiting => "WAITING",
            Self::WaitingDryRun => "WAITING_DRY_RUN",
            Self::Full => "FULL",
        }
    }
}

/// What one limit has said.
#[derive(Clone, Copy, Debug)]
pub struct Vote {
    /// The limit.
    pub limit: Limit,
    /// What it has said.
    pub offer: Offer,
    /// Whether it only says what it would do.
    pub is_dry: bool,
}

/// What a limit tells a client: the fields of draft-ietf-httpapi-ratelimit-headers-11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// `q`: the most requests at once.
    pub quota: u32,
    /// `w`: the seconds in which a full bucket leaks.
    pub window: u64,
    /// `r`: the requests that would pass now.
    pub remaining: u32,
    /// `t`: the seconds until all of `quota` would pass again.
    pub reset: u64,
}

impl Vote {
    /// What this limit alone makes of the request.
    #[inline]
    pub fn status(&self) -> Status {
        match (self.offer, self.is_dry) {
            (Offer::Refused { .. }, false) => Status::Rejected,
            (Offer::Refused { .. }, true) => Status::RejectedDryRun,
            (Offer::Passes { delay: 0, .. }, _) => Status::Passed,
            (Offer::Passes { .. }, false) => Status::Delayed,
            (Offer::Passes { .. }, true) => Status::DelayedDryRun,
        }
    }

    /// What the bucket held before the request, in thousandths of a request.
    #[inline]
    pub fn excess(&self) -> u32 {
        match self.offer {
            Offer::Passes { excess, .. } | Offer::Refused { excess, .. } => excess,
        }
    }

    /// How long the request is to be held back, in milliseconds.
    #[inline]
    pub fn delay(&self) -> u64 {
        match self.offer {
            Offer::Passes { delay, .. } => delay,
            Offer::Refused { .. } => 0,
        }
    }

    /// The whole seconds after which this limit would let the request pass.
    pub fn retry_after(&self) -> u64 {
        match self.offer {
            Offer::Passes { .. } => 0,
            Offer::Refused { wait, .. } => wait.div_ceil(1000),
        }
    }

    /// What a client is told of the limit. `is_charged`: whether the request, if this limit lets it pass,
    /// was charged.
    pub fn quota(&self, is_charged: bool) -> Quota {
        let Limit { rate, burst, .. } = self.limit;
        let full = burst.saturating_add(REQUEST);
        let (level, reset) = match self.offer {
            Offer::Passes { charged: Bucket { level, .. }, .. } if is_charged => {
                (level, rate.time_until(level))
            }
            Offer::Passes { excess, .. } => (excess, rate.time_until(excess)),
            Offer::Refused { wait, .. } => (full, wait.saturating_add(rate.time_until(burst))),
        };
        Quota {
            quota: full / REQUEST,
            window: rate.time_until(full).div_ceil(1000),
            remaining: full.saturating_sub(level) / REQUEST,
            reset: reset.div_ceil(1000),
        }
    }

    /// The order in which votes decide: a delay that is meant, a refusal that is not, a delay that is
    /// not; of delays the longest; of those that let pass the one nearest to its burst. Of equals the
    /// later one decides, as for `limit_req`.
    #[inline]
    fn rank(&self) -> (u8, u64, Reverse<u32>) {
        let rank = match self.status() {
            Status::Delayed => 3,
            Status::RejectedDryRun => 2,
            Status::DelayedDryRun => 1,
            _ => 0,
        };
        let left = self.limit.burst.saturating_sub(self.excess());
        (rank, self.delay(), Reverse(if rank == 0 { left } else { 0 }))
    }
}

/// Which of the votes decides where no limit has refused the request. `None`: there are none.
#[inline]
pub fn decisive(votes: impl Iterator<Item = Vote>) -> Option<usize> {
    votes.enumerate().max_by_key(|(_, vote)| vote.rank()).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rate::Rate;

    fn refused(is_dry: bool) -> Vote {
        Vote { offer: Offer::Refused { excess: 9000, wait: 1001 }, ..passed(0, 0, is_dry) }
    }

    fn passed(excess: u32, delay: u64, is_dry: bool) -> Vote {
        let limit = Limit { rate: Rate::DEFAULT, burst: 5000, delay: 0 };
        let charged = Bucket { level: excess + 1000, last: 0 };
        Vote { limit, offer: Offer::Passes { excess, delay, charged }, is_dry }
    }

    fn decides(votes: &[Vote]) -> usize {
        decisive(votes.iter().copied()).unwrap()
    }

    #[test]
    fn without_limits_there_is_no_verdict() {
        assert_eq!(decisive(std::iter::empty()), None);
    }

    #[test]
    fn what_is_meant_goes_before_what_runs_dry() {
        let (delayed, passed) = (passed(1000, 500, false), passed(0, 0, false));
        let dry = |vote| Vote { is_dry: true, ..vote };
        assert_eq!(decides(&[refused(true), delayed, passed]), 1);
        assert_eq!(decides(&[dry(delayed), passed, refused(true)]), 2);
        assert_eq!(decides(&[passed, dry(delayed), passed]), 1);
    }

    #[test]
    fn the_longest_delay_decides_and_the_last_of_equals() {
        let delayed = |delay| passed(1000, delay, false);
        assert_eq!(decides(&[delayed(400), delayed(500), delayed(300)]), 1);
        assert_eq!(decides(&[delayed(500), delayed(500)]), 1);
    }

    #[test]
    fn of_those_that_pass_the_nearest_to_its_burst_is_named() {
        assert_eq!(
            decides(&[passed(0, 0, false), passed(3000, 0, false), passed(10, 0, false)]),
            1
        );
    }

    #[test]
    fn a_vote_alone_is_a_status() {
        let status = |vote: Vote| vote.status().name();
        assert_eq!(status(passed(0, 0, false)), "PASSED");
        assert_eq!(status(passed(0, 0, true)), "PASSED");
        assert_eq!(status(passed(0, 1, false)), "DELAYED");
        assert_eq!(status(passed(0, 1, true)), "DELAYED_DRY_RUN");
        assert_eq!(status(refused(false)), "REJECTED");
        assert_eq!(status(refused(true)), "REJECTED_DRY_RUN");
    }

    #[test]
    fn a_client_is_told_whole_seconds() {
        assert_eq!(refused(false).retry_after(), 2);
        assert_eq!(passed(0, 0, false).retry_after(), 0);
    }

    #[test]
    fn the_quota_is_what_would_pass() {
        let quota = |vote: Vote, is_charged| {
            let quota = vote.quota(is_charged);
            (quota.quota, quota.window, quota.remaining, quota.reset)
        };
        assert_eq!(quota(passed(0, 0, false), true), (6, 6, 5, 1));
        assert_eq!(quota(passed(0, 0, false), false), (6, 6, 6, 0));
        assert_eq!(quota(passed(1, 0, false), true), (6, 6, 4, 2));
        assert_eq!(quota(passed(5000, 0, false), true), (6, 6, 0, 6));
        assert_eq!(quota(refused(false), true), (6, 6, 0, 7), "1001 ms until five are left");
    }
}
