//! Requests that a waiting room is asked about in passing: parts of pages and of answers, redirects, what comes after
//! it in nginx, and the room's own.

use crate::common::clock::Clock;
use crate::common::room::{counts, queue, room, seated, start_still, Visitor, ROOM_TYPE};
use crate::common::wait_until;

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
    let (clock, nginx) = start_still("max_active=1 session=10s", &[]);
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
    let (_clock, nginx) = start_still("max_active=1 session=10s", &[]);
    seated(&nginx);
    let mut visitor = Visitor::new(&nginx);
    visitor.get("/");
    assert_eq!(visitor.get_with("/", &[("Sec-Fetch-Dest", "image")]).verdict(), "503 WAITING");
    assert_eq!(counts(&nginx), (0, 1));
    assert_eq!(visitor.poll("/")["position"], 1);
}

#[test]
fn a_request_is_decided_about_once() {
    let (_clock, nginx) = start_still(
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
    let (_clock, nginx) = start_still(
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
fn the_room_s_own_type_is_never_answered_by_the_application() {
    let (clock, nginx) = start_still(
        "max_active=2 session=10s max_waiting=1",
        &[
            ("/passes", "smart_limit zone=site burst=1000 nodelay room=r;"),
            ("/over", "smart_limit zone=one room=r;"),
        ],
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
fn the_room_answers_for_itself_where_nobody_waits() {
    let (_clock, nginx) = start_still(
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
