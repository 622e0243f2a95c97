//! A server with limits: every location answers `ok` to whoever passes, and what the limits decided
//! can be seen in headers and in the log.

use std::collections::BTreeMap;
use std::thread;

use super::client::{request, Client, Response};
use super::nginx::Nginx;
use super::setup::Setup;

const LOG: &str = "log_format limits 'request=$request\\tstatus=$status\\t\
    limit=$smart_limit_status\\tzone=$smart_limit_zone\\texcess=$smart_limit_excess\\t\
    after=$smart_limit_retry_after\\ttime=$request_time';\n";

/// The variables as headers, for locations that have headers of their own.
pub const HEADERS: &str = "add_header X-Limit $smart_limit_status always;
    add_header X-Limit-Zone $smart_limit_zone always;
    add_header X-Limit-Excess $smart_limit_excess always;
    add_header X-Limit-After $smart_limit_retry_after always;\n";

/// Refusals and delays are not logged, where there are many of them; errors and alerts are.
pub const QUIET: &str = "smart_limit_log_level info; error_log error.log warn;\n";

/// A server whose log and headers tell what its limits decided.
pub fn limited() -> Setup {
    let setup = Setup::new().document("ok", b"ok\n").http(LOG).server(HEADERS);
    let log = format!("access_log {}/access.log limits;\n", setup.prefix().display());
    setup.server(&log)
}

impl Setup {
    /// A location whose limits are those of `directives`, and which answers `ok`.
    pub fn limit(self, path: &str, directives: &str) -> Self {
        self.location(path, &format!("{directives} try_files /ok =404;"))
    }
}

impl Response {
    /// `$smart_limit_status`, or `-` where no limit decided.
    pub fn limit(&self) -> &str {
        self.header("X-Limit").unwrap_or("-")
    }

    /// The status and what the limits decided, as in `200 PASSED`.
    pub fn verdict(&self) -> String {
        format!("{} {}", self.status, self.limit())
    }
}

/// The verdicts on `count` requests, one after the other, each on a connection of its own.
#[track_caller]
pub fn verdicts(nginx: &Nginx, path: &str, count: usize) -> Vec<String> {
    (0..count).map(|_| nginx.get(path).verdict()).collect()
}

/// How many of `count` requests, one after the other, passed; the others were refused.
#[track_caller]
pub fn passed(nginx: &Nginx, path: &str, count: usize) -> usize {
    let statuses: Vec<u16> = (0..count).map(|_| nginx.get(path).status).collect();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{path}: {statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

/// What became of the requests for each path.
#[derive(Clone, Default, Debug)]
pub struct Count {
    /// Answers 200.
    pub passed: usize,
    /// Answers 503.
    pub refused: usize,
    /// Requests that the server did not answer: each may have been counted or not.
    pub broken: usize,
}

/// What became of many requests, by their paths.
pub type Counts = BTreeMap<String, Count>;

/// Sends the requests for these paths on one connection, several at a time without waiting, and
/// adds to `counts` what comes of them. A broken connection is made anew.
pub fn hammer(port: u16, paths: impl IntoIterator<Item = String>, counts: &mut Counts) {
    let mut client = None;
    let paths: Vec<String> = paths.into_iter().collect();
    for batch in paths.chunks(16) {
        let requests: Vec<u8> =
            batch.iter().flat_map(|path| request("GET", path, &[], b"")).collect();
        let mut connection = client.take().or_else(|| Client::try_connect(port).ok());
        if connection.as_mut().is_some_and(|client| client.try_send(&requests).is_err()) {
            connection = None;
        }
        for path in batch {
            let answer = connection.as_mut().and_then(|client| client.try_read("GET").ok());
            let count = counts.entry(path.clone()).or_default();
            match answer.map(|answer| answer.status) {
                Some(200) => count.passed += 1,
                Some(503) => count.refused += 1,
                Some(status) => panic!("{path}: {status}"),
                None => {
                    count.broken += 1;
                    connection = None;
                }
            }
        }
        client = connection;
    }
}

/// The statuses of the requests for these paths, sent at once on one connection. It costs less than
/// the answers do, so that the workers are the ones who are busy.
#[track_caller]
pub fn statuses_at_once<P: AsRef<str>>(port: u16, paths: impl IntoIterator<Item = P>) -> Vec<u16> {
    let mut paths = paths.into_iter().peekable();
    let mut all = String::new();
    while let Some(path) = paths.next() {
        let connection = if paths.peek().is_none() { "Connection: close\r\n" } else { "" };
        all += &format!("HEAD {} HTTP/1.1\r\nHost: localhost\r\n{connection}\r\n", path.as_ref());
    }
    let mut client = Client::connect(port);
    client.send(all);
    let answers = client.read_to_end();
    let statuses = answers.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse());
    statuses.collect::<Result<_, _>>().expect("statuses")
}

/// How many of these requests, sent at once, pass; the others must be refused.
#[track_caller]
pub fn passed_at_once<P: AsRef<str>>(port: u16, paths: impl ExactSizeIterator<Item = P>) -> usize {
    let count = paths.len();
    let statuses = statuses_at_once(port, paths);
    let with = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!(with(200) + with(503), count, "{statuses:?}");
    with(200)
}

/// Adds `other` to `counts`.
pub fn add(counts: &mut Counts, other: Counts) {
    for (path, other) in other {
        let count = counts.entry(path).or_default();
        count.passed += other.passed;
        count.refused += other.refused;
        count.broken += other.broken;
    }
}

/// Has `clients` at once send requests, on connections of their own, for the paths that `paths`
/// gives to each, and returns what came of them.
pub fn hammer_at_once(
    port: u16,
    clients: usize,
    paths: impl Fn(usize) -> Vec<String> + Sync,
) -> Counts {
    let mut counts = Counts::new();
    thread::scope(|scope| {
        let paths = &paths;
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                scope.spawn(move || {
                    let mut counts = Counts::new();
                    hammer(port, paths(number), &mut counts);
                    counts
                })
            })
            .collect();
        for thread in threads {
            add(&mut counts, thread.join().expect("a client"));
        }
    });
    counts
}
