//! A room that is full, a time of day that jumps, visitors who vanish: it stays what it is, and no memory is
//! lost by it.

use std::thread;
use std::time::Duration;

use crate::common::client::request;
use crate::common::clock::Clock;
use crate::common::limit::{verdicts, QUIET};
use crate::common::nginx::Nginx;
use crate::common::process;
use crate::common::room::{counts, queue, room, rooms, seated, Visitor, ROOM_TYPE};
use crate::common::setup::Setup;
use crate::common::{dose, wait_until, Numbers};

/// The smallest room, under a clock that stands still, with its seat taken.
fn start_small() -> (Clock, Nginx) {
    let small = "max_active=1 session=99h absent=20s refresh=5s:5s per_net=off token=999h";
    let setup = rooms()
        .http(&format!("smart_limit_room r 32k {small};\n"))
        .http(QUIET)
        .limit("/", "smart_limit room=r;")
        .limit("/counts", "smart_limit zone=site burst=1000 nodelay room=r;")
        .limit("/200", "smart_limit room=r; smart_limit_room_status 200;")
        .limit("/429", "smart_limit room=r; smart_limit_room_status 429;")
        .limit("/own", "smart_limit room=r; smart_limit_room_page /full.html;")
        .location("= /full.html", "")
        .document("full.html", b"come back tomorrow\n");
    let (clock, setup) = Clock::into(setup);
    let nginx = setup.start();
    seated(&nginx);
    (clock, nginx)
}

/// Has visitors join, behind so many, until one is told that there is no place.
#[track_caller]
fn fill(nginx: &Nginx, before: usize) -> (Vec<Visitor>, Visitor) {
    let mut waiting = Vec::new();
    loop {
        let mut visitor = Visitor::new(nginx);
        let told = visitor.join("/");
        if told["status"] == "full" {
            assert_eq!(told["waiting"], before + waiting.len());
            return (waiting, visitor);
        }
        waiting.push(visitor);
        assert_eq!(told["position"], before + waiting.len());
        assert!(waiting.len() < 10_000, "it is never full");
    }
}

#[test]
fn smoke_a_full_room_says_so_and_keeps_those_who_wait() {
    let (clock, nginx) = start_small();
    let (mut waiting, mut late) = fill(&nginx, 0);
    assert!(waiting.len() > 100, "{} places", waiting.len());
    for (path, status) in [("/", 503), ("/200", 503), ("/429", 429)] {
        let response = late.get(path);
        assert_eq!(response.verdict(), format!("{status} FULL"));
        assert!(response.text().contains("<!doctype html>"));
        assert_eq!(response.header("Retry-After"), Some("5"));
        let json = late.get_with(path, &[("Accept", "application/json")]);
        assert_eq!((json.status, &json.json()["status"]), (status, &"full".into()));
        let response = late.get_with(path, &[("Accept", ROOM_TYPE)]);
        assert_eq!((response.status, &response.json()["position"]), (status, &().into()));
    }
    assert_eq!(late.get("/own").text(), "come back tomorrow\n");
    assert_eq!(counts(&nginx), (waiting.len() as u64, 1));
    // A newcomer is given a token still, and nobody's place.
    assert_eq!(Visitor::new(&nginx).get("/").verdict(), "503 WAITING");
    for (place, visitor) in waiting.iter_mut().enumerate() {
        assert_eq!(visitor.poll("/")["position"], place + 1);
    }
    // Half of them stay; the places of the others are free again, and taken in the order of arrival.
    clock.advance_seconds(20);
    let stay = waiting.len() / 2;
    waiting.truncate(stay);
    waiting.iter_mut().for_each(|visitor| drop(visitor.poll("/")));
    assert_eq!(late.poll("/")["status"], "full");
    clock.advance_seconds(8);
    wait_until("the absentees' places", || counts(&nginx).0 == stay as u64);
    assert_eq!(late.poll("/")["position"], stay + 1);
    waiting.push(late);
    for (place, visitor) in waiting.iter_mut().enumerate() {
        assert_eq!(visitor.poll("/")["position"], place + 1);
    }
}

#[test]
fn ten_times_as_many_as_fit_come_and_go_behind_a_head_that_stays() {
    let (clock, nginx) = start_small();
    let mut head = Visitor::new(&nginx);
    assert_eq!(head.join("/")["position"], 1);
    let capacity = fill(&nginx, 1).0.len();
    for round in 0..dose(10, 100) {
        clock.advance_seconds(14);
        assert_eq!(head.poll("/")["position"], 1, "{round}");
        clock.advance_seconds(14);
        assert_eq!(head.poll("/")["position"], 1, "{round}");
        wait_until("the others' places", || counts(&nginx).0 == 1);
        assert_eq!(
            fill(&nginx, 1).0.len(),
            capacity,
            "{round}: nobody is told so before it is full"
        );
    }
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Moves the time of day by so many seconds.
fn jump(clock: &Clock, seconds: i64) {
    let now = i64::try_from(clock.time_of_day().as_secs()).expect("a time");
    let then = u64::try_from(now + seconds).expect("a time after 1970");
    clock.set_time_of_day(Duration::from_secs(then));
}

struct Crowd {
    clock: Clock,
    nginx: Nginx,
    inside: Visitor,
    waiting: Vec<Visitor>,
}

impl Crowd {
    /// One inside, for 600 seconds, of which half are over, and three who wait.
    fn gather() -> Self {
        let rules = "max_active=1 session=600s absent=600s token=24h";
        let (clock, setup) = Clock::with_time_of_day(room(rules));
        let nginx = setup.start();
        clock.advance_seconds(100);
        let (inside, waiting) = (seated(&nginx), queue(&nginx, "/", 3));
        clock.advance_seconds(300);
        Self { clock, nginx, inside, waiting }
    }

    #[track_caller]
    fn check_places(&mut self) {
        for (place, visitor) in self.waiting.iter_mut().enumerate() {
            let told = visitor.poll("/");
            assert_eq!((&told["position"], &told["active"]), (&(place + 1).into(), &1.into()));
        }
    }

    /// The seat ends when it would have, and not before, and then the first in line is next, before so many.
    #[track_caller]
    fn check_the_end_of_the_seat(&mut self, others: u64) {
        self.clock.advance_seconds(299);
        self.check_places();
        self.clock.advance_seconds(1);
        assert_eq!(self.waiting[0].get("/").verdict(), "200 ADMITTED");
        assert_eq!(self.waiting[1].poll("/")["position"], 1);
        assert_eq!(counts(&self.nginx), (others, 1));
    }
}

#[test]
fn a_jump_of_the_time_of_day_within_a_token_s_life_changes_nothing() {
    // A minute back, because two machines' clocks may differ by so much.
    for seconds in [1, HOUR, 11 * HOUR, -30] {
        let mut crowd = Crowd::gather();
        // It is new enough after the jump not to be given another.
        jump(&crowd.clock, seconds);
        assert_eq!(crowd.inside.get("/").verdict(), "200 ADMITTED", "{seconds}");
        crowd.check_places();
        crowd.check_the_end_of_the_seat(2);
    }
}

#[test]
fn those_whom_a_jump_makes_strangers_can_queue_anew() {
    for seconds in [-HOUR, -30 * DAY, 30 * DAY] {
        let mut crowd = Crowd::gather();
        jump(&crowd.clock, seconds);
        let mut strangers = crowd.waiting.clone();
        for (place, visitor) in strangers.iter_mut().enumerate() {
            let first = visitor.get("/");
            assert_eq!((first.verdict().as_str(), first.set_cookies().len()), ("503 WAITING", 1));
            // The places that were given before are kept for those who had them.
            let told = visitor.poll("/");
            assert_eq!(told["position"], 4 + place, "{seconds}");
            assert_eq!(told["active"], 1, "nobody is let in by it");
        }
        assert_eq!(crowd.inside.get("/").verdict(), "503 WAITING", "{seconds}");
        // The clock is set right: their first tokens are good again.
        jump(&crowd.clock, -seconds);
        crowd.check_places();
        crowd.check_the_end_of_the_seat(2 + 3);
    }
}

#[test]
fn places_that_a_jump_has_orphaned_are_free_after_their_time() {
    let crowd = Crowd::gather();
    jump(&crowd.clock, 30 * DAY);
    let mut stranger = Visitor::new(&crowd.nginx);
    assert_eq!(stranger.join("/")["position"], 4);
    crowd.clock.advance_seconds(299);
    assert_eq!(stranger.poll("/")["status"], "waiting");
    crowd.clock.advance_seconds(100);
    // The seat has ended meanwhile, and those before him have had the time that they were told.
    wait_until("his turn", || stranger.get("/").verdict() == "200 ADMITTED");
    assert_eq!(counts(&crowd.nginx), (0, 1));
}

#[test]
fn a_single_process_has_a_room() {
    let rules = "max_active=1 session=1h absent=4s refresh=1s:1s";
    let nginx = room(rules).workers(0).main("master_process off;\n").start();
    let mut inside = seated(&nginx);
    queue(&nginx, "/", 3);
    assert_eq!(inside.get("/").verdict(), "200 ADMITTED");
    wait_until("the absentees' places", || counts(&nginx) == (0, 1));
}

/// What visitors of all kinds ask for, one after the other.
fn ask_for_all(nginx: &Nginx, seed: u64, requests: usize) {
    let mut numbers = Numbers::new(seed);
    let mut known = Vec::new();
    for _ in 0..requests / 20 {
        let mut client = nginx.connect();
        let headers = [
            &[][..],
            &[("Accept", "application/json")],
            &[("Accept", ROOM_TYPE)],
            &[("Sec-Fetch-Dest", "image")],
            &[("Cookie", "smart_limit_r=forged")],
        ];
        for _ in 0..20 {
            let path = numbers.one_of(&["/", "/own", "/counts", "/429"]);
            let method = numbers.one_of(&["GET", "HEAD", "POST"]);
            let body = if method == "POST" { &[b'x'; 1000][..] } else { b"" };
            client.send(request(method, path, numbers.one_of(&headers), body));
            // Who is let in may not post to a file.
            assert!([200, 405, 429, 503].contains(&client.read(method).status));
        }
        if known.len() < 5 {
            known.push(Visitor::new(nginx));
        }
        known.iter_mut().for_each(|visitor| drop(visitor.get("/")));
    }
}

fn start_for_crowds(setup: Setup) -> Nginx {
    setup
        .http("smart_limit_room r 64k max_active=2 session=1s absent=1s refresh=1s:1s;\n")
        .http(QUIET)
        .limit("/", "smart_limit room=r;")
        .limit("/counts", "smart_limit zone=site burst=1000 nodelay room=r;")
        .limit("/429", "smart_limit room=r; smart_limit_room_status 429;")
        .limit("/own", "smart_limit room=r; smart_limit_room_page /page.html;")
        .location("= /page.html", "")
        .document("page.html", b"an own page\n")
        // For so long nginx keeps a connection whose client leaves while nobody reads what it sends.
        .server("keepalive_timeout 1s;\n")
        .start()
}

#[test]
fn memory_and_descriptors_are_flat() {
    if crate::common::sanitized() {
        eprintln!("not run: AddressSanitizer keeps freed memory");
        return;
    }
    let nginx = start_for_crowds(rooms());
    let worker = nginx.worker();
    let ask = |requests: usize| {
        thread::scope(|scope| {
            for seed in 0..4 {
                let nginx = &nginx;
                scope.spawn(move || ask_for_all(nginx, seed, requests / 4));
            }
        });
        process::resident_kib(worker)
    };
    let descriptors = || process::descriptors(worker);
    let (idle, before) = (descriptors(), ask(8_000));
    let after = ask(dose(8_000, 1_000_000));
    assert!(after <= before + 1024, "from {before} to {after} KiB");
    wait_until("every connection to be closed", || descriptors() <= idle + 4);
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn a_thousand_clients_that_vanish_leave_nothing_behind() {
    let nginx = start_for_crowds(rooms().workers(2));
    let open = || nginx.workers().into_iter().map(process::descriptors).sum::<usize>();
    let (before, workers) = (open(), nginx.workers());
    let mut numbers = Numbers::new(1);
    let mut joined = Visitor::new(&nginx);
    joined.get("/");
    for _ in 0..dose(1_000, 100_000) {
        let path = numbers.one_of(&["/", "/own", "/counts", "/429"]);
        let visitor = if numbers.below(2) == 0 { &joined } else { &Visitor::new(&nginx) };
        let bytes = visitor.text("POST", path, &[("Accept", ROOM_TYPE)], &[b'x'; 3_000]);
        let mut client = nginx.connect();
        client.send(&bytes[..1 + numbers.below(bytes.len() as u64) as usize]);
        client.abort();
    }
    // The first worker may have got its channel to the second one meanwhile.
    wait_until("every connection to be closed", || open() <= before + 1);
    assert_eq!(nginx.workers(), workers);
    wait_until("an empty room", || counts(&nginx) == (0, 0));
    assert_eq!(verdicts(&nginx, "/counts", 2), ["200 PASSED", "200 PASSED"]);
}
