//! An nginx with a configuration that has only what is measured.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::common::client::Client;
use crate::common::port::Port;
use crate::common::process::{children, title, Id};
use crate::machine::{cpu_time, pinned, Process, SERVER_CORE};
use crate::site::Site;

/// What distinguishes one configuration from another.
pub struct Configuration {
    /// A name for its directory.
    pub name: String,
    /// How many workers. One is alone on the server's core; several have a core each and share
    /// them with whoever asks.
    pub workers: usize,
    /// The dynamic modules to load.
    pub modules: Vec<PathBuf>,
    /// Directives of `http`.
    pub http: String,
    /// Directives of `server`.
    pub server: String,
}

/// A running nginx.
pub struct Nginx {
    process: Process,
    port: Port,
    workers: Vec<Id>,
    log: PathBuf,
}

impl Nginx {
    /// Starts one.
    pub fn start(site: &Site, what: &Configuration) -> Result<Self> {
        let (main, command) = match what.workers {
            1 => ("", pinned(SERVER_CORE, binary()?)),
            _ => ("worker_cpu_affinity auto;", Command::new(binary()?)),
        };
        let mut nginx = Self::launch(site, what, main, command)?;
        let master = nginx.process.id();
        let all_run = || workers_of(master).len() == what.workers;
        nginx.process.wait_until("nginx's workers", all_run)?;
        nginx.workers = workers_of(master);
        Ok(nginx)
    }

    /// Starts one without a master, under valgrind's tool callgrind with these options, which
    /// writes to `profile`.
    pub fn start_profiled(
        site: &Site,
        what: &Configuration,
        profile: &Path,
        options: &[String],
    ) -> Result<Self> {
        let mut command = pinned(SERVER_CORE, "valgrind");
        command.args(["--tool=callgrind", "-q"]);
        command.arg(format!("--callgrind-out-file={}", profile.display())).args(options);
        command.arg(binary()?);
        Self::launch(site, what, "master_process off;", command)
    }

    fn launch(site: &Site, what: &Configuration, main: &str, mut command: Command) -> Result<Self> {
        let port = Port::reserve();
        let file = site.write(&format!("{}.conf", what.name), what.text(site, &port, main))?;
        command.arg("-p").arg(site.directory()).arg("-c").arg(file).args(["-e", "stderr"]);
        let process = Process::start(&mut command)?;
        let workers = vec![process.id()];
        let log = site.directory().join(format!("{}.log", what.name));
        let mut nginx = Self { process, port, workers, log };
        let number = nginx.port();
        let accepts = || Client::try_connect(number).is_ok();
        let started = nginx.process.wait_until("nginx", accepts);
        started.with_context(|| nginx.error_log())?;
        Ok(nginx)
    }

    /// Its port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The id of its first worker.
    pub fn worker(&self) -> Id {
        self.workers[0]
    }

    /// The CPU time of its workers, in nanoseconds.
    pub fn cpu_time(&self) -> Result<u64> {
        self.workers.iter().map(|&worker| cpu_time(worker)).sum()
    }

    /// The end of its error log.
    pub fn error_log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        format!("{} lines in nginx's error log, the last:\n{}", lines.len(), last.join("\n"))
    }

    /// Ends it.
    pub fn end(mut self) {
        self.process.end(rustix::process::Signal::QUIT);
    }
}

impl Configuration {
    fn text(&self, site: &Site, port: &Port, main: &str) -> String {
        let Self { name, workers, modules, http, server } = self;
        // A queue of connections for each worker: the kernel deals them out evenly.
        let queues = if *workers > 1 { " reuseport" } else { "" };
        let user = match rustix::process::geteuid().is_root() {
            true => "user root;",
            false => "",
        };
        let modules: String =
            modules.iter().map(|module| format!("load_module {};\n", module.display())).collect();
        let temporary: String = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {name}.{kind};\n"))
            .collect();
        format!(
            "{modules}{user} {main}
daemon off;
pid {name}.pid;
error_log {name}.log error;
worker_processes {workers};
worker_rlimit_nofile 16384;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
{temporary}{http}
    server {{
        listen {address}{queues};
        root {root};
{server}
    }}
}}
",
            address = port.address(),
            root = site.directory().display(),
        )
    }
}

/// The module to measure; none if it is linked into the nginx binary.
pub fn our_module() -> Result<Vec<PathBuf>> {
    let module = env::var_os("NGX_SMART_MODULE").context("NGX_SMART_MODULE: use scripts/bench")?;
    Ok(Some(PathBuf::from(module))
        .filter(|path| !path.as_os_str().is_empty())
        .into_iter()
        .collect())
}

/// The version of the nginx that is measured.
pub fn version() -> Result<String> {
    let output = Command::new(binary()?).arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let (_, version) = text.trim_end().rsplit_once('/').context("nginx -v says no version")?;
    Ok(version.to_owned())
}

fn binary() -> Result<PathBuf> {
    let binary = env::var_os("NGX_SMART_NGINX").context("NGX_SMART_NGINX: use scripts/bench")?;
    ensure!(!binary.is_empty(), "NGX_SMART_NGINX is empty: use scripts/bench");
    Ok(PathBuf::from(binary))
}

fn workers_of(master: Id) -> Vec<Id> {
    children(master).into_iter().filter(|&id| title(id) == "nginx: worker process").collect()
}
