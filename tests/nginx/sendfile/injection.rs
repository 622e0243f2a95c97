//! Memory that is not there, and calls that carry a few bytes only.

use crate::common::client::Client;
use crate::common::load::Load;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::preload::Preload;
use crate::common::setup::Setup;
use crate::common::{site, wait_until};

/// Lookups beside a cache and without one, of IDs 0 to 99, in an nginx with the library loaded.
fn start() -> Option<(Memcached, Preload, Nginx)> {
    let memcached = Memcached::with_paths(0..100);
    let setup = Setup::new()
        .http("http_sendfile_cache_zone lookups:1m;\n")
        .store(&memcached.address())
        .files(0..100)
        .lookups("http_sendfile_fallback off;")
        .location(
            "/cached/",
            "http_sendfile on; http_sendfile_cache lookups; http_sendfile_fallback off;",
        );
    let (preload, setup) = Preload::into(setup)?;
    Some((memcached, preload, setup.start()))
}

#[test]
fn the_failure_of_any_allocation_is_survived() {
    let Some((mut memcached, preload, nginx)) = start() else {
        return;
    };
    // nginx's own words for memory that it does not get.
    nginx.allow("(12: Cannot allocate memory)");
    let worker = nginx.worker();
    for number in 1..=50 {
        for (path, fresh) in [("file", true), ("file", false), ("cached", true), ("cached", false)]
        {
            if fresh {
                // The path of a new connection to the store.
                memcached.restart();
                memcached.set_paths(0..100);
            }
            let mut clients: Vec<Client> = (0..8).map(|_| nginx.connect()).collect();
            preload.fail_allocation(number);
            for (id, client) in clients.iter_mut().enumerate() {
                let _ = client.try_send(&crate::common::client::request(
                    "GET",
                    &format!("/{path}/{id}"),
                    &[],
                    b"",
                ));
            }
            for (id, client) in clients.iter_mut().enumerate() {
                // No answer at all is right for a request that nginx could not even allocate.
                let Ok(response) = client.try_read("GET") else {
                    continue;
                };
                assert!(matches!(response.status, 200 | 404 | 500 | 502), "{}", response.status);
                if response.status == 200 {
                    assert_eq!(
                        response.body,
                        site::content_of(id as u64),
                        "{path}, allocation {number}"
                    );
                }
            }
            preload.fail_allocation(0);
            drop(clients);
            assert_eq!(nginx.worker(), worker, "{path}, allocation {number}: the worker lives");
            wait_until("a good answer", || {
                nginx.get(&format!("/{path}/7")).body == site::content_of(7)
            });
        }
    }
    assert!(preload.failed() > 50, "{} allocations failed", preload.failed());
    Load::new(&nginx, 4, 100).run(500).assert_all_good();
}

#[test]
fn short_reads_and_writes_change_nothing() {
    let Some((_memcached, preload, nginx)) = start() else {
        return;
    };
    preload.shorten();
    Load::new(&nginx, 16, 100).run(3_000).assert_all_good();
    assert!(preload.shortened() > 3_000, "{} cuts", preload.shortened());
}

#[test]
fn short_reads_and_writes_with_clients_that_leave_change_nothing() {
    let Some((_memcached, preload, nginx)) = start() else {
        return;
    };
    preload.shorten();
    Load::new(&nginx, 16, 100).abort_one_in(4).run(3_000).assert_all_good();
    assert!(preload.shortened() > 3_000, "{} cuts", preload.shortened());
}
