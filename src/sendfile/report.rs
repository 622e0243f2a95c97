//! What the status interface tells of lookups, and what it may make a cache forget.

use std::collections::BTreeSet;

use super::conf::MainConf;
use super::counters::counters;
use super::directives::Module;
use crate::core::report;
use crate::nginx::module::running_main_conf;
use crate::nginx::process;
use crate::nginx::zone::{is_alive, Zone};
use crate::shm::cache::{Cache, Lookup};

/// The state of lookups. `None`: no location of the running configuration makes any.
pub fn report() -> Option<report::Sendfile> {
    let main = running_main_conf::<Module>()?;
    let report = counters()?.report(process(), is_alive);
    Some(report::Sendfile { caches: main.caches.iter().filter_map(cache).collect(), ..report })
}

fn cache(zone: &Zone<Cache<'static>>) -> Option<report::Cache> {
    let usage = zone.get()?.usage();
    Some(report::Cache {
        name: zone.name().as_bytes().to_vec(),
        size: usage.size,
        entries: usage.paths.saturating_add(usage.misses),
        misses: usage.misses,
        evicted: usage.evicted,
    })
}

/// Makes the cache of a name forget a key of every store, or all that it holds. Whether it held any of that. `None`:
/// there is no such cache.
///
/// It holds for all workers when this returns. What is being asked of the store meanwhile is not kept, as it may be
/// older than the change that the caller has in mind.
pub fn forget(cache: &[u8], key: Option<&[u8]>) -> Option<bool> {
    let main = running_main_conf::<Module>()?;
    let zone = *main.caches.iter().find(|zone| zone.name().as_bytes() == cache)?;
    let cache = zone.get()?;
    let Some(key) = key else {
        return Some(cache.clear());
    };
    let stores = stores_with(main, zone);
    Some(stores.into_iter().fold(false, |held, store| cache.forget(Lookup { store, key }) | held))
}

/// The stores that a cache is in front of.
fn stores_with(main: &MainConf, zone: Zone<Cache<'static>>) -> BTreeSet<u64> {
    let settings = main.settings().iter();
    let with_it = settings.filter(|settings| settings.cache.is_some_and(|(its, _)| its == zone));
    with_it.map(|settings| settings.store).collect()
}
