//! The limits of a location that has a waiting room: who has a seat passes those that name it, who has none
//! waits over them, and all else in nginx goes on as before.
#![cfg(feature = "tools")]

mod common;

use common::clock::Clock;
use common::limit::{verdicts, HEADERS};
use common::nginx::Nginx;
use common::room::{counts, queue, room, seated, Visitor, ROOM_TYPE};
use common::wait_until;

/// A server with these locations beside those of [`room`], whose clock stands still.
fn start(parameters: &str, locations: &[(&str, &str)]) -> (Clock, Nginx) {
    let setup = locations.iter().fold(room(parameters), |setup, (path, directives)| {
        setup.limit(path, &format!("{HEADERS} {SESSION} {directives}"))
    });
    let (clock, setup) = Clock::with_time_of_day(setup);
    (clock, setup.start())
}

const SESSION: &str = "add_header X-Session $smart_limit_session always;";

#[test]
fn a_seat_passes_the_limits_of_its_room_uncharged_and_others_count() {
    let (clock, nginx) = start(
        "max_active=1 session=1d",
        &[
            ("/both", "smart_limit zone=one room=r; smart_limit zone=key; smart_limit_status 429;"),
            ("/one", "smart_limit zone=one;"),
        ],
    );
    let mut admitted = seated(&nginx);
    for _ in 0..10 {
        assert_eq!(admitted.get("/both").verdict(), "200 ADMITTED");
    }
    assert_eq!(verdicts(&nginx, "/one", 2), ["200 PASSED", "503 REJECTED"], "it was not charged");
    assert_eq!(admitted.get("/both?k=a").verdict(), "200 ADMITTED");
    let refused = admitted.get("/both?k=a");
    assert_eq!(refused.verdict(), "429 REJECTED");
    assert_eq!((refused.header("X-Limit-Zone"), refused.set_cookies().len()), (Some("key"), 0));
    let mut newcomer = Visitor::new(&nginx);
    let refused = newcomer.get("/both?k=a");
    assert_eq!((refused.verdict().as_str(), refused.set_cookies().len()), ("503 WAITING", 1));
    clock.advance_seconds(60);
    assert_eq!(admitted.get("/both?k=a").verdict(), "200 ADMITTED");
}

#[test]
fn a_limit_before_the_room_refuses_before_it() {
    let (_clock, nginx) = start(
        "max_active=1 session=1d",
        &[("/both", "smart_limit zone=key; smart_limit zone=one room=r; smart_limit_status 429;")],
    );
    seated(&nginx);
    assert_eq!(nginx.get("/both?k=a").verdict(), "200 PASSED");
    let refused = nginx.get("/both?k=a");
    assert_eq!((refused.verdict().as_str(), refused.set_cookies().len()), ("429 REJECTED", 0));
    assert_eq!(nginx.get("/both?k=b").verdict(), "503 WAITING");
    assert_eq!(counts(&nginx), (0, 1));
}

#[test]
fn who_waits_is_charged_nowhere() {
    let (clock, nginx) = start(
        "max_active=1 session=1d absent=1h",
        &[
            ("/both", "smart_limit zone=key; smart_limit zone=one room=r;"),
            ("/key", "smart_limit zone=key;"),
        ],
    );
    seated(&nginx);
    assert_eq!(nginx.get("/both?k=a").verdict(), "200 PASSED");
    let mut visitor = queue(&nginx, "/both?k=b", 1).remove(0);
    for _ in 0..3 {
        assert_eq!(visitor.get("/both?k=b").verdict(), "503 WAITING");
    }
    assert_eq!(verdicts(&nginx, "/key?k=b", 2), ["200 PASSED", "503 REJECTED"]);
    clock.advance_seconds(60);
    // The room's limit would pass the first one, but the other one does not.
    assert_eq!(verdicts(&nginx, "/key?k=b", 1), ["200 PASSED"]);
    assert_eq!(visitor.get("/both?k=b").verdict(), "503 WAITING");
    assert_eq!(visitor.get("/both?k=c").verdict(), "200 PASSED");
    assert_eq!(visitor.poll("/both?k=c")["position"], 1);
}

#[test]
fn smoke_everyone_needs_a_seat_where_there_is_a_room_alone() {
    let (clock, nginx) = start("max_active=4 session=1d absent=20s", &[]);
    // On a first visit half of the seats are given, for as long as it takes to come back with the cookie.
    let mut first: Vec<_> = (0..3).map(|_| Visitor::new(&nginx)).collect();
    let verdicts: Vec<_> = first.iter_mut().map(|visitor| visitor.get("/").verdict()).collect();
    assert_eq!(verdicts, ["200 ADMITTED", "200 ADMITTED", "503 WAITING"]);
    assert_eq!(counts(&nginx), (0, 2));
    assert_eq!(first[0].get("/").verdict(), "200 ADMITTED", "he has come back");
    assert_eq!(Visitor::new(&nginx).get("/").verdict(), "200 ADMITTED", "one more may be tried");
    assert_eq!(Visitor::new(&nginx).get("/").verdict(), "503 WAITING");
    assert_eq!(counts(&nginx), (0, 3));
    clock.advance_seconds(20);
    wait_until("the seats of those who have not come back", || counts(&nginx) == (0, 1));
    assert_eq!(first[0].get("/").verdict(), "200 ADMITTED", "his is for the whole session");
    assert_eq!(first[1].get("/").verdict(), "200 ADMITTED", "and he gets another one");
    assert_eq!(first[2].get("/").verdict(), "200 ADMITTED");
    assert_eq!(counts(&nginx), (0, 3));
}

#[test]
fn no_first_visit_gets_a_seat_before_those_who_wait() {
    let (clock, nginx) = start("max_active=4 session=10s absent=1h", &[]);
    let mut all: Vec<_> = (0..4).map(|_| seated(&nginx)).collect();
    let mut waiting = queue(&nginx, "/", 3);
    clock.advance_seconds(10);
    assert_eq!(nginx.get("/").verdict(), "200 ADMITTED", "three seats are theirs, one is free");
    assert_eq!(nginx.get("/").verdict(), "503 WAITING");
    for visitor in &mut waiting {
        assert_eq!(visitor.get("/").verdict(), "200 ADMITTED");
    }
    assert_eq!(all[0].get("/").verdict(), "503 WAITING");
    assert_eq!(counts(&nginx), (1, 4));
}

#[test]
fn each_limit_of_a_room_has_keys_of_its_own() {
    let (_clock, nginx) = start(
        "max_active=1 session=1d absent=1h",
        &[
            ("/two", "smart_limit zone=key room=r; smart_limit zone=address room=r;"),
            ("/key", "smart_limit zone=key room=r;"),
            ("/address", "smart_limit zone=address room=r;"),
        ],
    );
    let mut admitted = seated(&nginx);
    assert_eq!(nginx.get("/two?k=a").verdict(), "200 PASSED");
    // Over both: he waits under the first.
    queue(&nginx, "/two?k=a", 1);
    assert_eq!(admitted.get("/two?k=a").verdict(), "200 ADMITTED", "past both");
    assert_eq!(nginx.get("/key?k=b").verdict(), "200 PASSED", "of this key nobody waits");
    assert_eq!(nginx.get("/key?k=a").verdict(), "503 WAITING");
    assert_eq!(
        nginx.get("/address").verdict(),
        "503 WAITING",
        "over it, though nobody waits there"
    );
    assert_eq!(nginx.get("/two").verdict(), "503 WAITING");
}

#[test]
fn a_bypass_is_past_the_room_too() {
    let (_clock, nginx) = start(
        "max_active=1 session=1d",
        &[("/free", "smart_limit room=r; smart_limit_bypass $arg_free;")],
    );
    seated(&nginx);
    queue(&nginx, "/free", 1);
    let free = nginx.get("/free?free=1");
    assert_eq!((free.verdict().as_str(), free.set_cookies().len()), ("200 BYPASSED", 0));
    assert_eq!(nginx.get("/free?free=0").verdict(), "503 WAITING");
}

#[test]
fn a_dry_run_keeps_nobody_waiting() {
    for directives in ["smart_limit room=r; smart_limit_dry_run on;", "smart_limit room=r dry_run;"]
    {
        let (clock, nginx) =
            start("max_active=1 session=10s max_waiting=1 absent=1h", &[("/dry", directives)]);
        let mut all: Vec<_> = (0..3).map(|_| Visitor::new(&nginx)).collect();
        let mut verdicts =
            || -> Vec<_> { all.iter_mut().map(|visitor| visitor.get("/dry").verdict()).collect() };
        assert_eq!(verdicts(), ["200 WAITING_DRY_RUN"; 3]);
        let log = nginx.error_log();
        assert!(!log.contains("waiting in room") && !log.contains("admitted"), "{log}");
        let second = ["200 ADMITTED", "200 WAITING_DRY_RUN", "200 WAITING_DRY_RUN"];
        assert_eq!(verdicts(), second, "{directives}");
        nginx.wait_for_error("admitted from room \"r\", dry run, client:");
        let waits = nginx.wait_for_error("waiting in room \"r\", dry run, position: 1, client:");
        assert!(waits.contains("[warn]"), "{waits}");
        let full = nginx.wait_for_error("room \"r\" is full, dry run, client:");
        assert!(full.contains("[error]"), "{full}");
        clock.advance_seconds(10);
        let third = ["200 WAITING_DRY_RUN", "200 ADMITTED", "200 WAITING_DRY_RUN"];
        assert_eq!(verdicts(), third, "{directives}");
        assert_eq!(counts(&nginx), (1, 1), "the queue is real");
    }
}

#[test]
fn a_dry_run_over_a_limit_charges_as_if_it_were_none() {
    let (clock, nginx) = start(
        "max_active=1 session=1d",
        &[("/dry", "smart_limit zone=one room=r dry_run; smart_limit zone=key;")],
    );
    seated(&nginx);
    let path = "/dry?k=a";
    assert_eq!(nginx.get(path).verdict(), "200 PASSED");
    let refused = nginx.get(path);
    assert_eq!(refused.verdict(), "503 REJECTED", "by the limit that is meant");
    assert_eq!(nginx.get("/dry?k=b").verdict(), "200 WAITING_DRY_RUN");
    assert_eq!(nginx.get("/dry?k=b").verdict(), "503 REJECTED");
    clock.advance_seconds(60);
    assert_eq!(nginx.get("/dry?k=b").verdict(), "200 PASSED", "and then the rate is there again");
}

#[test]
fn a_part_of_an_answer_is_let_in_by_a_seat_or_refused() {
    let setup = room("max_active=1 session=1d");
    let said = format!(
        "internal; smart_limit zone=one room=r; smart_limit_status 403;
        proxy_pass http://127.0.0.1:{}/said;",
        setup.port()
    );
    let setup = setup
        .document("page.html", b"[<!--#include virtual=\"/part\" -->]")
        .document("part", b"the part")
        .location("= /page.html", "ssi on;")
        .location("= /part", "smart_limit zone=one room=r; smart_limit_status 429;")
        .location("= /guarded", "auth_request /auth; try_files /ok =404;")
        .location("= /auth", &said)
        .location("= /said", "return 204;");
    let (_clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    let mut admitted = seated(&nginx);
    let mut waiting = queue(&nginx, "/", 1).remove(0);
    let mut nobody = Visitor::new(&nginx);
    assert_eq!(nobody.get("/page.html").text(), "[the part]", "the limit lets one pass");
    for _ in 0..2 {
        assert_eq!(admitted.get("/page.html").text(), "[the part]");
        assert_eq!(admitted.get("/guarded").status, 200);
        for visitor in [&mut nobody, &mut waiting] {
            let page = visitor.get("/page.html");
            assert!(!page.text().contains("the part"), "{}", page.text());
            assert!(page.text().contains("429"), "{}", page.text());
            assert_eq!((page.status, page.set_cookies().len()), (200, 0));
            assert_eq!(visitor.get("/guarded").status, 403);
        }
    }
    let refused = || {
        let mut lines = nginx.access_log();
        lines.retain(|line| line["request"].contains("/guarded") && line["limit"] == "REJECTED");
        lines.len()
    };
    wait_until("the refusals in the log", || refused() == 4);
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn parts_of_a_page_take_no_place() {
    let (clock, nginx) = start("max_active=1 session=10s", &[]);
    let mut admitted = seated(&nginx);
    let mut waiting = queue(&nginx, "/", 1).remove(0);
    for dest in ["image", "script", "style", "font", "video", "worker", "frame", "object", "report"]
    {
        let dest = [("Sec-Fetch-Dest", dest)];
        let mut nobody = Visitor::new(&nginx);
        for visitor in [&mut nobody, &mut waiting] {
            let answer = visitor.get_with("/", &dest);
            assert_eq!((answer.verdict().as_str(), answer.text().as_str()), ("503 WAITING", ""));
            assert!(answer.set_cookies().is_empty(), "{dest:?}");
            assert_eq!(answer.all("Cache-Control"), ["no-store"], "{dest:?}");
            assert!(answer.header("Retry-After").is_some(), "{dest:?}");
        }
        assert_eq!(admitted.get_with("/", &dest).verdict(), "200 ADMITTED");
    }
    assert_eq!(counts(&nginx), (1, 1));
    for dest in ["document", "iframe", "empty"] {
        let answer = Visitor::new(&nginx).get_with("/", &[("Sec-Fetch-Dest", dest)]);
        assert_eq!((answer.verdict().as_str(), answer.set_cookies().len()), ("503 WAITING", 1));
        assert!(!answer.body.is_empty(), "{dest}");
    }
    clock.advance_seconds(10);
    assert_eq!(waiting.get_with("/", &[("Sec-Fetch-Dest", "document")]).verdict(), "200 ADMITTED");
}

#[test]
fn who_has_no_place_takes_none_by_a_part_of_a_page() {
    let (_clock, nginx) = start("max_active=1 session=10s", &[]);
    seated(&nginx);
    let mut visitor = Visitor::new(&nginx);
    visitor.get("/");
    assert_eq!(visitor.get_with("/", &[("Sec-Fetch-Dest", "image")]).verdict(), "503 WAITING");
    assert_eq!(counts(&nginx), (0, 1));
    assert_eq!(visitor.poll("/")["position"], 1);
}

#[test]
fn a_request_is_decided_about_once() {
    let (_clock, nginx) = start(
        "max_active=1 session=1d",
        &[
            ("/moved", "smart_limit zone=one room=r; error_page 403 = /; deny all;"),
            ("/paged", "smart_limit room=r; error_page 503 =200 /counts;"),
        ],
    );
    seated(&nginx);
    assert_eq!(nginx.get("/moved").verdict(), "200 PASSED", "though / needs a seat");
    let mut waiting = queue(&nginx, "/paged", 1).remove(0);
    let answer = waiting.get("/paged");
    assert_eq!(answer.verdict(), "503 WAITING", "a room that is full is no error");
    assert!(answer.text().contains("<html"), "{}", answer.text());
}

#[test]
fn who_may_come_in_is_asked_after_the_room() {
    let (_clock, nginx) = start(
        "max_active=1 session=1d",
        &[
            ("/denied", "smart_limit room=r; deny all;"),
            ("/auth", "smart_limit room=r; auth_basic closed; auth_basic_user_file users;"),
            ("/any", "smart_limit room=r; satisfy any; deny all; allow 127.0.0.1;"),
        ],
    );
    std::fs::write(nginx.prefix().join("users"), "").expect("a file");
    let mut admitted = seated(&nginx);
    assert_eq!(admitted.get("/denied").verdict(), "403 ADMITTED");
    assert_eq!(admitted.get("/auth").verdict(), "401 ADMITTED");
    let mut waiting = queue(&nginx, "/", 1).remove(0);
    for path in ["/denied", "/auth", "/any"] {
        assert_eq!(waiting.get(path).verdict(), "503 WAITING", "{path}");
    }
}

#[test]
fn the_session_is_a_key_as_any_other() {
    let setup = room("max_active=5 session=1d")
        .http("smart_limit_zone $smart_limit_session zone=session:1m rate=1r/m;\n")
        .limit("/bounded", "smart_limit room=r; smart_limit zone=session burst=2 nodelay;");
    let (_clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    let mut all = [seated(&nginx), seated(&nginx)];
    for visitor in &mut all {
        // A shared cookie is bounded.
        let mut tabs = vec![visitor.clone(); 5];
        let verdicts: Vec<_> = tabs.iter_mut().map(|tab| tab.get("/bounded").verdict()).collect();
        let [passed, refused] = ["200 ADMITTED", "503 REJECTED"];
        assert_eq!(verdicts, [passed, passed, passed, refused, refused]);
    }
    let mut lines = nginx.access_log();
    lines.retain(|line| line["request"].contains("/bounded"));
    let mut sessions: Vec<_> = lines.iter().map(|line| line["session"].clone()).collect();
    assert!(sessions
        .iter()
        .all(|one| one.len() == 16
            && one.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))));
    sessions.dedup();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let forged = format!("smart_limit_r={}", sessions[0]);
    let answer = nginx.connect().get_with("/", &[("Cookie", &forged)]);
    assert_ne!(answer.header("X-Session"), Some(sessions[0].as_str()), "it names nobody");
}

#[test]
fn the_room_s_own_type_is_never_answered_by_the_application() {
    let (clock, nginx) = start(
        "max_active=2 session=10s max_waiting=1",
        &[("/passes", "smart_limit zone=site room=r;"), ("/over", "smart_limit zone=one room=r;")],
    );
    let ask = |visitor: &mut Visitor, path: &str| {
        let answer = visitor.get_with(path, &[("Accept", ROOM_TYPE)]);
        assert_eq!(answer.header("Content-Type"), Some(ROOM_TYPE));
        assert_eq!(answer.all("Cache-Control"), ["no-store"]);
        let word = answer.json()["status"].as_str().expect("a text").to_owned();
        format!("{} {} {word}", answer.status, answer.limit())
    };
    // Also where the room is idle, and without being charged.
    for _ in 0..3 {
        assert_eq!(ask(&mut Visitor::new(&nginx), "/passes"), "200 PASSED passed");
        assert_eq!(ask(&mut Visitor::new(&nginx), "/over"), "200 PASSED passed");
    }
    assert_eq!(counts(&nginx), (0, 0));
    assert_eq!(nginx.get("/over").verdict(), "200 PASSED");
    let mut all: Vec<_> = (0..4).map(|_| Visitor::new(&nginx)).collect();
    for visitor in &mut all {
        assert_eq!(ask(visitor, "/over"), "503 WAITING waiting");
    }
    let said: Vec<_> = all.iter_mut().map(|visitor| ask(visitor, "/over")).collect();
    let admitted = "200 ADMITTED admitted";
    assert_eq!(said, [admitted, admitted, "503 WAITING waiting", "503 FULL full"]);
    assert_eq!(ask(&mut all[3], "/passes"), "200 PASSED passed");
    assert_eq!(ask(&mut all[0], "/passes"), "200 ADMITTED admitted");
    clock.advance_seconds(10);
    assert_eq!(ask(&mut all[2], "/over"), "200 ADMITTED admitted");
    // The application answers all else.
    for accept in ["application/json", "text/html", "*/*"] {
        assert_eq!(all[2].get_with("/over", &[("Accept", accept)]).text(), "ok\n");
    }
}

#[test]
fn of_two_keys_that_wait_for_each_other_the_one_who_came_first_passes() {
    let (clock, nginx) = start(
        "max_active=1 session=1d absent=1h",
        &[
            ("/two", "smart_limit zone=key room=r; smart_limit zone=one room=r;"),
            ("/key", "smart_limit zone=key;"),
        ],
    );
    seated(&nginx);
    assert_eq!(nginx.get("/two").verdict(), "200 PASSED");
    // He waits under the second limit's key.
    let mut first = queue(&nginx, "/two?k=a", 1).remove(0);
    assert_eq!(verdicts(&nginx, "/key?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    // And she behind him, under that of the first.
    let mut second = Visitor::new(&nginx);
    assert_eq!(second.join("/two?k=a")["position"], 2);
    clock.advance_seconds(60);
    assert_eq!(second.get("/two?k=a").verdict(), "503 WAITING");
    assert_eq!(first.get("/two?k=a").verdict(), "200 PASSED");
    assert_eq!(second.get("/two?k=a").verdict(), "503 WAITING");
    clock.advance_seconds(60);
    assert_eq!(first.poll("/two?k=a")["status"], "passed");
}

#[test]
fn a_burst_passes_before_the_room() {
    let (clock, nginx) = start(
        "max_active=1 session=1d absent=1h",
        &[("/burst", "smart_limit zone=key room=r burst=2 nodelay;")],
    );
    seated(&nginx);
    let [passed, waits] = ["200 PASSED", "503 WAITING"];
    assert_eq!(verdicts(&nginx, "/burst?k=a", 4), [passed, passed, passed, waits]);
    let mut visitor = queue(&nginx, "/burst?k=a", 1).remove(0);
    clock.advance_seconds(120);
    assert_eq!(visitor.get("/burst?k=a").verdict(), passed);
    assert_eq!(visitor.get("/burst?k=a").verdict(), passed);
    assert_eq!(visitor.get("/burst?k=a").verdict(), waits);
}

#[test]
fn where_everyone_needs_a_seat_the_rate_is_no_way_around_it() {
    let (clock, nginx) = start(
        "max_active=1 session=1d absent=1h",
        &[
            ("/needed", "smart_limit zone=key room=r; smart_limit room=r;"),
            ("/key", "smart_limit zone=key room=r;"),
        ],
    );
    seated(&nginx);
    assert_eq!(nginx.get("/key?k=a").verdict(), "200 PASSED");
    let mut visitor = queue(&nginx, "/needed?k=a", 1).remove(0);
    clock.advance_seconds(60);
    assert_eq!(visitor.get("/needed?k=a").verdict(), "503 WAITING");
    assert_eq!(visitor.poll("/needed?k=a")["status"], "waiting");
    assert_eq!(visitor.get("/key?k=a").verdict(), "200 PASSED", "here the rate is enough");
}

#[test]
fn the_room_answers_for_itself_where_nobody_waits() {
    let (_clock, nginx) = start(
        "max_active=1 session=1d",
        &[
            ("/bypass", "smart_limit room=r; smart_limit_bypass 1;"),
            ("/dry", "smart_limit room=r dry_run;"),
        ],
    );
    seated(&nginx);
    let mut waiting = queue(&nginx, "/", 1).remove(0);
    for path in ["/bypass", "/dry"] {
        let told = waiting.poll(path);
        assert_eq!(told["status"], "passed", "{path}: {told}");
        assert_eq!(waiting.get(path).text(), "ok\n", "{path}");
    }
    assert_eq!(waiting.poll("/")["position"], 1);
}

#[test]
fn who_is_first_comes_back_when_the_rate_lets_him() {
    let (clock, nginx) = start(
        "max_active=1 session=1d refresh=5s:100s",
        &[("/key", "smart_limit zone=key room=r;")],
    );
    seated(&nginx);
    assert_eq!(nginx.get("/key?k=a").verdict(), "200 PASSED");
    let mut all = queue(&nginx, "/key?k=a", 2);
    for (seconds, expected) in [(20, 40), (20, 20), (17, 5)] {
        clock.advance_seconds(seconds);
        assert_eq!(all[0].poll("/key?k=a")["refresh_seconds"], expected);
        let told = all[1].poll("/key?k=a")["refresh_seconds"].as_u64();
        assert!((80..=120).contains(&told.expect("a number")), "{told:?}");
    }
}
