//! The waiting room in a real browser: who waits sees his place, comes in, and stays in.

use std::time::Duration;

use crate::common::application::{application, pass};
use crate::common::browser::{Browser, Tab};
use crate::common::clock::Clock;
use crate::common::nginx::Nginx;
use crate::common::room::{counts, rooms};
use crate::common::wait_until;

/// A page that is whole only with its three parts.
const SHOP: &str = "<!doctype html><title>Shop</title><link rel=icon href=data:,>
    <link rel=stylesheet href=/shop.css><script src=/shop.js></script>
    <p id=hall>Welcome</p><img id=picture src=/shop.svg>";

/// Whether the page is shown with all its parts.
const IS_WHOLE: &str = "document.readyState === 'complete' && document.title === 'Shop'
    && getComputedStyle(document.getElementById('hall')).color === 'rgb(1, 2, 3)'
    && window.isOpen === true && document.getElementById('picture').naturalWidth === 7";

/// A form that is on no account to be filled in twice.
const FORM: &str = "<!doctype html><title>Form</title><form method=post action=/send?now=1>
    <input name=word value='a b&amp;c'><button id=send>Send</button></form>";

/// A shop for so many visitors as `parameters` say. The time stands still.
fn shop(parameters: &str) -> (Clock, Nginx) {
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'/>";
    let setup = rooms()
        .http(&format!("smart_limit_room r 1m session=10m absent=1h refresh=1s:1s {parameters};\n"))
        .document("index.html", SHOP.as_bytes())
        .document("shop.css", b"#hall { color: rgb(1, 2, 3) }")
        .document("shop.js", b"window.isOpen = true")
        .document("shop.svg", svg.as_bytes())
        .document("form", FORM.as_bytes())
        .limit("/counts", "smart_limit zone=site burst=1000 nodelay room=r;");
    let setup = application(setup);
    let text = "proxy_hide_header Content-Type; add_header Content-Type text/plain;";
    let send = format!("smart_limit room=r; {text} {}", pass(&setup));
    let setup = setup
        .server("types { text/html html; text/css css; text/javascript js; image/svg+xml svg; }\n")
        .location("/", "smart_limit room=r; index index.html;")
        .location("= /form", "default_type text/html;")
        .location("/send", &send);
    let (clock, setup) = Clock::into(setup);
    (clock, setup.start())
}

/// An address of the shop.
fn url(nginx: &Nginx) -> String {
    format!("http://127.0.0.1:{}/?goods=7&size=a%20b#about", nginx.port())
}

/// The tab of somebody who is in.
#[track_caller]
fn customer<'b>(nginx: &Nginx, browser: &'b Browser) -> Tab<'b> {
    let tab = browser.visitor();
    tab.go(&url(nginx));
    tab.wait_for(IS_WHOLE);
    tab
}

/// The tab of somebody who waits at this place.
#[track_caller]
fn waiting<'b>(nginx: &Nginx, browser: &'b Browser, place: u64) -> Tab<'b> {
    let tab = browser.visitor();
    tab.go(&url(nginx));
    expect_place(&tab, place);
    tab
}

/// Waits until the tab shows this place, in its page and in its title.
#[track_caller]
fn expect_place(tab: &Tab, place: u64) {
    tab.wait_for(&format!("document.title === '{place} · In the queue'"));
    assert_eq!(tab.text("position"), place.to_string());
}

/// The end of every session that there is.
fn end_sessions(clock: &Clock) {
    clock.advance(Duration::from_secs(601));
}

#[test]
fn five_visitors_come_in_one_after_another() {
    let (clock, nginx) = shop("max_active=1");
    let browser = Browser::start();
    let first = customer(&nginx, &browser);
    let others = [1, 2, 3, 4].map(|place| waiting(&nginx, &browser, place));
    for tab in &others {
        tab.wait_for("document.getElementById('waiting').textContent === '4 people'");
        assert_eq!((tab.documents(), tab.url()), (1, url(&nginx)));
    }
    first.go(&url(&nginx).replace("#about", ""));
    first.wait_for(IS_WHOLE);

    end_sessions(&clock);
    let [second, rest @ ..] = &others;
    second.wait_for(IS_WHOLE);
    assert_eq!((second.documents(), second.url()), (2, url(&nginx)));
    for (tab, place) in rest.iter().zip([1, 2, 3]) {
        expect_place(tab, place);
        assert_eq!(tab.documents(), 1, "what changes is not another page");
    }

    // He stays, whatever he does, for as long as his session lasts; nobody else comes in meanwhile.
    for documents in 3..6 {
        clock.advance(Duration::from_secs(150));
        second.go(&format!(
            "{}#{documents}",
            url(&nginx).replace("goods=7", &format!("goods={documents}"))
        ));
        second.wait_for(IS_WHOLE);
        assert_eq!(second.documents(), documents);
    }
    assert_eq!(counts(&nginx), (3, 1));
    assert_eq!(rest[0].title(), "1 · In the queue");

    // Who was in before waits behind those who wait.
    first.go(&url(&nginx).replace("goods=7", "goods=1"));
    expect_place(&first, 4);
}

#[test]
fn without_scripts_he_comes_in_as_well() {
    let (clock, nginx) = shop("max_active=1");
    let browser = Browser::start();
    let _first = customer(&nginx, &browser);
    let tab = browser.visitor();
    tab.forbid_scripts();
    tab.go(&url(&nginx));
    expect_place(&tab, 1);
    assert!(tab.evaluate("document.body.innerText").to_string().contains("kept in a cookie"));
    assert_eq!(counts(&nginx), (1, 1));
    end_sessions(&clock);
    tab.wait_for("document.title === 'Shop'");
    assert_eq!(tab.url(), url(&nginx).replace("#about", ""));
}

#[test]
fn without_cookies_he_learns_why_he_gets_no_place() {
    let (_clock, nginx) = shop("max_active=1");
    let browser = Browser::start();
    let _first = customer(&nginx, &browser);
    let without = Browser::without_cookies();
    let tab = without.visitor();
    tab.go(&url(&nginx));
    assert!(tab.text("note").contains("block cookies"), "{}", tab.text("note"));
    wait_until("some polls", || {
        let log = nginx.access_log();
        log.iter().filter(|entry| entry["limit"] == "WAITING").count() > 3
    });
    assert_eq!(counts(&nginx), (0, 1));
    assert_eq!((tab.text("position"), tab.documents()), (String::new(), 1));
}

#[test]
fn a_form_is_sent_again_by_the_visitor_and_arrives_as_it_was() {
    let (clock, nginx) = shop("max_active=1");
    let browser = Browser::start();
    let _first = customer(&nginx, &browser);
    let tab = browser.visitor();
    tab.go(&format!("http://127.0.0.1:{}/form", nginx.port()));
    tab.click("send");
    expect_place(&tab, 1);
    assert_eq!((tab.documents(), tab.text("again")), (2, String::new()));
    end_sessions(&clock);
    tab.wait_for("document.title === 'It is your turn'");
    assert_eq!((tab.documents(), tab.text("again")), (2, "Send again".to_owned()));
    assert_eq!(counts(&nginx), (0, 1));
    tab.click("again");
    tab.wait_for("document.body.innerText.includes('[word=a+b%26c]')");
    nginx.wait_for_access("/send?now=1 ");
    let arrived = nginx.access_log();
    let sent = arrived.iter().filter(|entry| entry["request"] == "POST /send?now=1 HTTP/1.1");
    let statuses: Vec<_> = sent.map(|entry| entry["status"].as_str()).collect();
    assert_eq!(statuses, ["503", "200"]);
}

#[test]
fn two_tabs_are_one_visitor() {
    let (clock, nginx) = shop("max_active=1");
    let browser = Browser::start();
    let _first = customer(&nginx, &browser);
    let tab = waiting(&nginx, &browser, 1);
    let another = tab.another();
    another.go(&url(&nginx));
    expect_place(&another, 1);
    assert_eq!(counts(&nginx), (1, 1));
    end_sessions(&clock);
    another.wait_for(IS_WHOLE);
    // The other one was behind it, and asked more rarely.
    tab.to_front();
    tab.wait_for(IS_WHOLE);
    assert_eq!((tab.documents(), another.documents()), (2, 2));
    assert_eq!(counts(&nginx), (0, 1));
}

#[test]
fn a_full_room_is_said_to_be_full_until_there_is_a_place() {
    let (clock, nginx) = shop("max_active=1 max_waiting=1");
    let browser = Browser::start();
    let _first = customer(&nginx, &browser);
    let second = waiting(&nginx, &browser, 1);
    let third = browser.visitor();
    third.go(&url(&nginx));
    third.wait_for("document.title === 'The queue is full'");
    assert_eq!(third.text("position"), "");
    end_sessions(&clock);
    second.wait_for(IS_WHOLE);
    expect_place(&third, 1);
    end_sessions(&clock);
    third.wait_for(IS_WHOLE);
}

#[test]
fn it_speaks_to_him_in_his_language() {
    let (clock, nginx) = shop("max_active=1");
    let browser = Browser::start();
    let _first = customer(&nginx, &browser);
    let tab = browser.visitor();
    tab.read("ja-JP,ja;q=0.9,en;q=0.8");
    tab.go(&url(&nginx));
    tab.wait_for("document.title === '1番目 · 順番待ち'");
    assert_eq!(tab.evaluate("document.documentElement.lang"), "ja");
    assert_eq!(tab.text("waiting"), "1人");
    assert!(tab.text("spoken").starts_with("現在1番目です。"));
    end_sessions(&clock);
    tab.wait_for(IS_WHOLE);
}
