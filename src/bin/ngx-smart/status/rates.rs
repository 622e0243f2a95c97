//! What totals were in the last minutes, and so how fast they grow.

use std::collections::{BTreeMap, VecDeque};

use ngx_http_smart_module::core::policy::Outcome;
use ngx_http_smart_module::core::report;

use super::clean::Text;
use super::model::{History, Status};

/// How much of the past is kept, in seconds.
pub const KEPT: f64 = 900.0;
/// What "now" means in a rate, in seconds.
pub const MINUTE: f64 = 60.0;
/// Two samples that are further apart, in seconds, have a time between them of which nothing is known.
const GAP: f64 = 20.0;
/// By how much the server's clock, which says whole seconds, may mislead about when a sample was taken.
const CLOCKS: f64 = 2.0;

/// How a lookup may end.
pub const OUTCOMES: &[&str] = report::Kind::Sendfile.columns().split_at(Outcome::ALL.len()).0;

/// What a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Module,
    Sendfile,
    Server,
    Cache,
    Limit,
    Room,
}

impl Kind {
    /// What the values of a sample are. Times are in microseconds, as in the history.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Kind::Module => report::Kind::Module.columns(),
            Kind::Sendfile => report::Kind::Sendfile.columns(),
            Kind::Limit => report::Kind::Limit.columns(),
            Kind::Room => report::Kind::Room.columns(),
            Kind::Server => &["questions", "failures", "timeouts"],
            Kind::Cache => &["evicted"],
        }
    }

    fn column(self, name: &str) -> Option<usize> {
        self.columns().iter().position(|column| *column == name)
    }
}

/// How much a total has grown, in which time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    pub count: f64,
    pub seconds: f64,
}

impl Growth {
    /// Per second.
    pub fn rate(self) -> f64 {
        if self.seconds > 0.0 {
            self.count / self.seconds
        } else {
            0.0
        }
    }
}

struct Sample {
    /// Seconds on the tool's own clock.
    time: f64,
    values: Vec<Option<f64>>,
}

/// The samples of all series.
#[derive(Default)]
pub struct Past {
    tracks: BTreeMap<(Kind, Text), VecDeque<Sample>>,
}

impl Past {
    /// Takes what the module has kept, as it was when the tool's clock said `now` and the server's `server_time`.
    /// Samples that are known already, by their time, stay.
    pub fn seed(&mut self, history: &History, server_time: u64, now: f64) {
        for series in &history.series {
            let kind = match series.kind.as_str() {
                "sendfile" => Kind::Sendfile,
                "limit" => Kind::Limit,
                "room" => Kind::Room,
                "module" => Kind::Module,
                _ => continue,
            };
            let place = |column: &&str| series.columns.iter().position(|c| c.as_str() == *column);
            let places: Vec<_> = kind.columns().iter().map(place).collect();
            let last = now - server_time.saturating_sub(history.time) as f64;
            let track = self.tracks.entry((kind, series.name.clone())).or_default();
            let known =
                track.front().zip(track.back()).map(|(first, last)| (first.time, last.time));
            for (age, sample) in series.samples.iter().rev().enumerate() {
                let Some(sample) = sample else { continue };
                let time = last - age as f64 * history.interval_seconds;
                if known
                    .is_some_and(|(first, last)| time >= first - CLOCKS && time <= last + CLOCKS)
                {
                    continue;
                }
                let value = |place: &Option<usize>| sample.get((*place)?).copied().flatten();
                track.push_back(Sample { time, values: places.iter().map(value).collect() });
            }
            track.make_contiguous().sort_by(|one, other| one.time.total_cmp(&other.time));
        }
        self.forget(now);
    }

    /// Takes what the totals are now.
    pub fn add(&mut self, status: &Status, now: f64) {
        let mut add = |kind: Kind, name: &Text, values: Vec<u64>| {
            let values = values.into_iter().map(|value| Some(value as f64)).collect();
            let track = self.tracks.entry((kind, name.clone())).or_default();
            track.push_back(Sample { time: now, values });
        };
        add(Kind::Module, &Text::default(), vec![status.panics]);
        if let Some(sendfile) = &status.sendfile {
            let all = sendfile.lookups.all();
            let counts = all.iter().map(|ended| ended.count);
            let times = all.iter().map(|ended| (ended.seconds * 1e6) as u64);
            add(Kind::Sendfile, &Text::default(), counts.chain(times).collect());
            for server in &sendfile.servers {
                add(
                    Kind::Server,
                    &server.address,
                    vec![server.questions, server.failures, server.timeouts],
                );
            }
            for (name, cache) in &sendfile.caches.0 {
                add(Kind::Cache, name, vec![cache.evicted]);
            }
        }
        for (name, limit) in &status.limits.0 {
            let dry_run = [limit.delayed_dry_run, limit.rejected_dry_run];
            let real = [limit.passed, limit.delayed, limit.rejected];
            add(Kind::Limit, name, [&real[..], &dry_run, &[limit.evicted_in_debt]].concat());
        }
        for (name, room) in &status.rooms.0 {
            let now = [room.waiting, room.active];
            let totals = [room.entered, room.admitted, room.absent, room.refused, room.rebuilt];
            add(Kind::Room, name, [&now[..], &totals].concat());
        }
        self.forget(now);
    }

    fn forget(&mut self, now: f64) {
        for track in self.tracks.values_mut() {
            while track.front().is_some_and(|sample| sample.time < now - KEPT - GAP) {
                track.pop_front();
            }
        }
        self.tracks.retain(|_, track| !track.is_empty());
    }

    /// The values of a column with their times, the oldest first.
    fn values<'a>(
        &'a self,
        kind: Kind,
        name: &Text,
        column: &str,
    ) -> impl DoubleEndedIterator<Item = (f64, f64)> + 'a {
        let column = kind.column(column);
        let track = self.tracks.get(&(kind, name.clone()));
        let value = move |sample: &Sample| {
            Some((sample.time, sample.values.get(column?).copied().flatten()?))
        };
        track.into_iter().flatten().filter_map(value)
    }

    /// How much a total has grown in the last `seconds` before `now`, or in as much of them as is known; `None`
    /// if nothing is.
    pub fn growth(
        &self,
        kind: Kind,
        name: &Text,
        column: &str,
        now: f64,
        seconds: f64,
    ) -> Option<Growth> {
        // One more than the window has, if that is next to it: samples never stand just where it begins.
        let begin = now - seconds - GAP / 2.0;
        let mut values =
            self.values(kind, name, column).filter(|(time, _)| *time >= begin).peekable();
        let mut all = Vec::new();
        while let Some(value) = values.next() {
            let next = values.peek();
            if value.0 >= now - seconds || next.is_some_and(|next| next.0 > now - seconds) {
                all.push(value);
            }
        }
        let mut growth = Growth::default();
        for pair in all.windows(2) {
            if let Some(count) = grown(pair[0].1, pair[1].1) {
                growth.count += count;
                growth.seconds += pair[1].0 - pair[0].0;
            }
        }
        (growth.seconds > 0.0).then_some(growth)
    }

    /// The first value of a column since `begin`.
    pub fn first(&self, kind: Kind, name: &Text, column: &str, begin: f64) -> Option<f64> {
        self.values(kind, name, column).find(|(time, _)| *time > begin).map(|(_, value)| value)
    }

    /// Of how many seconds before `now` anything is known.
    pub fn known(&self, now: f64) -> f64 {
        let first = self.tracks.values().filter_map(|track| track.front());
        first.map(|sample| now - sample.time).fold(0.0, f64::max)
    }

    /// Rates of a total in `number` equal parts of the time that is kept, up to `now`; `None` where it is unknown.
    pub fn rates(
        &self,
        kind: Kind,
        name: &Text,
        column: &str,
        now: f64,
        number: usize,
    ) -> Vec<Option<f64>> {
        let values: Vec<_> = self.values(kind, name, column).collect();
        let number = number.max(1);
        let part = KEPT / number as f64;
        let mut counts = vec![None; number];
        let mut covered = vec![0.0; number];
        for pair in values.windows(2) {
            let [(from, before), (to, after)] = [pair[0], pair[1]];
            let Some(count) = grown(before, after).filter(|_| to - from <= GAP) else { continue };
            let first = place(from, now, part, number);
            for index in first..=place(to, now, part, number) {
                let begin = now - (number - index) as f64 * part;
                let common = to.min(begin + part) - from.max(begin);
                if common > 0.0 {
                    *counts[index].get_or_insert(0.0) += count * common / (to - from);
                    covered[index] += common;
                }
            }
        }
        let rate = |(count, covered): (Option<f64>, f64)| count.map(|count: f64| count / covered);
        counts.into_iter().zip(covered).map(rate).collect()
    }

    /// The highest values of what is no total in the same parts of the time.
    pub fn highest(
        &self,
        kind: Kind,
        name: &Text,
        column: &str,
        now: f64,
        number: usize,
    ) -> Vec<Option<f64>> {
        let number = number.max(1);
        let part = KEPT / number as f64;
        let mut highest: Vec<Option<f64>> = vec![None; number];
        let mut before: Option<(usize, f64, f64)> = None;
        for (time, value) in self.values(kind, name, column).filter(|(time, _)| *time > now - KEPT)
        {
            let index = place(time, now, part, number);
            // A part that is shorter than the time between two samples has what the last one was.
            if let Some((last, _, was)) = before.filter(|(_, at, _)| time - at <= GAP) {
                highest[last + 1..index.max(last + 1)].fill(Some(was));
            }
            let high = &mut highest[index];
            *high = Some(high.map_or(value, |high| high.max(value)));
            before = Some((index, time, value));
        }
        highest
    }
}

/// The part in which a time lies.
fn place(time: f64, now: f64, part: f64, number: usize) -> usize {
    let parts = ((time - now + KEPT) / part).floor().max(0.0) as usize;
    parts.min(number.saturating_sub(1))
}

/// By how much a total has grown. One that has fallen was begun anew, with the memory that held it: nothing is known
/// of the time between.
fn grown(before: f64, after: f64) -> Option<f64> {
    (after >= before).then_some(after - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(columns: &[&str], samples: &[Option<&[f64]>]) -> History {
        let json = serde_json::json!({
            "interval_seconds": 5, "time": 1000,
            "series": [
                { "kind": "limit", "name": "clients", "columns": columns, "samples": samples },
                { "kind": "unheard of", "name": "", "columns": ["a"], "samples": [[1]] },
            ],
        });
        serde_json::from_value(json).expect("a history")
    }

    fn seeded(samples: &[Option<&[f64]>], now: f64) -> Past {
        let mut past = Past::default();
        past.seed(&history(&["more", "rejected", "passed"], samples), 1001, now);
        past
    }

    fn growth(past: &Past, column: &str, now: f64, seconds: f64) -> Option<Growth> {
        past.growth(Kind::Limit, &Text::new("clients"), column, now, seconds)
    }

    #[test]
    fn what_the_module_has_kept_is_taken_by_the_names_of_columns() {
        let past = seeded(&[None, Some(&[9.0, 1.0, 100.0]), Some(&[9.0, 3.0, 150.0])], 50.0);
        let grown = growth(&past, "passed", 50.0, MINUTE).expect("two samples");
        assert_eq!(grown, Growth { count: 50.0, seconds: 5.0 });
        assert_eq!(grown.rate(), 10.0);
        assert_eq!(growth(&past, "rejected", 50.0, MINUTE).map(Growth::rate), Some(0.4));
        assert_eq!(growth(&past, "delayed", 50.0, MINUTE), None, "it has no such column");
        assert_eq!(growth(&past, "passed", 500.0, MINUTE), None, "that is long ago");
        assert_eq!(past.growth(Kind::Room, &Text::new("clients"), "waiting", 50.0, MINUTE), None);
    }

    #[test]
    fn a_total_that_has_fallen_says_nothing_of_the_time_between() {
        let values = [10.0, 20.0, 3.0, 4.0].map(|passed| [0.0, 0.0, passed]);
        let samples: Vec<_> = values.iter().map(|values| Some(&values[..])).collect();
        let past = seeded(&samples, 50.0);
        let grown = growth(&past, "passed", 50.0, MINUTE).expect("samples");
        assert_eq!(grown, Growth { count: 10.0 + 1.0, seconds: 10.0 });
        let grown =
            growth(&past, "passed", 50.0, 3.0).expect("the window and the sample before it");
        assert_eq!(grown, Growth { count: 1.0, seconds: 5.0 });
    }

    #[test]
    fn seeding_again_fills_in_only_what_is_unknown() {
        let mut past = seeded(&[Some(&[0.0, 0.0, 10.0]), Some(&[0.0, 0.0, 20.0])], 50.0);
        // The same two again, one of them a little later than it was, and two newer ones.
        let newer = [10.0, 19.0, 30.0, 40.0].map(|passed| [0.0, 0.0, passed]);
        let samples: Vec<_> = newer.iter().map(|values| Some(&values[..])).collect();
        past.seed(&history(&["more", "rejected", "passed"], &samples), 1001, 61.0);
        let values: Vec<_> = past.values(Kind::Limit, &Text::new("clients"), "passed").collect();
        assert_eq!(values, [(44.0, 10.0), (49.0, 20.0), (55.0, 30.0), (60.0, 40.0)]);
    }

    #[test]
    fn parts_of_the_past_have_rates_where_it_is_known() {
        let values = [0.0, 50.0, 50.0, 100.0].map(|passed| [0.0, 0.0, passed]);
        let mut samples: Vec<_> = values.iter().map(|values| Some(&values[..])).collect();
        samples.splice(2..2, [None; 6]);
        let past = seeded(&samples, 1001.0);
        let name = Text::new("clients");
        let rates = past.rates(Kind::Limit, &name, "passed", 1000.0, 90);
        // Parts of ten seconds; the samples are at 955, 960, then after a gap at 995 and 1000.
        let known: Vec<_> = rates.iter().enumerate().filter(|(_, rate)| rate.is_some()).collect();
        assert_eq!(known, [(85, &Some(10.0)), (89, &Some(10.0))]);
        assert_eq!(past.rates(Kind::Limit, &name, "passed", 1000.0, 1), [Some(10.0)]);
        let highest = past.highest(Kind::Limit, &name, "passed", 1000.0, 90);
        let known: Vec<_> = highest.iter().flatten().copied().collect();
        assert_eq!(known, [0.0, 50.0, 100.0]);
    }

    #[test]
    fn the_past_ends() {
        let mut past = seeded(&[Some(&[0.0, 0.0, 10.0])], 50.0);
        past.forget(50.0 + KEPT);
        assert_eq!(past.tracks.len(), 1);
        past.forget(50.0 + KEPT + GAP);
        assert_eq!(past.tracks.len(), 0);
    }
}
