//! The configuration of an nginx in a private directory, on a port of its own, with the module.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::nginx::Nginx;
use super::port::Port;
use super::site;

const ACCESS_LOG: &str = "request=$request\\tstatus=$status\\turi=$uri\\tid=$sendfile_id\\t\
    path=$sendfile_path\\tlookup=$sendfile_status\\taddr=$sendfile_addr\\ttime=$sendfile_time";

const VARIABLE_HEADERS: &str = "add_header X-Lookup $sendfile_status always;
        add_header X-Path $sendfile_path always;
        add_header X-Addr $sendfile_addr always;
        add_header X-Worker $pid always;";

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
    let number = text.split("nginx/").nth(1).expect("a version").split_whitespace().next();
    let mut parts =
        number.expect("a version").split('.').map(|part| part.parse().expect("a number"));
    let mut next = || parts.next().expect("three numbers");
    (next(), next(), next())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run scripts/test, or eval \"$(scripts/build --shell)\" before \
             cargo test"
        )
    })
}

/// A configuration in the making.
pub struct Setup {
    prefix: TempDir,
    port: Port,
    pub(super) workers: usize,
    pub(super) daemon: bool,
    nginx: PathBuf,
    module: Option<String>,
    main: String,
    events: String,
    http: String,
    pub(super) server: String,
    whole: Option<String>,
    environment: Vec<(String, String)>,
    preloads: Vec<String>,
}

impl Setup {
    /// One worker, one server, its files under `/files/`, which only internal redirects reach.
    pub fn new() -> Self {
        let prefix = tempfile::Builder::new().prefix("ngx-smart-").tempdir().expect("a directory");
        for directory in ["html", "files", "temp"] {
            fs::create_dir(prefix.path().join(directory)).expect("a directory");
        }
        Self {
            prefix,
            port: Port::reserve(),
            workers: 1,
            daemon: false,
            nginx: binary(),
            module: Some(variable("NGX_SMART_MODULE")),
            main: String::new(),
            events: String::new(),
            http: String::new(),
            server: String::new(),
            whole: None,
            environment: Vec::new(),
            preloads: Vec::new(),
        }
    }

    /// nginx alone, without the module.
    pub fn without_module() -> Self {
        Self { module: None, ..Self::new() }
    }

    /// Another nginx than the one under test, and its module: empty if it is linked in.
    #[allow(dead_code, reason = "the tests of the ways to build use it")]
    pub fn built(self, nginx: &str, module: &str) -> Self {
        Self { nginx: nginx.into(), module: Some(module.to_owned()), ..self }
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

    /// The store that is asked, with timeouts that a busy machine keeps: at the level of http.
    pub fn store(self, address: &str) -> Self {
        self.http(&format!(
            "http_sendfile_pass {address};
            http_sendfile_timeout 10s;
            http_sendfile_connect_timeout 5s;\n"
        ))
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

    /// A library that nginx loads before all others.
    pub fn preload(mut self, library: &Path) -> Self {
        self.preloads.push(library.display().to_string());
        self
    }

    /// The whole text of the configuration, in place of one made of all the parts.
    pub fn whole(mut self, text: String) -> Self {
        self.whole = Some(text);
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
        let text = self.whole.clone().unwrap_or_else(|| self.parts());
        fs::write(self.configuration(), text).expect("nginx.conf");
    }

    fn parts(&self) -> String {
        let prefix = self.prefix.path().display();
        let load = match self.module.as_deref() {
            None | Some("") => String::new(),
            Some(module) => format!("load_module {module};\n"),
        };
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let (log, headers) = if self.module.is_some() {
            (format!("log_format lookups '{ACCESS_LOG}';"), VARIABLE_HEADERS)
        } else {
            ("log_format lookups 'request=$request\\tstatus=$status';".to_owned(), "")
        };
        let Self { workers, main, events, http, server, .. } = self;
        let daemon = if self.daemon { "on" } else { "off" };
        let address = self.port.address();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {prefix}/temp/{kind};\n"))
            .concat();
        format!(
            "{load}{user}daemon {daemon};
env ASAN_OPTIONS;
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
    keepalive_requests 1000000000;
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
        )
    }

    /// The path of the configuration.
    pub fn configuration(&self) -> PathBuf {
        self.prefix.path().join("nginx.conf")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.nginx);
        command.arg("-p").arg(self.prefix.path()).arg("-c").arg(self.configuration());
        command.arg("-e").arg(self.prefix.path().join("error.log"));
        command.current_dir(self.prefix.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if !self.preloads.is_empty() {
            command.env("LD_PRELOAD", self.preloads.join(":"));
        }
        command.env_remove("NGINX"); // nginx would take it for sockets to inherit
        if super::sanitized() {
            // The configuration lets it through to a new binary as well.
            command.env("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1:verify_asan_link_order=0");
        }
        command
    }

    /// What `nginx -t` says of this configuration.
    pub fn check(&self) -> Check {
        self.write_configuration();
        let Output { status, stderr, .. } = self.command().arg("-t").output().expect("nginx -t");
        let text = fs::read_to_string(self.configuration()).expect("nginx.conf");
        let message = String::from_utf8_lossy(&stderr).into_owned();
        Check { accepted: status.success(), message, configuration: text }
    }

    /// Starts nginx and waits until it accepts connections.
    pub fn start(self) -> Nginx {
        self.write_configuration();
        let output = fs::File::create(self.prefix().join("stderr.log")).expect("a file");
        let child = self.command().stderr(output).spawn().expect("nginx starts");
        Nginx::wait_for_start(child, self)
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
