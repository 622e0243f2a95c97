//! An nginx with one worker and a configuration that has only what is measured.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::common::client::Client;
use crate::common::port::Port;
use crate::common::process::{children, title, Id};
use crate::machine::{cpu_time, pinned, Process, SERVER_CORE};
use crate::site::Site;

/// What distinguishes one configuration from another.
#[derive(Default)]
pub struct Configuration {
    /// A name for its directory.
    pub name: String,
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
    worker: Id,
    log: PathBuf,
}

impl Nginx {
    /// Starts one on the server's core.
    pub fn start(site: &Site, what: &Configuration) -> Result<Self> {
        let mut nginx = Self::launch(site, what, "", pinned(SERVER_CORE, binary()?))?;
        let master = nginx.process.id();
        let worker = || worker_of(master);
        nginx.process.wait_until("nginx's worker", || worker().is_some())?;
        nginx.worker = worker().context("nginx's worker has ended")?;
        Ok(nginx)
    }

    /// Starts one without a master, under valgrind's tool callgrind, which writes to `profile`.
    pub fn start_profiled(site: &Site, what: &Configuration, profile: &str) -> Result<Self> {
        let mut command = pinned(SERVER_CORE, "valgrind");
        command.args(["--tool=callgrind", "-q"]);
        command.arg(format!("--callgrind-out-file={profile}")).arg(binary()?);
        Self::launch(site, what, "master_process off;", command)
    }

    fn launch(site: &Site, what: &Configuration, main: &str, mut command: Command) -> Result<Self> {
        let port = Port::reserve();
        let file = site.write(&format!("{}.conf", what.name), what.text(site, &port, main))?;
        command.arg("-p").arg(site.directory()).arg("-c").arg(file).args(["-e", "stderr"]);
        let process = Process::start(&mut command)?;
        let worker = process.id();
        let log = site.directory().join(format!("{}.log", what.name));
        let mut nginx = Self { process, port, worker, log };
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

    /// The id of its worker.
    pub fn worker(&self) -> Id {
        self.worker
    }

    /// The CPU time of its worker, in nanoseconds.
    pub fn cpu_time(&self) -> Result<u64> {
        cpu_time(self.worker)
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
        let Self { name, modules, http, server } = self;
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
worker_processes 1;
worker_rlimit_nofile 16384;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
{temporary}{http}
    server {{
        listen {address};
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

fn worker_of(master: Id) -> Option<Id> {
    children(master).into_iter().find(|&id| title(id) == "nginx: worker process")
}
