//! Never another request's file: each answer is compared with its ID's content, under concurrency,
//! with clients that leave and stores that hang up in between.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::client::{request, Client};
use crate::common::load::{Load, Tally};
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::store::{Exchange, Store, Then};
use crate::common::{dose, site};

const IDS: u64 = 500;

/// The doses of all tests here together are the dose of the document.
fn requests(share_of_50_000: usize) -> usize {
    dose(share_of_50_000, share_of_50_000 * 20)
}

fn setup(store: &str, directives: &str) -> Setup {
    Setup::new()
        .workers(2)
        .http("http_sendfile_cache_zone lookups:64k;\n")
        .store(store)
        .files(0..IDS)
        .lookups(&format!("http_sendfile_fallback off; {directives}"))
}

#[track_caller]
fn check(nginx: &Nginx, tally: &Tally, expected: usize) {
    tally.assert_no_wrong_file();
    assert!(tally.broken.is_empty(), "{:?}", tally.broken);
    assert_eq!(tally.answers() + tally.aborted, expected);
    assert!(tally.aborted > expected / 40, "{} aborts", tally.aborted);
    Load::new(nginx, 8, IDS).run(500).assert_all_good();
}

#[test]
fn with_memcached() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "").start();
    let tally = Load::new(&nginx, 32, IDS).abort_one_in(20).run(requests(15_000));
    check(&nginx, &tally, requests(15_000));
    assert_eq!(tally.with_status(200), tally.answers(), "{:?}", tally.statuses);
}

#[test]
fn with_memcached_and_a_cache_too_small_for_all() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "http_sendfile_cache lookups valid=1s;").start();
    let tally = Load::new(&nginx, 32, IDS).abort_one_in(20).run(requests(15_000));
    check(&nginx, &tally, requests(15_000));
    assert_eq!(tally.with_status(200), tally.answers(), "{:?}", tally.statuses);
}

#[test]
fn with_few_ids_that_many_ask_for_at_once() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "").start();
    let tally = Load::new(&nginx, 32, 4).abort_one_in(10).run(requests(8_000));
    check(&nginx, &tally, requests(8_000));
}

/// Answers, but hangs up at every hundredth request, in the middle of a reply.
fn unreliable() -> Store {
    let count = AtomicUsize::new(0);
    Store::start(move |exchange: &Exchange| -> Then {
        match count.fetch_add(1, Ordering::Relaxed) % 100 {
            97 => {
                exchange.send("VALUE ")?;
                exchange.close()
            }
            98 => exchange.close(),
            99 => {
                exchange.close_afterwards();
                exchange.path()
            }
            _ => exchange.path(),
        }
    })
}

#[test]
fn with_a_store_that_hangs_up() {
    let store = unreliable();
    let nginx = setup(&store.address(), "").start();
    let tally = Load::new(&nginx, 32, IDS).abort_one_in(20).run(requests(8_000));
    tally.assert_no_wrong_file();
    assert!(tally.broken.is_empty(), "{:?}", tally.broken);
    assert!(
        tally.statuses.keys().all(|status| [200, 502].contains(status)),
        "{:?}",
        tally.statuses
    );
    // While a server is left alone a moment, many more fail than are asked for.
    let asked = store.requests();
    assert!(tally.with_status(200) > asked / 2, "{asked} asked: {:?}", tally.statuses);
    assert!(store.connections() > asked / 200, "{} connections", store.connections());
}

#[test]
fn with_two_servers_of_which_each_hangs_up() {
    let (one, two) = (unreliable(), unreliable());
    let block = format!(
        "upstream stores {{ server {} max_fails=0; server {} max_fails=0; }}\n",
        one.address(),
        two.address()
    );
    let nginx = setup("stores", "http_sendfile_cache lookups valid=1s;").http(&block).start();
    let tally = Load::new(&nginx, 32, IDS).abort_one_in(20).run(requests(8_000));
    tally.assert_no_wrong_file();
    assert!(tally.broken.is_empty(), "{:?}", tally.broken);
    assert!(
        tally.statuses.keys().all(|status| [200, 502].contains(status)),
        "{:?}",
        tally.statuses
    );
    assert!(tally.with_status(200) > tally.answers() * 9 / 10, "{:?}", tally.statuses);
}

#[test]
fn with_pipelined_requests() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "").start();
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let port = nginx.port();
            std::thread::spawn(move || {
                let mut numbers = crate::common::Numbers::new(seed);
                for _ in 0..requests(150) {
                    let ids: Vec<u64> = (0..32).map(|_| numbers.below(IDS)).collect();
                    let all: Vec<Vec<u8>> = ids
                        .iter()
                        .map(|id| request("GET", &format!("/file/{id}"), &[], b""))
                        .collect();
                    let mut client = Client::connect(port);
                    client.send(all.concat());
                    for id in ids {
                        assert_eq!(client.read("GET").body, site::content_of(id), "ID {id}");
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every body is the right one");
    }
}
