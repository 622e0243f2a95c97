//! `scripts/bench instructions`: instructions in user space of a lookup from the cache beyond those
//! of an internal redirect without one, and which functions they go to. Deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::common::client::Client;
use crate::machine::missing;
use crate::memcached::Memcached;
use crate::nginx::Nginx;
use crate::site::Site;
use crate::variant::Variant;

/// Requests that are counted.
const REQUESTS: usize = 1_000;
/// The target: instructions beyond the redirect's own.
const BEYOND_MAX: f64 = 900.0;
/// Functions listed.
const LISTED: usize = 30;

/// Instructions for a request.
struct Profile {
    total: f64,
    /// By function, without those that it calls.
    functions: BTreeMap<String, f64>,
}

impl Profile {
    fn of(&self, function: &str) -> f64 {
        self.functions.get(function).copied().unwrap_or(0.0)
    }

    /// Prints where two profiles differ most.
    fn print_beyond(&self, other: &Self) {
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

/// Measures and prints.
pub fn run() -> Result<()> {
    let site = Site::make(2 * REQUESTS)?;
    let store = Memcached::start()?;
    site.fill(&store)?;
    println!("instructions for a request on one connection, in user space:");
    let measure = |variant: Variant| -> Result<Profile> {
        let profile = profile(&site, &store, variant)?;
        println!("  {:8.0}  {}", profile.total, variant.name());
        Ok(profile)
    };
    measure(Variant::Static)?;
    measure(Variant::MemcachedPass)?;
    let redirect = measure(Variant::Redirect)?;
    let cached = measure(Variant::OursCached)?;
    let asked = measure(Variant::Ours)?;
    let beyond = cached.total - redirect.total;
    let verdict = if beyond <= BEYOND_MAX { "met" } else { "missed" };
    println!(
        "  {beyond:8.0}  from the cache beyond the redirect (target ≤ {BEYOND_MAX:.0}: {verdict})"
    );
    println!("\nfrom the cache, function by function, beyond the redirect:");
    cached.print_beyond(&redirect);
    println!("\nfrom memcached, function by function, beyond the redirect:");
    asked.print_beyond(&redirect);
    Ok(())
}

/// Counts a variant's instructions, after every answer has been given once.
fn profile(site: &Site, store: &Memcached, variant: Variant) -> Result<Profile> {
    let file = site.directory().join(format!("{variant:?}.callgrind"));
    let name = file.to_str().context("a temporary directory has a name in UTF-8")?;
    let nginx = Nginx::start_profiled(site, &variant.configuration(site, store)?, name)?;
    variant.check(site, nginx.port())?;
    let mut client = Client::connect(nginx.port());
    client.get(&variant.request(&site.entries()[0]));
    control("--zero", &nginx)?;
    for entry in &site.entries()[..REQUESTS] {
        client.get(&variant.request(entry));
    }
    control("--dump=counted", &nginx)?;
    nginx.end();
    annotate(Path::new(&format!("{name}.1")))
}

fn control(what: &str, nginx: &Nginx) -> Result<()> {
    run_tool(Command::new("callgrind_control").arg(what).arg(nginx.worker().to_string()))?;
    Ok(())
}

fn run_tool(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| missing(command.get_program(), error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {text}{errors}");
    Ok(text)
}

/// Reads lines such as ` 1,234  file.c:function'2 [object]`.
fn annotate(file: &Path) -> Result<Profile> {
    let mut command = Command::new("callgrind_annotate");
    command.args(["--threshold=100", "--show-percs=no", "--auto=no"]).arg(file);
    let text = run_tool(&mut command)?;
    let lines: Vec<(f64, &str)> = text
        .lines()
        .filter_map(|line| {
            let (count, function) = line.trim_start().split_once("  ")?;
            Some((count.replace(',', "").parse::<f64>().ok()? / REQUESTS as f64, function))
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
        let name = function.split([' ', '\'']).next().unwrap_or(function);
        *functions.entry(name.to_owned()).or_default() += count;
    }
    Ok(Profile { total, functions })
}
