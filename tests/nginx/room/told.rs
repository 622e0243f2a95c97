//! What a waiting room says, and in what form: to visitors, to programs, in headers, logs and variables.

use crate::common::client::Response;
use crate::common::clock::Clock;
use crate::common::limit::HEADERS;
use crate::common::nginx::Nginx;
use crate::common::room::{queue, room, seated, Visitor, ROOM_TYPE};
use serde_json::{json, Value};

/// A server with the room of these parameters, whose clock stands still.
fn start(parameters: &str) -> (Clock, Nginx) {
    let setup = STATUSES.iter().fold(room(parameters), |setup, status| {
        let directives = format!("smart_limit room=r; smart_limit_room_status {status};");
        setup.limit(&format!("/{status}"), &directives)
    });
    let (clock, setup) = Clock::with_time_of_day(setup);
    (clock, setup.start())
}

const STATUSES: [u16; 4] = [200, 202, 429, 503];

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let values = response.all(name);
    assert!(values.len() <= 1, "{name}: {values:?}");
    values.first().copied().unwrap_or("-")
}

#[test]
fn smoke_who_waits_is_told_all_in_json() {
    let (clock, nginx) = start("max_active=1 session=60s refresh=5s:5s");
    seated(&nginx);
    clock.advance_seconds(10);
    let mut visitor = Visitor::new(&nginx);
    let joining = visitor.get_with("/", &[("Accept", "application/json")]);
    assert_eq!(
        joining.json(),
        json!({"room": "r", "status": "waiting", "position": null, "waiting": 0, "active": 1,
            "max_active": 1, "wait_seconds": 50, "refresh_seconds": 1})
    );
    let waits = visitor.get_with("/", &[("Accept", "application/json")]);
    let mut told = waits.json();
    let refresh = told["refresh_seconds"].take();
    assert!((4..=6).contains(&refresh.as_u64().expect("a number")), "{refresh}");
    assert_eq!(
        told,
        json!({"room": "r", "status": "waiting", "position": 1, "waiting": 1, "active": 1,
            "max_active": 1, "wait_seconds": 50, "refresh_seconds": null})
    );
    clock.advance_seconds(50);
    let told = visitor.poll("/");
    assert_eq!(
        told,
        json!({"room": "r", "status": "admitted", "position": null, "waiting": 0, "active": 1,
            "max_active": 1, "wait_seconds": 0, "refresh_seconds": 1})
    );
}

#[test]
fn the_form_is_the_one_that_is_asked_for() {
    let (_clock, nginx) = start("max_active=1");
    seated(&nginx);
    let mut visitor = queue(&nginx, "/", 1).remove(0);
    let [page, json] = ["text/html", "application/json"];
    let hidden = format!("{ROOM_TYPE};hidden=1");
    for (accept, expected) in [
        (None, page),
        (Some(""), page),
        (Some("*/*"), page),
        (Some("text/html"), page),
        (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), page),
        (Some("text/html;q=0.5, application/json;q=0.4"), page),
        (Some("text/html;q=0.4, application/json;q=0.5"), json),
        (Some("application/json"), json),
        (Some("application/json, text/plain, */*"), json),
        (Some(ROOM_TYPE), ROOM_TYPE),
        (Some(&hidden), ROOM_TYPE),
    ] {
        let headers: Vec<_> = accept.iter().map(|accept| ("Accept", *accept)).collect();
        for method in ["GET", "POST"] {
            let answer = visitor.request(method, "/", &headers, b"");
            let kind = header(&answer, "Content-Type").split(';').next();
            assert_eq!(kind, Some(expected), "{method} {accept:?}");
            assert_eq!(answer.status, 503);
            match expected {
                "text/html" => assert!(answer.text().contains("</html>"), "{}", answer.text()),
                _ => assert_eq!(answer.json()["position"], 1),
            }
        }
    }
}

#[test]
fn the_status_is_the_one_that_the_operator_wants() {
    let (clock, nginx) = start("max_active=1 max_waiting=1 session=10s");
    seated(&nginx);
    let mut waiting = queue(&nginx, "/", 1).remove(0);
    let mut full = Visitor::new(&nginx);
    full.get("/");
    for status in STATUSES {
        let path = format!("/{status}");
        let of_full = if status < 400 { 503 } else { status };
        for accept in ["text/html", "application/json", ROOM_TYPE] {
            let accept = [("Accept", accept)];
            assert_eq!(waiting.get_with(&path, &accept).verdict(), format!("{status} WAITING"));
            assert_eq!(full.get_with(&path, &accept).verdict(), format!("{of_full} FULL"));
            let first = Visitor::new(&nginx).get_with(&path, &accept);
            assert_eq!(first.verdict(), format!("{status} WAITING"));
        }
        let part = waiting.get_with(&path, &[("Sec-Fetch-Dest", "image")]);
        assert_eq!(part.verdict(), format!("{status} WAITING"));
    }
    clock.advance_seconds(10);
    for status in STATUSES {
        let answer = waiting.get_with(&format!("/{status}"), &[("Accept", ROOM_TYPE)]);
        assert_eq!(answer.verdict(), "200 ADMITTED", "{status}");
    }
}

#[test]
fn no_cache_keeps_an_answer_and_clients_know_when_to_return() {
    let (clock, nginx) = start("max_active=1 max_waiting=1 session=10s refresh=5s:5s");
    seated(&nginx);
    let mut waiting = queue(&nginx, "/", 1).remove(0);
    let mut full = Visitor::new(&nginx);
    full.get("/");
    for accept in ["text/html", "application/json", ROOM_TYPE] {
        let accept = [("Accept", accept)];
        let first = Visitor::new(&nginx).get_with("/", &accept);
        for (answer, bounds) in [
            (&waiting.get_with("/", &accept), 4..=6),
            (&full.get_with("/", &accept), 5..=5),
            (&first, 1..=1),
        ] {
            assert_eq!(header(answer, "Cache-Control"), "no-store");
            assert_eq!(header(answer, "Vary"), "Accept, Accept-Language, Cookie");
            let seconds = header(answer, "Retry-After").parse().expect("a number");
            assert!(bounds.contains(&seconds), "{seconds}: {bounds:?}");
            if answer.header("Content-Type").is_some_and(|kind| kind.contains("json")) {
                assert_eq!(answer.json()["refresh_seconds"], seconds);
            }
            for absent in ["ETag", "Last-Modified", "Expires", "Accept-Ranges"] {
                assert_eq!(header(answer, absent), "-", "{absent}");
            }
        }
    }
    clock.advance_seconds(10);
    let admitted = waiting.get_with("/", &[("Accept", ROOM_TYPE)]);
    assert_eq!(header(&admitted, "Cache-Control"), "no-store");
    assert_eq!(header(&admitted, "Retry-After"), "-");
    let application = waiting.get("/");
    assert_eq!(header(&application, "Cache-Control"), "-", "nothing of his is in it");
    assert_eq!(header(&application, "Vary"), "-");
}

#[test]
fn a_full_room_says_so_in_every_form() {
    let (_clock, nginx) = start("max_active=1 max_waiting=1 session=1d");
    seated(&nginx);
    queue(&nginx, "/", 1);
    let mut full = Visitor::new(&nginx);
    full.get("/");
    let told = full.poll("/");
    assert_eq!((&told["status"], &told["position"]), (&"full".into(), &Value::Null));
    assert_eq!((&told["waiting"], &told["active"]), (&1.into(), &1.into()));
    for (language, heading) in [("en", "The queue is full"), ("ja", "ただいま満員です")] {
        let page = full.get_with("/", &[("Accept-Language", language)]).text();
        let (_, body) = page.split_once("<body").expect("a page");
        assert!(body.contains(heading) && page.contains(&format!("lang={language}")), "{page}");
    }
    let line = nginx.wait_for_error("room \"r\" is full");
    assert!(line.contains("[error]") && line.contains("is full, client: 127.0.0.1,"), "{line}");
    let logged = nginx.access_log();
    let logged = logged.iter().find(|line| line["limit"] == "FULL").expect("a line");
    assert_eq!([&logged["position"], &logged["waiting"]], ["-", "1"]);
}

#[test]
fn what_happens_is_logged_once_and_at_its_level() {
    let setup = room("max_active=1 max_waiting=1 session=10s")
        .limit("/notice", "smart_limit room=r; smart_limit_log_level notice;");
    let (clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    let mut first = seated(&nginx);
    let mut second = queue(&nginx, "/", 1).remove(0);
    let mut third = Visitor::new(&nginx);
    third.get("/notice");
    for _ in 0..3 {
        first.get("/");
        second.get("/");
    }
    third.get("/notice");
    clock.advance_seconds(10);
    second.get("/");
    second.get("/");
    third.get("/notice");
    third.get("/notice");
    let log = nginx.error_log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("room \"r\""))
        .map(|line| {
            let (_, line) = line.split_once('[').expect("a level");
            let (level, line) = line.split_once("] ").expect("a level");
            let (_, text) =
                line.split_once(": *").and_then(|(_, text)| text.split_once(' ')).expect("text");
            format!("{level} {}", text.split(", client: ").next().expect("text"))
        })
        .collect();
    assert_eq!(
        lines,
        [
            "info admitted from room \"r\"",
            "warn waiting in room \"r\", position: 1",
            "notice room \"r\" is full",
            "info admitted from room \"r\"",
            "info waiting in room \"r\", position: 1",
        ]
    );
}

#[test]
fn the_variables_are_what_the_visitor_is_told() {
    let setup = room("max_active=1 max_waiting=2 session=60s refresh=5s:5s").limit(
        "/headers",
        &format!(
            "{HEADERS} smart_limit room=r;
            add_header X-Told \"$smart_limit_room $smart_limit_position $smart_limit_waiting \
            $smart_limit_active $smart_limit_wait_time $smart_limit_refresh\" always;"
        ),
    );
    let (_clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    let mut first = seated(&nginx);
    queue(&nginx, "/", 1);
    let mut second = Visitor::new(&nginx);
    second.get("/headers?joins");
    let answer = second.get_with("/headers?waits", &[("Accept", ROOM_TYPE)]);
    let (told, variables) = (answer.json(), answer.header("X-Told").expect("variables"));
    let expected = ["position", "waiting", "active", "wait_seconds", "refresh_seconds"]
        .map(|name| told[name].to_string())
        .join(" ");
    assert_eq!(variables, format!("r {expected}"));
    let line = nginx.wait_for_access("/headers?waits");
    let refresh = told["refresh_seconds"].to_string();
    let fields =
        ["status", "limit", "room", "position", "waiting", "active", "wait", "refresh", "after"]
            .map(|name| line[name].as_str());
    assert_eq!(fields, ["503", "WAITING", "r", "2", "2", "1", "120", &refresh, &refresh]);
    let session = line["session"].clone();
    let line = nginx.wait_for_access("/headers?joins");
    assert_eq!(line["session"], session, "known from the first answer on");
    let fields =
        ["limit", "room", "position", "waiting", "refresh"].map(|name| line[name].as_str());
    assert_eq!(fields, ["WAITING", "r", "-", "1", "1"]);
    first.get("/headers?admitted");
    let line = nginx.wait_for_access("/headers?admitted");
    let fields = ["limit", "room", "position", "refresh"].map(|name| line[name].as_str());
    assert_eq!(fields, ["ADMITTED", "r", "-", "-"]);
    assert_eq!(line["session"].len(), 16);
    let mut none = Visitor::new(&nginx);
    none.get("/counts?passes");
    let line = nginx.wait_for_access("/counts?passes");
    let fields = ["limit", "room", "position", "session"].map(|name| line[name].as_str());
    assert_eq!(fields[0], "PASSED");
    assert_eq!(fields[2..], ["-", "-"]);
}

#[test]
fn estimates_follow_the_pace_of_admissions() {
    let (clock, nginx) = start("max_active=1 session=10s absent=1h");
    seated(&nginx);
    let mut all = queue(&nginx, "/", 12);
    for visitor in &mut all[..5] {
        clock.advance_seconds(10);
        assert_eq!(visitor.poll("/")["status"], "admitted");
    }
    // A seat becomes free every ten seconds.
    for (ahead, visitor) in (1..).zip(&mut all[5..]) {
        assert_eq!(visitor.poll("/")["wait_seconds"], ahead * 10);
    }
}
