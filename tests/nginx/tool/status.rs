//! `ngx-smart status`: the real program, on a real terminal, and nginx, which tells it what is to be shown.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::process::Signal;
use crate::common::room::room;
use crate::common::setup::Setup;
use crate::common::terminal::Terminal;
use serde_json::{json, Value};

pub const STATUS: &str = include_str!("../../data/status/status.json");
pub const HISTORY: &str = include_str!("../../data/status/history.json");

/// `limits/clients?top=5`.
const KEYS: &str = r#"{"version":1,"limit":"clients","top":[
    {"key":"192.0.2.7","count":1311,"excess":20.0,"idle_seconds":0.012},
    {"key":"\u001b[2J","count":40,"excess":null,"idle_seconds":null}]}"#;

/// nginx with answers of the interface that do not change but by [`tell`].
pub fn interface(status: &str) -> Nginx {
    Setup::without_module()
        .document("smart/status.json", status.as_bytes())
        .document("smart/history.json", HISTORY.as_bytes())
        .document("smart/limits/clients", KEYS.as_bytes())
        .location("= /elsewhere/status.json", "return 301 /smart/status.json;")
        .location(
            "= /refused/status.json",
            r#"return 403 '{"version":1,"error":{"status":403,"text":"not\u001b[2J you"}}';"#,
        )
        .location("= /short/status.json", "return 444;")
        .start()
}

/// Has the interface tell something else. A reader finds the one or the other.
fn tell(nginx: &Nginx, change: impl FnOnce(&mut Value)) {
    let file = nginx.prefix().join("html/smart/status.json");
    let mut status = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    change(&mut status);
    fs::write(file.with_extension("new"), status.to_string()).expect("a file");
    fs::rename(file.with_extension("new"), file).expect("a file");
}

pub fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut status = serde_json::from_str(STATUS).expect("JSON");
    change(&mut status);
    status.to_string()
}

pub fn url(nginx: &Nginx) -> String {
    format!("http://127.0.0.1:{}/smart/", nginx.port())
}

pub fn tool(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ngx-smart"));
    command.args(["status", url]).args(arguments).stdin(Stdio::null());
    // Nobody listens there: whoever takes a proxy from the environment gets no answer.
    command.env("http_proxy", "http://127.0.0.1:1").env("ALL_PROXY", "http://127.0.0.1:1");
    command
}

pub fn snapshot(url: &str) -> Output {
    tool(url, &[]).output().expect("the tool runs")
}

#[track_caller]
pub fn assert_said(output: &Output, status: i32, stdout: &[&str], stderr: &[&str]) {
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(output.status.code(), Some(status), "{said:?}");
    for (said, wanted) in said.iter().zip([stdout, stderr]) {
        for wanted in wanted {
            assert!(said.contains(wanted), "{wanted:?} is not in\n{said}");
        }
        assert!(!wanted.is_empty() || said.is_empty(), "{said:?}");
        let is_plain = |c: char| !c.is_control() || c == '\n';
        assert!(said.chars().all(is_plain), "no code for a terminal: {said:?}");
    }
}

#[test]
fn a_snapshot_shows_everything_and_that_all_is_well() {
    let nginx = interface(&changed(|status| {
        status["rooms"]["shop"]["passed"] = json!(31);
        let ratio = json!({"count": 30012, "mean": 3.38, "p50": 3.35, "p90": 3.83, "p99": 4.47});
        status["buffers"]["locations"][0]["measured"]["gzip_ratio"] = ratio;
    }));
    let output = snapshot(&url(&nginx));
    assert_said(
        &output,
        0,
        &[
            "All is well\nngx-smart 0.1.0, nginx/1.28.3, 2 workers, configured 2 h 15 min ago, told \
             by process 4711; rates of the last 60 s\n",
            "2 in flight; the store answered in p50 0.31 ms, p90 0.80 ms, p99 2.40 ms (of 38,634)\n",
            "  outcome                  /s       mean          total\n",
            "   <0.01 ms      1,203,222\n",
            "  invalid                   0    0.67 ms              3\n",
            "  127.0.0.1:11211           0          2              4         1         0           1\n",
            "  paths                     0        10m         45,120     310        0\n",
            "LIMIT clients\n  $binary_remote_addr at 10r/s; 1,234 of 16,384 keys; 12 evicted, 0 of \
             them in debt\n",
            "\n  heaviest keys         times     excess           idle\n  192.0.2.7             1,311       \
             20.0          12 ms\n  \\u{1b}[2J                40          -              -\n",
            "ROOM shop\n  who comes now waits: 3 min 5 s; those admitted waited p50 1 min 32 s, p90 \
             3 min 20 s, p99 4 min 20 s (of 5,100); 3 seats of first visitors not back yet\n",
            "  seats taken              50         50\n",
            "  waiting                 120     10,000\n",
            "  expired                   -                     5,050\n",
            "  passed                    -                        31\n",
            "  www.example.org /api/: a change is advised (38,211 requests, 210 answers written to \
             files)\n    proxy_buffers 8 12k; (now 8 4k): p90 of 38,211 responses is 11.8k: one buffer \
             holds it in place of 3\n    210 responses were written to files.\n",
            "    memory per request 36k → 16k; fit one buffer 10 % → 90 %; exceed all buffers 0.5 % → 0 %\n    \
             upstream's header: p50 300, p90 350, p99 400 (of 38,211)\n    upstream's response: p50 \
             7.8k, p90 11.7k, p99 19.5k (of 38,211)\n    gzip ratio: p50 3.35, p90 3.83, p99 4.47 (of \
             30,012)\n",
            "  www.example.org /: too few samples yet: 12 of 1,000 (12 requests)\n    own response: p50 \
             900, p90 900, p99 900 (of 12)\n",
            "  www.example.org: fine as it is (38,223 request headers)\n    request's header: p50 500, \
             p90 700, p99 900 (of 38,223)\n",
        ],
        &[],
    );
    let said = String::from_utf8_lossy(&output.stdout);
    let hits = said.lines().find(|line| line.starts_with("  hit ")).expect("a row");
    let rate: f64 = hits.split_whitespace().nth(1).expect("a rate").parse().expect("a number");
    assert!((105.0..=125.0).contains(&rate), "7300 in the last minute: {rate}");
    assert!(!said.contains("dry_run"), "no dry run, no row of one");
}

#[test]
fn what_is_inferred_is_said_to_be() {
    let nginx = interface(&changed(|status| {
        let buffers = &mut status["buffers"];
        buffers["locations"][0]["measured"]["upstream"]["header_too_big"] = json!(4);
        buffers["servers"][0]["header_too_big"] = json!(387);
    }));
    assert_said(
        &snapshot(&url(&nginx)),
        0,
        &[
            "1 problem\n- www.example.org /api/: 4 headers of upstreams too big for the buffer \
             (inferred)\n",
            "written to files, 4 upstream headers too big (inferred))\n",
            "(38,223 request headers, 387 too big (inferred))\n",
        ],
        &[],
    );
}

#[test]
fn nothing_to_show_is_shown_as_nothing() {
    let nginx = interface(&changed(|status| {
        for part in ["sendfile", "buffers"] {
            status[part] = Value::Null;
        }
        status["limits"] = json!({});
        status["rooms"] = json!({});
    }));
    fs::remove_file(nginx.prefix().join("html/smart/history.json")).expect("a file");
    nginx.allow("history.json");
    let output = snapshot(&url(&nginx));
    assert_said(&output, 0, &["All is well\nngx-smart 0.1.0, nginx/1.28.3"], &[]);
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 2);
}

#[test]
fn what_is_wrong_comes_first_and_what_is_bad_is_the_status() {
    let nginx = interface(&changed(|status| status["panics"] = json!(3)));
    let panics = "- 3 panics caught: the error log says where\n";
    assert_said(&snapshot(&url(&nginx)), 0, &[&format!("1 problem\n{panics}ngx-smart ")], &[]);
    // Against what the history says they were at its end.
    tell(&nginx, |status| {
        status["limits"]["clients"]["rejected"] = json!(1640);
        status["rooms"]["shop"]["refused"] = json!(5);
        status["rooms"]["shop"]["max_waiting"] = json!(120);
    });
    let full = "! Room shop is full: 5 times in the last minute somebody was turned away\n";
    let limit = "- Limit clients rejects ";
    let said = format!("3 problems\n{full}{panics}{limit}");
    assert_said(&snapshot(&url(&nginx)), 1, &[&said], &[]);
}

/// Names such as a configuration or a client may have, if he means it.
fn hostile() -> String {
    changed(|status| {
        let limit = status["limits"]["clients"].clone();
        status["limits"] = json!({ "\u{1b}]0;title\u{7}\u{9b}31m": limit });
        status["sendfile"]["servers"][0]["address"] = json!("\u{1b}[2J\r\n\u{202e}x");
        status["buffers"]["locations"][0]["advice"]["remarks"] = json!(["\u{1b}[?1049l\u{0}"]);
        status["nginx"] = json!("nginx/\u{1b}c");
    })
}

#[test]
fn hostile_names_reach_no_terminal_as_they_are() {
    let nginx = interface(&hostile());
    let said = ["LIMIT \\u{1b}]0;title\\u{7}\\u{9b}31m\n", "  \\u{1b}[2J\\u{d}\\u{a}\\u{202e}x  "];
    assert_said(&snapshot(&url(&nginx)), 0, &said, &[]);

    let mut terminal = Terminal::start(&tool(&url(&nginx), &["--watch"]), 200, 200);
    terminal.wait_for(&["LIMIT \\u{1b}]0;title\\u{7}", "\\u{1b}[?1049l\\u{0}"]);
    let bytes = terminal.bytes();
    for raw in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{1b}c", "\u{1b}[?1049l"] {
        let is_there = bytes.windows(raw.len()).any(|window| window == raw.as_bytes());
        assert!(!is_there, "{raw:?}");
    }
    terminal.press("q");
    assert_eq!(terminal.end(), Ok(0));
}

#[test]
fn colours_are_for_terminals_whose_user_has_nothing_against_them() {
    let nginx = interface(STATUS);
    let terminal = Terminal::start(&tool(&url(&nginx), &[]), 30, 60);
    terminal.wait_for(&["is (38,223 request headers)"]);
    let coloured = terminal.bytes();
    assert!(coloured.starts_with(b"\x1b[1;32mAll is well\x1b[0m\r\n"));
    assert_eq!(terminal.end(), Ok(0));
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut command = tool(&url(&nginx), &[]);
        command.env(name, value);
        let terminal = Terminal::start(&command, 30, 60);
        terminal.wait_for(&["is (38,223 request headers)"]);
        let plain = terminal.bytes();
        assert!(plain.starts_with(b"All is well\r\n") && !plain.contains(&0x1b), "{name}");
        assert_eq!(terminal.end(), Ok(0));
    }
    let mut command = tool(&url(&nginx), &["--watch"]);
    command.env("NO_COLOR", "1");
    let mut terminal = Terminal::start(&command, 30, 60);
    terminal.wait_for(&["All is well", "LOOKUPS"]);
    terminal.press("q");
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    assert!(!bytes.contains("[32m") && !bytes.contains("[38;5;2m"), "no colour, yet bold");
    assert_eq!(terminal.end(), Ok(0));
}

#[test]
fn a_view_that_stays_follows_what_happens() {
    let nginx = interface(STATUS);
    let mut terminal = Terminal::start(&tool(&url(&nginx), &["--watch=0.2"]), 24, 100);
    // The charts show what was before.
    terminal.wait_for(&["All is well  http://127.0.0.1", "  hit  ", "1,203,222  ", "(1 to 22 of "]);
    let charted = |line: &str| line.contains("  hit ") && line.contains('█');
    terminal.wait_until("a chart of hits", |screen| screen.lines().any(charted));
    tell(&nginx, |status| {
        status["panics"] = json!(1);
        status["sendfile"]["lookups"]["hit"]["count"] = json!(1_203_333);
    });
    terminal.wait_for(&["1 problem  http:", "! 1 panic caught, 1 of them in", "1,203,333"]);
    assert!(!terminal.screen().contains("BUFFERS"));
    terminal.press("G");
    terminal.wait_for(&["BUFFERS", "fine as it is (38,223 request headers)", "1 problem"]);
    terminal.press("g");
    terminal.wait_for(&["LOOKUPS"]);
    terminal.press("jj\x1b[B ");
    terminal.wait_until("further below", |screen| !screen.contains("LOOKUPS"));
    terminal.press("k\x1b[A\x1b[5~\x1b[5~");
    terminal.wait_for(&["LOOKUPS", "(1 to "]);
    terminal.press("\x1b");
    assert_eq!(terminal.end(), Ok(0));
}

#[test]
fn a_view_that_stays_fits_any_window() {
    let nginx = interface(STATUS);
    let mut terminal = Terminal::start(&tool(&url(&nginx), &["--watch=0.2"]), 10, 40);
    terminal.wait_for(&["All is well", "q quit", "(1 to 8 of "]);
    for (rows, columns) in [(3, 20), (2, 5), (1, 1), (60, 30), (5, 200)] {
        terminal.resize(rows, columns);
        terminal.press("jGk");
    }
    terminal.press("g");
    terminal.resize(120, 120);
    terminal.wait_for(&["All is well", "LOOKUPS", "ROOM shop", "(38,223 request headers)"]);
    terminal.wait_for(&[
        "  192.0.2.7 ",
        "  expired ",
        "memory per request 36k → 16k;",
        "own response: ",
    ]);
    assert!(!terminal.screen().contains("scroll"), "all of it fits");
    terminal.press("\x03");
    assert_eq!(terminal.end(), Ok(0));
}

#[test]
fn a_view_that_stays_survives_a_server_that_does_not() {
    let nginx = interface(STATUS);
    let (own, other) = (format!("listen 127.0.0.1:{}", nginx.port()), Port::reserve());
    let elsewhere = format!("listen {}", other.address());
    let mut terminal = Terminal::start(&tool(&url(&nginx), &["--watch=0.2"]), 40, 100);
    terminal.wait_for(&["All is well", "1,203,222"]);
    nginx.reconfigure(|text| text.replace(&own, &elsewhere));
    nginx.reload();
    terminal.wait_for(&["No answer since ", " s): nothing listens there.", "1,203,222"]);
    terminal.wait_until("a silence of two seconds", |screen| {
        let text = screen.split_once(" UTC (").and_then(|(_, text)| text.split_once(" s)"));
        text.is_some_and(|(seconds, _)| seconds.parse::<f64>().is_ok_and(|time| time >= 2.0))
    });
    tell(&nginx, |status| status["sendfile"]["lookups"]["hit"]["count"] = json!(7));
    nginx.reconfigure(|text| text.replace(&elsewhere, &own));
    nginx.reload();
    terminal.wait_for(&["All is well", "LOOKUPS"]);
    terminal.wait_until("the new count", |screen| {
        screen.lines().any(|line| line.contains("  hit ") && line.contains(" 7 "))
    });
    terminal.press("q");
    assert_eq!(terminal.end(), Ok(0));
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let nginx = interface(STATUS);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let terminal = Terminal::start(&tool(&url(&nginx), &["--watch"]), 24, 80);
        terminal.wait_for(&["All is well"]);
        terminal.signal(signal);
        assert_eq!(terminal.end(), Err(signal.as_raw()));
    }
}

#[test]
fn the_real_interface_is_shown_while_things_happen() {
    let memcached = Memcached::with_paths(0..5);
    let nginx = room("max_active=1")
        .store(&memcached.address())
        .http("http_sendfile_cache_zone lookups:1m; smart_buffers_zone 1m;\n")
        .server("http_sendfile_cache lookups valid=1h; smart_buffers on;\n")
        .lookups("")
        .files(0..5)
        .limit("/key/", "smart_limit zone=key;")
        .location("/smart/", "smart_api;")
        .start();
    let address = memcached.address();
    assert_said(&snapshot(&url(&nginx)), 0, &["All is well\nngx-smart ", "LOOKUPS\n"], &[]);

    let mut terminal = Terminal::start(&tool(&url(&nginx), &["--watch=0.2"]), 100, 140);
    terminal.wait_for(&["All is well", "LOOKUPS", "LIMIT key", "ROOM r", "BUFFERS"]);
    let row = |screen: &str, name: &str| {
        let row = screen.lines().find(|line| line.trim_start().starts_with(name));
        row.map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    let has = |name: &'static str, column: usize, value: &'static str| {
        terminal.wait_until(&format!("{name}: {value}"), |screen| {
            row(screen, name).is_some_and(|row| row.get(column).is_some_and(|cell| cell == value))
        });
    };
    for id in 0..5 {
        assert_eq!(nginx.get(&format!("/file/{id}")).status, 200);
        assert_eq!(nginx.get(&format!("/file/{id}")).status, 200);
    }
    has("found", 4, "5");
    has("hit", 4, "5");
    terminal.wait_for(&[&address]);
    for _ in 0..20 {
        nginx.get("/key/?k=a");
    }
    terminal.wait_for(&["! Limit key rejects 95 % of its requests"]);
    terminal.wait_until("what was rejected", |screen| {
        let limit = screen.split("LIMIT key").last().expect("a part");
        row(limit, "rejected").is_some_and(|row| row.get(4).is_some_and(|cell| cell == "19"))
            && row(limit, "a ").is_some_and(|row| row[1] == "19")
    });

    // What the workers share outlives them, and so does what was seen of it.
    nginx.reload();
    nginx.get("/file/0");
    terminal.wait_until("another hit", |screen| {
        row(screen, "hit").is_some_and(|row| row.iter().any(|cell| cell == "6"))
    });
    terminal.press("q");
    assert_eq!(terminal.end(), Ok(0));
    let said = ["1 problem\n! Limit key rejects 95 % of its requests\n", "1 of "];
    assert_said(&snapshot(&url(&nginx)), 1, &said, &[]);
}
