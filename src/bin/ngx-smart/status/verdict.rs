//! What is wrong, the worst first. The page of the status interface judges by the same numbers.

use super::clean::Text;
use super::format::{count, duration, share};
use super::model::{Buffers, Limit, Room, Status};
use super::rates::{Kind, Past, MINUTE};

/// Lookups that may fail: a hundredth of them in the last minute.
const LOOKUPS_FAILED_MAX: f64 = 0.01;
/// Requests that a limit may refuse: a tenth in the last minute.
const REJECTED_MAX: f64 = 0.1;
/// How long a room may make somebody wait, in seconds.
const WAIT_MAX: f64 = 600.0;
/// Answers of an upstream that may be written to files: a twentieth.
const SPILLED_MAX: f64 = 0.05;
/// Requests whose header may be too big: a hundredth.
const TOO_BIG_MAX: f64 = 0.01;
/// Fewer answers or requests than this say nothing about buffers.
const COUNT_MIN: u64 = 100;

/// What is wrong now, a sentence each.
pub fn problems(status: &Status, past: &Past, now: f64) -> Vec<String> {
    let mut problems = Vec::new();
    if status.panics > 0 {
        problems.push(format!(
            "{} caught since nginx was started: its error log says where",
            count_of(status.panics, "panic was", "panics were")
        ));
    }
    let judge = Judge { past, now };
    problems.extend(status.sendfile.as_ref().and_then(|_| judge.lookups()));
    let rooms = || status.rooms.0.iter();
    let limits = || status.limits.0.iter();
    problems.extend(rooms().filter_map(|(name, room)| judge.refused(name, room)));
    problems.extend(limits().filter_map(|(name, limit)| judge.debts(name, limit)));
    problems.extend(limits().filter_map(|(name, _)| judge.rejected(name)));
    problems.extend(rooms().filter_map(|(name, room)| long_wait(name, room)));
    problems.extend(status.buffers.iter().flat_map(buffers));
    problems
}

struct Judge<'a> {
    past: &'a Past,
    now: f64,
}

impl Judge<'_> {
    /// How much a total has grown in the last minute.
    fn grown(&self, kind: Kind, name: &Text, column: &str) -> f64 {
        let growth = self.past.growth(kind, name, column, self.now, MINUTE);
        growth.unwrap_or_default().count
    }

    fn lookups(&self) -> Option<String> {
        let grown = |outcome: &str| self.grown(Kind::Sendfile, &Text::default(), outcome);
        let all: f64 = super::rates::OUTCOMES.iter().map(|outcome| grown(outcome)).sum();
        let [error, timeout, invalid] = ["error", "timeout", "invalid"].map(grown);
        let failed = error + timeout + invalid;
        (failed > LOOKUPS_FAILED_MAX * all).then(|| {
            format!(
                "lookups: {} of the last minute's have failed ({error:.0} error, {timeout:.0} \
                 timeout, {invalid:.0} invalid): ask the store, and nginx's error log",
                share(failed / all)
            )
        })
    }

    fn refused(&self, name: &Text, room: &Room) -> Option<String> {
        let refused = self.grown(Kind::Room, name, "refused");
        (refused > 0.0).then(|| {
            format!(
                "room {name}: {refused:.0} refused in the last minute; {} of {} wait",
                count(room.waiting),
                count(room.max_waiting)
            )
        })
    }

    fn debts(&self, name: &Text, limit: &Limit) -> Option<String> {
        let evicted = self.grown(Kind::Limit, name, "evicted_in_debt");
        (evicted > 0.0).then(|| {
            format!(
                "limit {name}: {evicted:.0} keys gave way to others in the last minute though \
                 they still owed: for them it was too lax. The zone has room for {}: give it more",
                count_of(limit.capacity, "key", "keys")
            )
        })
    }

    fn rejected(&self, name: &Text) -> Option<String> {
        let [passed, delayed, rejected] =
            ["passed", "delayed", "rejected"].map(|column| self.grown(Kind::Limit, name, column));
        let all = passed + delayed + rejected;
        (rejected > REJECTED_MAX * all).then(|| {
            format!(
                "limit {name}: {} of the last minute's requests were rejected",
                share(rejected / all)
            )
        })
    }
}

fn long_wait(name: &Text, room: &Room) -> Option<String> {
    let wait = room.estimated_wait_seconds.filter(|wait| *wait > WAIT_MAX && room.waiting > 0)?;
    let waiting = count(room.waiting);
    Some(format!("room {name}: who comes now waits {}; {waiting} wait", duration(wait)))
}

fn buffers(buffers: &Buffers) -> Vec<String> {
    let mut problems = Vec::new();
    for location in &buffers.locations {
        let place = place(&location.server, &location.location);
        let upstream = &location.measured.upstream;
        let (spilled, all) = (upstream.spilled as f64, upstream.response.count);
        if all >= COUNT_MIN && spilled > SPILLED_MAX * all as f64 {
            problems.push(format!(
                "{place}: {} of the upstream's answers are written to temporary files: see its \
                 advice",
                share(spilled / all as f64)
            ));
        }
        if upstream.header_too_big > 0 {
            problems.push(format!(
                "{place}: {} (502): see its advice",
                count_of(
                    upstream.header_too_big,
                    "header of the upstream was too big",
                    "headers of the upstream were too big"
                )
            ));
        }
    }
    for server in &buffers.servers {
        let all = server.header.count + server.header_too_big;
        if all >= COUNT_MIN && server.header_too_big as f64 > TOO_BIG_MAX * all as f64 {
            problems.push(format!(
                "{}: {} of the requests have a header that is too big (400 or 414): see its advice",
                place(&server.server, &Text::default()),
                share(server.header_too_big as f64 / all as f64)
            ));
        }
    }
    problems
}

/// A server and one of its locations, as one name.
pub fn place(server: &Text, location: &Text) -> String {
    let server = if server.as_str().is_empty() { "server without a name" } else { server.as_str() };
    format!("{server} {location}").trim_end().to_owned()
}

fn count_of(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;

    const STATUS: &str = include_str!("../../../../tests/data/status/status.json");

    /// A status where all is well, changed.
    fn status(change: impl FnOnce(&mut Value)) -> Status {
        let mut status = serde_json::from_str(STATUS).expect("JSON");
        change(&mut status);
        serde_json::from_value(status).expect("a status")
    }

    /// What is wrong when a status became another within ten seconds.
    fn problems_of(before: impl FnOnce(&mut Value), after: impl FnOnce(&mut Value)) -> Vec<String> {
        let (before, after) = (status(before), status(after));
        let mut past = Past::default();
        past.add(&before, 0.0);
        past.add(&after, 10.0);
        problems(&after, &past, 10.0)
    }

    fn set(path: &'static str, value: u64) -> impl FnOnce(&mut Value) {
        move |status| *status.pointer_mut(path).expect(path) = json!(value)
    }

    const NOTHING: fn(&mut Value) = |_| {};

    #[test]
    fn all_is_well() {
        assert_eq!(problems_of(NOTHING, NOTHING), [""; 0]);
    }

    #[test]
    fn what_has_failed_counts_against_what_was_asked_in_the_last_minute() {
        // Of 1000 lookups: 10 are a hundredth, 11 are more.
        let hits = set("/sendfile/lookups/hit/count", 1_203_222 - 989);
        let errors = |number: u64| set("/sendfile/lookups/error/count", number);
        assert_eq!(problems_of(hits, errors(9)), [""; 0]);
        let hits = set("/sendfile/lookups/hit/count", 1_203_222 - 989);
        let wrong = problems_of(hits, errors(11));
        assert!(wrong[0].starts_with("lookups: 1.1 % of the last minute's have failed (11 error"));
        // Failures of long ago are none of now.
        assert_eq!(problems_of(errors(500), errors(500)), [""; 0]);
    }

    #[test]
    fn each_thing_that_can_be_wrong_is_found_at_its_threshold() {
        let passed = |number: u64| set("/limits/clients/passed", 981_200 - number);
        for (before, after, sentence) in [
            (passed(0), set("/panics", 1), Some("1 panic was caught since")),
            (passed(90), set("/limits/clients/rejected", 650), None),
            (passed(90), set("/limits/clients/rejected", 651), Some("limit clients: 11 % of")),
            (passed(0), set("/limits/clients/rejected_dry_run", 651), None),
            (
                passed(0),
                set("/limits/clients/evicted_in_debt", 2),
                Some("limit clients: 2 keys gave way"),
            ),
            (passed(0), set("/rooms/shop/refused", 1), Some("room shop: 1 refused in the last")),
            (passed(0), set("/rooms/shop/estimated_wait_seconds", 600), None),
            (
                passed(0),
                set("/rooms/shop/estimated_wait_seconds", 601),
                Some("room shop: who comes now waits 10 min 1 s; 120 wait"),
            ),
            (passed(0), set("/buffers/locations/0/measured/upstream/spilled", 1910), None),
            (
                passed(0),
                set("/buffers/locations/0/measured/upstream/spilled", 1911),
                Some("www.example.org /api/: 5.0 % of the upstream's answers"),
            ),
            (passed(0), set("/buffers/locations/1/measured/upstream/spilled", 12), None),
            (
                passed(0),
                set("/buffers/locations/0/measured/upstream/header_too_big", 1),
                Some("www.example.org /api/: 1 header of the upstream was too big (502)"),
            ),
            (passed(0), set("/buffers/servers/0/header_too_big", 380), None),
            (
                passed(0),
                set("/buffers/servers/0/header_too_big", 400),
                Some("www.example.org: 1.0 % of the requests have a header that is too big"),
            ),
        ] {
            let wrong = problems_of(before, after);
            assert_eq!(wrong.len(), usize::from(sentence.is_some()), "{wrong:?} {sentence:?}");
            for (wrong, sentence) in wrong.iter().zip(sentence) {
                assert!(wrong.starts_with(sentence), "{wrong}");
            }
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let wrong = problems_of(NOTHING, |status| {
            status["panics"] = json!(2);
            status["sendfile"]["lookups"]["timeout"]["count"] = json!(7);
            status["limits"]["clients"]["rejected"] = json!(100_000);
            status["rooms"]["shop"]["refused"] = json!(7);
        });
        let begins: Vec<_> = wrong.iter().filter_map(|wrong| wrong.split(' ').nth(1)).collect();
        assert_eq!(begins, ["panics", "100", "shop:", "clients:"]);
    }

    #[test]
    fn a_restart_is_no_fault() {
        let anew = |status: &mut Value| {
            for outcome in ["hit", "found", "miss", "error", "timeout", "invalid"] {
                status["sendfile"]["lookups"][outcome]["count"] = json!(0);
            }
            status["limits"]["clients"]["passed"] = json!(3);
            status["limits"]["clients"]["rejected"] = json!(0);
        };
        assert_eq!(problems_of(NOTHING, anew), [""; 0]);
    }
}
