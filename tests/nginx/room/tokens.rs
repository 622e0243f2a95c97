//! Tokens of a waiting room, end to end: what is one, what is none, and who is who.

use std::thread;
use std::time::Duration;

use crate::common::client::{request, Response};
use crate::common::clock::Clock;
use crate::common::limit::{HEADERS, QUIET};
use crate::common::nginx::Nginx;
use crate::common::room::{counts, queue, room, seated, Visitor, ROOM_TYPE};

/// A server with the room of these parameters, whose clock stands still.
fn start(parameters: &str) -> (Clock, Nginx) {
    let (clock, setup) = Clock::with_time_of_day(room(parameters));
    (clock, setup.start())
}

/// The session that the answer is of.
fn session(response: &Response) -> &str {
    response.header("X-Session").unwrap_or("-")
}

/// What is as none: a new token is sent, and no place is given.
#[track_caller]
fn assert_none(nginx: &Nginx, header: &str, what: &str) {
    let answer = nginx.connect().get_with("/", &[("Cookie", header), ("Accept", ROOM_TYPE)]);
    assert_eq!(answer.status, 503, "{what}: {header}");
    assert_eq!(answer.set_cookies().len(), 1, "{what}: {header}");
    assert!(answer.json()["position"].is_null(), "{what}: {header}");
}

/// What is a token: none is sent, and its owner has the only place.
#[track_caller]
fn assert_valid(nginx: &Nginx, header: &str) {
    let answer = nginx.connect().get_with("/", &[("Cookie", header), ("Accept", ROOM_TYPE)]);
    assert_eq!((answer.status, answer.set_cookies().len()), (503, 0), "{header}");
    assert_eq!(answer.json()["position"], 1, "{header}");
}

#[test]
fn smoke_a_token_that_is_none_costs_nothing() {
    let nginx = room("max_active=1").server("large_client_header_buffers 4 16k;\n").start();
    seated(&nginx);
    let visitor = queue(&nginx, "/", 1).remove(0);
    let token = visitor.token();
    for header in [
        format!("smart_limit_r={token}"),
        format!("a=b; smart_limit_r={token}; c=d"),
        format!("smart_limit_q={token}; smart_limit_r={token}"),
    ] {
        assert_valid(&nginx, &header);
    }
    let eight_kib = "A".repeat(8192);
    let mut other = Visitor::new(&nginx);
    other.get("/");
    for (what, header) in [
        ("another name", format!("smart_limit={token}")),
        ("another room's name", format!("smart_limit_q={token}")),
        ("a name in capitals", format!("SMART_LIMIT_R={token}")),
        ("twice", format!("smart_limit_r={token}; smart_limit_r={token}")),
        ("twice, of two", format!("smart_limit_r={token}; smart_limit_r={}", other.token())),
        ("doubled", format!("smart_limit_r={token}{token}")),
        ("in quotes", format!("smart_limit_r=\"{token}\"")),
        ("padded", format!("smart_limit_r={token}=")),
        ("in capitals", format!("smart_limit_r={}", token.to_uppercase())),
        ("nothing", "smart_limit_r=".to_owned()),
        ("8 KiB", format!("smart_limit_r={eight_kib}")),
        ("8 KiB after a token", format!("smart_limit_r={token}{eight_kib}")),
        ("the session's number", "smart_limit_r=0123456789abcdef".to_owned()),
        ("bytes", "smart_limit_r=\u{80}\u{7ff}%00%ff".to_owned()),
    ] {
        assert_none(&nginx, &header, what);
    }
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn every_changed_bit_and_every_beginning_of_a_token_are_as_none() {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let nginx = room("max_active=1").server(QUIET).start();
    seated(&nginx);
    let visitor = queue(&nginx, "/", 1).remove(0);
    let token = visitor.token().as_bytes();
    let mut bad: Vec<Vec<u8>> = (0..token.len()).map(|length| token[..length].to_vec()).collect();
    for place in 0..token.len() {
        let digit = DIGITS.iter().position(|digit| *digit == token[place]).expect("a digit");
        bad.extend((0..6).map(|bit| {
            let mut changed = token.to_vec();
            changed[place] = DIGITS[digit ^ 1 << bit];
            changed
        }));
    }
    let ask = |token: &[u8]| {
        let cookie = format!("smart_limit_r={}", String::from_utf8_lossy(token));
        request("GET", "/", &[("Cookie", &cookie), ("Accept", ROOM_TYPE)], b"")
    };
    let mut client = nginx.connect();
    for bad in &bad {
        client.send(ask(bad));
        let answer = client.read("GET");
        assert_eq!(answer.set_cookies().len(), 1, "{}", String::from_utf8_lossy(bad));
        assert!(answer.json()["position"].is_null(), "{}", String::from_utf8_lossy(bad));
    }
    assert_eq!(bad.len(), 64 + 64 * 6);
    client.send(ask(token));
    assert_eq!(client.read("GET").json()["position"], 1);
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn a_token_has_its_time() {
    let (clock, nginx) = start("max_active=1 session=1h token=1h");
    seated(&nginx);
    let visitor = queue(&nginx, "/", 1).remove(0);
    let (cookie, issued) = (format!("smart_limit_r={}", visitor.token()), clock.time_of_day());
    let at = |seconds: i64| {
        let seconds = issued.as_secs().checked_add_signed(seconds).expect("a time");
        clock.set_time_of_day(Duration::from_secs(seconds));
    };
    for seconds in [0, 1800, -60] {
        at(seconds);
        assert_valid(&nginx, &cookie);
    }
    for (seconds, what) in [(-61, "of the future"), (-100_000, "of the future"), (3600, "expired")]
    {
        at(seconds);
        assert_none(&nginx, &cookie, what);
    }
    at(3599);
    let renewed = nginx.connect().get_with("/", &[("Cookie", &cookie), ("Accept", ROOM_TYPE)]);
    assert_eq!(renewed.json()["position"], 1, "valid to its last second");
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn who_has_less_than_half_left_is_signed_anew_on_any_answer() {
    let setup = room("max_active=1 session=1000s token=1000s absent=1d").limit(
        "/stored",
        &format!("{HEADERS} smart_limit room=r; expires 1h; add_header Cache-Control public;"),
    );
    let (clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    let mut first = seated(&nginx);
    let mut second = queue(&nginx, "/", 1).remove(0);
    clock.set_time_of_day(clock.time_of_day() + Duration::from_secs(500));
    for path in ["/", "/stored", "/counts"] {
        assert!(first.get(path).set_cookies().is_empty(), "{path}");
        assert!(second.get(path).set_cookies().is_empty(), "{path}");
    }
    clock.set_time_of_day(clock.time_of_day() + Duration::from_secs(1));
    let renewed = |visitor: &Visitor, path: &str, accept: &str| {
        let answer = visitor.clone().get_with(path, &[("Accept", accept)]);
        let [cookie] = answer.set_cookies()[..] else { panic!("{path}: {answer:?}") };
        assert!(cookie.contains("; Max-Age=1000; "), "{cookie}");
        assert!(!cookie.contains(visitor.token()), "{cookie}");
        answer
    };
    for (path, accept) in [("/", "*/*"), ("/stored", "*/*"), ("/", ROOM_TYPE)] {
        let answer = renewed(&first, path, accept);
        assert_eq!(answer.verdict(), "200 ADMITTED");
        let control = if accept == ROOM_TYPE { "no-store" } else { "private, no-store" };
        assert_eq!(answer.all("Cache-Control"), [control], "{path}");
        assert_eq!(answer.header("Expires"), None, "{path}");
    }
    for accept in ["text/html", "application/json", ROOM_TYPE] {
        let answer = renewed(&second, "/", accept);
        assert_eq!(answer.verdict(), "503 WAITING");
        assert_eq!(answer.all("Cache-Control"), ["no-store"], "{accept}");
    }
    let (old, before) = (first.clone(), session(&first.clone().get("/")).to_owned());
    let anew = first.get("/");
    assert_ne!(old.token(), first.token());
    assert_eq!(session(&anew), before, "the same session");
    assert!(first.get("/").set_cookies().is_empty(), "once");
    assert_eq!(old.clone().get("/").verdict(), "200 ADMITTED", "as does the token of before");
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn nobody_gets_a_cookie_over_a_valid_one() {
    let (clock, nginx) = start("max_active=1 session=10s");
    let mut all = vec![seated(&nginx)];
    all.extend(queue(&nginx, "/", 2));
    for visitor in &mut all {
        let token = visitor.token().to_owned();
        for _ in 0..3 {
            for accept in ["text/html", "application/json", ROOM_TYPE] {
                for path in ["/", "/counts"] {
                    let answer = visitor.get_with(path, &[("Accept", accept)]);
                    assert!(answer.set_cookies().is_empty(), "{answer:?}");
                }
            }
            assert!(visitor.request("POST", "/", &[], b"x").set_cookies().is_empty());
        }
        clock.advance_seconds(5);
        assert_eq!(visitor.token(), token);
    }
}

#[test]
fn tabs_of_one_browser_are_one_place() {
    let (clock, nginx) = start("max_active=1 session=10s");
    seated(&nginx);
    let mut tabs = vec![queue(&nginx, "/", 1).remove(0); 5];
    for tab in &mut tabs {
        assert_eq!(tab.poll("/")["position"], 1);
        assert_eq!(tab.poll_hidden("/")["position"], 1);
    }
    assert_eq!(counts(&nginx), (1, 1));
    clock.advance_seconds(10);
    for tab in &mut tabs {
        assert_eq!(tab.get("/").verdict(), "200 ADMITTED");
    }
    assert_eq!(counts(&nginx), (0, 1), "and one seat");
}

#[test]
fn who_keeps_no_cookies_leaves_nothing_behind() {
    let nginx = room("max_active=1").server(QUIET).start();
    seated(&nginx);
    let mut client = nginx.connect();
    for _ in 0..1000 {
        let answer = client.get("/");
        assert_eq!((answer.verdict(), answer.set_cookies().len()), ("503 WAITING".to_owned(), 1));
    }
    assert_eq!(counts(&nginx), (0, 1));
}

#[test]
fn a_first_visit_of_many_requests_is_one_place() {
    const COUNT: usize = 40;
    let nginx = room("max_active=1").workers(2).start();
    seated(&nginx);
    let mut clients: Vec<_> = (0..COUNT).map(|_| nginx.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("/"));
    let mut browser = Visitor::new(&nginx);
    let mut tokens: Vec<String> = Vec::new();
    for client in &mut clients {
        let answer = client.read("GET");
        assert_eq!(answer.verdict(), "503 WAITING");
        let [cookie] = answer.set_cookies()[..] else { panic!("{answer:?}") };
        let (pair, _) = cookie.split_once(';').expect("attributes");
        let (name, value) = pair.split_once('=').expect("a value");
        tokens.push(value.to_owned());
        // A browser keeps what comes last.
        browser = browser.with_cookie(name, value);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), COUNT);
    assert_eq!(counts(&nginx), (0, 1));
    let text = browser.text("GET", "/", &[], b"");
    for client in &mut clients {
        client.send(&text);
    }
    assert!(clients.iter_mut().all(|client| client.read("GET").verdict() == "503 WAITING"));
    assert_eq!(browser.poll("/")["position"], 1);
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn a_first_token_that_is_replayed_is_one_place() {
    let nginx = room("max_active=1").workers(2).server(QUIET).start();
    seated(&nginx);
    let mut visitor = Visitor::new(&nginx);
    visitor.get("/");
    let text = visitor.text("HEAD", "/", &[], b"");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = nginx.connect();
                for _ in 0..50 {
                    client.send(text.repeat(50));
                    assert!((0..50).all(|_| client.read("HEAD").status == 503));
                }
            });
        }
    });
    assert_eq!(visitor.poll("/")["position"], 1);
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn a_token_may_stand_in_any_of_several_fields_but_once() {
    let nginx = room("max_active=1").start();
    seated(&nginx);
    let token = format!("smart_limit_r={}", queue(&nginx, "/", 1).remove(0).token());
    let answer = |fields: &[&str]| {
        let mut headers: Vec<_> = fields.iter().map(|field| ("Cookie", *field)).collect();
        headers.push(("Accept", ROOM_TYPE));
        nginx.connect().get_with("/", &headers).json()["position"].clone()
    };
    assert_eq!(answer(&["a=b", &token, "c=d"]), 1);
    assert!(answer(&[&token, "a=b", &token]).is_null());
}
