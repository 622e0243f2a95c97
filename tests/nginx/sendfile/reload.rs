//! Reload, graceful end and change of binary, under load: no failed request, and old workers go.

use std::sync::Arc;

use crate::common::client::Client;
use crate::common::load::Load;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::process::{self, Signal};
use crate::common::setup::Setup;
use crate::common::store::{Gate, Store};
use crate::common::{dose, site, wait_until};

const IDS: u64 = 200;

fn setup(store: &str) -> Setup {
    Setup::new()
        .store(store)
        .http("http_sendfile_cache_zone lookups:1m;\n")
        .files(0..IDS)
        .lookups("http_sendfile_fallback off;")
        .location("/cached/", "http_sendfile on; http_sendfile_cache lookups;")
}

#[test]
fn smoke_reloads_under_load_fail_no_request() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address()).workers(2).start();
    let kept = Load::new(&nginx, 6, IDS).start();
    let single = Load::new(&nginx, 2, IDS).without_keepalive().start();
    let mut old = Vec::new();
    for _ in 0..dose(10, 500) {
        old.extend(nginx.reload());
        single.wait_for(50);
    }
    kept.stop().assert_all_good();
    single.stop().assert_all_good();
    process::wait_for_end(&old);
    Load::new(&nginx, 4, IDS).run(200).assert_all_good();
}

/// A store that answers when the gate opens, and 20 lookups that wait for it.
fn waiting() -> (Arc<Gate>, Store, Nginx, Vec<(u64, Client)>) {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = setup(&store.address()).server("http_sendfile_timeout 30s;\n").start();
    let mut clients: Vec<_> = (0..20).map(|id| (id, nginx.connect())).collect();
    for (id, client) in &mut clients {
        client.ask(&format!("/file/{id}"));
    }
    assert_eq!(nginx.get("/nothing").status, 404, "all have been read");
    (gate, store, nginx, clients)
}

#[test]
fn lookups_under_way_end_well_in_the_old_worker() {
    let (gate, store, nginx, mut clients) = waiting();
    let old = nginx.reload();
    assert!(process::runs(old[0]), "it has work to do");
    gate.open();
    for (id, client) in &mut clients {
        assert_eq!(client.read("GET").body, site::content_of(*id), "ID {id}");
        client.wait_for_close();
    }
    process::wait_for_end(&old);
    assert_eq!(nginx.get("/file/7").body, site::content_of(7));
    assert!(store.requests() >= 21);
}

#[test]
fn a_graceful_end_answers_what_is_under_way() {
    let (gate, _store, nginx, mut clients) = waiting();
    process::signal(nginx.master(), Signal::QUIT);
    wait_until("the end of listening", || Client::try_connect(nginx.port()).is_err());
    gate.open();
    for (id, client) in &mut clients {
        assert_eq!(client.read("GET").body, site::content_of(*id), "ID {id}");
    }
}

#[test]
fn a_fast_end_leaves_no_process() {
    let (gate, _store, nginx, clients) = waiting();
    process::signal(nginx.master(), Signal::TERM);
    wait_until("the end", || process::living_in(nginx.prefix()).is_empty());
    gate.open();
    drop(clients);
}

#[test]
fn an_idle_connection_to_the_store_holds_up_no_old_worker() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address()).start();
    assert_eq!(nginx.get("/file/7").status, 200);
    process::wait_for_end(&nginx.reload());
    assert_eq!(nginx.get("/file/7").status, 200);
}

#[test]
fn a_lookup_that_failed_at_once_holds_up_no_old_worker() {
    let nobody = Port::reserve();
    let nginx = setup(&nobody.address()).server("http_sendfile_timeout 1h;\n").start();
    for _ in 0..3 {
        assert_eq!(nginx.get("/file/7").status, 502);
    }
    process::wait_for_end(&nginx.reload());
}

#[test]
fn a_hung_store_holds_up_an_old_worker_no_longer_than_the_timeout() {
    let store = Store::start(|_| Ok(()));
    let nginx = setup(&store.address()).server("http_sendfile_timeout 1s;\n").start();
    let mut client = nginx.connect();
    client.ask("/file/7");
    wait_until("the lookup", || store.requests() == 1);
    let old = nginx.reload();
    assert_eq!(client.read("GET").status, 504);
    process::wait_for_end(&old);
}

#[test]
fn a_worker_told_to_end_by_a_time_ends_by_then() {
    let store = Store::start(|_| Ok(()));
    let setup = setup(&store.address()).main("worker_shutdown_timeout 200ms;\n");
    let nginx = setup.server("http_sendfile_timeout 1h;\n").start();
    let mut clients: Vec<_> = (0..20).map(|_| nginx.connect()).collect();
    for (id, client) in clients.iter_mut().enumerate() {
        client.ask(&format!("/file/{id}"));
    }
    wait_until("the lookups", || store.requests() == 20);
    process::wait_for_end(&nginx.reload());
}

#[test]
fn the_log_can_be_rotated() {
    let mut memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address()).start();
    assert_eq!(nginx.get("/file/7").status, 200);
    let log = nginx.prefix().join("error.log");
    std::fs::rename(&log, nginx.prefix().join("error.log.1")).expect("to rename the log");
    process::signal(nginx.master(), Signal::USR1);
    wait_until("a new log", || log.exists());
    memcached.kill();
    wait_until("a line in the new log", || {
        assert_eq!(nginx.get("/file/7").status, 502);
        nginx.error_log().contains("Connection refused")
    });
}

#[test]
fn a_reload_may_change_everything() {
    let (one, two) = (Memcached::with_paths(0..IDS), Memcached::start());
    two.set("7", site::path_of(8));
    let nginx = setup(&one.address()).start();
    assert_eq!(nginx.get("/file/7").body, site::content_of(7));
    nginx.reload_with("location /file/ { return 204; }\n");
    assert_eq!(nginx.get("/file/7").status, 204);
    nginx.reconfigure(|text| {
        text.replace(
            "return 204;",
            &format!("http_sendfile on; http_sendfile_pass {};", two.address()),
        )
    });
    nginx.reload();
    assert_eq!(nginx.get("/file/7").body, site::content_of(8));
}

#[test]
fn a_reload_with_a_bad_configuration_changes_nothing() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address()).start();
    nginx.allow("[emerg]");
    let worker = nginx.worker();
    nginx.reconfigure(|text| text.replace("lookups:1m", "lookups:1k"));
    process::signal(nginx.master(), Signal::HUP);
    nginx.wait_for_error("[emerg]");
    assert_eq!(nginx.get("/cached/7").lookup(), "FOUND");
    assert_eq!(nginx.get("/cached/7").lookup(), "HIT");
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn a_change_of_binary_under_load_fails_no_request() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address()).workers(2).daemon().start();
    let load = Load::new(&nginx, 4, IDS).start();
    let single = Load::new(&nginx, 2, IDS).without_keepalive().start();
    for _ in 0..dose(1, 50) {
        nginx.change_binary(|| {
            single.wait_for(50);
            load.wait_for(50);
        });
    }
    load.stop().assert_all_good();
    single.stop().assert_all_good();
}

#[test]
fn a_change_of_binary_can_be_taken_back() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address()).daemon().start();
    let load = Load::new(&nginx, 4, IDS).start();
    let old = nginx.start_new_binary();
    let new = nginx.master();
    load.wait_for(100);
    process::signal(new, Signal::QUIT);
    process::wait_for_end(&[new]);
    load.wait_for(100);
    wait_until("the old master in its place", || nginx.master() == old);
    load.stop().assert_all_good();
}
