//! Memory and descriptors are flat, however many requests have been served.

use crate::common::client::Client;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::{dose, process, site, Numbers};

const IDS: u64 = 1_000;

/// Requests on one connection.
const BATCH: usize = 500;

/// Asks for as many IDs, one in ten of them absent, on four connections at a time.
fn ask(nginx: &Nginx, requests: usize) {
    let threads: Vec<_> = (1..=4)
        .map(|seed| {
            let port = nginx.port();
            std::thread::spawn(move || {
                let mut numbers = Numbers::new(seed);
                for _ in 0..requests / 4 / BATCH {
                    ask_batch(port, &mut numbers);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("good answers");
    }
}

fn ask_batch(port: u16, numbers: &mut Numbers) {
    let ids: Vec<u64> = (0..BATCH).map(|_| numbers.below(IDS + IDS / 10)).collect();
    let mut all = String::new();
    for id in &ids {
        let location = if numbers.below(2) == 0 { "file" } else { "cached" };
        all += &format!("HEAD /{location}/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    all += "HEAD /end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut client = Client::connect(port);
    client.send(all);
    let answers = client.read_to_end();
    let found = ids.iter().filter(|&&id| id < IDS).count();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), found);
    assert_eq!(answers.matches("HTTP/1.1 404 ").count(), BATCH + 1 - found);
}

#[test]
fn a_worker_does_not_grow() {
    if crate::common::sanitized() {
        eprintln!("not run: AddressSanitizer keeps freed memory");
        return;
    }
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = Setup::new()
        .http("http_sendfile_cache_zone lookups:64k; access_log off;\n")
        .store(&memcached.address())
        .files(0..IDS)
        .server("http_sendfile_fallback off;\n")
        .lookups("")
        .location("/cached/", "http_sendfile on; http_sendfile_cache lookups valid=1s;")
        .location("/end", "return 404;")
        .start();
    let worker = nginx.worker();
    ask(&nginx, 100_000);
    let before = (process::resident_kib(worker), process::descriptors(worker));
    ask(&nginx, dose(100_000, 1_000_000));
    let after = (process::resident_kib(worker), process::descriptors(worker));
    assert!(after.0 <= before.0 + 1024, "from {} to {} KiB", before.0, after.0);
    assert!(after.1 <= before.1 + 4, "from {} to {} descriptors", before.1, after.1);
    assert_eq!(nginx.get("/file/7").body, site::content_of(7));
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn zones_cost_nothing_before_they_are_used() {
    if crate::common::sanitized() {
        eprintln!("not run: AddressSanitizer has memory of its own");
        return;
    }
    let start = |size: &str| {
        let zones = format!(
            "http_sendfile_cache_zone lookups:{size};\n\
             smart_limit_zone $binary_remote_addr zone=all:{size};\n\
             smart_limit_room queue {size} max_active=5;\n"
        );
        Setup::new().http(&zones).location("/end", "return 404;").start()
    };
    // Who formats a zone is the master.
    let resident = |nginx: &Nginx| process::resident_kib(nginx.master());
    let (small, large) = (start("1m"), start("256m"));
    let (small, large) = (resident(&small), resident(&large));
    assert!(large < small + 16 * 1024, "{small} KiB and {large} KiB");
}
