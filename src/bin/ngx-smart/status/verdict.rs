//! What is wrong, as the page of the status interface judges it (`src/core/report/page/script/problems.js`): the same
//! numbers and the same words. Both are tested with `tests/data/status/problems.json`.

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
        if rejected >= 10.0 && rejected >= all / 10.0 {
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
        let away = match refused {
            0 => String::new(),
            _ => {
                let times = plural(refused, "time");
                format!(": {times} in the last minute somebody was turned away")
            }
        };
        if room.max_waiting > 0 && room.waiting >= room.max_waiting {
            found.push(Problem { is_bad: true, text: format!("Room {name} is full{away}") });
        } else if refused > 0 {
            // Anybody may ask for more places than per_net gives him.
            let why = "for want of places or by per_net";
            found.push(Problem { is_bad: false, text: format!("Room {name}{away}, {why}") });
        }
        let mut warn = |text| found.push(Problem { is_bad: false, text });
        let wait = room.estimated_wait_seconds.filter(|_| room.waiting > 0);
        if let Some(wait) = wait.filter(|wait| *wait > LONG_WAIT) {
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

/// What the advice has found to be right is no problem, whatever was counted before it was followed.
fn buffers(buffers: &Buffers) -> Vec<Problem> {
    let mut texts = Vec::new();
    for location in buffers.locations.iter().filter(|it| it.advice.state != State::Fine) {
        let place = place(&location.server, &location.location);
        let measured = &location.measured;
        let upstream = &measured.upstream;
        if upstream.header_too_big > 0 {
            texts.push(too_big(&place, upstream.header_too_big, "upstreams"));
        }
        for (spilled, all, what) in [
            (upstream.spilled, upstream.response.count, "responses"),
            (measured.request_bodies_spilled, measured.request_body.count, "request bodies"),
        ] {
            if is_much(spilled, all, 0.05) {
                let share = share(spilled as f64 / all as f64);
                texts.push(format!("{place}: {share} of the {what} go through a file"));
            }
        }
    }
    for server in buffers.servers.iter().filter(|it| it.advice.state != State::Fine) {
        // One client's huge cookie is no fault of the server.
        if is_much(server.header_too_big, server.header.count + server.header_too_big, 0.01) {
            let place = place(&server.server, &Text::default());
            texts.push(too_big(&place, server.header_too_big, "requests"));
        }
    }
    if buffers.unmeasured > 0 {
        let locations = plural(buffers.unmeasured, "location");
        texts.push(format!("{locations} not measured: smart_buffers_zone is too small"));
    }
    texts.into_iter().map(|text| Problem { is_bad: false, text }).collect()
}

/// Whether a number is at least that part of all, of which there are enough.
fn is_much(number: u64, all: u64, part: f64) -> bool {
    all >= 100 && number as f64 >= part * all as f64
}

fn too_big(place: &str, headers: u64, whose: &str) -> String {
    let headers = plural(headers, "header");
    format!("{place}: {headers} of {whose} too big for the buffer (inferred)")
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

    /// What is wrong when a status became another within so many seconds: "!" or "-", and the text.
    fn problems_of(before: &Status, after: &Status, seconds: f64) -> Vec<String> {
        let mut past = Past::default();
        past.add(before, 0.0);
        past.add(after, seconds);
        let problems = problems(after, &past, seconds);
        let mark = |is_bad| if is_bad { '!' } else { '-' };
        problems
            .iter()
            .map(|problem| format!("{} {}", mark(problem.is_bad), problem.text))
            .collect()
    }

    #[test]
    fn each_problem_is_found_at_its_threshold() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../../../../tests/data/status/problems.json"))
                .expect("JSON");
        for case in cases {
            let [before, after] = ["before", "after"].map(|when| {
                status(|status| {
                    for (path, value) in case[when].as_object().into_iter().flatten() {
                        *status.pointer_mut(path).expect(path) = value.clone();
                    }
                })
            });
            let seconds = case["seconds"].as_f64().unwrap_or(10.0);
            assert_eq!(json!(problems_of(&before, &after, seconds)), case["problems"], "{case}");
        }
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
        assert_eq!(problems_of(&status(|_| {}), &status(anew), 10.0), [""; 0]);
    }
}
