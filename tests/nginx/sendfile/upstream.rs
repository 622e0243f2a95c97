//! Which server is asked: the choice is the upstream block's, with its account of failures.

use std::collections::HashSet;

use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::store::Store;
use crate::common::{site, wait_until};

const IDS: u64 = 40;

/// Lookups without fallback in an `upstream` block.
fn start(block: &str, directives: &str) -> Nginx {
    Setup::new()
        .http(&format!("upstream stores {{ {block} }}\n"))
        .store("stores")
        .files(0..IDS)
        .lookups(&format!("http_sendfile_fallback off; {directives}"))
        .start()
}

fn good() -> Store {
    Store::start(|exchange| exchange.path())
}

/// A store that closes the connection instead of answering.
fn hangs_up() -> Store {
    Store::start(|exchange| exchange.close())
}

fn servers(stores: &[&Store]) -> String {
    stores.iter().map(|store| format!("server {};\n", store.address())).collect()
}

/// Asks for every ID once, and looks at every body.
#[track_caller]
fn ask_for_all(nginx: &Nginx) {
    let mut client = nginx.connect();
    for id in 0..IDS {
        let response = client.get(&format!("/file/{id}"));
        assert_eq!((response.status, response.lookup()), (200, "FOUND"), "ID {id}");
        assert_eq!(response.body, site::content_of(id), "ID {id}");
    }
}

#[test]
fn smoke_round_robin_spreads() {
    let (one, two) = (good(), good());
    let nginx = start(&servers(&[&one, &two]), "");
    ask_for_all(&nginx);
    assert_eq!((one.requests(), two.requests()), (20, 20));
}

#[test]
fn weights_count() {
    let (one, two) = (good(), good());
    let nginx = start(&format!("server {} weight=3; server {};", one.address(), two.address()), "");
    ask_for_all(&nginx);
    assert_eq!((one.requests(), two.requests()), (30, 10));
}

#[test]
fn every_balancer_of_nginx_serves() {
    for balancer in [
        "hash $sendfile_id;",
        "ip_hash;",
        "least_conn;",
        "random;",
        "random two;",
        "zone stores 128k;",
    ] {
        let (one, two) = (good(), good());
        for more in ["", "keepalive 4;"] {
            let nginx = start(&format!("{balancer} {} {more}", servers(&[&one, &two])), "");
            ask_for_all(&nginx);
        }
        assert_eq!(one.requests() + two.requests(), 80, "{balancer}");
    }
}

#[test]
fn a_hash_asks_one_server_for_one_key() {
    let (one, two) = (good(), good());
    let nginx = start(&format!("hash $sendfile_id consistent; {}", servers(&[&one, &two])), "");
    ask_for_all(&nginx);
    ask_for_all(&nginx);
    for id in 0..IDS {
        let asked = [one.requests_for(&id.to_string()), two.requests_for(&id.to_string())];
        assert!(asked == [2, 0] || asked == [0, 2], "ID {id}: {asked:?}");
    }
    assert!(one.requests() > 0 && two.requests() > 0, "both have keys");
}

#[test]
fn least_conn_avoids_the_busy_server() {
    let (gate, slow) = Store::behind_gate(|exchange| exchange.path());
    let quick = good();
    // The first request goes to the first server, and stays there.
    let block = format!("least_conn; {}", servers(&[&slow, &quick]));
    let nginx = start(&block, "http_sendfile_timeout 20s;");
    let mut waiting = nginx.connect();
    waiting.ask("/file/39");
    wait_until("the first lookup", || slow.requests() + quick.requests() == 1);
    if slow.requests() == 1 {
        for id in 0..10 {
            assert_eq!(nginx.get(&format!("/file/{id}")).status, 200);
        }
        assert_eq!((slow.requests(), quick.requests()), (1, 10));
    }
    gate.open();
    assert_eq!(waiting.read("GET").body, site::content_of(39));
}

#[test]
fn a_lookup_whose_client_left_counts_no_more() {
    let (gate, slow) = Store::behind_gate(|exchange| exchange.path());
    let quick = good();
    let block = format!("least_conn; {}", servers(&[&slow, &quick]));
    let nginx = start(&block, "http_sendfile_timeout 20s;");
    let ask = |ids: std::ops::Range<u64>| {
        let mut clients: Vec<_> = ids.map(|id| (id, nginx.connect())).collect();
        for (id, client) in &mut clients {
            client.ask(&format!("/file/{id}"));
        }
        clients
    };
    let leaving = ask(0..20);
    wait_until("both servers to be asked", || slow.requests() > 0 && quick.requests() > 0);
    leaving.into_iter().for_each(|(_, client)| client.abort());
    wait_until("the aborts in the log", || nginx.access_log().len() == 20);
    // Were the slow server's lookups still counted, the quick one would get all that follow.
    let (before, mut staying) = (quick.requests(), ask(20..40));
    wait_until("some of the answers", || nginx.access_log().len() > 20);
    gate.open();
    for (id, client) in &mut staying {
        assert_eq!(client.read("GET").body, site::content_of(*id), "ID {id}");
    }
    assert!(quick.requests() < before + 20, "the slow server was asked for none");
}

#[test]
fn a_server_that_fails_is_left_alone_and_the_backup_asked() {
    let (bad, backup) = (hangs_up(), good());
    let block = format!(
        "server {} max_fails=1 fail_timeout=60s; server {} backup;",
        bad.address(),
        backup.address()
    );
    let nginx = start(&block, "");
    ask_for_all(&nginx);
    assert_eq!((bad.requests(), backup.requests()), (1, 40));
    nginx.wait_for_error("memcached prematurely closed connection");
}

#[test]
fn without_a_live_server_the_outcome_is_an_error() {
    let (port, other) = (Port::reserve(), Port::reserve());
    let block = format!(
        "server {} max_fails=1 fail_timeout=60s; server {} down;",
        port.address(),
        other.address()
    );
    let nginx = start(&block, "");
    for _ in 0..3 {
        let response = nginx.get("/file/7");
        assert_eq!((response.status, response.lookup()), (502, "ERROR"));
    }
    nginx.wait_for_error("no live upstreams");
    let nginx = start(&format!("server {} down;", port.address()), "");
    assert_eq!(nginx.get("/file/7").lookup(), "ERROR");
    nginx.wait_for_error("no live upstreams");
}

#[test]
fn an_error_is_tried_elsewhere_unless_forbidden() {
    for (next, lookup) in
        [("error timeout", "FOUND"), ("error", "FOUND"), ("off", "ERROR"), ("miss", "ERROR")]
    {
        let (bad, other) = (hangs_up(), good());
        let block = format!("server {}; server {} backup;", bad.address(), other.address());
        let nginx = start(&block, &format!("http_sendfile_next_upstream {next};"));
        let response = nginx.get("/file/7");
        assert_eq!(response.lookup(), lookup, "{next}");
        let (answered, asked) = if lookup == "FOUND" { (&other, 1) } else { (&bad, 0) };
        assert_eq!(other.requests(), asked, "{next}");
        let addresses = response.header("X-Addr").expect("an address");
        assert!(addresses.ends_with(&answered.address()), "{next}: {addresses}");
    }
}

#[test]
fn a_refused_connection_is_tried_elsewhere() {
    let (nobody, other) = (Port::reserve(), good());
    let nginx =
        start(&format!("server {}; server {} backup;", nobody.address(), other.address()), "");
    ask_for_all(&nginx);
    assert_eq!(other.requests(), 40);
}

#[test]
fn a_connection_that_is_not_accepted_in_time_is_tried_elsewhere() {
    for (next, status, lookup) in [("error timeout", 200, "FOUND"), ("error", 504, "TIMEOUT")] {
        let full = crate::common::store::Full::listen();
        let other = good();
        let block = format!("server {}; server {} backup;", full.address(), other.address());
        let timeouts = "http_sendfile_connect_timeout 50ms; http_sendfile_timeout 5s;";
        let nginx = start(&block, &format!("{timeouts} http_sendfile_next_upstream {next};"));
        let response = nginx.get("/file/7");
        assert_eq!((response.status, response.lookup()), (status, lookup), "{next}");
    }
}

#[test]
fn a_miss_is_asked_elsewhere_only_where_that_is_wanted() {
    for (next, lookup) in [
        ("error timeout miss", "FOUND"),
        ("miss", "FOUND"),
        ("error timeout", "MISS"),
        ("off", "MISS"),
    ] {
        let (empty, full) = (Store::start(|exchange| exchange.miss()), good());
        let block = format!("server {}; server {} backup;", empty.address(), full.address());
        let nginx = start(&block, &format!("http_sendfile_next_upstream {next};"));
        for _ in 0..5 {
            assert_eq!(nginx.get("/file/7").lookup(), lookup, "{next}");
        }
        assert_eq!(empty.requests(), 5, "{next}: a miss is no failure of the server");
    }
}

#[test]
fn each_server_is_asked_once_at_most() {
    for (script, lookup) in [(true, "MISS"), (false, "ERROR")] {
        let stores: Vec<Store> = (0..3)
            .map(|_| {
                Store::start(
                    move |exchange| {
                        if script {
                            exchange.miss()
                        } else {
                            exchange.close()
                        }
                    },
                )
            })
            .collect();
        let block = servers(&stores.iter().collect::<Vec<_>>());
        let nginx = start(&block, "http_sendfile_next_upstream error timeout miss;");
        assert_eq!(nginx.get("/file/7").lookup(), lookup);
        for store in &stores {
            assert_eq!(store.requests(), 1, "{lookup}");
        }
    }
}

#[test]
fn the_timeout_holds_for_all_tries_together() {
    let stores: Vec<Store> = (0..4).map(|_| Store::start(|_| Ok(()))).collect();
    let nginx = start(&servers(&stores.iter().collect::<Vec<_>>()), "http_sendfile_timeout 1s;");
    assert_eq!(nginx.get("/file/7").lookup(), "TIMEOUT");
    let time: f64 = nginx.wait_for_access("/file/7")["time"].parse().expect("seconds");
    assert!((1.0..4.0).contains(&time), "{time} s");
}

#[test]
fn memcached_pass_may_use_the_same_block_and_its_connections() {
    let memcached = Memcached::with_paths(0..IDS);
    let nginx = Setup::new()
        .http(&format!("upstream stores {{ server {}; keepalive 2; }}\n", memcached.address()))
        .store("stores")
        .files(0..IDS)
        .lookups("http_sendfile_fallback off;")
        .location("/value/", "set $memcached_key $arg_key; memcached_pass stores;")
        .start();
    let mut client = nginx.connect();
    for round in 0..200 {
        let id = round % IDS;
        assert_eq!(client.get(&format!("/file/{id}")).body, site::content_of(id), "round {round}");
        let value = client.get(&format!("/value/?key={id}"));
        assert_eq!(value.text(), site::path_of(id), "round {round}");
    }
    assert!(memcached.statistic("total_connections") < 20, "connections are kept");
}

#[test]
fn a_kept_connection_that_a_lookup_holds_may_be_closed_by_its_server() {
    let store = Store::start(|exchange| match exchange.key.as_str() {
        "kept" => exchange.value("a value"),
        _ => Ok(()),
    });
    let nginx = Setup::new()
        .http(&format!("upstream stores {{ server {}; keepalive 2; }}\n", store.address()))
        .store("stores")
        .lookups("http_sendfile_fallback off; http_sendfile_timeout 30s;")
        .location("/value/", "set $memcached_key $arg_key; memcached_pass stores;")
        .start();
    let worker = nginx.worker();
    assert_eq!(nginx.get("/value/?key=kept").text(), "a value");
    let mut waiting = nginx.connect();
    waiting.ask("/file/7");
    wait_until("the lookup", || store.requests_for("7") == 1);
    store.hang_up();
    assert_eq!(waiting.read("GET").status, 502);
    assert_eq!(nginx.get("/value/?key=kept").text(), "a value");
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn a_unix_socket_serves() {
    let directory = tempfile::tempdir().expect("a directory");
    let memcached = Memcached::start_on_socket(&directory.path().join("memcached.sock"));
    memcached.set_paths(0..IDS);
    for pass in [memcached.address(), "stores".to_owned()] {
        let nginx = Setup::new()
            .http(&format!("upstream stores {{ server {}; }}\n", memcached.address()))
            .store(&pass)
            .files(0..IDS)
            .lookups("http_sendfile_fallback off;")
            .start();
        ask_for_all(&nginx);
        assert_eq!(nginx.get("/file/7").header("X-Addr"), Some(memcached.address().as_str()));
    }
}

#[test]
fn a_name_of_several_addresses_is_a_block_of_its_own() {
    let store = good();
    let port = store.address().split_once(':').expect("a port").1.to_owned();
    // On many machines `localhost` is ::1 as well, where nobody listens: the other one is tried.
    let nginx = Setup::new()
        .store(&format!("localhost:{port}"))
        .files(0..IDS)
        .lookups("http_sendfile_fallback off;")
        .start();
    ask_for_all(&nginx);
}

#[test]
fn a_balancer_that_asks_for_the_client_or_the_request_gets_it() {
    let stores = [good(), good(), good()];
    let block = format!("hash $remote_addr$arg_a; {}", servers(&stores.iter().collect::<Vec<_>>()));
    let nginx = start(&block, "");
    let addresses: HashSet<String> = (0..40)
        .map(|number| {
            let response = nginx.get(&format!("/file/7?a={number}"));
            assert_eq!(response.body, site::content_of(7));
            response.header("X-Addr").expect("an address").to_owned()
        })
        .collect();
    assert_eq!(addresses.len(), 3);
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_costs_no_error() {
    let store = good();
    let nginx = start(&servers(&[&store]), "http_sendfile_next_upstream off;");
    for round in 0..20 {
        assert_eq!(nginx.get("/file/7").lookup(), "FOUND", "round {round}");
        store.hang_up();
    }
}
