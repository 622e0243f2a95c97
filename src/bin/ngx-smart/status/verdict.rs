//! What is wrong, as the page of the status interface judges it (`src/core/report/page/script/problems.js`): the same
//! numbers and the same words.

use super::clean::Text;
use super::format::{count, duration, share};
use super::model::{Buffers, Limit, Room, Sendfile, Server, State, Status};
use super::rates::{Kind, Past, MINUTE, OUTCOMES};

/// What is to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it needs somebody at once.
    pub is_bad: bool,
    pub text: String,
}

/// All problems, those that are bad first.
pub fn problems(status: &Status, past: &Past, now: f64) -> Vec<Problem> {
    let judge = Judge { past, now };
    let mut problems = Vec::new();
    problems.extend(judge.panics(status.panics));
    problems.extend(status.sendfile.iter().flat_map(|sendfile| judge.lookups(sendfile)));
    problems.extend(status.limits.0.iter().flat_map(|(name, limit)| judge.limit(name, limit)));
    problems.extend(status.rooms.0.iter().flat_map(|(name, room)| judge.room(name, room)));
    problems.extend(status.buffers.iter().flat_map(buffers));
    problems.sort_by_key(|problem| !problem.is_bad);
    problems
}

struct Judge<'a> {
    past: &'a Past,
    now: f64,
}

impl Judge<'_> {
    /// How much a total has grown in the last minute.
    fn lately(&self, kind: Kind, name: &Text, column: &str) -> f64 {
        let growth = self.past.growth(kind, name, column, self.now, MINUTE);
        growth.unwrap_or_default().count
    }

    fn panics(&self, all: u64) -> Option<Problem> {
        let lately = self.lately(Kind::Module, &Text::default(), "panics");
        let when = match lately > 0.0 {
            true => format!(", {lately:.0} of them in the last minute"),
            false => String::new(),
        };
        let text = format!("{} caught{when}: the error log says where", plural(all, "panic"));
        (all > 0).then_some(Problem { is_bad: lately > 0.0, text })
    }

    fn lookups(&self, sendfile: &Sendfile) -> Vec<Problem> {
        let lately = |outcome: &str| self.lately(Kind::Sendfile, &Text::default(), outcome);
        let mut found = Vec::new();
        let asked: f64 = OUTCOMES.iter().map(|outcome| lately(outcome)).sum();
        let parts = ["error", "timeout", "invalid"].map(|outcome| (lately(outcome), outcome));
        let failed: f64 = parts.iter().map(|(by, _)| by).sum();
        let many = failed > 0.0 && failed >= asked / 100.0;
        // Anybody may ask for what is invalid.
        if many || failed > lately("invalid") {
            let named = parts.iter().filter(|(by, _)| *by > 0.0);
            let named: Vec<_> = named.map(|(by, outcome)| format!("{by:.0} {outcome}")).collect();
            let (share, named) = (share(failed / asked), named.join(", "));
            let text = format!("Lookups fail: {share} in the last minute ({named})");
            found.push(Problem { is_bad: many, text });
        }
        found.extend(sendfile.servers.iter().filter_map(|server| self.server(server)));
        let stale = lately("stale") as u64;
        if stale > 0 {
            let lookups = plural(stale, "lookup");
            let text = format!("{lookups} answered with an expired path in the last minute");
            found.push(Problem { is_bad: false, text });
        }
        found
    }

    fn server(&self, server: &Server) -> Option<Problem> {
        let lately = |column| self.lately(Kind::Server, &server.address, column) as u64;
        let (failures, timeouts) = (lately("failures"), lately("timeouts"));
        let is_bad = server.connections == 0;
        let text = format!(
            "Store {} had {} and {} in the last minute{}",
            server.address,
            plural(failures, "failure"),
            plural(timeouts, "timeout"),
            if is_bad { ", and has no connection now" } else { "" }
        );
        (failures + timeouts > 0).then_some(Problem { is_bad, text })
    }

    fn limit(&self, name: &Text, limit: &Limit) -> Vec<Problem> {
        let lately = |column| self.lately(Kind::Limit, name, column);
        let mut found = Vec::new();
        let rejected = lately("rejected");
        let all = rejected + lately("passed") + lately("delayed");
        if rejected >= 10.0 && rejected >= all / 20.0 {
            let text = format!("Limit {name} rejects {} of its requests", share(rejected / all));
            found.push(Problem { is_bad: rejected >= all / 2.0, text });
        }
        let in_debt = lately("evicted_in_debt") as u64;
        if in_debt > 0 {
            let keys = plural(in_debt, "key");
            let text = format!("Limit {name} forgot {keys} that still owed: its zone is too small");
            found.push(Problem { is_bad: true, text });
        } else if limit.keys as f64 >= 0.9 * limit.capacity as f64 {
            let used = share(limit.keys as f64 / limit.capacity as f64);
            let text = format!("Limit {name} has {used} of its zone in use");
            found.push(Problem { is_bad: false, text });
        }
        found
    }

    fn room(&self, name: &Text, room: &Room) -> Vec<Problem> {
        const LONG_WAIT: f64 = 600.0;
        const LONG_AGO: f64 = 300.0;
        let mut found = Vec::new();
        let refused = self.lately(Kind::Room, name, "refused") as u64;
        if refused > 0 || (room.max_waiting > 0 && room.waiting >= room.max_waiting) {
            let away = match refused {
                0 => String::new(),
                _ => {
                    let times = plural(refused, "time");
                    format!(": {times} in the last minute somebody was turned away")
                }
            };
            found.push(Problem { is_bad: true, text: format!("Room {name} is full{away}") });
        }
        let mut warn = |text| found.push(Problem { is_bad: false, text });
        if let Some(wait) = room.estimated_wait_seconds.filter(|wait| *wait > LONG_WAIT) {
            warn(format!("Room {name}: who comes now waits {}", duration(wait)));
        }
        let before = self.past.first(Kind::Room, name, "waiting", self.now - LONG_AGO);
        let (before, waiting) = (before.unwrap_or(f64::INFINITY), room.waiting as f64);
        if waiting > before + 50.0 && waiting > 1.5 * before {
            warn(format!(
                "Room {name}: its queue has grown from {} to {} in five minutes",
                count(before as u64),
                count(room.waiting)
            ));
        }
        if self.lately(Kind::Room, name, "rebuilt") > 0.0 {
            warn(format!("Room {name} was mended after a worker's death"));
        }
        found
    }
}

/// What is advised against is a problem; what the advice has found fine, or too seldom to judge, is none.
fn buffers(buffers: &Buffers) -> Vec<Problem> {
    let mut texts = Vec::new();
    for location in &buffers.locations {
        if location.advice.state != State::Change {
            continue;
        }
        let place = place(&location.server, &location.location);
        let measured = &location.measured;
        let upstream = &measured.upstream;
        texts.extend(too_big(&place, upstream.header_too_big, "upstreams"));
        for (spilled, all, what) in [
            (upstream.spilled, upstream.response.count, "responses"),
            (measured.request_bodies_spilled, measured.request_body.count, "request bodies"),
        ] {
            let share_of_all = spilled as f64 / all.max(1) as f64;
            if spilled > 0 && share_of_all >= 0.05 {
                let share = share(share_of_all);
                texts.push(format!("{place}: {share} of the {what} go through a file"));
            }
        }
    }
    for server in buffers.servers.iter().filter(|server| server.advice.state == State::Change) {
        let place = place(&server.server, &Text::default());
        texts.extend(too_big(&place, server.header_too_big, "requests"));
    }
    if buffers.unmeasured > 0 {
        let locations = plural(buffers.unmeasured, "location");
        texts.push(format!("{locations} not measured: smart_buffers_zone is too small"));
    }
    texts.into_iter().map(|text| Problem { is_bad: false, text }).collect()
}

fn too_big(place: &str, headers: u64, whose: &str) -> Option<String> {
    let text = format!("{place}: {} of {whose} too big for the buffer", plural(headers, "header"));
    (headers > 0).then_some(text)
}

/// A server and one of its locations, as one name.
pub fn place(server: &Text, location: &Text) -> String {
    match (server.as_str(), location.as_str()) {
        ("", "") => "the server without a name".to_owned(),
        (server, location) => format!("{server} {location}").trim().to_owned(),
    }
}

fn plural(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
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

    /// What is wrong when a status became another within ten seconds: "!" or "-", and the text.
    fn problems_of(before: impl FnOnce(&mut Value), after: impl FnOnce(&mut Value)) -> Vec<String> {
        let (before, after) = (status(before), status(after));
        let mut past = Past::default();
        past.add(&before, 0.0);
        past.add(&after, 10.0);
        let problems = problems(&after, &past, 10.0);
        let mark = |is_bad| if is_bad { '!' } else { '-' };
        problems
            .iter()
            .map(|problem| format!("{} {}", mark(problem.is_bad), problem.text))
            .collect()
    }

    fn set(path: &'static str, value: u64) -> impl FnOnce(&mut Value) {
        move |status| *status.pointer_mut(path).expect(path) = json!(value)
    }

    const AS_IT_IS: fn(&mut Value) = |_| {};

    #[test]
    fn all_is_well() {
        assert_eq!(problems_of(AS_IT_IS, AS_IT_IS), [""; 0]);
    }

    #[test]
    fn what_has_failed_counts_against_what_was_asked_in_the_last_minute() {
        let hits = |number: u64| set("/sendfile/lookups/hit/count", 1_203_222 - number);
        let errors = |number: u64| set("/sendfile/lookups/error/count", number);
        let invalid = |number: u64| set("/sendfile/lookups/invalid/count", 3 + number);
        for (before, outcome, problem) in [
            (991, 9, Some("- Lookups fail: 0.9 % in the last minute (9 error)")),
            (990, 10, Some("! Lookups fail: 1.0 % in the last minute (10 error)")),
        ] {
            assert_eq!(
                problems_of(hits(before), errors(outcome)).first().map(String::as_str),
                problem
            );
        }
        // Anybody may ask for what is invalid, but not only for that.
        assert_eq!(problems_of(hits(991), invalid(9)), [""; 0]);
        let problem = "! Lookups fail: 1.0 % in the last minute (10 invalid)";
        assert_eq!(problems_of(hits(990), invalid(10)), [problem]);
        // Failures of long ago are none of now.
        assert_eq!(problems_of(errors(500), errors(500)), [""; 0]);
    }

    /// What is changed of a status.
    type Change = Box<dyn FnOnce(&mut Value)>;

    #[test]
    fn each_problem_is_found_at_its_threshold() {
        let passed = |number: u64| set("/limits/clients/passed", 981_200 - number);
        let change = |status: &mut Value| {
            status["buffers"]["servers"][0]["advice"]["state"] = json!("change");
            status["buffers"]["servers"][0]["header_too_big"] = json!(1);
        };
        let cases: Vec<(u64, Change, Option<&str>)> = vec![
            (
                0,
                Box::new(set("/panics", 1)),
                Some("! 1 panic caught, 1 of them in the last minute: the error log says where"),
            ),
            (0, Box::new(set("/sendfile/lookups/stale/count", 2)), Some("- 2 lookups answered")),
            (
                0,
                Box::new(set("/sendfile/servers/0/timeouts", 1)),
                Some("- Store 127.0.0.1:11211 had 0 failures and 1 timeout in the last minute"),
            ),
            (191, Box::new(set("/limits/clients/rejected", 650)), None),
            (
                190,
                Box::new(set("/limits/clients/rejected", 650)),
                Some("- Limit clients rejects 5.0 %"),
            ),
            (9, Box::new(set("/limits/clients/rejected", 649)), None),
            (
                10,
                Box::new(set("/limits/clients/rejected", 650)),
                Some("! Limit clients rejects 50 %"),
            ),
            (0, Box::new(set("/limits/clients/rejected_dry_run", 650)), None),
            (
                0,
                Box::new(set("/limits/clients/evicted_in_debt", 2)),
                Some("! Limit clients forgot 2 keys that still owed"),
            ),
            (0, Box::new(set("/limits/clients/keys", 14_745)), None),
            (0, Box::new(set("/limits/clients/keys", 14_746)), Some("- Limit clients has 90 %")),
            (
                0,
                Box::new(set("/rooms/shop/refused", 1)),
                Some("! Room shop is full: 1 time in the last minute somebody was turned away"),
            ),
            (0, Box::new(set("/rooms/shop/estimated_wait_seconds", 600)), None),
            (
                0,
                Box::new(set("/rooms/shop/estimated_wait_seconds", 601)),
                Some("- Room shop: who comes now waits 10 min 1 s"),
            ),
            (0, Box::new(set("/rooms/shop/waiting", 180)), None),
            (
                0,
                Box::new(set("/rooms/shop/waiting", 181)),
                Some("- Room shop: its queue has grown from 120 to 181 in five minutes"),
            ),
            (0, Box::new(set("/rooms/shop/rebuilt", 1)), Some("- Room shop was mended")),
            (0, Box::new(set("/buffers/locations/0/measured/upstream/spilled", 1910)), None),
            (
                0,
                Box::new(set("/buffers/locations/0/measured/upstream/spilled", 1911)),
                Some("- www.example.org /api/: 5.0 % of the responses go through a file"),
            ),
            (0, Box::new(set("/buffers/locations/1/measured/upstream/spilled", 12)), None),
            (
                0,
                Box::new(set("/buffers/locations/0/measured/upstream/header_too_big", 1)),
                Some("- www.example.org /api/: 1 header of upstreams too big for the buffer"),
            ),
            (0, Box::new(set("/buffers/servers/0/header_too_big", 400)), None),
            (0, Box::new(change), Some("- www.example.org: 1 header of requests too big")),
            (0, Box::new(set("/buffers/unmeasured", 3)), Some("- 3 locations not measured")),
        ];
        for (before, after, problem) in cases {
            let found = problems_of(passed(before), after);
            assert_eq!(found.len(), usize::from(problem.is_some()), "{found:?} {problem:?}");
            for (found, problem) in found.iter().zip(problem) {
                assert!(found.starts_with(problem), "{found}");
            }
        }
    }

    #[test]
    fn a_full_room_and_a_store_without_connections_are_bad() {
        assert_eq!(
            problems_of(AS_IT_IS, set("/rooms/shop/max_waiting", 120)),
            ["! Room shop is full"]
        );
        let found = problems_of(AS_IT_IS, |status| {
            status["sendfile"]["servers"][0]["failures"] = json!(2);
            status["sendfile"]["servers"][0]["connections"] = json!(0);
        });
        assert!(found[0].starts_with("! Store 127.0.0.1:11211 had 1 failure and 0 timeouts"));
        assert!(found[0].ends_with(", and has no connection now"));
    }

    #[test]
    fn what_is_bad_comes_first() {
        let found = problems_of(set("/panics", 2), |status| {
            status["panics"] = json!(2);
            status["sendfile"]["lookups"]["timeout"]["count"] = json!(7);
            status["limits"]["clients"]["keys"] = json!(16_384);
            status["rooms"]["shop"]["refused"] = json!(7);
        });
        let begins: Vec<_> = found.iter().map(|found| &found[..6]).collect();
        assert_eq!(begins, ["! Look", "! Room", "- 2 pan", "- Limit"].map(|begin| &begin[..6]));
    }

    #[test]
    fn a_restart_is_no_problem() {
        let anew = |status: &mut Value| {
            for outcome in ["hit", "found", "miss", "error", "timeout"] {
                status["sendfile"]["lookups"][outcome]["count"] = json!(0);
            }
            status["limits"]["clients"]["passed"] = json!(0);
            status["limits"]["clients"]["rejected"] = json!(20);
        };
        assert_eq!(problems_of(AS_IT_IS, anew), [""; 0]);
    }
}
