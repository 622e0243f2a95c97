//! The builtin page in a real browser, told by a scripted room what a real one tells rarely, or in another
//! order each time.

use crate::common::browser::Browser;
use crate::common::document::Document;
use crate::common::scripted_room::{rendered, visit, waiting, Room, GET, ROOM};
use crate::common::wait_until;
use ngx_http_smart_module::core::room::accept::{Language, ROOM_TYPE};
use ngx_http_smart_module::core::room::page::Method;
use ngx_http_smart_module::core::room::report::{Report, Status};
use ngx_http_smart_module::core::room::rules::Order;

#[test]
fn the_page_shows_what_it_is_told_without_another_document() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = visit(&room, &browser, GET);
    assert_eq!(tab.title(), "12 · In the queue");
    let progress = || tab.evaluate("document.getElementById('progress').value").as_f64();
    assert_eq!(progress(), Some(1000.0 / 13.0));
    assert!(tab.text("spoken").starts_with("You are number 12 in the queue."));

    room.tell(&Report { waiting: 1, wait_seconds: Some(20), ..waiting(Some(3)) });
    tab.wait_for("document.title === '3 · In the queue'");
    assert_eq!(tab.text("position"), "3");
    assert_eq!(tab.text("waiting"), "1 person");
    assert_eq!(tab.text("wait"), "less than a minute");
    assert_eq!(progress(), Some(10_000.0 / 13.0));
    assert!(tab.text("spoken").contains("12"), "it is not said again so soon");
    assert_eq!((tab.documents(), room.visits("GET")), (1, 1));
    assert_eq!(tab.url(), room.url());

    // Who asks for the page again has not lost what he has behind him.
    room.show(&waiting(Some(3)), GET);
    tab.go("about:blank");
    tab.go(&room.url());
    assert_eq!(progress(), Some(10_000.0 / 13.0));
}

/// Who runs scripts and who does not read the same.
#[test]
fn the_script_has_the_words_of_the_server() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = browser.visitor();
    let minutes = [1, 2, 9, 10, 22, 23, 57, 58, 74, 75, 104, 105, 1425];
    let seconds = [0, 1, 30, 59, 60, 89, 90].into_iter().chain(minutes.map(|minute| 60 * minute));
    let mut reports: Vec<Report> = seconds
        .flat_map(|seconds| [seconds + 29, seconds + 30])
        .map(|seconds| Report { wait_seconds: Some(seconds), ..waiting(Some(1 + 41 * seconds)) })
        .collect();
    reports
        .extend([1, 999, 1000, 1_000_000].map(|count| Report { waiting: count, ..waiting(None) }));
    reports.push(Report { wait_seconds: None, waiting: 0, ..waiting(None) });
    reports.push(Report { order: Order::Random, ..waiting(None) });
    reports.push(Report { status: Status::Full, ..waiting(None) });
    for (report, language) in reports
        .iter()
        .flat_map(|report| [(report, Language::English), (report, Language::Japanese)])
    {
        // It is to show the next page, not to ask for its own again while a busy machine is at it.
        let report = &Report { refresh_seconds: 60, ..*report };
        let bytes = rendered(report, language, GET);
        room.write("page.html", &bytes);
        tab.go(&room.url().replace("#there", ""));
        let written = Document::parse(&String::from_utf8(bytes).expect("UTF-8"));
        let shown = tab.evaluate(
            "Object.fromEntries([...document.querySelectorAll('main [id]')].map(
                element => [element.id, [element.textContent, element.hidden]]))",
        );
        for id in ["heading", "lead", "label", "position", "waiting", "wait", "keep"] {
            assert_eq!(shown[id][0], written.text(id), "{id}, {report:?}");
        }
        for id in ["place", "estimate", "again"] {
            assert_eq!(shown[id][1], written.is_hidden(id), "{id}, {report:?}");
        }
        assert_eq!(tab.title(), written.title());
    }
}

#[test]
fn it_goes_on_once_when_told_so() {
    let (room, browser) = (Room::start(), Browser::start());
    for status in [Status::Admitted, Status::Passed] {
        let visits = room.visits("GET");
        let tab = visit(&room, &browser, GET);
        let polls = room.polls().len();
        wait_until("some polls", || room.polls().len() > polls + 1);
        room.open();
        room.tell(&Report { status, ..waiting(None) });
        tab.wait_for("document.title === 'Site'");
        assert_eq!(tab.url(), room.url());
        wait_until("both in the log", || room.visits("GET") >= visits + 2);
        assert_eq!((tab.documents(), room.visits("GET")), (2, visits + 2));
        assert_eq!(tab.evaluate("history.length"), 2, "the blank page and this one");
        let last = room.polls().len();
        // Another visitor's poll shows that there was time for one of this tab's.
        let other = visit(&room, &browser, GET);
        wait_until("the other's polls", || room.polls().len() > last + 2);
        other.close();
        assert_eq!(tab.documents(), 2);
    }
}

#[test]
fn it_goes_on_where_the_room_is_gone() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = visit(&room, &browser, GET);
    room.0.reload_with("location / { default_type text/html; return 200 '<title>Site</title>'; }");
    tab.wait_for("document.title === 'Site'");
    assert_eq!(tab.documents(), 2);
}

#[test]
fn what_cannot_be_got_again_is_sent_again_by_the_visitor() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = browser.visitor();
    room.write(
        "page.html",
        b"<!doctype html><title>Form</title><form method=post><button id=send name=a value=b>",
    );
    tab.go(&room.url());
    room.show(&waiting(Some(2)), Method::Other);
    room.tell(&waiting(Some(1)));
    tab.click("send");
    tab.wait_for("document.title === '1 · In the queue'");
    assert!(tab.evaluate("document.getElementById('again').hidden") == true);
    room.tell(&Report { status: Status::Admitted, ..waiting(None) });
    tab.wait_for("document.title === 'It is your turn'");
    assert_eq!(tab.text("heading"), "It is your turn");
    assert_eq!(tab.text("lead"), "Please send your request again.");
    assert_eq!((tab.text("place"), tab.text("figures")), (String::new(), String::new()));
    assert_eq!((tab.documents(), room.visits("POST")), (2, 1));

    // His seat is gone again, as he sees when he comes back to the tab; and there is another one.
    let other = tab.another();
    tab.wait_for("document.hidden");
    room.tell(&waiting(Some(7)));
    other.close();
    tab.to_front();
    tab.wait_for("document.title === '7 · In the queue'");
    assert!(tab.evaluate("document.getElementById('again').hidden") == true);
    assert_eq!(
        (tab.text("heading"), tab.text("position")),
        ("You are in the queue".into(), "7".into())
    );
    room.tell(&Report { status: Status::Passed, ..waiting(None) });
    tab.wait_for("document.title === 'It is your turn'");
    room.open();
    tab.click("again");
    tab.wait_for("document.title === 'Site'");
    wait_until("both in the log", || room.visits("POST") >= 2);
    assert_eq!(room.visits("POST"), 2);
}

#[test]
fn a_full_room_becomes_a_queue_and_full_again() {
    let (room, browser) = (Room::start(), Browser::start());
    let full = Report { status: Status::Full, ..waiting(None) };
    room.show(&full, GET);
    room.tell(&full);
    let tab = browser.visitor();
    tab.go(&room.url());
    assert_eq!(tab.text("heading"), "The queue is full");
    room.tell(&waiting(Some(12)));
    tab.wait_for("document.title === '12 · In the queue'");
    assert_eq!(tab.text("heading"), "You are in the queue");
    assert_eq!(tab.text("position"), "12");
    room.tell(&full);
    tab.wait_for("document.title === 'The queue is full'");
    assert_eq!((tab.text("position"), tab.text("note")), (String::new(), String::new()));
    assert_eq!(tab.documents(), 1);
}

#[test]
fn who_gets_no_place_learns_that_cookies_are_needed() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = visit(&room, &browser, GET);
    room.tell(&Report { refresh_seconds: 5, ..waiting(None) });
    tab.wait_for("document.getElementById('label').textContent.startsWith('Finding')");
    assert_eq!(tab.text("note"), "", "one answer says nothing yet");
    tab.wait_for("document.getElementById('note').textContent.includes('block cookies')");
    assert_eq!(tab.title(), "You are in the queue");
    room.tell(&waiting(Some(9)));
    tab.wait_for("document.getElementById('position').textContent === '9'");
    assert_eq!(tab.text("note"), "");

    let browser = Browser::without_cookies();
    let tab = visit(&room, &browser, GET);
    assert!(tab.text("note").contains("block cookies"), "it is known at once");
}

#[test]
fn where_lots_are_drawn_nobody_is_told_of_cookies() {
    let (room, browser) = (Room::start(), Browser::start());
    let drawn = Report { order: Order::Random, ..waiting(None) };
    room.show(&drawn, GET);
    room.tell(&drawn);
    let tab = browser.visitor();
    tab.go(&room.url());
    wait_until("some polls", || room.polls().len() > 3);
    room.tell(&Report { waiting: 77, ..drawn });
    tab.wait_for("document.getElementById('waiting').textContent === '77 people'");
    assert_eq!((tab.text("note"), tab.text("position")), (String::new(), String::new()));
    assert!(tab.text("lead").contains("by lot"));
}

#[test]
fn who_cannot_reach_the_site_keeps_trying() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = visit(&room, &browser, GET);
    // The connection is closed without an answer; a gateway has none.
    for failure in ["return 444;", "return 502 '<p>Bad gateway';"] {
        room.0.reconfigure(|text| text.replace(ROOM, &format!("location / {{ {failure} }} #")));
        room.0.reload();
        tab.wait_for("document.getElementById('note').textContent.includes('cannot be reached')");
        assert_eq!(tab.text("position"), "12");
        room.0.reconfigure(|text| text.replace(&format!("location / {{ {failure} }} #"), ROOM));
        room.0.reload();
        tab.wait_for("document.getElementById('note').textContent === ''");
    }
    assert_eq!(tab.documents(), 1);
}

#[test]
fn a_hidden_tab_says_so_and_asks_at_once_when_it_is_seen() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = visit(&room, &browser, GET);
    wait_until("a poll", || !room.polls().is_empty());
    assert_eq!(room.polls()[0], ROOM_TYPE);
    let other = tab.another();
    tab.wait_for("document.hidden");
    room.tell(&Report { refresh_seconds: 3600, ..waiting(Some(5)) });
    tab.wait_for("document.title === '5 · In the queue'");
    let hidden = format!("{ROOM_TYPE};hidden=1");
    wait_until("a hidden tab's poll", || room.polls().last() == Some(&hidden));
    let polls = room.polls();
    room.tell(&waiting(Some(4)));
    other.close();
    tab.to_front();
    tab.wait_for("document.title === '4 · In the queue'");
    wait_until("its poll", || room.polls().len() > polls.len());
    assert_eq!(room.polls()[polls.len()], ROOM_TYPE);
}

/// Scripts are off, or the site lets its pages run none of their own.
#[test]
fn without_scripts_it_refreshes_itself() {
    let (room, browser) = (Room::start(), Browser::start());
    for is_forbidden in [true, false] {
        if !is_forbidden {
            let policy = "add_header Content-Security-Policy \"default-src 'self'\" always;\n";
            room.0.reload_with(&format!("{policy}{ROOM}"));
        }
        let tab = browser.visitor();
        if is_forbidden {
            tab.forbid_scripts();
        }
        room.show(&waiting(Some(12)), GET);
        tab.go(&room.url());
        // The page comes anew each second: it is looked at when it is there.
        tab.wait_for("document.getElementById('position').innerText === '12'");
        tab.wait_for(&format!(
            "document.readyState === 'complete'
            && document.body.innerText.includes('kept in a cookie') === {is_forbidden}"
        ));
        room.show(&waiting(Some(11)), GET);
        tab.wait_for("document.title === '11 · In the queue'");
        room.open();
        tab.wait_for("document.title === 'Site'");
        assert_eq!(tab.url(), room.url().replace("#there", ""));
        assert_eq!(tab.evaluate("history.length"), 2, "the blank page and this one");
    }
    assert_eq!(room.polls(), [""; 0]);
}
