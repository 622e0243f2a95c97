//! Memory and descriptors are flat, however many requests have been served.
#![cfg(feature = "tools")]

mod common;

use common::memcached::Memcached;
use common::nginx::Nginx;
use common::setup::Setup;
use common::{dose, process, site};

const IDS: u64 = 1_000;

/// Asks for as many IDs, one in ten of them absent, on four connections, a hundred at a time.
fn ask(nginx: &Nginx, requests: usize) {
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let port = nginx.port();
            std::thread::spawn(move || {
                let mut numbers = common::Numbers::new(seed);
                for _ in 0..requests / 400 {
                    let mut client = common::client::Client::connect(port);
                    let ids: Vec<u64> = (0..100).map(|_| numbers.below(IDS + IDS / 10)).collect();
                    let ask =
                        |id| common::client::request("HEAD", &format!("/file/{id}"), &[], b"");
                    client.send(ids.iter().map(ask).collect::<Vec<_>>().concat());
                    for id in ids {
                        let status = if id < IDS { 200 } else { 404 };
                        assert_eq!(client.read("HEAD").status, status, "ID {id}");
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("good answers");
    }
}

#[test]
fn a_worker_does_not_grow() {
    if common::sanitized() {
        eprintln!("not run: AddressSanitizer keeps freed memory");
        return;
    }
    let memcached = Memcached::with_paths(0..IDS);
    for cache in ["off", "lookups valid=1s"] {
        let nginx = Setup::new()
            .http("http_sendfile_cache_zone lookups:64k; access_log off;\n")
            .store(&memcached.address())
            .files(0..IDS)
            .lookups(&format!("http_sendfile_fallback off; http_sendfile_cache {cache};"))
            .start();
        let worker = nginx.worker();
        ask(&nginx, dose(20_000, 100_000));
        let before = (process::resident_kib(worker), process::descriptors(worker));
        ask(&nginx, dose(40_000, 1_000_000));
        let after = (process::resident_kib(worker), process::descriptors(worker));
        assert!(after.0 <= before.0 + 1024, "from {} to {} KiB, cache {cache}", before.0, after.0);
        assert!(after.1 <= before.1 + 4, "from {} to {} descriptors", before.1, after.1);
        assert_eq!(nginx.get("/file/7").body, site::content_of(7));
        assert_eq!(nginx.worker(), worker);
    }
}
