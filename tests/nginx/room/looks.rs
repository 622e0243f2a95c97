//! How the builtin page looks in a real browser, to whom.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::browser::Browser;
use crate::common::scripted_room::{rendered, visit, waiting, Room, GET};
use ngx_http_smart_module::core::room::accept::Language;
use ngx_http_smart_module::core::room::page::Method;
use ngx_http_smart_module::core::room::report::{Report, Status};
use ngx_http_smart_module::core::room::rules::Order;
use tempfile::TempDir;

#[test]
fn it_looks_as_the_visitor_likes() {
    let (room, browser) = (Room::start(), Browser::start());
    let tab = visit(&room, &browser, GET);
    let style = |property: &str| {
        let script = format!("getComputedStyle(document.body)['{property}']");
        tab.evaluate(&script).as_str().expect("a style").to_owned()
    };
    let motion = || {
        tab.evaluate("getComputedStyle(document.getElementById('site'), '::before').animationName")
    };
    let light = (style("color"), style("backgroundColor"));
    assert_eq!(motion(), "breathe");
    tab.prefer("prefers-color-scheme", "dark");
    let dark = (style("color"), style("backgroundColor"));
    assert_ne!(light, dark);
    tab.prefer("prefers-reduced-motion", "reduce");
    assert_eq!(motion(), "none");
    for width in [320, 390, 1280] {
        tab.resize(width, 700);
        let wide = tab.evaluate("document.documentElement.scrollWidth");
        assert_eq!(wide, width, "nothing is wider than the window");
    }
}

/// What somebody may see, and in what window and colours.
struct Look {
    name: &'static str,
    report: Report<'static>,
    language: Language,
    method: Method<'static>,
    window: (u32, u32),
    scheme: &'static str,
}

/// The pictures go where `NGX_SMART_PICTURES` says, to be looked at.
#[test]
fn every_look_is_another_picture() {
    let one = waiting(Some(12));
    let light = Look {
        name: "light",
        report: Report { refresh_seconds: 3600, ..one },
        language: Language::English,
        method: GET,
        window: (640, 600),
        scheme: "light",
    };
    let (phone, dark, language) = ((360, 740), "dark", Language::Japanese);
    let full = Report { status: Status::Full, ..one };
    let lot = Report { order: Order::Random, ..waiting(None) };
    let looks = [
        Look { name: "dark", scheme: dark, ..light },
        Look { name: "japanese", language, ..light },
        Look { name: "phone", window: phone, ..light },
        Look { name: "phone-dark", language, window: phone, scheme: dark, ..light },
        Look { name: "full", report: full, scheme: dark, ..light },
        Look { name: "lot", report: lot, language, ..light },
        Look { name: "turn", report: one, method: Method::Other, ..light },
        Look { name: "cookies", report: waiting(None), window: phone, ..light },
        light,
    ];
    let kept = TempDir::new().expect("a directory");
    let directory = std::env::var_os("NGX_SMART_PICTURES").map(PathBuf::from);
    let directory = directory.as_deref().unwrap_or(kept.path());
    let (room, usual, without_cookies) =
        (Room::start(), Browser::start(), Browser::without_cookies());
    let mut pictures: Vec<Vec<u8>> = Vec::new();
    for look in looks {
        let browser = if look.name == "cookies" { &without_cookies } else { &usual };
        let path = directory.join(look.name).with_extension("png");
        take_picture(&room, browser, &look, &path);
        let picture = fs::read(&path).expect("the picture");
        assert!(!pictures.contains(&picture), "{} looks like another one", look.name);
        room.write(&format!("{}.png", look.name), &picture);
        pictures.push(picture);
    }

    // The one in the documentation: half of the light one, half of the dark one.
    let halves = b"<!doctype html><style>*{margin:0}img{position:absolute}
        img+img{clip-path:polygon(58% 0,100% 0,100% 100%,42% 100%)}</style>
        <img src=/light.png><img src=/dark.png>";
    room.write("page.html", halves);
    let tab = usual.visitor();
    tab.resize(640, 600);
    tab.go(&room.url());
    let path = directory.join("room.png");
    tab.take_picture(&path);
    let length = fs::metadata(&path).expect("the picture").len();
    assert!(length < 60_000, "{length} bytes: nobody waits for a picture");
}

fn take_picture(room: &Room, browser: &Browser, look: &Look, path: &Path) {
    room.write("page.html", &rendered(&look.report, look.language, look.method));
    let tab = browser.visitor();
    tab.resize(look.window.0, look.window.1);
    tab.prefer("prefers-color-scheme", look.scheme);
    room.tell(&look.report);
    tab.go(&room.url());
    if look.method == Method::Other {
        room.tell(&Report { status: Status::Admitted, ..waiting(None) });
        tab.wait_for("document.title === 'It is your turn'");
    }
    tab.evaluate(
        "document.getElementById('site').textContent = 'www.example.com';
        document.getAnimations().forEach(animation => animation.cancel())",
    );
    tab.take_picture(path);
}
