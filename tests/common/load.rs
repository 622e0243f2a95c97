//! Clients that ask for IDs at random and look at every byte of every answer.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::client::{request, Client};
use super::nginx::Nginx;
use super::{site, Numbers};

/// What the clients do.
#[derive(Clone)]
pub struct Load {
    port: u16,
    clients: usize,
    ids: u64,
    keepalive: bool,
    abort_one_in: u64,
}

/// What the clients saw.
#[derive(Default, Debug)]
pub struct Tally {
    /// Answers by status.
    pub statuses: BTreeMap<u16, usize>,
    /// Answers 200 whose body is not the file asked for.
    pub wrong: Vec<String>,
    /// Requests without a whole answer.
    pub broken: Vec<String>,
    /// Requests that the client gave up on purpose.
    pub aborted: usize,
}

impl Tally {
    /// All answers.
    pub fn answers(&self) -> usize {
        self.statuses.values().sum()
    }

    /// Answers with this status.
    pub fn with_status(&self, status: u16) -> usize {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Fails if any body was not the file asked for.
    #[track_caller]
    pub fn assert_no_wrong_file(&self) {
        assert!(
            self.wrong.is_empty(),
            "wrong files: {:?}",
            &self.wrong[..self.wrong.len().min(10)]
        );
    }

    /// Fails if any request had another answer than its file.
    #[track_caller]
    pub fn assert_all_good(&self) {
        self.assert_no_wrong_file();
        assert!(self.broken.is_empty(), "broken: {:?}", &self.broken[..self.broken.len().min(10)]);
        assert_eq!(self.with_status(200), self.answers(), "statuses {:?}", self.statuses);
        assert!(self.answers() > 0, "no request was made");
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.wrong.extend(other.wrong);
        self.broken.extend(other.broken);
        self.aborted += other.aborted;
    }
}

impl Load {
    /// `clients` at a time ask for the IDs below `ids`, on connections that stay open.
    pub fn new(nginx: &Nginx, clients: usize, ids: u64) -> Self {
        Self { port: nginx.port(), clients, ids, keepalive: true, abort_one_in: 0 }
    }

    /// A connection for each request.
    pub fn without_keepalive(mut self) -> Self {
        self.keepalive = false;
        self
    }

    /// One in `count` requests is given up in the middle, with a reset.
    pub fn abort_one_in(mut self, count: u64) -> Self {
        self.abort_one_in = count;
        self
    }

    /// Makes `requests` requests.
    pub fn run(self, requests: usize) -> Tally {
        self.start_with_limit(requests).wait()
    }

    /// Makes requests until told to stop.
    pub fn start(self) -> Running {
        self.start_with_limit(usize::MAX)
    }

    fn start_with_limit(self, limit: usize) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let started = Arc::new(AtomicUsize::new(0));
        let answered = Arc::new(AtomicUsize::new(0));
        let clients = (1..=self.clients as u64)
            .map(|seed| {
                let (load, stop) = (self.clone(), Arc::clone(&stop));
                let (started, answered) = (Arc::clone(&started), Arc::clone(&answered));
                thread::spawn(move || {
                    let mut visitor = Visitor::new(load, seed);
                    while !stop.load(Ordering::Relaxed)
                        && started.fetch_add(1, Ordering::Relaxed) < limit
                    {
                        visitor.visit();
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    visitor.tally
                })
            })
            .collect();
        Running { stop, answered, clients }
    }
}

/// Clients at work.
pub struct Running {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Running {
    /// How many requests have ended up to now.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until `count` more requests have ended.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        let goal = self.answered() + count;
        super::wait_until("requests under load", || self.answered() >= goal);
    }

    /// Lets every client end its request, and tells what they saw.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    fn wait(self) -> Tally {
        let mut tally = Tally::default();
        for client in self.clients {
            tally.add(client.join().expect("a client"));
        }
        tally
    }
}

struct Visitor {
    load: Load,
    numbers: Numbers,
    client: Option<Client>,
    tally: Tally,
}

impl Visitor {
    fn new(load: Load, seed: u64) -> Self {
        Self { load, numbers: Numbers::new(seed), client: None, tally: Tally::default() }
    }

    fn visit(&mut self) {
        let id = self.numbers.below(self.load.ids);
        if self.load.abort_one_in > 0 && self.numbers.below(self.load.abort_one_in) == 0 {
            return self.give_up(id);
        }
        let reused = self.client.is_some();
        let mut answer = self.ask(id);
        if reused && answer.is_err() {
            // The server may close an idle connection at any time: that is no failed request.
            answer = self.ask(id);
        }
        if let Err(error) = answer {
            self.tally.broken.push(format!("ID {id}: {error}"));
        }
    }

    fn ask(&mut self, id: u64) -> io::Result<()> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::try_connect(self.load.port)?,
        };
        let close: &[(&str, &str)] =
            if self.load.keepalive { &[] } else { &[("Connection", "close")] };
        client.try_send(&request("GET", &format!("/file/{id}"), close, b""))?;
        let response = client.try_read("GET")?;
        *self.tally.statuses.entry(response.status).or_default() += 1;
        if response.status == 200 && response.body != site::content_of(id) {
            let seen = response.text();
            self.tally.wrong.push(format!("ID {id}: {:?}", seen.lines().next()));
        }
        if response.header("Connection") != Some("close") {
            self.client = Some(client);
        }
        Ok(())
    }

    /// Resets a connection with half a request, or one or several whole ones, on their way.
    fn give_up(&mut self, id: u64) {
        self.tally.aborted += 1;
        let Ok(mut client) =
            self.client.take().map_or_else(|| Client::try_connect(self.load.port), Ok)
        else {
            return;
        };
        let request = request("GET", &format!("/file/{id}"), &[], b"");
        // Whether the server still reads does not matter: the client is leaving.
        let _ = match self.numbers.below(4) {
            0 => client.try_send(&request[..request.len() / 2]),
            1 => client.try_send(&request.repeat(3)),
            2 => client.try_send(&request).and_then(|()| client.try_read("GET").map(drop)),
            _ => client.try_send(&request),
        };
        client.abort();
    }
}
