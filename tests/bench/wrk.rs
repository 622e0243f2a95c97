//! The load generator.

use std::path::Path;
use std::process::Stdio;

use anyhow::{ensure, Context, Result};

use crate::machine::{missing, pinned};

/// A run of wrk.
pub struct Load<'a> {
    /// The script `wrk.lua`.
    pub script: &'a Path,
    /// A file with a request path on each line.
    pub paths: &'a Path,
    /// The server's port.
    pub port: u16,
    /// Connections kept open.
    pub connections: usize,
    /// How long.
    pub seconds: u64,
    /// Of the order of requests.
    pub seed: usize,
    /// Where it runs.
    pub core: usize,
}

/// What wrk counted.
#[derive(Clone, Copy)]
pub struct Figures {
    /// Answered requests.
    pub requests: f64,
    /// Seconds between the first and the last.
    pub seconds: f64,
    /// Half the requests were answered within this time, in microseconds.
    pub p50: f64,
    /// 99% of the requests were answered within this time, in microseconds.
    pub p99: f64,
    /// wrk's own CPU time, in seconds.
    pub cpu: f64,
}

/// Measures again, at most twice, where a busy machine has spoilt a run, and says so.
pub fn again<T>(mut measure: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..2 {
        match measure() {
            Ok(measured) => return Ok(measured),
            Err(error) => eprintln!("\n{error:#}\nmeasured again"),
        }
    }
    measure()
}

impl Load<'_> {
    /// Runs it to the end. Any error that wrk saw, a status other than 2xx included, is one.
    pub fn run(&self) -> Result<Figures> {
        let mut command = pinned(self.core, "wrk");
        command.args(["-t", "1", "-c", &self.connections.to_string()]);
        command.args(["-d", &self.seconds.to_string(), "-s"]).arg(self.script);
        command.arg(format!("http://127.0.0.1:{}/", self.port));
        command.arg("--").arg(self.paths).arg(self.seed.to_string());
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| missing(command.get_program(), error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = text
            .lines()
            .find_map(|line| line.strip_prefix("figures "))
            .with_context(|| format!("wrk said no figures: {text}"))?
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [requests, microseconds, p50, p99, cpu, errors] = numbers[..] else {
            anyhow::bail!("wrk's figures are others: {text}");
        };
        ensure!(errors == 0.0 && requests > 0.0, "wrk saw errors: {text}");
        let (seconds, cpu) = (microseconds / 1e6, cpu / 1e6);
        Ok(Figures { requests, seconds, p50, p99, cpu })
    }
}
