//! The status page in a real browser, told by a scripted interface what a real one rarely has to tell.

use std::path::PathBuf;
use std::time::Duration;

use crate::common::browser::{Browser, Tab};
use crate::common::holds_within;
use crate::common::scripted_status::Interface;
use crate::common::statuses::{self, HOSTILE_NAMES};
use ngx_http_smart_module::core::histogram::Histogram;
use ngx_http_smart_module::core::report::{History, KeyState, Kind, Series, Status};
use serde_json::Value;
use tempfile::TempDir;

/// The least contrast of a text with what is behind it, of all texts that are shown.
const CONTRAST: &str = "(() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = (colour) => {
        const [red, green, blue] = parts(colour).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return parts(colour)[3] === 0 ? ground(node.parentElement) : colour;
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let least = 21;
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.tagName === 'SCRIPT') continue;
        const [one, other] = [getComputedStyle(element).color, ground(element)].map(luminance);
        least = Math.min(least, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
    }
    return least;
})()";

/// A status that has nothing to complain of.
fn well() -> Status {
    let mut status = statuses::full(b"shop");
    status.panics = 0;
    status.limits[0].keys = 1;
    status.rooms[0].max_waiting = 100;
    for location in &mut status.buffers.as_mut().expect("some").locations {
        location.measured.upstream.header_too_big = 0;
        location.measured.upstream.spilled = 0;
        location.measured.bodies_spilled = 0;
    }
    let buffers = status.buffers.as_mut().expect("some");
    buffers.servers.iter_mut().for_each(|server| server.header_too_big = 0);
    buffers.unmeasured = 0;
    status
}

/// The history of limit `shop`, of these numbers of requests that passed.
fn history(passed: &[Option<u64>]) -> History {
    let sample = |passed: &Option<u64>| passed.map(|passed| vec![passed, 0, 0, 0, 0, 0]);
    let samples = passed.iter().map(sample).collect();
    let series = vec![Series { kind: Kind::Limit, name: b"shop".to_vec(), samples }];
    History { interval: 5000, time: 0, series }
}

#[track_caller]
fn assert_content(tab: &Tab) {
    let complaints = tab.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn hostile_names_are_only_text() {
    let (interface, browser) = (Interface::start(), Browser::start());
    interface.tell(&statuses::hostile(), &statuses::history(HOSTILE_NAMES[1]));
    let tab = interface.visit(&browser);
    tab.wait_for("document.querySelectorAll('#limits h3').length === 7");
    for name in HOSTILE_NAMES {
        let name = serde_json::to_string(&String::from_utf8_lossy(name)).expect("a string");
        for place in ["#limits h3", "#rooms h3", "#limits article > p code", "#lookups tbody th"] {
            let find = format!(
                "[...document.querySelectorAll({place:?})].some((at) => at.textContent === {name})"
            );
            assert_eq!(tab.evaluate(&find), true, "{place}: {name}");
        }
    }
    assert_eq!(tab.evaluate("document.querySelectorAll('script, main b ~ script').length"), 1);
    // What would do harm if the page were less careful is kept from running as well.
    tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')");
    tab.wait_for("document.images[0].complete");
    let complaints = tab.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("Content Security Policy")));
    assert!(!complaints.is_empty(), "the policy is in force");
}

#[test]
fn a_beginning_anew_is_a_gap() {
    let (interface, browser) = (Interface::start(), Browser::start());
    let passed = [100, 150, 200, 3, 53, 103].map(Some);
    let passed = [&passed[..], &[None], &[Some(203), Some(253)]].concat();
    let mut status = well();
    status.limits[0].passed = 253;
    interface.tell(&status, &history(&passed));
    let tab = interface.visit(&browser);
    let is_drawn = "(document.querySelector('#limits .band.blue')?.getAttribute('d') ?? '')";
    tab.wait_for(&format!("{is_drawn}.split('M').length === 4"));
    // Ten a second, each time: no more, and nothing below nothing.
    assert_eq!(tab.evaluate("document.querySelector('#limits .top').textContent"), "10");
    let heights = format!("{is_drawn}.match(/ -?[\\d.]+/g).map(Number)");
    let lowest = tab.evaluate(&format!("Math.min(...{heights})"));
    let highest = tab.evaluate(&format!("Math.max(...{heights})"));
    assert_eq!((lowest.as_f64(), highest.as_f64()), (Some(0.0), Some(100.0)));
    assert_content(&tab);
}

#[test]
fn a_time_is_read_by_keys_as_well() {
    let (interface, browser) = (Interface::start(), Browser::start());
    let passed: Vec<_> = (0..180).map(|at| Some(at * at)).collect();
    interface.tell(&well(), &history(&passed));
    let tab = interface.visit(&browser);
    tab.wait_for("document.querySelector('#limits .band.blue') !== null");
    let press = "(key) => {
        const area = document.querySelector('#limits .area');
        area.focus();
        area.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    }";
    tab.evaluate(&format!("({press})('PageUp')"));
    let told = "document.querySelector('#limits .area').getAttribute('aria-valuetext')";
    tab.wait_for(&format!("/^\\d\\d:\\d\\d:\\d\\d: passed 6\\d, delayed 0/.test({told})"));
    tab.evaluate("document.activeElement.blur()");
    tab.wait_for(&format!("{told}.startsWith('now: ')"));
    assert_content(&tab);
}

/// By the module's own buckets: those that Prometheus has are too wide for a person.
#[test]
fn how_long_the_store_takes_is_told_as_closely_as_it_is_counted() {
    let (interface, browser) = (Interface::start(), Browser::start());
    let mut came = Histogram::default();
    for (microseconds, times) in [(210, 80), (3000, 15), (40_000, 5)] {
        came.add(microseconds, times);
    }
    assert_eq!([500, 900, 990].map(|part| came.quantile(part)), [223, 3071, 40_959].map(Some));
    let mut status = well();
    interface.tell(&status, &history(&[]));
    let tab = interface.visit(&browser);
    let told = "[...document.querySelectorAll('#lookups .figures dt')]
        .filter((term) => /p\\d/.test(term.textContent))
        .map((term) => term.textContent + ' ' + term.nextSibling.textContent).join()";
    // What the zone has counted before counts no more. More of the same comes until the page has two answers.
    let in_time = holds_within(Duration::from_secs(30), || {
        status.sendfile.as_mut().expect("lookups").latency.merge(&came);
        interface.tell(&status, &history(&[]));
        tab.evaluate(told) == "Store p50 223 µs,p90 3.07 ms,p99 41 ms"
    });
    assert!(in_time, "{}", tab.evaluate(told));
    assert_content(&tab);
}

/// Only the first bytes of a heavy key are told, and of those only what is text.
#[test]
fn keys_that_look_alike_have_a_row_each() {
    let (interface, browser) = (Interface::start(), Browser::start());
    interface.tell(&well(), &history(&[]));
    let heavy = |key: &[u8], times| KeyState {
        key: key.to_vec(),
        heavy: Some(times),
        ..KeyState::default()
    };
    let keys = [(b"\xfe", 900), (b"/", 40), (b"\xff", 3), (b"/", 2)];
    interface.tell_top("shop", &keys.map(|(key, times)| heavy(key, times)));
    let tab = interface.visit(&browser);
    tab.evaluate("document.querySelector('#limits details > summary').click()");
    let rows = "[...document.querySelectorAll('#limits tbody tr')]
        .map(({ cells }) => cells[0].textContent + ' ' + cells[1].textContent).join()";
    tab.wait_for(&format!("{rows}.includes('900')"));
    assert_eq!(tab.evaluate(rows), "\u{fffd} 900,/ 40,\u{fffd} 3,/ 2");
    assert_content(&tab);
}

/// The same cases as those of the tool: both judge alike.
#[test]
fn each_problem_is_found_at_its_threshold() {
    // The parts of the page's script that judge, beside it.
    const SCRIPT: [&str; 3] = [
        include_str!("../../../src/core/report/page/script/words.js"),
        include_str!("../../../src/core/report/page/script/samples.js"),
        include_str!("../../../src/core/report/page/script/problems.js"),
    ];
    let judged = "ahead = 0;
    return (status, cases) => cases.map(({ before, after, seconds = 10 }) => {
        const changed = (changes) => {
            const changed = structuredClone(status);
            for (const [path, value] of Object.entries(changes)) {
                const names = path.split('/').slice(1), last = names.pop();
                names.reduce((at, name) => at[name], changed)[last] = value;
            }
            return changed;
        };
        history = new Map();
        answers = [[-seconds, before], [0, after]].map(([at, changes]) => ({ at: own() + at, status: changed(changes) }));
        return problemsOf(answers[1].status).map(({ isBad, text }) => (isBad ? '! ' : '- ') + text);
    })";
    let script = SCRIPT.concat();
    const STATUS: &str = include_str!("../../data/status/status.json");
    const CASES: &str = include_str!("../../data/status/problems.json");
    let (interface, browser) = (Interface::start(), Browser::start());
    interface.tell(&well(), &history(&[]));
    let tab = interface.visit(&browser);
    let judge = format!("(() => {{ {script} {judged} }})()");
    let found = tab.evaluate(&format!("{judge}({STATUS}, {CASES})"));
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("JSON");
    for (case, found) in cases.iter().zip(found.as_array().expect("one for each")) {
        assert_eq!(found, &case["problems"], "{case}");
    }
    assert!(cases.len() > 30);
}

#[test]
fn without_scripts_it_says_where_the_same_is() {
    let (interface, browser) = (Interface::start(), Browser::start());
    let tab = browser.visitor();
    tab.forbid_scripts();
    tab.go(&format!("http://127.0.0.1:{}/ops/", interface.0.port()));
    let links = "[...document.querySelectorAll('noscript a')].filter((a) => a.checkVisibility())
        .map((a) => a.getAttribute('href')).join()";
    assert_eq!(tab.evaluate(links), "status.json,metrics,buffers.conf");
}

/// The pictures go where `NGX_SMART_PICTURES` says, to be looked at.
#[test]
fn it_is_readable_on_each_screen() {
    let kept = TempDir::new().expect("a directory");
    let directory = std::env::var_os("NGX_SMART_PICTURES").map(PathBuf::from);
    let directory = directory.as_deref().unwrap_or(kept.path());
    let (interface, browser) = (Interface::start(), Browser::start());
    let passed: Vec<_> = (0..180).map(|at| Some(at * 40)).collect();
    for (name, mut status) in [("well", well()), ("bad", statuses::full(b"shop"))] {
        status.limits[0].passed = 179 * 40;
        if name == "bad" {
            status.rooms[0].waiting = status.rooms[0].max_waiting;
        }
        interface.tell(&status, &history(&passed));
        let tab = interface.visit(&browser);
        tab.wait_for("document.getElementById('buffers') !== null");
        tab.wait_for(&format!("document.querySelector('.verdict').className === 'verdict {name}'"));
        tab.evaluate("document.querySelectorAll('details').forEach((at) => (at.open = true))");
        for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 320), ("dark", 360)] {
            tab.prefer("prefers-color-scheme", scheme);
            tab.resize(width, 1600);
            let contrast = tab.evaluate(CONTRAST).as_f64().expect("a number");
            assert!(contrast >= 4.5, "{name}, {scheme}: {contrast}");
            let wide = tab.evaluate("document.documentElement.scrollWidth");
            assert_eq!(wide, width, "nothing is wider than the window");
            tab.take_picture(&directory.join(format!("status-{name}-{scheme}-{width}.png")));
        }
        tab.close();
    }
}
