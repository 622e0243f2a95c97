//! System calls for a request, counted by strace in a pass of their own: tracing is slow.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::machine::{Process, CLIENT_CORE};
use crate::sendfile::Bench;
use crate::variant::Variant;

/// The number of connections at which calls are counted.
pub const CONNECTIONS: usize = 64;

/// Calls for a request, by name.
pub type Calls = BTreeMap<String, f64>;

/// Counts the calls of a variant's worker under load.
pub fn count(bench: &Bench, variant: Variant) -> Result<Calls> {
    let worker = bench.server(variant).worker();
    let directory = tempfile::tempdir()?;
    let table = directory.path().join("calls");
    let mut command = Command::new("strace");
    command.args(["-q", "-c", "-U", "name,calls", "-p", &worker.to_string(), "-o"]).arg(&table);
    let mut strace = Process::start(&mut command)?;
    strace.wait_until("strace", || is_traced(worker))?;
    let figures = bench.load(variant, CONNECTIONS, 0, CLIENT_CORE).run()?;
    strace.end(Signal::INT);
    parse(&fs::read_to_string(table)?, figures.requests)
        .with_context(|| format!("strace has counted nothing for {}", variant.name()))
}

fn is_traced(process: i32) -> bool {
    fs::read_to_string(format!("/proc/{process}/status"))
        .is_ok_and(|status| status.contains("TracerPid:") && !status.contains("TracerPid:\t0\n"))
}

/// Lines of a name and a number, between a line of dashes above and one below.
fn parse(table: &str, requests: f64) -> Option<Calls> {
    let calls: Calls = table
        .lines()
        .skip_while(|line| !line.starts_with('-'))
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let name = fields.next()?.to_owned();
            Some((name, fields.next()?.parse::<f64>().ok()? / requests))
        })
        .collect();
    Some(calls).filter(|calls| !calls.is_empty())
}
