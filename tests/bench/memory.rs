//! `scripts/bench memory`: what a cache entry takes, and whether a worker grows.

use anyhow::{ensure, Context, Result};

use crate::common::client::Client;
use crate::common::process::resident_kib;
use crate::machine::CLIENT_CORE;
use crate::memcached::Memcached;
use crate::nginx::Nginx;
use crate::site::{uri, Site};
use crate::variant::Variant;
use crate::wrk::{again, Load};

/// The zone that is filled until it evicts, and its size in bytes.
const ZONE: (&str, usize) = ("1m", 1024 * 1024);
/// The target for an entry of a 10-byte ID and a 20-byte path.
const ENTRY_MAX: f64 = 128.0;
/// Requests before the first look at resident memory, and before the last.
const REQUESTS: (f64, f64) = (100_000.0, 1_000_000.0);
/// The target for growth between the looks.
const GROWTH_MAX_KIB: i64 = 1024;

/// Measures both and prints them.
pub fn run() -> Result<()> {
    let site = Site::make(20_000)?;
    entry(&site)?;
    for variant in [Variant::Ours, Variant::OursCached] {
        growth(&site, variant)?;
    }
    Ok(())
}

/// Asks for more entries than the zone can hold, takes the store away, and counts who is still known.
fn entry(site: &Site) -> Result<()> {
    let store = Memcached::start()?;
    site.fill(&store)?;
    let mut configuration = Variant::OursCached.configuration(site, &store)?;
    let zone = format!("http_sendfile_cache_zone lookups:{};", ZONE.0);
    configuration.http = zone;
    let nginx = Nginx::start(site, &configuration)?;
    Variant::OursCached.check(site, nginx.port())?;
    drop(store);
    let mut client = Client::connect(nginx.port());
    let mut known = 0.0;
    for (id, _) in site.entries() {
        match client.get(&uri(*id)).status {
            200 => known += 1.0,
            status => ensure!(status == 502, "{} is answered with {status}", uri(*id)),
        }
    }
    ensure!(known > 0.0, "the cache knows nothing without its store");
    let bytes = ZONE.1 as f64 / known;
    let verdict = if bytes <= ENTRY_MAX { "met" } else { "missed" };
    println!(
        "cache entry (ID of 10 bytes, path of 20): {bytes:.0} bytes; of {} lookups a zone of {} \
         knows {known} (target ≤ {ENTRY_MAX:.0}: {verdict})",
        site.entries().len(),
        ZONE.0,
    );
    Ok(())
}

fn growth(site: &Site, variant: Variant) -> Result<()> {
    let store = Memcached::start()?;
    site.fill(&store)?;
    let nginx = Nginx::start(site, &variant.configuration(site, &store)?)?;
    let script = site.write("wrk.lua", include_str!("wrk.lua"))?;
    let paths: String = site.entries().iter().map(|(id, _)| uri(*id) + "\n").collect();
    let paths = site.write("paths", paths)?;
    let mut done = 0.0;
    let mut ask = |until: f64| -> Result<i64> {
        while done < until {
            let load = Load {
                script: &script,
                paths: &paths,
                port: nginx.port(),
                connections: 64,
                seconds: 1,
                seed: done as usize,
                core: CLIENT_CORE,
            };
            done += again(|| load.run().with_context(|| nginx.error_log()))?.requests;
        }
        Ok(i64::try_from(resident_kib(nginx.worker()))?)
    };
    let (first, last) = (ask(REQUESTS.0)?, ask(REQUESTS.1)?);
    let verdict = if last - first <= GROWTH_MAX_KIB { "met" } else { "missed" };
    println!(
        "{}: resident memory of the worker {first} KiB after 100,000 requests, {last} KiB after \
         1,000,000 (target: within {GROWTH_MAX_KIB} KiB: {verdict})",
        variant.name(),
    );
    Ok(())
}
