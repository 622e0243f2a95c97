//! The status page in a real browser, of a server that has something to do.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::browser::{Browser, Tab};
use crate::common::client::Client;
use crate::common::holds_within;
use crate::common::limit::limited;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::room::{queue, seated, Visitor};
use tempfile::TempDir;

/// For what the last minute is looked at.
const MORE_THAN_A_MINUTE: Duration = Duration::from_secs(100);

/// A server that looks up files, limits requests, and has a room with so many seats.
fn busy(memcached: &Memcached, seats: u32) -> Nginx {
    let zones = format!(
        "http_sendfile_cache_zone paths:1m; smart_buffers_zone 1m; smart_buffers on;
        smart_limit_zone $arg_client zone=api:1m rate=20r/s;
        smart_limit_room shop 1m max_active={seats} max_waiting=50 session=2m absent=1h
            refresh=10s:10s;\n"
    );
    limited()
        .workers(2)
        .http(&zones)
        .store(&memcached.address())
        .files(1..40)
        .lookups("http_sendfile_fallback off; http_sendfile_cache paths valid=1s;")
        .limit("/", "smart_limit room=shop;")
        .limit("/limited", "smart_limit zone=api burst=5 nodelay;")
        .location("/ops/", "smart_api; smart_buffers off;")
        .start()
}

/// Somebody who asks for one thing after another until he is told to stop.
struct Traffic {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    fn start(port: u16, pause: Duration, paths: impl Fn(u64) -> String + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let is_enough = is_over.clone();
        let ask = move || {
            for number in 0.. {
                if is_enough.load(Ordering::Relaxed) {
                    return;
                }
                let mut client = Client::connect(port);
                client.get(&paths(number));
                thread::sleep(pause);
            }
        };
        Self { is_over, thread: Some(thread::spawn(ask)) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let end = thread.join();
            assert!(end.is_ok() || thread::panicking(), "the traffic has met with an error");
        }
    }
}

/// Lookups, about as many as a second has hundredths.
fn lookups(nginx: &Nginx) -> Traffic {
    let path = |number| format!("/file/{}", number % 45 + 1);
    Traffic::start(nginx.port(), Duration::from_millis(10), path)
}

fn visit<'b>(nginx: &Nginx, browser: &'b Browser) -> Tab<'b> {
    let tab = browser.visitor();
    tab.note_complaints();
    tab.go(&format!("http://127.0.0.1:{}/ops/", nginx.port()));
    tab.wait_for("document.title.includes(' · ')");
    tab
}

/// Waits until the page's verdict is of this level, and says this.
#[track_caller]
fn expect_verdict(tab: &Tab, level: &str, text: &str) {
    let is_so = format!(
        "document.querySelector('.verdict').className === 'verdict {level}'
        && document.getElementById('verdict').textContent.includes({text:?})"
    );
    let in_time = holds_within(MORE_THAN_A_MINUTE, || tab.evaluate(&is_so) == true);
    assert!(in_time, "no verdict {level} with {text:?}, but {}", tab.text("verdict"));
}

/// Waits until the page has shown so many answers more.
fn wait_for_answers(tab: &Tab, count: usize) {
    let answers = "performance.getEntriesByName(new URL('status.json', location)).length";
    let before = tab.evaluate(answers).as_u64().expect("a number");
    tab.wait_for(&format!("{answers} >= {before} + {count}"));
}

/// The number that a figure of that name shows.
const FIGURE: &str = "(name) => parseFloat([...document.querySelectorAll('.figures dt')]
    .find((term) => term.textContent === name)?.nextSibling.textContent)";

#[test]
fn what_happens_is_shown_while_it_happens_and_what_goes_wrong() {
    let mut memcached = Memcached::with_paths(1..40);
    let nginx = busy(&memcached, 1);
    let traffic = lookups(&nginx);
    let _seated = seated(&nginx);
    let _queue = queue(&nginx, "/", 3);
    let browser = Browser::start();
    let tab = visit(&nginx, &browser);
    expect_verdict(&tab, "well", "All is well");
    tab.wait_for(&format!("({FIGURE})('Lookups') > 5"));
    tab.wait_for(&format!("({FIGURE})('Store p50') > 0"));
    tab.wait_for("document.querySelector('#rooms .meters').textContent.startsWith('Seats1 of 1')");
    tab.wait_for("document.querySelector('#rooms .legend').textContent === 'waiting 3in 1'");
    assert!(tab.text("lookups").contains(&memcached.address()));
    tab.wait_for("/location|file/.test(document.getElementById('buffers').textContent)");

    // A limit that rejects most of what comes.
    let flood = [(); 4].map(|()| {
        Traffic::start(nginx.port(), Duration::from_millis(8), |_| {
            "/limited?client=<b>me".to_owned()
        })
    });
    expect_verdict(&tab, "bad", "Limit api rejects");
    tab.evaluate("document.querySelectorAll('#limits summary').forEach((at) => at.click())");
    tab.wait_for("document.getElementById('limits').textContent.includes('<b>me')");
    drop(flood);

    // A store that fails.
    memcached.kill();
    expect_verdict(&tab, "bad", "Lookups fail");
    expect_verdict(&tab, "bad", &format!("Store {} had", memcached.address()));
    assert!(tab.title().contains("problem"), "{}", tab.title());
    memcached.restart();
    memcached.set_paths(1..40);
    expect_verdict(&tab, "well", "All is well");
    assert!(tab.title().starts_with("All is well"), "{}", tab.title());
    let complaints = tab.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    drop(traffic);
}

#[test]
fn it_shows_what_was_before_it_was_opened() {
    let memcached = Memcached::with_paths(1..40);
    let nginx = busy(&memcached, 1);
    let _traffic = lookups(&nginx);
    crate::common::wait_until("samples", || {
        let history = nginx.get("/ops/history.json").json();
        let samples = history["series"][0]["samples"].as_array().cloned().unwrap_or_default();
        samples.iter().filter(|sample| !sample.is_null()).count() >= 3
    });
    let browser = Browser::start();
    let tab = visit(&nginx, &browser);
    tab.wait_for("/L.*L/.test(document.querySelector('#lookup-rate .band')?.getAttribute('d'))");
    let answers = "performance.getEntriesByName(new URL('status.json', location)).length";
    // Its own answers would be three rates when they are four.
    assert!(tab.evaluate(answers).as_u64() < Some(4), "it is the history that is shown");
}

#[test]
fn nothing_flickers() {
    let memcached = Memcached::with_paths(1..40);
    let nginx = busy(&memcached, 1);
    let _traffic = lookups(&nginx);
    let browser = Browser::start();
    let tab = visit(&nginx, &browser);
    tab.resize(1000, 500);
    tab.wait_for("document.querySelector('#limits summary') !== null");
    tab.wait_for(&format!("({FIGURE})('Lookups') > 5"));
    tab.evaluate(
        "window.marked = [...document.querySelectorAll('main *:not(tr *):not(.legend *)')]
            .filter((at) => !at.closest('details'));
        window.details = document.querySelector('#limits details');
        details.open = true;
        details.firstChild.focus({ preventScroll: true });
        scrollTo(0, 400);
        getSelection().selectAllChildren(document.querySelector('#limits h3'));
        window.changed = 0;
        new MutationObserver((changes) => {
            for (const { type } of changes) changed += type === 'characterData';
        }).observe(document.getElementById('lookups'), { subtree: true, characterData: true });",
    );
    wait_for_answers(&tab, 3);
    tab.wait_for("changed > 10");
    let state = "marked.filter((at) => !at.isConnected).length + ' gone, at ' + scrollY
        + ', ' + details.open + ', ' + (document.activeElement === details.firstChild)
        + ', ' + (String(getSelection()) === document.querySelector('#limits h3').textContent)";
    assert_eq!(tab.evaluate(state), "0 gone, at 400, true, true, true");
}

#[test]
fn who_gets_no_answer_is_told_so_until_there_is_one() {
    let memcached = Memcached::with_paths(1..40);
    let nginx = busy(&memcached, 1);
    let browser = Browser::start();
    let tab = visit(&nginx, &browser);
    expect_verdict(&tab, "well", "All is well");
    nginx.workers().into_iter().for_each(process::stop);
    expect_verdict(&tab, "bad", "The server does not answer");
    assert!(tab.title().starts_with("No answer"), "{}", tab.title());
    assert!(tab.text("fresh").starts_with("As of "), "{}", tab.text("fresh"));
    assert_eq!(tab.evaluate("document.body.className"), "stale");
    for worker in nginx.workers() {
        assert!(process::signal(worker, Signal::CONT));
    }
    expect_verdict(&tab, "well", "All is well");
    assert!(tab.text("fresh").starts_with("Live"), "{}", tab.text("fresh"));
    // Each question was given up before the next.
    assert!(nginx.aborted() <= 5, "{} were not answered", nginx.aborted());
}

#[test]
fn a_page_that_nobody_sees_asks_nothing() {
    let memcached = Memcached::with_paths(1..40);
    let nginx = busy(&memcached, 1);
    let browser = Browser::start();
    let tab = visit(&nginx, &browser);
    wait_for_answers(&tab, 1);
    let another = tab.another();
    tab.wait_for("document.hidden");
    another.go(&format!("http://127.0.0.1:{}/ops/", nginx.port()));
    let asked = "performance.getEntriesByType('resource').length";
    // What was under way may still arrive.
    wait_for_answers(&another, 2);
    let before = tab.evaluate(asked);
    wait_for_answers(&another, 3);
    assert_eq!(tab.evaluate(asked), before);
    tab.to_front();
    tab.wait_for(&format!("{asked} > {before}"));
}

/// The pictures of the documentation, of what really happened: where `NGX_SMART_PICTURES` says where they are to go,
/// enough happens for a chart.
#[test]
fn it_looks_like_this() {
    let kept = TempDir::new().expect("a directory");
    let kept_in = std::env::var_os("NGX_SMART_PICTURES").map(PathBuf::from);
    let minute = Duration::from_secs(if kept_in.is_some() { 60 } else { 0 });
    let directory = kept_in.as_deref().unwrap_or(kept.path());
    let memcached = Memcached::with_paths(1..40);
    let nginx = busy(&memcached, 3);
    let _lookups = lookups(&nginx);
    let _requests = Traffic::start(nginx.port(), Duration::from_millis(15), |number| {
        format!("/limited?client={}", if number % 9 == 0 { number } else { number % 4 })
    });
    for at in 0..8 {
        let is_rush = at == 3 || at == 4;
        let _greedy = is_rush.then(|| {
            let greedy = |_| "/limited?client=greedy".to_owned();
            (lookups(&nginx), Traffic::start(nginx.port(), Duration::from_millis(20), greedy))
        });
        for _ in 0..if is_rush { 2 } else { 1 } {
            let mut visitor = Visitor::new(&nginx);
            visitor.get("/");
            visitor.poll("/");
        }
        thread::sleep(minute);
    }
    let browser = Browser::start();
    let tab = visit(&nginx, &browser);
    tab.resize(1280, 1360);
    tab.wait_for(&format!("({FIGURE})('p99') > 0"));
    for (name, scheme) in [("status.png", "light"), ("status-dark.png", "dark")] {
        let path = directory.join(name);
        tab.prefer("prefers-color-scheme", scheme);
        tab.evaluate("document.getElementById('host').textContent = 'www.example.com'");
        tab.take_picture(&path);
        let length = std::fs::metadata(&path).expect("the picture").len();
        assert!(length < 300_000, "{length} bytes: nobody waits for a picture");
    }
}
