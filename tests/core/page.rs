//! What a visitor of the waiting room is told: the page and the JSON.

use crate::document::Document;
use ngx_http_smart_module::core::room::accept::Language;
use ngx_http_smart_module::core::room::json;
use ngx_http_smart_module::core::room::page::{length_max, render, Method};
use ngx_http_smart_module::core::room::report::{Report, Status};
use ngx_http_smart_module::core::room::rules::Order;
use serde_json::{json, Value};

const LANGUAGES: [Language; 2] = [Language::English, Language::Japanese];
const GET: Method = Method::Get(b"/some/where?a=1&b=2");
const METHODS: [Method; 2] = [GET, Method::Other];

/// Names that would do harm wherever they were not escaped.
const HOSTILE_NAMES: [&[u8]; 9] = [
    b"",
    b"\"}",
    b"'><script>alert(1)</script>",
    b"</script><!--",
    b"&quot;&#39;&amp;'",
    b"{script}{style}",
    b"\\u0000\\",
    b"\0\x01\x1f\x7f\n\r\t",
    b"\xff\xc3\xe3\x81\xed\xa0\x80\xf4\x90\x80\x80 \xe5\xba\x83\xe5\xa0\xb4",
];

fn waiting(position: Option<u64>) -> Report<'static> {
    Report {
        room: b"front",
        order: Order::Fifo,
        status: Status::Waiting,
        position,
        waiting: 1240,
        active: 50,
        max_active: 50,
        wait_seconds: Some(185),
        refresh_seconds: 7,
    }
}

fn full() -> Report<'static> {
    Report { status: Status::Full, wait_seconds: None, ..waiting(None) }
}

fn page(report: &Report, language: Language, method: Method) -> String {
    let mut page = Vec::new();
    render(report, language, method, &mut page).expect("memory takes everything");
    assert!(page.len() <= length_max(report, method), "{} bytes: {report:?}", page.len());
    String::from_utf8(page).expect("a page is UTF-8")
}

fn english(report: &Report) -> Document {
    Document::parse(&page(report, Language::English, GET))
}

fn japanese(report: &Report) -> Document {
    Document::parse(&page(report, Language::Japanese, GET))
}

fn json_of(report: &Report) -> Value {
    let mut text = Vec::new();
    json::write(report, &mut text).expect("memory takes everything");
    assert!(text.len() <= json::length_max(report), "{} bytes: {report:?}", text.len());
    serde_json::from_slice(&text).expect("it is JSON")
}

/// Every page there is, but for the numbers.
fn all_pages() -> Vec<(String, Document)> {
    let drawn = Report { order: Order::Random, ..waiting(None) };
    let reports = [waiting(Some(12)), waiting(None), drawn, full()];
    let mut pages = Vec::new();
    for report in reports {
        for language in LANGUAGES {
            for method in METHODS {
                let page = page(&report, language, method);
                let document = Document::parse(&page);
                pages.push((page, document));
            }
        }
    }
    pages
}

#[test]
fn the_json_is_that_of_the_contract() {
    assert_eq!(
        json_of(&waiting(Some(12))),
        json!({
            "room": "front", "status": "waiting", "position": 12, "waiting": 1240, "active": 50,
            "max_active": 50, "wait_seconds": 185, "refresh_seconds": 7
        })
    );
    assert_eq!(
        json_of(&full()),
        json!({
            "room": "front", "status": "full", "position": null, "waiting": 1240, "active": 50,
            "max_active": 50, "wait_seconds": null, "refresh_seconds": 7
        })
    );
    for (status, name) in [(Status::Admitted, "admitted"), (Status::Passed, "passed")] {
        assert_eq!(json_of(&Report { status, ..waiting(None) })["status"], name);
    }
}

#[test]
fn any_name_comes_back_from_json_and_page() {
    for room in HOSTILE_NAMES {
        let report = Report { room, ..waiting(Some(12)) };
        let name = String::from_utf8_lossy(room);
        assert_eq!(json_of(&report)["room"], *name);
        for language in LANGUAGES {
            let text = page(&report, language, GET);
            let plain = page(&waiting(Some(12)), language, GET);
            let document = Document::parse(&text);
            assert_eq!(document.data("data-report")["room"], *name);
            assert_eq!(document.0.len(), Document::parse(&plain).0.len(), "{name}");
        }
    }
}

#[test]
fn nothing_is_longer_than_it_says() {
    let largest = Report {
        room: &[0; 4096],
        order: Order::Random,
        status: Status::Waiting,
        position: Some(u64::MAX),
        waiting: u64::MAX,
        active: u64::MAX,
        max_active: u64::MAX,
        wait_seconds: Some(u64::MAX),
        refresh_seconds: u64::MAX,
    };
    for room in HOSTILE_NAMES.into_iter().chain([&[0; 4096][..], &[0xff; 4096], &[b'\''; 4096]]) {
        for status in [Status::Waiting, Status::Full] {
            let report = Report { room, status, ..largest };
            json_of(&report);
            for (language, method) in LANGUAGES.into_iter().zip(METHODS) {
                Document::parse(&page(&report, language, method));
            }
        }
    }
    let text = page(&Report { room: b"front", ..largest }, Language::Japanese, GET);
    assert!(
        text.len() > length_max(&waiting(None), GET) / 2,
        "the bound is far off: {}",
        text.len()
    );
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    for (page, document) in all_pages() {
        for element in &document.0 {
            assert_eq!(element.attribute("src"), None);
            let href = element.attribute("href").unwrap_or("data:");
            assert!(href.starts_with("data:"), "{href}");
        }
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        for mark in ["http:", "https:", "//cdn", "url(", "@import"] {
            assert!(!outside.contains(mark), "{mark} in {page}");
        }
    }
}

#[test]
fn a_page_is_for_people_however_they_read_it() {
    for (_, document) in all_pages() {
        let language = document.named("html")[0].attribute("lang");
        assert!([Some("en"), Some("ja")].contains(&language), "{language:?}");
        let metas = document.named("meta");
        let meta = |name| metas.iter().find(|meta| meta.attribute("name") == Some(name));
        assert_eq!(metas[0].attribute("charset"), Some("utf-8"));
        assert_eq!(meta("robots").unwrap().attribute("content"), Some("noindex"));
        assert_eq!(meta("color-scheme").unwrap().attribute("content"), Some("light dark"));
        assert!(meta("viewport").is_some());
        for id in ["note", "spoken"] {
            assert_eq!(document.with_id(id).attribute("role"), Some("status"));
            assert_eq!(document.with_id(id).attribute("aria-live"), Some("polite"));
        }
        assert!(!document.with_id("progress").attribute("aria-label").unwrap().is_empty());
        let style = &document.named("style")[0].text;
        assert!(style.contains("prefers-color-scheme:dark"));
        assert!(style.contains("prefers-reduced-motion"));
        assert!(document.named("noscript").len() == 1 && document.text("keep").len() > 20);
    }
}

/// No text is left out in either language, and the script asks for no element that there is not.
#[test]
fn everything_that_is_named_is_there() {
    let pages = all_pages();
    let names = |document: &Document| -> Vec<String> {
        document.data("data-phrases").as_object().unwrap().keys().cloned().collect()
    };
    for (page, document) in &pages {
        let script = &document.named("script").last().unwrap().text;
        for call in ["element(\"", "write(\""] {
            for after in script.split(call).skip(1) {
                document.with_id(after.split_once('"').unwrap().0);
            }
        }
        assert_eq!(names(document), names(&pages[0].1));
        for id in ["heading", "lead", "label", "waiting", "wait", "again", "keep"] {
            assert!(!document.text(id).trim().is_empty(), "{id} in {page}");
        }
    }
}

#[test]
fn who_waits_reads_his_place() {
    let document = english(&waiting(Some(1012)));
    assert_eq!(document.title(), "1,012 · In the queue");
    assert_eq!(document.text("heading"), "You are in the queue");
    assert_eq!(document.text("label"), "Your place in the queue");
    assert_eq!(document.text("position"), "1,012");
    assert_eq!(document.text("waiting"), "1,240 people");
    assert_eq!(document.text("wait"), "about 3 minutes");
    assert!(document.text("keep").contains("keeps your place"));
    assert!(!document.is_hidden("place") && !document.is_hidden("estimate"));
    assert!(document.is_hidden("again"));
    assert_eq!(document.data("data-report"), json_of(&waiting(Some(1012))));

    let document = japanese(&waiting(Some(1012)));
    assert_eq!(document.title(), "1,012番目 · 順番待ち");
    assert_eq!(document.text("label"), "あなたの順番");
    assert_eq!(document.text("position"), "1,012");
    assert_eq!(document.text("waiting"), "1,240人");
    assert_eq!(document.text("wait"), "約3分");
}

#[test]
fn who_joins_has_no_place_yet() {
    let report = Report { waiting: 1, wait_seconds: None, ..waiting(None) };
    let document = english(&report);
    assert_eq!(document.title(), "You are in the queue");
    assert_eq!(document.text("label"), "Finding your place in the queue");
    assert_eq!(document.text("position"), "");
    assert_eq!(document.text("waiting"), "1 person");
    assert_eq!(document.text("wait"), "not known yet");
    let document = japanese(&report);
    assert_eq!(document.text("label"), "順番を確認しています");
    assert_eq!(document.text("waiting"), "1人");
    assert_eq!(document.text("wait"), "まだわかりません");
}

#[test]
fn a_full_room_promises_no_place() {
    let document = english(&full());
    assert_eq!(document.title(), "The queue is full");
    assert_eq!(document.text("heading"), "The queue is full");
    assert!(document.is_hidden("place") && document.is_hidden("estimate"));
    assert!(!document.text("keep").contains("place"));
    assert_eq!(japanese(&full()).title(), "ただいま満員です");
}

#[test]
fn where_lots_are_drawn_nobody_looks_for_a_place() {
    let document = english(&Report { order: Order::Random, ..waiting(None) });
    assert!(document.is_hidden("place") && !document.is_hidden("estimate"));
    assert_eq!(document.title(), "You are waiting to be let in");
    assert!(document.text("lead").contains("by lot"));
}

#[test]
fn only_a_page_that_was_got_refreshes_itself() {
    for report in [waiting(Some(12)), waiting(None), full()] {
        for language in LANGUAGES {
            let document = Document::parse(&page(&report, language, GET));
            assert_eq!(document.refresh(), Some("7;url=./where?a=1&b=2"));
            assert_eq!(document.with_id("room").attribute("data-method"), Some("get"));
            let document = Document::parse(&page(&report, language, Method::Other));
            assert_eq!(document.refresh(), None);
            assert_eq!(document.with_id("room").attribute("data-method"), Some("other"));
        }
    }
}

/// Whatever a client has written leads to the page itself, and never to another site.
#[test]
fn a_page_refreshes_from_its_own_address() {
    let table = [
        ("/", "./"),
        ("/?", "./?"),
        ("/one", "./one"),
        ("/one/", "./"),
        ("/one/two?to=/three/#four", "./two?to=/three/#four"),
        ("//elsewhere.example/", "./"),
        ("//elsewhere.example", "./elsewhere.example"),
        ("/javascript:alert(1)", "./javascript:alert(1)"),
        ("/'><script>&amp;\"", "./'><script>&amp;\""),
        ("", "./"),
        ("*", "./*"),
    ];
    for (uri, address) in table {
        let page = page(&waiting(Some(1)), Language::English, Method::Get(uri.as_bytes()));
        assert_eq!(Document::parse(&page).refresh(), Some(&*format!("7;url={address}")), "{uri}");
    }
    for uri in [&[b'\''; 40_000][..], &[b'&'; 40_000]] {
        page(&waiting(Some(1)), Language::English, Method::Get(uri));
    }
}

#[test]
fn progress_grows_from_the_end_of_the_queue_to_its_head() {
    let value = |position, waiting_| -> u64 {
        let document = english(&Report { waiting: waiting_, ..waiting(position) });
        document.with_id("progress").attribute("value").unwrap().parse().unwrap()
    };
    assert_eq!(value(None, 9), 0);
    assert_eq!(value(Some(9), 9), 100);
    assert_eq!(value(Some(5), 9), 500);
    assert_eq!(value(Some(1), 9), 900);
    assert_eq!(value(Some(1), 1), 500);
    // The count may be older than the place.
    assert_eq!(value(Some(9), 1), 100);
    assert!(value(Some(1), u64::MAX) <= 1000 && value(Some(u64::MAX), 0) <= 1000);
}

#[test]
fn a_wait_is_told_as_a_person_would() {
    let table = [
        (None, "not known yet", "まだわかりません"),
        (Some(0), "less than a minute", "1分未満"),
        (Some(59), "less than a minute", "1分未満"),
        (Some(60), "about a minute", "約1分"),
        (Some(89), "about a minute", "約1分"),
        (Some(90), "about 2 minutes", "約2分"),
        (Some(185), "about 3 minutes", "約3分"),
        (Some(569), "about 9 minutes", "約9分"),
        (Some(570), "about 10 minutes", "約10分"),
        (Some(22 * 60), "about 20 minutes", "約20分"),
        (Some(23 * 60), "about 25 minutes", "約25分"),
        (Some(57 * 60), "about 55 minutes", "約55分"),
        (Some(58 * 60), "about an hour", "約1時間"),
        (Some(74 * 60), "about an hour", "約1時間"),
        (Some(75 * 60), "about 1½ hours", "約1時間半"),
        (Some(2 * 3600), "about 2 hours", "約2時間"),
        (Some(150 * 60), "about 2½ hours", "約2時間半"),
        (Some(23 * 3600), "about 23 hours", "約23時間"),
        (Some(24 * 3600), "more than a day", "1日以上"),
        (Some(u64::MAX), "more than a day", "1日以上"),
    ];
    for (wait_seconds, in_english, in_japanese) in table {
        let report = Report { wait_seconds, ..waiting(Some(1)) };
        assert_eq!(english(&report).text("wait"), in_english, "{wait_seconds:?}");
        assert_eq!(japanese(&report).text("wait"), in_japanese, "{wait_seconds:?}");
    }
}
