//! `scripts/bench instructions`: instructions in user space of a lookup from the cache beyond those
//! of an internal redirect without one, and which functions they go to. Deterministic.

use std::collections::BTreeMap;
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

/// Instructions for a request, by function.
type Profile = BTreeMap<String, f64>;

/// Measures and prints.
pub fn run() -> Result<()> {
    let site = Site::make(2 * REQUESTS)?;
    let store = Memcached::start()?;
    site.fill(&store)?;
    let redirect = profile(&site, &store, Variant::Redirect)?;
    let ours = profile(&site, &store, Variant::OursCached)?;
    let total = |profile: &Profile| profile.values().sum::<f64>();
    let beyond = total(&ours) - total(&redirect);
    let verdict = if beyond <= BEYOND_MAX { "met" } else { "missed" };
    println!("instructions for a request, in user space:");
    println!("  {:8.0}  internal redirect, no lookup", total(&redirect));
    println!("  {:8.0}  http_sendfile, from its cache", total(&ours));
    println!("  {beyond:8.0}  the difference (target ≤ {BEYOND_MAX:.0}: {verdict})");
    println!("\nwhere they differ (+: more than the redirect), by function itself:");
    let mut differences: Vec<(&String, f64)> = ours
        .keys()
        .chain(redirect.keys().filter(|name| !ours.contains_key(*name)))
        .map(|name| {
            let of = |profile: &Profile| profile.get(name).copied().unwrap_or(0.0);
            (name, of(&ours) - of(&redirect))
        })
        .collect();
    differences.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    for (name, difference) in differences.iter().take(LISTED) {
        println!("  {difference:+8.0}  {name}");
    }
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

/// Reads lines such as ` 1,234 (5.6%)  file.c:function [object]`.
fn annotate(file: &Path) -> Result<Profile> {
    let mut command = Command::new("callgrind_annotate");
    command.args(["--threshold=100", "--show-percs=no", "--auto=no"]).arg(file);
    let mut profile = Profile::new();
    for line in run_tool(&mut command)?.lines() {
        let Some((count, function)) = line.trim_start().split_once("  ") else {
            continue;
        };
        let Ok(count) = count.replace(',', "").parse::<f64>() else {
            continue;
        };
        if function.contains("PROGRAM TOTALS") {
            continue;
        }
        let function = function.split(':').skip(1).collect::<Vec<_>>().join(":");
        *profile.entry(function).or_default() += count / REQUESTS as f64;
    }
    ensure!(!profile.is_empty(), "callgrind_annotate shows no function");
    Ok(profile)
}
