//! The queue of a waiting room: who comes in, when, and past whom.

use std::time::Duration;

use crate::common::client::request;
use crate::common::clock::Clock;
use crate::common::limit::QUIET;
use crate::common::nginx::Nginx;
use crate::common::room::{counts, queue, room, rooms, seated, Visitor};
use crate::common::wait_until;

/// A server with the room of these parameters, whose clock stands still.
fn start(parameters: &str) -> (Clock, Nginx) {
    let (clock, setup) = Clock::with_time_of_day(room(parameters));
    (clock, setup.start())
}

#[test]
fn smoke_who_waits_gets_the_seat_that_becomes_free() {
    let nginx = room("max_active=1 session=6s").start();
    let mut first = seated(&nginx);
    assert_eq!(first.get("/").verdict(), "200 ADMITTED");
    let mut second = Visitor::new(&nginx);
    assert_eq!(second.join("/")["position"], 1);
    assert_eq!(second.get("/").verdict(), "503 WAITING");
    wait_until("the seat", || second.get("/").verdict() == "200 ADMITTED");
    assert_eq!(first.get("/").verdict(), "503 WAITING");
}

#[test]
fn positions_begin_at_one_and_count_down() {
    let (clock, nginx) = start("max_active=1 session=10s");
    let _seated = seated(&nginx);
    let mut all = queue(&nginx, "/", 5);
    assert_eq!(counts(&nginx), (5, 1));
    clock.advance_seconds(10);
    assert_eq!(all[2].poll("/")["position"], 3, "the seat is not his, though it is free");
    assert_eq!(all[1].poll("/")["position"], 2);
    assert_eq!(all[0].poll("/")["status"], "admitted");
    let positions = |all: &mut [Visitor]| -> Vec<_> {
        all.iter_mut().map(|visitor| visitor.poll("/")["position"].clone()).collect()
    };
    assert_eq!(positions(&mut all[1..]), [1, 2, 3, 4]);
    clock.advance_seconds(10);
    assert_eq!(all[1].get("/").verdict(), "200 ADMITTED");
    assert_eq!(positions(&mut all[2..]), [1, 2, 3]);
    assert_eq!(all[0].poll("/")["position"], 4, "whose time is over begins at the end");
}

#[test]
fn as_many_as_there_are_free_seats_come_in_in_any_order() {
    let (clock, nginx) = start("max_active=3 session=10s");
    let _seated = [seated(&nginx), seated(&nginx), seated(&nginx)];
    let mut all = queue(&nginx, "/", 5);
    clock.advance_seconds(10);
    let statuses = [4, 2, 3, 1, 0, 4].map(|number: usize| all[number].poll("/")["status"].clone());
    assert_eq!(statuses, ["waiting", "admitted", "waiting", "admitted", "admitted", "waiting"]);
    assert_eq!(counts(&nginx), (2, 3));
}

#[test]
fn who_was_dropped_can_queue_again_at_the_end() {
    let (clock, nginx) = start("max_active=1 absent=1s refresh=1s session=1h");
    let _seated = seated(&nginx);
    let mut all = queue(&nginx, "/", 3);
    clock.advance_seconds(100);
    wait_until("the absent to be gone", || counts(&nginx) == (0, 1));
    for round in 0..3 {
        for (place, number) in [2, 0, 1].into_iter().enumerate() {
            let answer = all[number].get_with("/", &[("Accept", "application/json")]);
            assert_eq!(answer.json()["position"], place + 1, "round {round}");
            assert!(answer.set_cookies().is_empty(), "he is still who he was");
        }
        clock.advance_seconds(100);
        wait_until("the absent to be gone", || counts(&nginx) == (0, 1));
    }
}

#[test]
fn who_comes_back_in_time_keeps_his_place_and_who_does_not_has_lost_it() {
    let (clock, nginx) = start("max_active=1 absent=30s session=1h");
    let _seated = seated(&nginx);
    let mut visitor = queue(&nginx, "/", 1).remove(0);
    let mut told = visitor.poll("/");
    for _ in 0..5 {
        let refresh = told["refresh_seconds"].as_u64().expect("a number");
        // The latest moment that is in time.
        clock.advance_seconds(refresh + 30);
        assert_eq!(counts(&nginx), (1, 1));
        told = visitor.poll("/");
    }
    let refresh = told["refresh_seconds"].as_u64().expect("a number");
    clock.advance(Duration::from_millis(refresh * 1000 + 30_001));
    // The sweep comes by each second.
    clock.advance_seconds(1);
    wait_until("the absent to be gone", || counts(&nginx) == (0, 1));
}

#[test]
fn thousands_of_absent_go_at_once() {
    const COUNT: u64 = 10_000;
    let setup = rooms()
        .http("smart_limit_room r 4m max_active=1 session=1d per_net=off refresh=5s:5s;\n")
        .server(QUIET)
        .limit("/", "smart_limit room=r;")
        .limit("/counts", "smart_limit zone=site burst=1000 nodelay room=r;");
    let (clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    let _seated = seated(&nginx);
    join_at_once(&nginx, COUNT);
    assert_eq!(counts(&nginx), (COUNT, 1));
    clock.advance_seconds(10);
    let mut last = Visitor::new(&nginx);
    assert_eq!(last.join("/")["position"], COUNT + 1, "known, however long the queue");
    // The others were told at most 6 seconds, he at least 4.
    clock.advance_seconds(17);
    let told = last.poll("/");
    assert_eq!((&told["position"], &told["waiting"]), (&1.into(), &1.into()), "{told}");
}

/// Has so many visitors take places, on one connection.
fn join_at_once(nginx: &Nginx, count: u64) {
    let mut client = nginx.connect();
    let mut visit = |cookies: &[String]| -> Vec<String> {
        let requests: Vec<u8> = cookies
            .iter()
            .flat_map(|cookie| request("HEAD", "/", &[("Cookie", cookie)], b""))
            .collect();
        client.send(requests);
        let answers = cookies.iter().map(|_| client.read("HEAD"));
        let cookie = |answer: crate::common::client::Response| {
            let cookie = answer.set_cookies().first().copied().unwrap_or_default().to_owned();
            cookie.split(';').next().map(str::to_owned)
        };
        answers.filter_map(cookie).collect()
    };
    for _ in 0..count / 100 {
        let tokens = visit(&vec!["none=1".to_owned(); 100]);
        assert!(tokens.iter().all(|token| token.starts_with("smart_limit_r=")), "{tokens:?}");
        let renewed = visit(&tokens);
        assert!(renewed.iter().all(String::is_empty), "{renewed:?}");
    }
}

#[test]
fn seats_are_counted_from_admission() {
    let (clock, nginx) = start("max_active=1 session=60s absent=1h");
    // He is let in by a poll of the page, and then never asks for anything.
    let _silent = seated(&nginx);
    let mut second = queue(&nginx, "/", 1).remove(0);
    clock.advance(Duration::from_millis(59_999));
    let told = second.poll("/");
    assert_eq!((&told["status"], &told["active"]), (&"waiting".into(), &1.into()));
    clock.advance(Duration::from_millis(1));
    assert_eq!(second.poll("/")["status"], "admitted");
}

#[test]
fn what_a_seated_session_asks_for_does_not_lengthen_its_time() {
    let (clock, nginx) = start("max_active=1 session=60s absent=1h");
    let mut first = seated(&nginx);
    let mut second = queue(&nginx, "/", 1).remove(0);
    for _ in 0..59 {
        clock.advance_seconds(1);
        assert_eq!(first.get("/").verdict(), "200 ADMITTED");
        assert_eq!(second.get("/").verdict(), "503 WAITING");
    }
    clock.advance_seconds(1);
    assert_eq!(first.get("/").verdict(), "503 WAITING");
    assert_eq!(second.get("/").verdict(), "200 ADMITTED");
}

#[test]
fn two_behind_one_address_are_two() {
    let (_clock, setup) = Clock::with_time_of_day(
        room("max_active=2").limit("/address", "smart_limit zone=address room=r;"),
    );
    let nginx = setup.start();
    assert_eq!(nginx.get("/address").verdict(), "200 PASSED");
    let mut all: Vec<_> = (0..4).map(|_| Visitor::new(&nginx)).collect();
    for visitor in &mut all {
        assert_eq!(visitor.get("/address").verdict(), "503 WAITING");
    }
    let told: Vec<_> = all.iter_mut().map(|visitor| visitor.poll("/address")).collect();
    assert_eq!([&told[0]["status"], &told[1]["status"]], ["admitted"; 2]);
    assert_eq!([&told[2]["position"], &told[3]["position"]], [1, 2]);
    let sessions: Vec<_> = all.iter().map(|visitor| visitor.token().to_owned()).collect();
    assert!(sessions.iter().enumerate().all(|(i, one)| !sessions[..i].contains(one)));
}

/// A server whose limit is by the argument `k`, and where all seats are taken.
fn start_with_keys(parameters: &str) -> (Clock, Nginx) {
    let setup = room(&format!("max_active=1 session=1d {parameters}"))
        .limit("/key", "smart_limit zone=key room=r;");
    let (clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    seated(&nginx);
    (clock, nginx)
}

#[test]
fn nobody_passes_those_who_wait_under_his_key() {
    let (clock, nginx) = start_with_keys("absent=1h");
    assert_eq!(nginx.get("/key?k=a").verdict(), "200 PASSED");
    let mut first = queue(&nginx, "/key?k=a", 1).remove(0);
    clock.advance_seconds(60);
    let mut newcomer = Visitor::new(&nginx);
    let answer = newcomer.get("/key?k=a");
    assert_eq!(answer.verdict(), "503 WAITING", "though the limit would let him pass");
    assert_eq!(answer.set_cookies().len(), 1);
    assert_eq!(newcomer.poll("/key?k=a")["position"], 2);
    assert_eq!(nginx.get("/key?k=b").verdict(), "200 PASSED", "of another key nobody waits");
    assert_eq!(nginx.get("/counts").verdict(), "200 PASSED", "nor over another limit");
    // The rate's own capacity is his who is first.
    assert_eq!(newcomer.get("/key?k=a").verdict(), "503 WAITING");
    assert_eq!(first.get("/key?k=a").verdict(), "200 PASSED");
    assert_eq!(first.poll("/key?k=a")["position"], 1, "he keeps his place");
    assert_eq!(first.get("/key?k=a").verdict(), "503 WAITING", "the capacity is used up");
    clock.advance_seconds(60);
    assert_eq!(first.poll("/key?k=a")["status"], "passed");
    assert_eq!(first.get("/key?k=a").verdict(), "200 PASSED", "asking the room charges nothing");
    assert_eq!(newcomer.get("/key?k=a").verdict(), "503 WAITING");
    assert_eq!(counts(&nginx), (2, 1));
}

#[test]
fn when_the_first_of_a_key_is_gone_the_next_is_first() {
    let (clock, nginx) = start_with_keys("absent=10s refresh=5s:5s");
    for key in ["a", "b"] {
        assert_eq!(nginx.get(&format!("/key?k={key}")).verdict(), "200 PASSED");
    }
    let mut of_a = queue(&nginx, "/key?k=a", 2);
    let mut of_b = Visitor::new(&nginx);
    assert_eq!(of_b.join("/key?k=b")["position"], 3);
    for _ in 0..6 {
        clock.advance_seconds(10);
        of_a[1].poll("/counts");
        of_b.poll("/counts");
    }
    assert_eq!(of_b.get("/key?k=b").verdict(), "200 PASSED", "the first of his key, not of all");
    assert_eq!(of_a[1].get("/key?k=a").verdict(), "200 PASSED");
    assert_eq!(of_a[1].poll("/key?k=a")["position"], 1);
    assert_eq!(of_a[0].poll("/key?k=a")["position"], 3, "the absent one is behind all others");
}

#[test]
fn one_greedy_address_waits_for_itself() {
    let setup = room("max_active=1 session=1d")
        .server("set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;\n")
        .limit("/address", "smart_limit zone=address room=r;");
    let (_clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    seated(&nginx);
    let from = |address| Visitor::new(&nginx).with("X-Forwarded-For", address);
    assert_eq!(from("192.0.2.1").get("/address").verdict(), "200 PASSED");
    for _ in 0..50 {
        assert_eq!(from("192.0.2.1").join("/address")["status"], "waiting");
    }
    for address in ["192.0.2.2", "198.51.100.1", "2001:db8::1"] {
        assert_eq!(from(address).get("/address").verdict(), "200 PASSED", "{address}");
    }
    assert_eq!(counts(&nginx), (50, 1));
}

#[test]
fn a_post_stays_a_post() {
    let setup = room("max_active=1 session=10s").location("/echo", "return 200 $request_method;");
    let echo = format!("smart_limit room=r; proxy_pass http://127.0.0.1:{}/echo;", setup.port());
    let (clock, setup) = Clock::with_time_of_day(setup.location("/post", &echo));
    let nginx = setup.start();
    let _seated = seated(&nginx);
    let mut visitor = queue(&nginx, "/", 1).remove(0);
    for method in ["POST", "PUT", "DELETE"] {
        let answer = visitor.request(method, "/post?waits", &[], b"what I say");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("Refresh"), None, "{method}");
        assert_eq!(answer.header("Location"), None, "{method}");
        assert!(!answer.text().contains("http-equiv"), "{method}: {}", answer.text());
        assert!(visitor.get("/post").text().contains("http-equiv"), "a GET refreshes itself");
        let line = nginx.wait_for_access(&format!("{method} /post?waits"));
        assert_eq!((&line["method"], &line["limit"]), (&method.to_owned(), &"WAITING".to_owned()));
    }
    clock.advance_seconds(10);
    assert_eq!(visitor.request("POST", "/post?in", &[], b"what I say").text(), "POST");
    assert_eq!(nginx.wait_for_access("POST /post?in")["body"], "what I say");
}
