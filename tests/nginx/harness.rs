//! The harness itself: what it must notice, it notices, and the injected faults are real.

use crate::common::load::Load;
use crate::common::memcached::Memcached;
use crate::common::preload::Preload;
use crate::common::process::{self, Signal};
use crate::common::setup::Setup;
use crate::common::store::Store;
use crate::common::{site, wait_until};

/// Files by ID without any lookup.
fn plain() -> Setup {
    Setup::without_module().server("location /file/ { rewrite ^/file/(.*)$ /files/$1.txt last; }\n")
}

#[test]
fn a_server_serves_and_reloads_and_ends() {
    let nginx = plain().workers(2).file("7.txt", b"seven\n").start();
    let mut client = nginx.connect();
    let response = client.get("/file/7");
    assert_eq!((response.status, response.text().as_str()), (200, "seven\n"));
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(client.request("HEAD", "/file/7", &[], b"").header("Content-Length"), Some("6"));
    let old = nginx.reload_with("location = /new { return 204; }\n");
    assert_eq!(nginx.get("/new").status, 204);
    wait_until("the old workers' end", || !old.iter().any(|&id| process::runs(id)));
    assert_eq!(nginx.wait_for_access("GET /new")["status"], "204");
}

#[test]
#[should_panic(expected = "exited on signal 9")]
fn an_alert_fails_the_test() {
    let nginx = plain().start();
    process::signal(nginx.worker(), Signal::KILL);
    nginx.wait_for_error("exited on signal 9");
}

#[test]
#[should_panic(expected = "did not end")]
fn a_process_that_stays_fails_the_test() {
    let nginx = plain().start();
    // A stopped worker does not hear the master's wish.
    process::stop(nginx.worker());
}

#[test]
#[should_panic(expected = "unknown directive")]
fn a_configuration_that_does_not_load_fails_the_test() {
    plain().server("no_such_directive;\n").start();
}

#[test]
fn a_killed_worker_is_replaced() {
    let nginx = plain().start();
    nginx.kill_worker(nginx.worker());
    assert_eq!(nginx.get("/nothing").status, 404);
}

#[test]
fn the_load_notices_a_wrong_file() {
    let setup = plain().file("0.txt", &site::content_of(0)).file("1.txt", &site::content_of(0));
    let nginx = setup.start();
    let tally = Load::new(&nginx, 2, 2).run(100);
    assert_eq!(tally.with_status(200), 100);
    assert!(tally.wrong.iter().all(|wrong| wrong.starts_with("ID 1: Some(\"file 0\")")));
    assert!(tally.broken.is_empty() && !tally.wrong.is_empty(), "{tally:?}");
}

#[test]
fn the_load_gives_up_in_the_middle_without_harm() {
    let nginx = plain().file("0.txt", &site::content_of(0)).start();
    let tally = Load::new(&nginx, 4, 1).abort_one_in(3).run(2000);
    tally.assert_all_good();
    assert!(tally.aborted > 100, "{tally:?}");
}

#[test]
fn the_scripted_store_and_memcached_speak_to_memcached_pass() {
    let memcached = Memcached::start();
    memcached.set("/m/real", "real");
    let store = Store::start(|exchange| {
        exchange.dribble(crate::common::store::value_reply(&exchange.key, b"fake"))
    });
    let nginx = Setup::without_module()
        .location(
            "/m/",
            &format!("set $memcached_key $uri; memcached_pass {};", memcached.address()),
        )
        .location("/s/", &format!("set $memcached_key $uri; memcached_pass {};", store.address()))
        .start();
    assert_eq!(nginx.get("/m/real").text(), "real");
    assert_eq!(nginx.get("/m/none").status, 404);
    assert_eq!(nginx.get("/s/any").text(), "fake");
    assert_eq!((store.requests_for("/s/any"), store.connections()), (1, 1));
    wait_until("the store to see the close", || store.closed() == 1);
}

#[test]
fn allocations_fail_on_demand() {
    let Some((preload, setup)) = Preload::into(plain().file("7.txt", b"seven\n")) else {
        return;
    };
    let nginx = setup.start();
    assert_eq!(nginx.get("/file/7").status, 200);
    preload.fail_allocation(1);
    nginx.connect().ask("/file/7");
    wait_until("a failed allocation", || preload.failed() == 1);
    nginx.allow("[emerg]"); // nginx's own words for memory that it does not get
    nginx.wait_for_error("Cannot allocate memory");
    assert_eq!(nginx.get("/file/7").text(), "seven\n");
}

#[test]
fn reads_and_writes_are_cut_on_demand() {
    let Some((preload, setup)) = Preload::into(plain().file("0.txt", &site::content_of(0))) else {
        return;
    };
    let nginx = setup.start();
    preload.shorten();
    Load::new(&nginx, 4, 1).run(500).assert_all_good();
    assert!(preload.shortened() > 500, "{} cuts", preload.shortened());
}
