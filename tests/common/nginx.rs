//! A running nginx. When it is dropped it must end cleanly, or the test fails.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::thread::panicking;

use super::client::{Client, Response};
use super::process::{self, Id, Signal};
use super::setup::Setup;
use super::{holds_within, patience, wait_until};

/// A running nginx.
pub struct Nginx {
    child: Child,
    setup: Setup,
    allowed: Mutex<Vec<String>>,
}

impl Nginx {
    /// Waits until the process just started accepts connections.
    pub fn wait_for_start(mut child: Child, setup: Setup) -> Self {
        if setup.daemon {
            assert!(child.wait().expect("nginx").success(), "nginx did not start");
        }
        let mut nginx = Self { child, setup, allowed: Mutex::default() };
        let accepts = holds_within(patience(), || {
            let ended = !nginx.setup.daemon && nginx.child.try_wait().expect("nginx").is_some();
            assert!(!ended, "nginx did not start: {}", nginx.logs());
            Client::try_connect(nginx.port()).is_ok()
                && nginx.workers().len() >= nginx.setup.workers
        });
        assert!(accepts, "nginx does not accept: {}", nginx.logs());
        nginx
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.setup.port()
    }

    /// The directory in which it lives.
    pub fn prefix(&self) -> &Path {
        self.setup.prefix()
    }

    /// The directory of the files that IDs stand for.
    pub fn files(&self) -> PathBuf {
        self.prefix().join("files")
    }

    /// A connection to it.
    pub fn connect(&self) -> Client {
        Client::connect(self.port())
    }

    /// The answer to one GET on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.connect().get(path)
    }

    /// The process that reads signals.
    pub fn master(&self) -> Id {
        let text = fs::read_to_string(self.prefix().join("nginx.pid")).unwrap_or_default();
        text.trim()
            .parse()
            .unwrap_or_else(|_| self.child.id().try_into().expect("the id of a process"))
    }

    /// The workers that take connections; those that are shutting down are not among them.
    pub fn workers(&self) -> Vec<Id> {
        self.workers_of(self.master())
    }

    /// The workers of one of several masters, as there are during an upgrade.
    pub fn workers_of(&self, master: Id) -> Vec<Id> {
        let mut workers = process::children(master);
        workers.retain(|&id| process::title(id) == "nginx: worker process");
        workers
    }

    /// The only worker.
    #[track_caller]
    pub fn worker(&self) -> Id {
        let workers = self.workers();
        assert_eq!(workers.len(), 1, "one worker");
        workers[0]
    }

    /// Reloads and waits for the new workers; returns the old ones, which may still have work.
    #[track_caller]
    pub fn reload(&self) -> Vec<Id> {
        let old = self.workers();
        assert!(process::signal(self.master(), Signal::HUP));
        wait_until("new workers after a reload", || {
            let now = self.workers();
            now.len() == self.setup.workers && now.iter().all(|id| !old.contains(id))
        });
        old
    }

    /// Changes the text of the configuration, for the next reload.
    pub fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let path = self.setup.configuration();
        let text = fs::read_to_string(&path).expect("nginx.conf");
        fs::write(path, change(text)).expect("nginx.conf");
    }

    /// Reloads with other directives of the server.
    #[track_caller]
    pub fn reload_with(&self, server: &str) -> Vec<Id> {
        self.reconfigure(|text| text.replace(&self.setup.server, server));
        self.reload()
    }

    /// Kills a worker as the kernel would for want of memory; returns when it is gone and another
    /// has taken its place.
    #[track_caller]
    pub fn kill_worker(&self, worker: Id) {
        self.allow("exited on signal 9");
        assert!(process::signal(worker, Signal::KILL));
        wait_until("a worker in place of the killed one", || {
            let now = self.workers();
            now.len() == self.setup.workers && !now.contains(&worker)
        });
    }

    /// Starts nginx's binary anew beside the one that runs, which goes on; returns the old master.
    #[track_caller]
    pub fn start_new_binary(&self) -> Id {
        let id_in = |file: &str| -> Option<Id> {
            fs::read_to_string(self.prefix().join(file)).ok()?.trim().parse().ok()
        };
        let old = self.master();
        assert!(process::signal(old, Signal::USR2));
        wait_until("the new master's workers", || {
            id_in("nginx.pid.oldbin") == Some(old)
                && id_in("nginx.pid")
                    .is_some_and(|new| self.workers_of(new).len() == self.setup.workers)
        });
        old
    }

    /// Changes the binary as its manual says, and does `meanwhile` after each step.
    #[track_caller]
    pub fn change_binary(&self, meanwhile: impl Fn()) {
        let old_workers = self.workers();
        let old = self.start_new_binary();
        meanwhile();
        process::signal(old, Signal::WINCH);
        process::wait_for_end(&old_workers);
        meanwhile();
        process::signal(old, Signal::QUIT);
        process::wait_for_end(&[old]);
        meanwhile();
    }

    /// Says that lines of the error log that contain `text` are no reason to fail the test.
    pub fn allow(&self, text: &str) {
        self.allowed.lock().expect("no panic").push(text.to_owned());
    }

    /// The error log up to now.
    pub fn error_log(&self) -> String {
        read(&self.prefix().join("error.log"))
    }

    /// Waits for a line of the error log that contains `text`, and returns it.
    #[track_caller]
    pub fn wait_for_error(&self, text: &str) -> String {
        let mut found = None;
        wait_until(&format!("an error log line with {text:?}"), || {
            found = self.error_log().lines().find(|line| line.contains(text)).map(str::to_owned);
            found.is_some()
        });
        found.expect("the line just found")
    }

    /// Waits for the access log line of the request whose first line contains `request`.
    #[track_caller]
    pub fn wait_for_access(&self, request: &str) -> HashMap<String, String> {
        let mut found = None;
        wait_until(&format!("an access log line of {request:?}"), || {
            found = self.access_log().into_iter().find(|line| line["request"].contains(request));
            found.is_some()
        });
        found.expect("the line just found")
    }

    /// The access log up to now: the fields of each line by name.
    pub fn access_log(&self) -> Vec<HashMap<String, String>> {
        let text = read(&self.prefix().join("access.log"));
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let field = |field: &str| {
            field.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        complete.lines().map(|line| line.split('\t').filter_map(field).collect()).collect()
    }

    /// The number of requests up to now whose clients left before they were answered.
    pub fn aborted(&self) -> usize {
        self.access_log().iter().filter(|line| line["status"] == "499").count()
    }

    fn logs(&self) -> String {
        let stderr = read(&self.prefix().join("stderr.log"));
        let log = self.error_log();
        let lines: Vec<&str> = log.lines().chain(stderr.lines()).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Ends nginx gracefully and says what was wrong, if anything.
    fn finish(&mut self) -> Result<(), String> {
        process::signal(self.master(), Signal::QUIT);
        let mut left = Vec::new();
        holds_within(patience() / 4, || {
            let _ = self.child.try_wait();
            left = process::living_in(self.prefix());
            left.is_empty()
        });
        for &id in &left {
            process::signal(id, Signal::KILL);
        }
        let _ = self.child.wait();
        if !left.is_empty() {
            return Err(format!("processes {left:?} did not end:\n{}", self.logs()));
        }
        let allowed = self.allowed.lock().expect("no panic").clone();
        let logs = self.error_log() + &read(&self.prefix().join("stderr.log"));
        let bad: Vec<&str> = logs
            .lines()
            .filter(|line| BAD.iter().any(|bad| line.contains(bad)))
            .filter(|line| !allowed.iter().any(|allowed| line.contains(allowed)))
            .collect();
        if bad.is_empty() {
            Ok(())
        } else {
            Err(format!("in the error log:\n{}", bad.join("\n")))
        }
    }
}

/// What no error log may hold at the end of a test.
const BAD: [&str; 6] =
    ["[alert]", "[emerg]", "open socket", "AddressSanitizer", "runtime error", "panicked"];

impl Drop for Nginx {
    fn drop(&mut self) {
        let logs = self.logs();
        let end = self.finish();
        if panicking() {
            eprintln!("the end of nginx's error log:\n{logs}");
        } else if let Err(reason) = end {
            panic!("nginx did not end cleanly: {reason}");
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
