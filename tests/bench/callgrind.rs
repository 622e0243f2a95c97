//! Instructions in user space, counted by valgrind's tool callgrind. Deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::machine::missing;
use crate::nginx::{Configuration, Nginx};
use crate::site::Site;

/// Functions listed.
const LISTED: usize = 30;

/// Instructions for a request.
pub struct Profile {
    /// All of them.
    pub total: f64,
    /// By function, without those that it calls.
    pub functions: BTreeMap<String, f64>,
}

impl Profile {
    fn of(&self, function: &str) -> f64 {
        self.functions.get(function).copied().unwrap_or(0.0)
    }

    /// The functions, those with the most instructions first.
    pub fn ranking(&self) -> Vec<(&str, f64)> {
        let mut functions: Vec<_> =
            self.functions.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        functions.sort_by(|a, b| b.1.total_cmp(&a.1));
        functions
    }

    /// Prints where two profiles differ most.
    pub fn print_beyond(&self, other: &Self) {
        let names: BTreeSet<&String> =
            self.functions.keys().chain(other.functions.keys()).collect();
        let mut differences: Vec<(&String, f64)> =
            names.into_iter().map(|name| (name, self.of(name) - other.of(name))).collect();
        differences.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        for (name, difference) in differences.iter().take(LISTED) {
            println!("  {difference:+8.0}  {name}");
        }
    }
}

/// An nginx whose instructions are counted.
pub struct Profiled {
    nginx: Nginx,
    file: PathBuf,
    dumps: usize,
}

impl Profiled {
    /// Starts one; `options` are callgrind's.
    pub fn start(site: &Site, what: &Configuration, options: &[String]) -> Result<Self> {
        let file = site.directory().join(format!("{}.callgrind", what.name));
        let nginx = Nginx::start_profiled(site, what, &file, options)?;
        Ok(Self { nginx, file, dumps: 0 })
    }

    /// Its port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.nginx.port()
    }

    /// Begins to count, if it was started with `--instr-atstart=no`; much slower from now on.
    pub fn instrument(&self) -> Result<()> {
        self.control("--instr=on")
    }

    /// Counts while `work` sends that many requests.
    pub fn count(&mut self, requests: usize, work: impl FnOnce() -> Result<()>) -> Result<Profile> {
        self.control("--zero")?;
        work()?;
        self.control("--dump=counted")?;
        self.dumps += 1;
        let mut dump = self.file.clone().into_os_string();
        dump.push(format!(".{}", self.dumps));
        annotate(&PathBuf::from(dump), requests as f64)
    }

    /// Ends it.
    pub fn end(self) {
        self.nginx.end();
    }

    fn control(&self, what: &str) -> Result<()> {
        let worker = self.nginx.worker().to_string();
        run_tool(Command::new("callgrind_control").arg(what).arg(worker))?;
        Ok(())
    }
}

fn run_tool(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| missing(command.get_program(), error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {text}{errors}");
    Ok(text)
}

/// Reads lines such as ` 1,234  file.c:function'2 [object]`.
fn annotate(file: &PathBuf, requests: f64) -> Result<Profile> {
    let mut command = Command::new("callgrind_annotate");
    command.args(["--threshold=100", "--show-percs=no", "--auto=no"]).arg(file);
    let text = run_tool(&mut command)?;
    let lines: Vec<(f64, &str)> = text
        .lines()
        .filter_map(|line| {
            let (count, function) = line.trim_start().split_once("  ")?;
            Some((count.replace(',', "").parse::<f64>().ok()? / requests, function))
        })
        .collect();
    let (total, _) = *lines
        .iter()
        .find(|(_, function)| *function == "PROGRAM TOTALS")
        .context("callgrind_annotate says no total")?;
    let mut functions = BTreeMap::new();
    // Whom the dump found running is charged with everything: main and its callers.
    for (count, function) in lines.into_iter().filter(|(count, _)| *count < total) {
        let function = function.split_once(':').map_or(function, |(_, function)| function);
        let name = function.split_once(" [").map_or(function, |(name, _)| name);
        let name = name.split_once('\'').map_or(name, |(name, _)| name);
        *functions.entry(name.to_owned()).or_default() += count;
    }
    Ok(Profile { total, functions })
}
