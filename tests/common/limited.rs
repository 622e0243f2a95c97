//! nginx's limiter and ours: the same directives but for their prefix, fed the same.

use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, Response};
use super::nginx::Nginx;
use super::setup::Setup;
use super::wait_until;

/// Sends to each client which limiter decided, and how.
const VERDICTS: &str = "add_header X-limit_req $limit_req_status always;
    add_header X-smart_limit $smart_limit_status always;\n";

/// Both limiters, by the prefix of their directives.
const LIMITERS: [&str; 2] = ["limit_req", "smart_limit"];

/// What an operator does to a configuration of `limit_req`.
pub fn renamed(text: &str) -> String {
    text.replace("limit_req", "smart_limit")
}

/// The configuration of `limit_req` for the limiter with this prefix.
pub fn renamed_for(limiter: &str, text: &str) -> String {
    text.replace("limit_req", limiter)
}

/// Runs a test for both limiters at once, each with an nginx of its own.
#[track_caller]
pub fn each_limiter(test: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        let running = LIMITERS.map(|limiter| {
            let test = &test;
            (limiter, scope.spawn(move || test(limiter)))
        });
        for (limiter, running) in running {
            assert!(running.join().is_ok(), "it fails with {limiter}");
        }
    });
}

/// How far a time may be off: nginx's clock ticks in milliseconds, and is read once in a turn of its
/// loop.
pub const TICK: Duration = Duration::from_millis(5);

/// One of several answers.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// How long after the first request was sent it was there.
    pub after: Duration,
}

/// The answers to GETs of these paths, each over a connection of its own, sent in their order without
/// waiting.
#[track_caller]
pub fn ask_at_once(nginx: &Nginx, paths: &[&str]) -> Vec<Answer> {
    let mut clients: Vec<_> = paths.iter().map(|path| (path, nginx.connect())).collect();
    let began = Instant::now();
    for (path, client) in &mut clients {
        client.ask(path);
    }
    thread::scope(|scope| {
        let read = |mut client: Client| {
            let status = client.read("GET").status;
            Answer { status, after: began.elapsed() }
        };
        let readers: Vec<_> =
            clients.into_iter().map(|(_, client)| scope.spawn(move || read(client))).collect();
        readers.into_iter().map(|reader| reader.join().expect("an answer")).collect()
    })
}

/// Waits until so many requests have been held back since nginx started.
#[track_caller]
pub fn wait_for_delays(nginx: &Nginx, count: usize) {
    let logged = || nginx.error_log().matches("delaying request, ").count();
    wait_until("requests held back", || logged() == count);
}

/// The directives of nginx's limiter, and after them the same of ours.
pub fn both(directives: &str) -> String {
    format!("{directives}\n{}\n", renamed(directives))
}

/// The status and the limiter's verdict on a request to `/limit_req/…` or `/smart_limit/…`.
#[track_caller]
pub fn verdict(path: &str, response: &Response) -> String {
    let ours = path.starts_with("/smart_limit/");
    let verdict = |name: &str| response.header(name).unwrap_or("-").to_owned();
    let (asked, other) = (verdict("X-limit_req"), verdict("X-smart_limit"));
    let (asked, other) = if ours { (other, asked) } else { (asked, other) };
    assert_eq!(other, "-", "{path}: the other limiter decided too");
    format!("{} {asked}", response.status)
}

/// An nginx that has both limiters: each request is made to each of them.
pub struct Pair {
    /// The server of both.
    pub nginx: Nginx,
}

impl Pair {
    /// An nginx whose `http` and `server` have these directives twice, once as they are and once
    /// renamed. They are given for `limit_req`, for requests to `/limit_req/…`; zones and named
    /// locations have `limit_req` in their name.
    pub fn start(http: &str, server: &str) -> Self {
        Self::start_from(Setup::new(), http, server)
    }

    /// The same, added to `setup`.
    pub fn start_from(setup: Setup, http: &str, server: &str) -> Self {
        let server = VERDICTS.to_owned() + &both(server);
        Self { nginx: setup.http(&both(http)).server(&server).start() }
    }

    /// Makes these requests at once, each over a connection of its own, in their order; asserts that
    /// both limiters answer the same, and returns the statuses and verdicts.
    #[track_caller]
    pub fn ask(&self, targets: &[&str]) -> Vec<String> {
        self.ask_for_bodies(targets).into_iter().map(|(verdict, _)| verdict).collect()
    }

    /// The same, with the bodies.
    #[track_caller]
    pub fn ask_for_bodies(&self, targets: &[&str]) -> Vec<(String, String)> {
        let mut asked: Vec<_> =
            targets.iter().flat_map(|target| self.connect_both(target)).collect();
        for (path, client) in &mut asked {
            client.ask(path);
        }
        let answers = asked.into_iter().map(|(path, mut client)| {
            let response = client.read("GET");
            (verdict(&path, &response), response.text())
        });
        let answers: Vec<_> = answers.collect();
        for (pair, target) in answers.chunks_exact(2).zip(targets) {
            assert_eq!(pair[1], pair[0], "{target}: smart_limit, limit_req");
        }
        answers.into_iter().step_by(2).collect()
    }

    fn connect_both(&self, target: &str) -> [(String, Client); 2] {
        LIMITERS.map(|name| (format!("/{name}/{target}"), self.nginx.connect()))
    }

    /// What both limiters have logged, as [`logged`] says it; asserts that it is the same, and
    /// rounds the excess, which may differ by the time between two requests.
    #[track_caller]
    pub fn logged(&self) -> Vec<String> {
        let log = self.nginx.error_log();
        let [theirs, ours] = ["limit_req", "smart_limit"]
            .map(|name| logged(&log, name).iter().map(|line| rounded(line)).collect::<Vec<_>>());
        let expected: Vec<_> = theirs.iter().map(|line| renamed(line)).collect();
        assert_eq!(ours, expected, "smart_limit, limit_req");
        theirs
    }
}

/// What the limiter with this prefix has logged: level and text of each line, in their order.
pub fn logged(log: &str, name: &str) -> Vec<String> {
    let of_limiter = |line: &&str| {
        ["limiting requests", "delaying request", "key is more than"]
            .iter()
            .any(|text| line.contains(text))
            && line.contains(name)
    };
    log.lines()
        .filter(of_limiter)
        .map(|line| level_and_text(line).expect("a line of nginx's"))
        .collect()
}

/// `error limiting requests, …` of a line `… [error] 7#7: *1 limiting requests, …, client: …`.
fn level_and_text(line: &str) -> Option<String> {
    let (_, line) = line.split_once('[')?;
    let (level, line) = line.split_once("] ")?;
    let (_, text) = line.split_once(": *")?.1.split_once(' ')?;
    // A key that is too long fills the line to its end, which nginx cuts off.
    let text = text.split(", client: ").next()?.split(" bytes: ").next()?;
    Some(format!("{level} {text}"))
}

/// The text with the excess, as in `excess: 1.984`, rounded to whole requests.
fn rounded(text: &str) -> String {
    let Some((before, after)) = text.split_once("excess: ") else { return text.to_owned() };
    let end = after.find(|byte: char| byte != '.' && !byte.is_ascii_digit()).unwrap_or(after.len());
    let excess: f64 = after[..end].parse().expect("a number");
    format!("{before}excess: {excess:.0}{}", &after[end..])
}
