//! Processes pinned to a core, and the CPU time that they have used.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure, Context, Result};

use crate::common::process::{self, Id, Signal};

/// The core of the server that is measured.
pub const SERVER_CORE: usize = 0;
/// The core of the load generator and of the store.
pub const CLIENT_CORE: usize = 1;

/// How long a process may take to get ready, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child process that ends with its owner.
pub struct Process(Child);

impl Process {
    /// Starts `command`, whose standard output nobody reads.
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().map(Self).map_err(|error| missing(&program, error))
    }

    /// The process's id.
    pub fn id(&self) -> Id {
        Id::try_from(self.0.id()).expect("the id of a process")
    }

    /// Waits until `condition` holds or the process has ended.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            if let Some(status) = self.0.try_wait()? {
                return Err(anyhow!("waiting for {what}: the process has ended: {status}"));
            }
            ensure!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Sends a signal and waits for the end; kills who does not heed it.
    pub fn end(&mut self, signal: Signal) {
        process::signal(self.id(), signal);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.0.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.end(Signal::TERM);
        }
    }
}

/// What a program that does not start most likely means.
pub fn missing(program: &OsStr, error: std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        ErrorKind::NotFound => ": run scripts/setup --bench",
        _ => "",
    };
    anyhow!("{} does not start: {error}{hint}", program.to_string_lossy())
}

/// A command that runs `program` on `core` alone.
pub fn pinned(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// Moves all threads of a running process to a core, or to several: `0,1`.
pub fn move_to(cores: impl Display, process: Id) -> Result<()> {
    let moved = Command::new("taskset")
        .args(["-a", "-c", "-p", &cores.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .status()?;
    ensure!(moved.success(), "taskset cannot move process {process} to core {cores}");
    Ok(())
}

/// CPU time of all threads of a process since its start, in nanoseconds.
pub fn cpu_time(process: Id) -> Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        total += running_time(&task?.path().join("schedstat"))?;
    }
    Ok(total)
}

/// The first figure of a `schedstat` file: nanoseconds on a core.
fn running_time(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    let first = text.split(' ').next().context("schedstat is empty")?;
    Ok(first.parse()?)
}
