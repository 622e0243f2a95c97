//! What the status interface tells of lookups, and what it makes a cache forget: exact under known traffic, also when
//! servers and workers die.

use crate::common::client::Client;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::store::{Full, Store};
use crate::common::wait_until;
use serde_json::Value;

const OUTCOMES: [&str; 8] =
    ["hit", "found", "miss", "miss_cached", "stale", "error", "timeout", "invalid"];

/// A cache from which nothing expires within a test.
const CACHE: &str = "http_sendfile_cache lookups valid=1h miss=1h;";

fn setup(store: &str, directives: &str) -> Setup {
    Setup::new()
        .http("http_sendfile_cache_zone lookups:1m;\n")
        .store(store)
        .files(0..100)
        .location("/status/", "smart_api write;")
        .lookups(&format!("http_sendfile_fallback off; {directives}"))
}

/// What the interface tells of lookups.
fn told(nginx: &Nginx) -> Value {
    nginx.get("/status/status.json").json()["sendfile"].clone()
}

/// How many lookups have ended in each way, in the order of [`OUTCOMES`].
fn outcomes(told: &Value) -> [u64; 8] {
    OUTCOMES.map(|outcome| told["lookups"][outcome]["count"].as_u64().expect("a count"))
}

/// A server's numbers, by their names.
fn server<const COUNT: usize>(told: &Value, address: &str, names: [&str; COUNT]) -> [u64; COUNT] {
    let servers = told["servers"].as_array().expect("the servers");
    let server = servers.iter().find(|server| server["address"] == address);
    let server = server.unwrap_or_else(|| panic!("no {address} in {servers:?}"));
    names.map(|name| server[name].as_u64().expect("a number"))
}

/// Entries, misses and evictions of the cache.
fn cache(told: &Value) -> [u64; 3] {
    let cache = &told["caches"]["lookups"];
    ["entries", "misses", "evicted"].map(|name| cache[name].as_u64().expect("a number"))
}

fn statuses(client: &mut Client, ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| client.get(&format!("/file/{id}")).lookup().to_owned()).collect()
}

fn delete(nginx: &Nginx, path: &str) -> u16 {
    nginx.connect().request("DELETE", &format!("/status/sendfile/cache/{path}"), &[], b"").status
}

#[test]
fn smoke_each_lookup_is_counted_once_by_its_outcome() {
    let memcached = Memcached::with_paths(0..10);
    memcached.set("50", "../x");
    let nginx = setup(&memcached.address(), CACHE).start();
    assert_eq!(outcomes(&told(&nginx)), [0; 8]);
    let mut client = nginx.connect();
    assert_eq!(
        statuses(&mut client, &["1", "1", "1", "2", "70", "70", "50", "50"]),
        ["FOUND", "HIT", "HIT", "FOUND", "MISS", "MISS_CACHED", "INVALID", "INVALID"]
    );
    let told = told(&nginx);
    assert_eq!(outcomes(&told), [2, 2, 1, 1, 0, 0, 0, 2]);
    assert_eq!(told["latency"]["count"], 5, "those that asked memcached");
    let seconds = |outcome: &str| told["lookups"][outcome]["seconds"].as_f64().expect("seconds");
    assert_eq!((seconds("hit"), seconds("miss_cached")), (0.0, 0.0));
    let sum: f64 = OUTCOMES.into_iter().map(seconds).sum();
    let latency = told["latency"]["sum_seconds"].as_f64().expect("seconds");
    assert!(sum > 0.0 && (sum - latency).abs() < 1e-9, "{sum} and {latency}");
    assert_eq!(cache(&told), [3, 1, 0]);
    let names = ["connections", "in_flight", "questions", "connects", "reconnects", "failures"];
    assert_eq!(server(&told, &memcached.address(), names), [1, 0, 5, 1, 0, 0]);
}

#[test]
fn a_lookup_takes_as_long_as_it_takes() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = setup(&store.address(), "").start();
    let began = std::time::Instant::now();
    let mut client = nginx.connect();
    client.ask("/file/7");
    wait_until("the question", || store.requests() == 1);
    let waited = std::time::Instant::now();
    wait_until("some time", || waited.elapsed().as_millis() >= 50);
    let at_least = waited.elapsed().as_secs_f64();
    gate.open();
    assert_eq!(client.read("GET").lookup(), "FOUND");
    let at_most = began.elapsed().as_secs_f64();
    let seconds = told(&nginx)["lookups"]["found"]["seconds"].as_f64().expect("seconds");
    assert!((at_least..=at_most).contains(&seconds), "{seconds} in {at_least}…{at_most}");
}

#[test]
fn who_waits_is_counted_until_he_leaves() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = setup(&store.address(), "").start();
    let mut clients: Vec<Client> = (0..6).map(|_| nginx.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.ask(&format!("/file/{}", number % 3));
    }
    let names = ["connections", "in_flight", "questions"];
    wait_until("six who wait", || told(&nginx)["in_flight"] == 6);
    assert_eq!(server(&told(&nginx), &store.address(), names), [1, 3, 3]);
    clients.pop().expect("a client").abort();
    wait_until("five who wait", || told(&nginx)["in_flight"] == 5);
    gate.open();
    for mut client in clients {
        assert_eq!(client.read("GET").lookup(), "FOUND");
    }
    let told = told(&nginx);
    assert_eq!(told["in_flight"], 0);
    assert_eq!(server(&told, &store.address(), names), [1, 0, 3]);
    assert_eq!(outcomes(&told), [0, 5, 0, 0, 0, 0, 0, 0], "who left has no outcome");
}

#[test]
fn a_server_that_dies_and_returns_is_seen_to() {
    let mut memcached = Memcached::with_paths(0..10);
    let address = memcached.address();
    let nginx = setup(&address, CACHE).start();
    let names = ["connections", "connects", "reconnects", "failures", "timeouts"];
    assert_eq!(nginx.get("/file/1").lookup(), "FOUND");
    assert_eq!(server(&told(&nginx), &address, names), [1, 1, 0, 0, 0]);
    memcached.kill();
    wait_until("the end of the connection", || {
        server(&told(&nginx), &address, names) == [0, 1, 0, 0, 0]
    });
    assert_eq!(nginx.get("/file/2").lookup(), "ERROR");
    assert_eq!(server(&told(&nginx), &address, names), [0, 1, 0, 1, 0]);
    memcached.restart();
    memcached.set_paths(0..10);
    let mut errors = 1;
    wait_until("the recovery", || {
        let is_well = nginx.get("/file/3").lookup() == "FOUND";
        errors += u64::from(!is_well);
        is_well
    });
    let told = told(&nginx);
    let [connections, connects, reconnects, failures, timeouts] = server(&told, &address, names);
    assert_eq!([connections, connects, reconnects, timeouts], [1, 2, 1, 0]);
    // A server that has just failed is left alone for a moment: such a lookup is an error, and nobody's failure.
    assert!((1..=errors).contains(&failures), "{failures}");
    assert_eq!(outcomes(&told), [0, 2, 0, 0, 0, errors, 0, 0]);
}

#[test]
fn a_path_that_has_expired_is_stale_while_the_store_fails() {
    let mut memcached = Memcached::with_paths(0..10);
    let nginx =
        setup(&memcached.address(), "http_sendfile_cache lookups valid=0 stale=1h;").start();
    assert_eq!(nginx.get("/file/1").lookup(), "FOUND");
    memcached.kill();
    assert_eq!(nginx.get("/file/1").lookup(), "STALE");
    let told = told(&nginx);
    assert_eq!(outcomes(&told), [0, 1, 0, 0, 1, 0, 0, 0]);
    assert_eq!(told["latency"]["count"], 2, "both have asked");
}

#[test]
fn a_server_that_hangs_or_says_nonsense_is_told_from_one_that_cannot_be_reached() {
    let names = ["questions", "failures", "timeouts"];
    let memcached = Memcached::with_paths(0..10);
    let nginx = setup(&memcached.address(), "http_sendfile_timeout 2s;").start();
    assert_eq!(nginx.get("/file/1").lookup(), "FOUND");
    memcached.stop();
    let mut clients: Vec<Client> = (0..4).map(|_| nginx.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("/file/2"));
    for mut client in clients {
        assert_eq!(client.read("GET").lookup(), "TIMEOUT");
    }
    memcached.go_on();
    let told_of_silence = told(&nginx);
    let [questions, failures, timeouts] = server(&told_of_silence, &memcached.address(), names);
    assert_eq!((outcomes(&told_of_silence)[6], failures), (4, 0));
    // On a busy machine a question may be asked again for those who came later.
    assert_eq!(timeouts, questions - 1, "one for a question, not for each who waited");

    for script in ["what?\r\n", "SERVER_ERROR out of memory\r\n"] {
        let store = Store::start(move |exchange| exchange.send(script));
        let nginx = setup(&store.address(), "").start();
        assert_eq!(nginx.get("/file/1").lookup(), "ERROR");
        assert_eq!(server(&told(&nginx), &store.address(), names), [1, 1, 0], "{script}");
    }

    let full = Full::listen();
    let connecting = "http_sendfile_connect_timeout 100ms;";
    let nginx = setup(&full.address(), connecting).start();
    assert_eq!(nginx.get("/file/1").lookup(), "TIMEOUT");
    assert_eq!(server(&told(&nginx), &full.address(), names), [1, 0, 1]);
}

#[test]
fn counts_outlive_workers_and_what_is_so_now_does_not() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = setup(&store.address(), "").start();
    let names = ["connections", "in_flight", "questions", "connects", "reconnects"];
    let address = store.address();
    let mut waiting = nginx.connect();
    waiting.ask("/file/1");
    wait_until("the question", || told(&nginx)["in_flight"] == 1);
    assert_eq!(server(&told(&nginx), &address, names), [1, 1, 1, 1, 0]);

    nginx.kill_worker(nginx.worker());
    let after_death = told(&nginx);
    assert_eq!(after_death["in_flight"], 0);
    assert_eq!(server(&after_death, &address, names), [0, 0, 1, 1, 0]);

    let mut old_client = nginx.connect();
    old_client.ask("/file/2");
    wait_until("the question", || told(&nginx)["in_flight"] == 1);
    nginx.reload();
    let mut new_client = nginx.connect();
    new_client.ask("/file/3");
    wait_until("both generations", || told(&nginx)["in_flight"] == 2);
    assert_eq!(server(&told(&nginx), &address, names), [2, 2, 3, 3, 0]);
    gate.open();
    assert_eq!(old_client.read("GET").lookup(), "FOUND");
    assert_eq!(new_client.read("GET").lookup(), "FOUND");
    wait_until("the end of the old worker", || {
        server(&told(&nginx), &address, names) == [1, 0, 3, 3, 0]
    });
    let told = told(&nginx);
    assert_eq!((outcomes(&told)[1], &told["in_flight"]), (2, &Value::from(0)));
}

#[test]
fn a_key_is_forgotten_and_no_other() {
    let memcached = Memcached::with_paths(0..10);
    let nginx = setup(&memcached.address(), CACHE)
        .location("/raw/", &format!("http_sendfile on; http_sendfile_value raw; {CACHE}"))
        .workers(2)
        .start();
    let mut client = nginx.connect();
    assert_eq!(statuses(&mut client, &["1", "2", "70"]), ["FOUND", "FOUND", "MISS"]);
    assert_eq!(client.get("/raw/1").lookup(), "FOUND");
    assert_eq!(cache(&told(&nginx)), [4, 1, 0]);
    assert_eq!(delete(&nginx, "lookups?key=1"), 204);
    assert_eq!(delete(&nginx, "lookups?key=1"), 404);
    assert_eq!(cache(&told(&nginx)), [2, 1, 0], "of both stores");
    assert_eq!(delete(&nginx, "lookups?key=70"), 204);
    assert_eq!(delete(&nginx, "others?key=1"), 404);
    memcached.set_paths(70..71);
    assert_eq!(statuses(&mut client, &["1", "2", "70"]), ["FOUND", "HIT", "FOUND"]);
}

#[test]
fn all_is_forgotten_by_all_workers_at_once() {
    let memcached = Memcached::with_paths(0..100);
    let nginx = setup(&memcached.address(), CACHE).workers(2).start();
    let ids: Vec<String> = (0..120).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut client = nginx.connect();
    assert_eq!(delete(&nginx, "lookups"), 404, "it holds nothing");
    for round in 0..3 {
        let found = statuses(&mut client, &ids);
        assert!(found[..100].iter().all(|status| status == "FOUND"), "{round}: {found:?}");
        assert!(found[100..].iter().all(|status| status == "MISS"), "{round}: {found:?}");
        let held = statuses(&mut client, &ids);
        assert!(held[..100].iter().all(|status| status == "HIT"), "{round}: {held:?}");
        assert_eq!(cache(&told(&nginx)), [120, 20, 0]);
        assert_eq!(delete(&nginx, "lookups"), 204);
        assert_eq!(cache(&told(&nginx)), [0, 0, 0]);
    }
}

#[test]
fn an_answer_that_was_under_way_when_its_key_was_forgotten_is_not_kept() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = setup(&store.address(), CACHE).start();
    let mut client = nginx.connect();
    client.ask("/file/1");
    wait_until("the question", || store.requests() == 1);
    assert_eq!(delete(&nginx, "lookups?key=1"), 404);
    gate.open();
    assert_eq!(client.read("GET").lookup(), "FOUND");
    assert_eq!(statuses(&mut client, &["1", "1"]), ["FOUND", "HIT"]);
}

#[test]
fn a_zone_of_the_same_name_is_refused_and_without_lookups_there_is_none() {
    let named = setup("127.0.0.1:1", "").http("http_sendfile_cache_zone ngx_smart_sendfile:1m;\n");
    let check = named.check();
    assert!(!check.accepted);
    let text = "zone \"ngx_smart_sendfile\" is already declared for a different use";
    assert!(check.message.contains(text), "{}", check.message);
    let nginx = Setup::new().location("/status/", "smart_api;").start();
    assert_eq!(told(&nginx), Value::Null);
}
