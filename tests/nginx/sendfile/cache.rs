//! The cache of lookups: how long it answers, who shares it, what it survives, what it forgets.

use crate::common::client::{request, Client};
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::setup::Setup;
use crate::common::store::Store;
use crate::common::{site, wait_until};

fn setup(store: &str, zone: &str, cache: &str) -> Setup {
    Setup::new()
        .http(&format!("http_sendfile_cache_zone lookups:{zone};\n"))
        .store(store)
        .lookups(&format!("http_sendfile_fallback off; http_sendfile_cache lookups {cache};"))
}

fn start(store: &str, cache: &str) -> Nginx {
    setup(store, "1m", cache).files(0..100).start()
}

/// The lookup's status; a body with 200 must be the right one.
#[track_caller]
fn lookup(client: &mut Client, id: u64) -> String {
    let response = client.get(&format!("/file/{id}"));
    if response.status == 200 {
        assert_eq!(response.body, site::content_of(id), "ID {id}");
    }
    response.lookup().to_owned()
}

/// The lookups' statuses, in the order of the IDs; a body with 200 must be the right one.
#[track_caller]
fn lookups(client: &mut Client, ids: &[u64]) -> Vec<String> {
    let mut statuses = Vec::new();
    for ids in ids.chunks(100) {
        let ask = |id| request("GET", &format!("/file/{id}"), &[], b"");
        client.send(ids.iter().map(ask).collect::<Vec<_>>().concat());
        for id in ids {
            let response = client.read("GET");
            if response.status == 200 {
                assert_eq!(response.body, site::content_of(*id), "ID {id}");
            }
            statuses.push(response.lookup().to_owned());
        }
    }
    statuses
}

fn count(statuses: &[String], wanted: &str) -> usize {
    statuses.iter().filter(|status| *status == wanted).count()
}

#[test]
fn smoke_a_path_is_found_once_and_then_known() {
    let mut memcached = Memcached::with_paths(0..100);
    let nginx = start(&memcached.address(), "");
    let mut client = nginx.connect();
    assert_eq!(lookup(&mut client, 7), "FOUND");
    assert_eq!(lookup(&mut client, 7), "HIT");
    assert_eq!(memcached.statistic("cmd_get"), 1);
    memcached.kill();
    let hit = client.get("/file/7");
    assert_eq!((hit.status, hit.lookup()), (200, "HIT"));
    assert_eq!((hit.header("X-Path"), hit.header("X-Addr")), (Some("07/7.dat"), None));
    assert_eq!(lookup(&mut client, 8), "ERROR");
}

#[test]
fn a_miss_is_kept_for_its_own_time() {
    let memcached = Memcached::start();
    let nginx = start(&memcached.address(), "miss=2s");
    let mut client = nginx.connect();
    assert_eq!(lookup(&mut client, 7), "MISS");
    memcached.set_paths(7..8);
    let cached = client.get("/file/7");
    assert_eq!((cached.status, cached.lookup()), (404, "MISS_CACHED"));
    wait_until("the end of the miss", || match lookup(&mut client, 7).as_str() {
        "MISS_CACHED" => false,
        other => other == "FOUND" || panic!("{other}"),
    });
    assert_eq!(lookup(&mut client, 7), "HIT");
}

#[test]
fn a_path_is_kept_for_its_time_and_a_deleted_one_ends() {
    let memcached = Memcached::with_paths(0..100);
    let nginx = start(&memcached.address(), "valid=4s");
    let mut client = nginx.connect();
    assert_eq!(lookup(&mut client, 7), "FOUND");
    memcached.delete("7");
    assert_eq!(lookup(&mut client, 7), "HIT", "deleted, and still known");
    wait_until("the end of the path", || match lookup(&mut client, 7).as_str() {
        "HIT" => false,
        other => other == "MISS" || panic!("{other}"),
    });
    assert_eq!(lookup(&mut client, 7), "MISS_CACHED", "the miss has taken the path's place");
}

#[test]
fn a_changed_path_is_seen_when_the_old_one_ends() {
    let memcached = Memcached::with_paths(0..100);
    let nginx = start(&memcached.address(), "valid=4s");
    let mut client = nginx.connect();
    assert_eq!(client.get("/file/7").body, site::content_of(7));
    memcached.set("7", site::path_of(8));
    assert_eq!(client.get("/file/7").body, site::content_of(7));
    wait_until("the new path", || client.get("/file/7").body == site::content_of(8));
}

#[test]
fn zero_keeps_nothing() {
    let memcached = Memcached::with_paths(0..8);
    let nginx = start(&memcached.address(), "valid=0 miss=0");
    let mut client = nginx.connect();
    assert_eq!([lookup(&mut client, 7), lookup(&mut client, 7)], ["FOUND", "FOUND"]);
    assert_eq!([lookup(&mut client, 9), lookup(&mut client, 9)], ["MISS", "MISS"]);
}

#[test]
fn an_expired_path_answers_while_the_store_is_dead_or_hung() {
    let mut memcached = Memcached::with_paths(0..100);
    let nginx = start(&memcached.address(), "valid=1s stale=1h; http_sendfile_timeout 500ms");
    let mut client = nginx.connect();
    assert_eq!(lookup(&mut client, 7), "FOUND");
    memcached.kill();
    wait_until("the end of the path", || lookup(&mut client, 7) != "HIT");
    let stale = client.get("/file/7");
    assert_eq!((stale.status, stale.lookup()), (200, "STALE"));
    assert_eq!(lookup(&mut client, 8), "ERROR", "only what was known");
    memcached.restart();
    memcached.set_paths(0..100);
    wait_until("the store's return", || lookup(&mut client, 7) == "FOUND");
    memcached.stop();
    wait_until("the end of the path", || lookup(&mut client, 7) != "HIT");
    assert_eq!(lookup(&mut client, 7), "STALE");
    memcached.go_on();
}

#[test]
fn an_expired_path_does_not_outlive_a_miss_or_its_grace() {
    let mut memcached = Memcached::with_paths(0..100);
    let nginx = start(&memcached.address(), "valid=1s stale=1s");
    let mut client = nginx.connect();
    assert_eq!([lookup(&mut client, 7), lookup(&mut client, 8)], ["FOUND", "FOUND"]);
    memcached.delete("7");
    wait_until("the end of the path", || lookup(&mut client, 7) != "HIT");
    memcached.kill();
    assert_ne!(lookup(&mut client, 7), "STALE", "the store has said that it is gone");
    wait_until("the end of the grace", || match lookup(&mut client, 8).as_str() {
        "HIT" | "STALE" => false,
        other => other == "ERROR" || panic!("{other}"),
    });
}

#[test]
fn failures_are_not_kept() {
    let mut memcached = Memcached::with_paths(0..100);
    memcached.set("66", "../x");
    let nginx = start(&memcached.address(), "");
    let mut client = nginx.connect();
    assert_eq!(lookup(&mut client, 66), "INVALID");
    memcached.set("66", site::path_of(66));
    assert_eq!(lookup(&mut client, 66), "FOUND");
    memcached.kill();
    assert_eq!(lookup(&mut client, 7), "ERROR");
    memcached.restart();
    memcached.set_paths(0..100);
    wait_until("the store's return", || lookup(&mut client, 7) == "FOUND");
}

#[test]
fn all_workers_share_it() {
    let mut memcached = Memcached::with_paths(0..100);
    let nginx = setup(&memcached.address(), "1m", "").files(0..100).workers(4).start();
    let mut client = nginx.connect();
    assert_eq!(lookup(&mut client, 7), "FOUND");
    memcached.kill();
    // Each worker that has answered is stopped, so that another one must take the next connection.
    let mut seen: Vec<process::Id> = Vec::new();
    for _ in 0..4 {
        let response = nginx.get("/file/7");
        assert_eq!((response.status, response.lookup()), (200, "HIT"));
        let worker = response.header("X-Worker").and_then(|id| id.parse().ok()).expect("an id");
        assert!(!seen.contains(&worker), "a stopped worker has answered");
        process::stop(worker);
        seen.push(worker);
    }
    for worker in seen {
        process::signal(worker, Signal::CONT);
    }
}

#[test]
fn it_survives_reloads_and_killed_workers() {
    let mut memcached = Memcached::with_paths(0..100);
    let nginx = start(&memcached.address(), "valid=1h");
    for id in 0..100 {
        assert_eq!(lookup(&mut nginx.connect(), id), "FOUND");
    }
    memcached.kill();
    let all_hit = |nginx: &Nginx| {
        let mut client = nginx.connect();
        for id in 0..100 {
            assert_eq!(lookup(&mut client, id), "HIT", "ID {id}");
        }
    };
    nginx.reload();
    all_hit(&nginx);
    nginx.kill_worker(nginx.worker());
    all_hit(&nginx);
    nginx
        .reload_with("location /file/ { http_sendfile on; http_sendfile_cache lookups valid=1h; }");
    all_hit(&nginx);
}

#[test]
fn a_zone_of_another_size_starts_afresh() {
    let memcached = Memcached::with_paths(0..100);
    let nginx = setup(&memcached.address(), "1m", "").files(0..100).start();
    assert_eq!(lookup(&mut nginx.connect(), 7), "FOUND");
    nginx.reconfigure(|text| text.replace("lookups:1m", "lookups:2m"));
    nginx.reload();
    assert_eq!(lookup(&mut nginx.connect(), 7), "FOUND");
    assert_eq!(lookup(&mut nginx.connect(), 7), "HIT");
}

#[test]
fn ten_times_the_ids_that_fit_are_served_right_and_the_last_are_known() {
    let ids: Vec<u64> = (0..4_000).collect();
    let memcached = Memcached::with_paths(0..4_000);
    // The smallest zone holds a few hundred of these paths.
    let nginx = setup(&memcached.address(), "32k", "valid=1h").files(0..4_000).start();
    let mut client = nginx.connect();
    let found = lookups(&mut client, &ids);
    assert_eq!(count(&found, "FOUND"), 4_000);
    let known = count(&lookups(&mut client, &ids[3_950..]), "HIT");
    assert!(known >= 45, "{known} of the last 50 are known");
    let forgotten = count(&lookups(&mut client, &ids[..3_000]), "FOUND");
    assert!(forgotten >= 2_950, "{forgotten} of 3,000 asked for long ago are forgotten");
}

#[test]
fn what_is_in_use_stays_while_others_pass_by() {
    let memcached = Memcached::with_paths(0..2_000);
    let nginx = setup(&memcached.address(), "32k", "valid=1h").files(0..2_000).start();
    let mut client = nginx.connect();
    let in_use_after_each: Vec<u64> = (100..2_000).flat_map(|id| [id, id % 10]).collect();
    let hits = count(&lookups(&mut client, &in_use_after_each), "HIT");
    assert!(hits > 1_850, "{hits} of 1,900 requests for ten IDs in use were hits");
}

#[test]
fn a_scan_of_absent_ids_pushes_no_path_out() {
    let mut memcached = Memcached::with_paths(0..100);
    let nginx = setup(&memcached.address(), "64k", "valid=1h miss=1h").files(0..100).start();
    let mut client = nginx.connect();
    let (good, absent) = ((0..100).collect::<Vec<u64>>(), (1_000..11_000).collect::<Vec<u64>>());
    assert_eq!(count(&lookups(&mut client, &good), "FOUND"), 100);
    assert_eq!(count(&lookups(&mut client, &absent), "MISS"), 10_000);
    memcached.kill();
    assert_eq!(count(&lookups(&mut client, &good), "HIT"), 100);
}

#[test]
fn locations_with_other_stores_or_modes_may_share_a_zone() {
    let (one, two) = (Memcached::start(), Memcached::start());
    one.set("1", "one");
    two.set("1", b"\x04\x08\"\x08two");
    let pass = |memcached: &Memcached, more: &str| {
        format!("http_sendfile on; http_sendfile_pass {}; {more}", memcached.address())
    };
    let nginx = Setup::new()
        .http("http_sendfile_cache_zone lookups:1m; http_sendfile_cache lookups;\n")
        .file("one", b"one\n")
        .file("two", b"two\n")
        .server("http_sendfile_fallback off;\n")
        .location("/one/", &pass(&one, ""))
        .location("/same/", &pass(&one, "http_sendfile_key 1;"))
        .location("/two/", &pass(&two, ""))
        .location("/raw/", &pass(&two, "http_sendfile_value raw;"))
        .location("/off/", &pass(&one, "http_sendfile_cache off;"))
        .start();
    let mut client = nginx.connect();
    for (uri, text, first, second) in [
        ("/one/1", "one\n", "FOUND", "HIT"),
        ("/same/", "one\n", "HIT", "HIT"),
        ("/two/1", "two\n", "FOUND", "HIT"),
        ("/off/1", "one\n", "FOUND", "FOUND"),
    ] {
        for lookup in [first, second] {
            let response = client.get(uri);
            assert_eq!((response.text().as_str(), response.lookup()), (text, lookup), "{uri}");
        }
    }
    assert_eq!(client.get("/raw/1").lookup(), "INVALID");
}

#[test]
fn long_keys_and_paths_are_known_too() {
    let (key, path) = ("7".repeat(250), format!("{}/x", "d".repeat(200)));
    let memcached = Memcached::start();
    memcached.set(&key, &path);
    let nginx = setup(&memcached.address(), "1m", "").file(&path, b"deep\n").start();
    for lookup in ["FOUND", "HIT"] {
        let response = nginx.get(&format!("/file/{key}"));
        assert_eq!((response.text().as_str(), response.lookup()), ("deep\n", lookup));
    }
}

#[test]
fn a_hit_asks_no_server_even_where_one_is_hung() {
    let store = Store::start(|exchange| if exchange.key == "7" { exchange.path() } else { Ok(()) });
    let nginx = setup(&store.address(), "1m", "")
        .server("http_sendfile_timeout 30s;")
        .files(0..100)
        .start();
    assert_eq!(lookup(&mut nginx.connect(), 7), "FOUND");
    let mut hung = nginx.connect();
    hung.ask("/file/8");
    wait_until("the lookup that hangs", || store.requests() == 2);
    for _ in 0..100 {
        assert_eq!(lookup(&mut nginx.connect(), 7), "HIT");
    }
    assert_eq!(store.requests(), 2);
    hung.abort();
}
