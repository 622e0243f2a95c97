//! A real nginx in a private directory, on ports of its own, with the module loaded. When it is
//! dropped it must end cleanly, or the test fails.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread::panicking;
use std::time::Instant;

use tempfile::TempDir;

use super::client::{Client, Response};
use super::port::Port;
use super::process::{self, Id, Signal};
use super::{patience, site, wait_until};

const ACCESS_LOG: &str = "request=$request\\tstatus=$status\\turi=$uri\\tid=$sendfile_id\\t\
    path=$sendfile_path\\tlookup=$sendfile_status\\taddr=$sendfile_addr\\ttime=$sendfile_time";

const VARIABLE_HEADERS: &str = "add_header X-Lookup $sendfile_status always;
        add_header X-Path $sendfile_path always;
        add_header X-Addr $sendfile_addr always;";

/// The nginx binary under test.
pub fn binary() -> PathBuf {
    variable("NGX_SMART_NGINX").into()
}

/// True if the nginx under test was built with `part`, e.g. `http_ssl_module`.
pub fn built_with(part: &str) -> bool {
    let output = Command::new(binary()).arg("-V").output().expect("nginx -V");
    String::from_utf8_lossy(&output.stderr).contains(&format!("--with-{part}"))
}

/// The version of the nginx under test, e.g. `(1, 28, 3)`.
pub fn version() -> (u32, u32, u32) {
    let output = Command::new(binary()).arg("-v").output().expect("nginx -v");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = text
        .split("nginx/")
        .nth(1)
        .expect("a version")
        .split_whitespace()
        .next();
    let mut parts = number
        .expect("a version")
        .split('.')
        .map(|part| part.parse().expect("a number"));
    let mut next = || parts.next().expect("three numbers");
    (next(), next(), next())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run scripts/test, or scripts/build and then the tests with the \
             variables of the file target/nginx/VERSION/env that it writes"
        )
    })
}

/// A configuration in the making.
pub struct Setup {
    prefix: TempDir,
    port: Port,
    workers: usize,
    daemon: bool,
    module: bool,
    main: String,
    events: String,
    http: String,
    server: String,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// One worker, one server, its files under `/files/`, which only internal redirects reach.
    pub fn new() -> Self {
        let prefix = tempfile::Builder::new()
            .prefix("ngx-smart-")
            .tempdir()
            .expect("a directory");
        for directory in ["html", "files", "temp"] {
            fs::create_dir(prefix.path().join(directory)).expect("a directory");
        }
        Self {
            prefix,
            port: Port::reserve(),
            workers: 1,
            daemon: false,
            module: true,
            main: String::new(),
            events: String::new(),
            http: String::new(),
            server: String::new(),
            environment: Vec::new(),
        }
    }

    /// nginx alone, without the module.
    pub fn without_module() -> Self {
        Self {
            module: false,
            ..Self::new()
        }
    }

    /// The number of worker processes.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// In the background, as a system service runs: nginx upgrades its binary only there.
    pub fn daemon(mut self) -> Self {
        self.daemon = true;
        self
    }

    /// Directives outside of all blocks.
    pub fn main(mut self, directives: &str) -> Self {
        self.main.push_str(directives);
        self
    }

    /// Directives of the block `events`.
    pub fn events(mut self, directives: &str) -> Self {
        self.events.push_str(directives);
        self
    }

    /// Directives of the block `http`, outside of the server.
    pub fn http(mut self, directives: &str) -> Self {
        self.http.push_str(directives);
        self
    }

    /// The store that is asked: `http_sendfile_pass` at the level of http.
    pub fn store(self, address: &str) -> Self {
        self.http(&format!("http_sendfile_pass {address};\n"))
    }

    /// Directives of the server.
    pub fn server(mut self, directives: &str) -> Self {
        self.server.push_str(directives);
        self
    }

    /// A location of the server.
    pub fn location(self, path: &str, directives: &str) -> Self {
        self.server(&format!("location {path} {{ {directives} }}\n"))
    }

    /// The location that most tests ask: `/file/ID`, with `http_sendfile on` and `directives`.
    pub fn lookups(self, directives: &str) -> Self {
        self.location("/file/", &format!("http_sendfile on; {directives}"))
    }

    /// An environment variable that nginx starts with.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the files of `ids`.
    pub fn files(self, ids: Range<u64>) -> Self {
        site::write_files(&self.prefix.path().join("files"), ids);
        self
    }

    /// Writes one file below the root of the files.
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        site::write_file(&self.prefix.path().join("files"), path, content);
        self
    }

    /// Writes one file below the root of the documents.
    pub fn document(self, path: &str, content: &[u8]) -> Self {
        site::write_file(&self.prefix.path().join("html"), path, content);
        self
    }

    /// The directory in which this nginx will live.
    pub fn prefix(&self) -> &Path {
        self.prefix.path()
    }

    /// The port on which the server will listen.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    fn write_configuration(&self) {
        let prefix = self.prefix.path().display();
        let module = if self.module {
            variable("NGX_SMART_MODULE")
        } else {
            String::new()
        };
        let load = if module.is_empty() {
            String::new()
        } else {
            format!("load_module {module};\n")
        };
        let user = if rustix::process::geteuid().is_root() {
            "user root;\n"
        } else {
            ""
        };
        let (log, headers) = if self.module {
            (
                format!("log_format lookups '{ACCESS_LOG}';"),
                VARIABLE_HEADERS,
            )
        } else {
            (
                "log_format lookups 'request=$request\\tstatus=$status';".to_owned(),
                "",
            )
        };
        let Self {
            workers,
            main,
            events,
            http,
            server,
            ..
        } = self;
        let daemon = if self.daemon { "on" } else { "off" };
        let address = self.port.address();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {prefix}/temp/{kind};\n"))
            .concat();
        let text = format!(
            "{load}{user}daemon {daemon};
worker_processes {workers};
pid {prefix}/nginx.pid;
error_log {prefix}/error.log info;
{main}
events {{ {events} }}
http {{
    {log}
    access_log {prefix}/access.log lookups;
    types {{ text/plain txt; text/html html; image/png png; }}
    default_type application/octet-stream;
{temporary}{http}
    server {{
        listen {address};
        root {prefix}/html;
        {headers}
        location /files/ {{ internal; alias {prefix}/files/; }}
{server}
    }}
}}
"
        );
        fs::write(self.configuration(), text).expect("nginx.conf");
    }

    fn configuration(&self) -> PathBuf {
        self.prefix.path().join("nginx.conf")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("-p")
            .arg(self.prefix.path())
            .arg("-c")
            .arg(self.configuration());
        command.arg("-e").arg(self.prefix.path().join("error.log"));
        command.current_dir(self.prefix.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env_remove("NGINX"); // nginx would take it for sockets to inherit
        if super::sanitized() {
            command.env("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1");
        }
        command
    }

    /// What `nginx -t` says of this configuration.
    pub fn check(&self) -> Check {
        self.write_configuration();
        let Output { status, stderr, .. } = self.command().arg("-t").output().expect("nginx -t");
        let text = fs::read_to_string(self.configuration()).expect("nginx.conf");
        let message = String::from_utf8_lossy(&stderr).into_owned();
        Check {
            accepted: status.success(),
            message,
            configuration: text,
        }
    }

    /// Starts nginx and waits until it accepts connections.
    pub fn start(self) -> Nginx {
        self.write_configuration();
        let output = self.prefix.path().join("stderr.log");
        let output = fs::File::create(output).expect("a file");
        let mut child = self.command().stderr(output).spawn().expect("nginx starts");
        if self.daemon {
            assert!(
                child.wait().expect("nginx").success(),
                "nginx did not start"
            );
        }
        let mut nginx = Nginx {
            child,
            setup: self,
            allowed: Mutex::default(),
        };
        nginx.wait_for_start();
        nginx
    }
}

/// What `nginx -t` said.
pub struct Check {
    /// Whether the configuration is good.
    pub accepted: bool,
    /// All that nginx printed.
    pub message: String,
    /// The configuration itself.
    pub configuration: String,
}

/// A running nginx.
pub struct Nginx {
    child: Child,
    setup: Setup,
    allowed: Mutex<Vec<String>>,
}

impl Nginx {
    fn wait_for_start(&mut self) {
        let started = Instant::now();
        while std::net::TcpStream::connect(self.setup.port.address()).is_err()
            || self.workers().len() < self.setup.workers
        {
            let ended = !self.setup.daemon && self.child.try_wait().expect("nginx").is_some();
            assert!(!ended, "nginx did not start: {}", self.logs());
            assert!(
                started.elapsed() < patience(),
                "nginx does not accept: {}",
                self.logs()
            );
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
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

    /// Reloads with another configuration of the server.
    #[track_caller]
    pub fn reload_with(&mut self, server: &str) -> Vec<Id> {
        server.clone_into(&mut self.setup.server);
        self.setup.write_configuration();
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
            found = self
                .error_log()
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned);
            found.is_some()
        });
        found.expect("the line just found")
    }

    /// Waits for the access log line of the request whose first line contains `request`.
    #[track_caller]
    pub fn wait_for_access(&self, request: &str) -> HashMap<String, String> {
        let mut found = None;
        wait_until(&format!("an access log line of {request:?}"), || {
            found = self
                .access_log()
                .into_iter()
                .find(|line| line["request"].contains(request));
            found.is_some()
        });
        found.expect("the line just found")
    }

    /// The access log up to now: the fields of each line by name.
    pub fn access_log(&self) -> Vec<HashMap<String, String>> {
        let text = read(&self.prefix().join("access.log"));
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let field = |field: &str| {
            field
                .split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        complete
            .lines()
            .map(|line| line.split('\t').filter_map(field).collect())
            .collect()
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
        let started = Instant::now();
        let mut left = process::living_in(self.prefix());
        while !left.is_empty() && started.elapsed() < patience() / 4 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            let _ = self.child.try_wait();
            left = process::living_in(self.prefix());
        }
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
const BAD: [&str; 6] = [
    "[alert]",
    "[emerg]",
    "open socket",
    "AddressSanitizer",
    "runtime error",
    "panicked",
];

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
