//! The configurations of the waiting room in `nginx-conf/` do what they say.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::common::browser::Browser;
use crate::common::clock::Clock;
use crate::common::configuration::{configuration, directory, start, wait_for_line};
use crate::common::nginx::Nginx;
use crate::common::room::Visitor;
use crate::common::setup::Setup;

/// `waiting-room.conf`, with as many in the room as have a seat, and more.
#[test]
fn smoke_waiting_room() {
    let application = Setup::without_module().location("/", "empty_gif;").start();
    let address = format!("127.0.0.1:{}", application.port());
    let setup = configuration("waiting-room", &[("127.0.0.1:3000", address)]);
    let secret = setup.prefix().join("room.secret");
    fs::write(&secret, [7; 32]).expect("a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a private file");
    fs::create_dir(setup.prefix().join("assets")).expect("a directory");
    fs::write(setup.prefix().join("assets/logo.svg"), "a logo\n").expect("a file");
    let (clock, setup) = Clock::with_time_of_day(setup);
    let nginx = start(setup);

    let mut first = Visitor::new(&nginx);
    for number in 0..200 {
        let mut visitor = Visitor::new(&nginx);
        // Half of the seats, and 50 of one address, may be of visitors whose cookie has not come back.
        let answers = [0, 1].map(|_| visitor.get("/").status);
        assert_eq!(answers, [200, 200], "visitor {number}");
        if number == 0 {
            first = visitor;
        }
    }
    let mut waits = Visitor::new(&nginx);
    assert_eq!(waits.get("/").status, 503);
    let told = waits.poll("/");
    assert_eq!((&told["status"], &told["position"]), (&"waiting".into(), &().into()), "{told}");
    clock.advance_seconds(2);
    assert_eq!(waits.poll("/")["position"], 1, "its token is old enough now");
    wait_for_line(&nginx, " WAITING room=shop session=");
    assert_eq!(nginx.get("/hooks/1").status, 200);
    assert_eq!(nginx.get("/assets/logo.svg").status, 200);

    // Who does something keeps his seat; the others have lost theirs after three minutes.
    for turn in 0..9 {
        let status = waits.poll("/")["status"].clone();
        assert_eq!(status, "waiting", "after {turn} times 20 seconds");
        assert_eq!(first.get("/").status, 200);
        clock.advance_seconds(20);
    }
    assert_eq!(waits.poll("/")["status"], "admitted");
    assert_eq!(waits.poll("/")["active"], 2);
    let all: Vec<u16> = (0..105).map(|_| first.get("/").status).collect();
    assert_eq!((all[99], all[104]), (200, 503), "of one session");
    wait_for_line(&nginx, " REJECTED room=shop session=");
}

/// `waiting-room-own-page.conf` before an application, when the limit has nothing left.
fn start_own_page() -> (Clock, Nginx, Nginx) {
    let site = "default_type text/html; return 200 '<title>Site</title>';";
    let application = Setup::without_module().location("/", site).start();
    let address = format!("127.0.0.1:{}", application.port());
    let setup = configuration("waiting-room-own-page", &[("127.0.0.1:3000", address)]);
    fs::create_dir(setup.prefix().join("waiting-room")).expect("a directory");
    for name in ["index.html", "style.css"] {
        let from = directory().join("waiting-room").join(name);
        fs::copy(from, setup.prefix().join("waiting-room").join(name)).expect("a file");
    }
    let (clock, setup) = Clock::into(setup);
    let nginx = start(setup);
    assert!((0..41).all(|_| nginx.get("/").status == 200), "the burst, without any cookie");
    (clock, nginx, application)
}

/// A room that there is only while there is a crowd.
#[test]
fn smoke_waiting_room_own_page() {
    let (clock, nginx, _application) = start_own_page();
    let mut first = Visitor::new(&nginx);
    let page = first.get("/");
    assert_eq!(page.status, 503);
    assert_eq!((page.header("Refresh"), page.header("Retry-After")), (Some("1"), Some("1")));
    assert!(page.text().contains("You are about to get your place."), "{}", page.text());
    assert_eq!(first.get("/").status, 200, "there is a seat");
    for _ in 1..7 {
        let mut visitor = Visitor::new(&nginx);
        assert_eq!([0, 1].map(|_| visitor.get("/").status), [503, 200]);
    }

    let mut queue = [Visitor::new(&nginx), Visitor::new(&nginx)];
    for (place, visitor) in (1..).zip(&mut queue) {
        assert_eq!(visitor.get("/").status, 503);
        let page = visitor.get("/");
        let text = page.text();
        assert!(text.contains(&format!("<title>{place} · Please wait</title>")), "{text}");
        assert!(text.contains(&format!("is <strong>{place}</strong> of\n{place}.")), "{text}");
        let refresh = page.header("Refresh").expect("a field");
        assert!(text.contains(&format!("comes back by itself in {refresh} seconds")), "{text}");
        assert!(!text.contains("<!--") && !text.contains("(none)"), "{text}");
    }
    assert_eq!(nginx.get("/waiting-room/style.css").status, 200);

    // One is let in per second. The other is the first now, and what the limit lets pass again is his.
    clock.advance_seconds(1);
    assert_eq!(queue[0].poll("/")["status"], "admitted");
    assert_eq!(queue[1].poll("/")["status"], "passed");
    assert_eq!(nginx.get("/").status, 503, "before who comes later");
    assert_eq!(queue[1].get("/").status, 200);
    clock.advance_seconds(1);
    assert_eq!(queue[1].poll("/")["status"], "admitted");
    assert_eq!(nginx.get("/").status, 200, "nobody waits any more");
    wait_for_line(&nginx, " ADMITTED room=crowd ");
    wait_for_line(&nginx, " PASSED room=- zone=site ");
}

#[test]
fn the_own_page_needs_no_script() {
    let (_clock, nginx, _application) = start_own_page();
    let browser = Browser::start();
    let tab = browser.visitor();
    tab.forbid_scripts();
    let url = format!("http://127.0.0.1:{}/some/where?a=1", nginx.port());
    tab.go(&url);
    tab.wait_for("document.title === 'Site'");
    assert_eq!(tab.url(), url);
    wait_for_line(&nginx, "\"GET /some/where?a=1 HTTP/1.1\" 503 ");
    wait_for_line(&nginx, "\"GET /waiting-room/style.css HTTP/1.1\" 200 ");
}
