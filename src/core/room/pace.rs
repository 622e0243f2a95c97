//! How fast the queue moves, what that means for one who waits, and when he is to come back.

use super::rules::Rules;

/// Milliseconds over which seats that become free are counted.
const WINDOW: u64 = 300_000;

/// One who waits is told to come back after this part of what is left to wait.
const PART: u64 = 8;

/// Milliseconds after which the page of a tab that nobody looks at comes back.
const HIDDEN: u64 = 60_000;

/// Milliseconds after which a visitor comes back who has only just been given his token.
const JOINING: u64 = 1_000;

/// How often something has happened lately: counts of two windows, of which the older one fades out as the
/// newer one fills (a sliding window counter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// When the newer window began, in milliseconds; 0: nothing has happened yet.
    pub start: u64,
    /// What happened in the newer window.
    pub current: u64,
    /// What happened in the older one.
    pub previous: u64,
}

impl Meter {
    /// The same, with something that happens now.
    pub fn with_one(self, now: u64) -> Self {
        let current = self.at(now);
        Self { current: current.current.saturating_add(1), ..current }
    }

    /// How many milliseconds lie between two of them; none if nothing has happened lately.
    pub fn pause(self, now: u64) -> Option<u64> {
        let Self { start, current, previous } = self.at(now);
        let elapsed = now.saturating_sub(start).min(WINDOW);
        // Alone, a window counts for as long as it has lasted, from its first on, which has no pause before.
        let (count, span) = match previous {
            0 => (current.saturating_sub(1), elapsed),
            _ => {
                let faded = previous.saturating_mul(WINDOW.saturating_sub(elapsed)) / WINDOW;
                (current.saturating_add(faded), WINDOW)
            }
        };
        span.max(1).checked_div(count)
    }

    /// The windows at a time.
    fn at(self, now: u64) -> Self {
        let age = now.saturating_sub(self.start);
        if self.start == 0 || age >= WINDOW.saturating_mul(2) {
            Self { start: now.max(1), current: 0, previous: 0 }
        } else if age >= WINDOW {
            let start = self.start.saturating_add(WINDOW);
            Self { start, current: 0, previous: self.current }
        } else {
            self
        }
    }
}

/// What one who waits can know of the seats.
#[derive(Clone, Copy, Debug)]
pub struct Prospect {
    /// His rank, from 1 on.
    pub rank: u64,
    /// Seats that are free.
    pub free: u64,
    /// When the next seat becomes free, in milliseconds from now; none if all are free.
    pub next_free: Option<u64>,
    /// Milliseconds between two seats that became free and were taken lately, if there were any.
    pub pause: Option<u64>,
}

impl Prospect {
    /// How long he will wait, in milliseconds, if nobody before him leaves: by how fast seats became free
    /// lately; by when those that are held end if none has yet; and no faster than `admit` allows.
    pub fn wait(&self, rules: &Rules) -> u64 {
        let needed = self.rank.saturating_sub(self.free);
        let by_seats = match (needed, self.pause) {
            (0, _) => 0,
            (_, Some(pause)) => needed.saturating_mul(pause),
            (_, None) => {
                let each = rules.session.checked_div(rules.max_active.into()).unwrap_or_default();
                let others = needed.saturating_sub(1).saturating_mul(each);
                self.next_free.unwrap_or_default().saturating_add(others)
            }
        };
        let by_admissions = rules.admit.map_or(0, |rate| {
            let rank = u32::try_from(self.rank.saturating_sub(1)).unwrap_or(u32::MAX);
            rate.time_until(rank.saturating_mul(crate::core::rate::REQUEST))
        });
        by_seats.max(by_admissions)
    }
}

/// The seconds after which somebody is to come back who will wait for so long, in milliseconds: a part of it,
/// within `refresh`, more or less by up to a fifth, so that those who came together do not all return
/// together. `random`: any number.
pub fn interval(wait: u64, is_hidden: bool, rules: &Rules, random: u64) -> u64 {
    let (min, max) = rules.refresh;
    let base = (wait / PART).clamp(min, max.max(min));
    let base = if is_hidden { base.max(HIDDEN) } else { base };
    let fifth = base / 5;
    let jitter = random.checked_rem(fifth.saturating_mul(2).saturating_add(1)).unwrap_or_default();
    in_seconds(base.saturating_sub(fifth).saturating_add(jitter))
}

/// How long after the time at which he was told to come back somebody has still not lost his place, in
/// milliseconds: `absent`, and for a tab that nobody looks at what a browser may be late by, which runs the
/// timers of such a tab once a minute.
pub fn patience(is_hidden: bool, rules: &Rules) -> u64 {
    rules.absent.saturating_add(if is_hidden { HIDDEN } else { 0 })
}

/// The longest that the shortest interval can be, in milliseconds: who is next comes back within it.
pub fn shortest_interval(rules: &Rules) -> u64 {
    let shortest = rules.refresh.0;
    shortest.saturating_add(shortest / 5).saturating_add(1_000)
}

/// The longest interval that anybody is told, in milliseconds.
pub fn longest_interval(rules: &Rules) -> u64 {
    let longest = rules.refresh.1.max(rules.refresh.0).max(HIDDEN);
    longest.saturating_add(longest / 5).saturating_add(1_000)
}

/// The seconds after which a visitor comes back who has a token, but no place yet: then it is old enough.
pub fn joining_interval(rules: &Rules) -> u64 {
    match rules.entry_delay {
        0 => in_seconds(JOINING),
        // The age of a token is known to the second.
        delay => in_seconds(delay).saturating_add(1),
    }
}

/// Whether a token of this age, in seconds, is `entry_delay` old for certain: its age is known to the second.
pub fn is_old_enough(age: u64, rules: &Rules) -> bool {
    rules.entry_delay == 0 || age.saturating_sub(1).saturating_mul(1_000) >= rules.entry_delay
}

fn in_seconds(time: u64) -> u64 {
    time.div_ceil(1_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rate::Rate;
    use crate::core::room::rules::Order;

    fn rules() -> Rules {
        Rules {
            max_active: 10,
            admit: None,
            session: 600_000,
            renew: false,
            idle: None,
            absent: 20_000,
            max_waiting: None,
            per_net: None,
            entry_delay: 0,
            order: Order::Fifo,
            refresh: (5_000, 60_000),
        }
    }

    fn of(rank: u64, pause: Option<u64>) -> Prospect {
        Prospect { rank, free: 0, next_free: Some(7_000), pause }
    }

    #[test]
    fn a_meter_counts_what_happened_lately() {
        let mut meter = Meter::default();
        assert_eq!(meter.pause(5), None);
        for second in 1..=1000 {
            meter = meter.with_one(second * 1000);
        }
        let pause = meter.pause(1_000_000).unwrap();
        assert!((950..=1050).contains(&pause), "{pause}");
        assert!(meter.pause(1_300_000).unwrap() > 1500, "it fades");
        assert_eq!(meter.pause(1_700_000), None, "and is forgotten");
    }

    #[test]
    fn the_first_window_counts_for_its_own_length() {
        let meter = (0..5).fold(Meter::default(), |meter, turn| meter.with_one(1 + turn * 2000));
        assert_eq!(meter.pause(8_001), Some(2000));
        assert_eq!(Meter::default().with_one(1).pause(1), None, "one alone has no pause");
    }

    #[test]
    fn the_wait_is_of_those_before_who_find_no_seat() {
        assert_eq!(of(1, None).wait(&rules()), 7_000);
        assert_eq!(of(3, None).wait(&rules()), 7_000 + 2 * 60_000);
        assert_eq!(of(3, Some(500)).wait(&rules()), 1_500);
        assert_eq!(Prospect { free: 3, ..of(3, None) }.wait(&rules()), 0);
    }

    #[test]
    fn the_wait_is_no_shorter_than_admissions_allow() {
        let rules = Rules { admit: Some(Rate::parse(b"2r/s").unwrap()), ..rules() };
        assert_eq!(Prospect { free: 100, ..of(11, Some(1)) }.wait(&rules), 5_000);
        assert_eq!(of(u64::MAX, Some(u64::MAX)).wait(&rules), u64::MAX);
    }

    #[test]
    fn the_interval_grows_with_the_wait_and_has_bounds() {
        let rules = rules();
        for random in [0, 1, 12_345, u64::MAX] {
            let near = |wait| interval(wait, false, &rules, random);
            assert!((4..=6).contains(&near(0)), "{}", near(0));
            assert!((16..=24).contains(&near(160_000)));
            assert!((48..=72).contains(&near(u64::MAX)));
            assert!((48..=72).contains(&interval(0, true, &rules, random)));
        }
        assert_eq!(interval(0, false, &rules, 0), 4);
        assert_eq!(interval(0, false, &rules, 2_000), 6);
    }

    #[test]
    fn no_interval_is_longer_than_the_longest() {
        let rules = Rules { refresh: (1_000, 90_000), ..rules() };
        for random in 0..100_000 {
            let told = interval(u64::MAX, random % 2 == 0, &rules, random * 37) * 1_000;
            assert!(told <= longest_interval(&rules), "{told}");
        }
    }

    #[test]
    fn a_token_that_comes_back_when_told_is_old_enough() {
        for entry_delay in [0, 1, 999, 1_000, 1_001, 5_000] {
            let rules = Rules { entry_delay, ..rules() };
            assert!(is_old_enough(joining_interval(&rules), &rules), "{entry_delay}");
        }
        let rules = Rules { entry_delay: 2_000, ..rules() };
        assert!(!is_old_enough(2, &rules), "it may be 1.001 s old");
    }
}
