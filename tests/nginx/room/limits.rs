//! The limits of a location that has a waiting room: who has a seat passes those that name it, who has none
//! waits over them, and all else in nginx goes on as before.

use crate::common::clock::Clock;
use crate::common::limit::verdicts;
use crate::common::room::{counts, queue, room, seated, start_still, Visitor};
use crate::common::wait_until;

#[test]
fn a_seat_passes_the_limits_of_its_room_uncharged_and_others_count() {
    let (clock, nginx) = start_still(
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
    let (_clock, nginx) = start_still(
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
    let (clock, nginx) = start_still(
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
    let (clock, nginx) = start_still("max_active=4 session=1d absent=20s", &[]);
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
    let (clock, nginx) = start_still("max_active=4 session=10s absent=1h", &[]);
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
    let (_clock, nginx) = start_still(
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
    let (_clock, nginx) = start_still(
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
        let (clock, nginx) = start_still(
            "max_active=1 session=10s max_waiting=1 absent=1h",
            &[("/dry", directives)],
        );
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
    let (clock, nginx) = start_still(
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
fn of_two_keys_that_wait_for_each_other_the_one_who_came_first_passes() {
    let (clock, nginx) = start_still(
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
    let (clock, nginx) = start_still(
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
    let (clock, nginx) = start_still(
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
fn who_is_first_comes_back_when_the_rate_lets_him() {
    let (clock, nginx) = start_still(
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
