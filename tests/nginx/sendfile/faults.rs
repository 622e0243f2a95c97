//! A store that dies, hangs or cannot be reached; clients that leave; a worker without descriptors;
//! a worker that is killed. Nothing else suffers, and afterwards all is well.

use std::net::TcpStream;
use std::time::Duration;

use crate::common::client::Client;
use crate::common::load::Load;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::process;
use crate::common::setup::Setup;
use crate::common::store::{Full, Store};
use crate::common::{dose, site, wait_until};

const IDS: u64 = 200;

fn setup(store: &str, directives: &str) -> Setup {
    Setup::new()
        .store(store)
        .files(0..IDS)
        .document("static.txt", b"static\n")
        .lookups(&format!("http_sendfile_fallback off; {directives}"))
}

/// Waits until a lookup finds its file again.
#[track_caller]
fn wait_for_recovery(nginx: &Nginx) {
    wait_until("the recovery", || nginx.get("/file/7").body == site::content_of(7));
}

#[test]
fn a_store_that_dies_and_returns_under_load_is_used_again() {
    let mut memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "").start();
    let worker = nginx.worker();
    let load = Load::new(&nginx, 8, IDS).start();
    for _ in 0..dose(5, 200) {
        load.wait_for(500);
        memcached.kill();
        load.wait_for(100);
        memcached.restart();
        memcached.set_paths(0..IDS);
        wait_for_recovery(&nginx);
    }
    let tally = load.stop();
    tally.assert_no_wrong_file();
    assert!(tally.broken.is_empty(), "{:?}", tally.broken);
    // 404: memcached comes back empty.
    assert!(
        tally.statuses.keys().all(|status| [200, 404, 502].contains(status)),
        "{:?}",
        tally.statuses
    );
    assert!(tally.with_status(502) > 0, "the store was dead");
    assert_eq!(nginx.worker(), worker);
    Load::new(&nginx, 4, IDS).run(500).assert_all_good();
}

#[test]
fn a_store_that_is_stopped_and_goes_on_is_used_again() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "http_sendfile_timeout 2s;").start();
    let load = Load::new(&nginx, 8, IDS).start();
    for _ in 0..3 {
        load.wait_for(300);
        memcached.stop();
        wait_until("a timeout", || nginx.get("/file/7").lookup() == "TIMEOUT");
        load.wait_for(16);
        memcached.go_on();
        wait_for_recovery(&nginx);
    }
    let tally = load.stop();
    tally.assert_no_wrong_file();
    assert!(tally.broken.is_empty(), "{:?}", tally.broken);
    assert!(
        tally.statuses.keys().all(|status| [200, 502, 504].contains(status)),
        "{:?}",
        tally.statuses
    );
    Load::new(&nginx, 4, IDS).run(500).assert_all_good();
}

#[test]
fn a_store_that_neither_accepts_nor_refuses_is_a_timeout() {
    let full = Full::listen();
    let nginx = setup(&full.address(), "http_sendfile_connect_timeout 100ms;").start();
    let response = nginx.get("/file/7");
    assert_eq!((response.status, response.lookup()), (504, "TIMEOUT"));
    // It is left alone for a moment, longer each time, and then tried again.
    wait_until("a moment in which it is left alone", || nginx.get("/file/7").lookup() == "ERROR");
    wait_until("another try", || nginx.get("/file/7").lookup() == "TIMEOUT");
    assert_eq!(nginx.get("/static.txt").text(), "static\n");
}

#[test]
fn other_requests_do_not_wait_for_a_hung_store() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = setup(&store.address(), "http_sendfile_timeout 60s;").start();
    let mut hung: Vec<(u64, Client)> = (0..IDS).map(|id| (id, nginx.connect())).collect();
    for (id, client) in &mut hung {
        client.ask(&format!("/file/{id}"));
    }
    let mut client = nginx.connect();
    for _ in 0..dose(2_000, 200_000) {
        assert_eq!(client.get("/static.txt").text(), "static\n");
    }
    // Each of those went through while every lookup was, and is, under way.
    assert!(nginx.access_log().iter().all(|line| line["lookup"] == "-"));
    gate.open();
    for (id, client) in &mut hung {
        assert_eq!(client.read("GET").body, site::content_of(*id), "ID {id}");
    }
}

#[test]
fn other_stores_do_not_wait_for_a_hung_one() {
    let memcached = Memcached::with_paths(0..IDS);
    let hung = Store::start(|_| Ok(()));
    let directives = format!(
        "http_sendfile on; http_sendfile_timeout 60s; http_sendfile_pass {};",
        hung.address()
    );
    let nginx = setup(&memcached.address(), "").location("/hung/", &directives).start();
    let clients: Vec<Client> = (0..50)
        .map(|id| {
            let mut client = nginx.connect();
            client.ask(&format!("/hung/{id}"));
            client
        })
        .collect();
    wait_until("the lookups that hang", || hung.requests() == 50);
    Load::new(&nginx, 4, IDS).run(1_000).assert_all_good();
    clients.into_iter().for_each(Client::abort);
}

#[test]
fn clients_that_leave_at_any_moment_cost_nothing_afterwards() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "").start();
    let worker = nginx.worker();
    Load::new(&nginx, 8, IDS).run(500).assert_all_good();
    wait_until("the end of the clients", || connections(&nginx) == 0);
    let before = process::descriptors(worker);
    let aborts = dose(1_000, 100_000);
    let tally = Load::new(&nginx, 8, IDS).abort_one_in(2).run(2 * aborts);
    tally.assert_all_good();
    assert!(tally.aborted > aborts * 9 / 10, "{} aborts", tally.aborted);
    wait_until("the end of the clients", || connections(&nginx) == 0);
    wait_until("as many descriptors as before", || process::descriptors(worker) <= before + 4);
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn clients_that_leave_during_a_lookup_cost_nothing_afterwards() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = setup(&store.address(), "http_sendfile_timeout 60s;").start();
    let worker = nginx.worker();
    for round in 1..=dose(10, 200) {
        gate.close();
        let clients: Vec<Client> = (0..50)
            .map(|id| {
                let mut client = nginx.connect();
                client.ask(&format!("/file/{id}"));
                client
            })
            .collect();
        assert_eq!(nginx.get("/static.txt").status, 200, "all have been read");
        clients.into_iter().for_each(Client::abort);
        wait_until("the aborts in the log", || nginx.aborted() == round * 50);
        gate.open();
        for id in 0..50 {
            assert_eq!(
                nginx.get(&format!("/file/{id}")).body,
                site::content_of(id),
                "round {round}"
            );
        }
        assert_eq!(nginx.get("/static.txt").status, 200);
    }
    assert!(process::descriptors(worker) < 40, "{} descriptors", process::descriptors(worker));
}

#[test]
fn a_worker_without_descriptors_fails_lookups_and_recovers() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "").main("worker_rlimit_nofile 40;\n").start();
    // In nginx's own words: too many open files.
    nginx.allow("(24: ");
    let worker = nginx.worker();
    let mut client = nginx.connect();
    assert_eq!(client.get("/static.txt").status, 200);
    let mut idle = Vec::new();
    wait_until("the last descriptor to be taken", || {
        idle.push(TcpStream::connect(("127.0.0.1", nginx.port())).expect("the kernel accepts"));
        std::thread::sleep(Duration::from_millis(1));
        nginx.error_log().contains("(24: ")
    });
    let response = client.get("/file/7");
    assert!(matches!(response.status, 404 | 500 | 502), "{}", response.status);
    drop(idle);
    wait_for_recovery(&nginx);
    assert_eq!(client.get("/file/8").body, site::content_of(8));
    Load::new(&nginx, 4, IDS).run(200).assert_all_good();
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn a_worker_without_connections_fails_lookups_and_recovers() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "").events("worker_connections 16;").start();
    nginx.allow("worker_connections are not enough");
    let worker = nginx.worker();
    let mut client = nginx.connect();
    assert_eq!(client.get("/static.txt").status, 200);
    // Half a request each: nginx cannot take these connections back as idle.
    let mut busy = Vec::new();
    wait_until("the last connection to be taken", || {
        if let Ok(mut client) = Client::try_connect(nginx.port()) {
            // nginx may have closed it already: then there is no room left.
            let _ = client.try_send(b"GET /static.txt HTTP/1.1\r\n");
            busy.push(client);
        }
        std::thread::sleep(Duration::from_millis(1));
        nginx.error_log().contains("worker_connections are not enough")
    });
    // The client's own connection is idle, and may have been taken back.
    if client.try_send(b"GET /file/7 HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok() {
        if let Ok(response) = client.try_read("GET") {
            assert!(matches!(response.status, 500 | 502), "{}", response.status);
        }
    }
    drop(busy);
    wait_until("room for a connection", || {
        let Ok(mut client) = Client::try_connect(nginx.port()) else {
            return false;
        };
        let sent = client.try_send(b"GET /file/7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        sent.and_then(|()| client.try_read("GET")).is_ok_and(|response| response.status == 200)
    });
    Load::new(&nginx, 2, IDS).run(200).assert_all_good();
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn a_killed_worker_takes_only_its_own_connections_along() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = setup(&memcached.address(), "http_sendfile_cache lookups valid=1s;")
        .http("http_sendfile_cache_zone lookups:64k;\n")
        .workers(2)
        .start();
    let load = Load::new(&nginx, 8, IDS).start();
    for round in 0..dose(20, 500) {
        load.wait_for(200);
        let workers = nginx.workers();
        nginx.kill_worker(workers[round % workers.len()]);
    }
    load.wait_for(500);
    let tally = load.stop();
    tally.assert_no_wrong_file();
    assert_eq!(tally.with_status(200), tally.answers(), "{:?}", tally.statuses);
    assert!(tally.broken.len() <= dose(20, 500) * 8, "{:?}", tally.broken);
    Load::new(&nginx, 8, IDS).run(1_000).assert_all_good();
}

/// The connections of clients to nginx that the kernel knows as established.
fn connections(nginx: &Nginx) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp");
    let local = format!("0100007F:{:04X}", nginx.port());
    table
        .lines()
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(1) == Some(&local.as_str()) && matches!(fields.get(3), Some(&("01" | "08")))
        })
        .count()
}
