//! `scripts/bench instructions`: instructions in user space of a lookup from the cache beyond those
//! of an internal redirect without one, and which functions they go to.

use anyhow::Result;

use crate::callgrind::{Profile, Profiled};
use crate::common::client::Client;
use crate::memcached::Memcached;
use crate::site::Site;
use crate::variant::Variant;

/// Requests that are counted.
const REQUESTS: usize = 1_000;
/// The target: instructions beyond the redirect's own.
const BEYOND_MAX: f64 = 900.0;

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
    let mut nginx = Profiled::start(site, &variant.configuration(site, store)?, &[])?;
    variant.check(site, nginx.port())?;
    let mut client = Client::connect(nginx.port());
    client.get(&variant.request(&site.entries()[0]));
    let profile = nginx.count(REQUESTS, || {
        for entry in &site.entries()[..REQUESTS] {
            client.get(&variant.request(entry));
        }
        Ok(())
    })?;
    nginx.end();
    Ok(profile)
}
