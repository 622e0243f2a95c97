//! Single flight: concurrent requests of a worker for one key make one lookup.

use std::sync::Arc;

use crate::common::client::Client;
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::store::{Exchange, Gate, Store, Then};
use crate::common::{site, wait_until};

type Script = fn(&Exchange) -> Then;

/// A store that answers by `script` when the gate is opened, and lookups that wait for it.
fn gated(script: Script) -> (Arc<Gate>, Store, Nginx) {
    let (gate, store) = Store::behind_gate(script);
    let nginx = Setup::new()
        .store(&store.address())
        .files(0..100)
        .document("static.txt", b"static\n")
        .lookups("http_sendfile_fallback off; http_sendfile_timeout 30s;")
        .start();
    (gate, store, nginx)
}

/// Asks on a new connection each, and returns when nginx has read all these requests: a worker
/// takes connections and reads them in the order in which they came, and the last one is answered.
fn ask_all(nginx: &Nginx, uris: impl IntoIterator<Item = String>) -> Vec<Client> {
    let ask = |uri: String| {
        let mut client = nginx.connect();
        client.ask(&uri);
        client
    };
    let clients = uris.into_iter().map(ask).collect();
    assert_eq!(nginx.get("/static.txt").status, 200);
    clients
}

#[test]
fn smoke_many_requests_for_one_key_are_one_lookup() {
    let (gate, store, nginx) = gated(|exchange| exchange.path());
    let clients = ask_all(&nginx, (0..100).map(|_| "/file/7".to_owned()));
    gate.open();
    for mut client in clients {
        let response = client.read("GET");
        assert_eq!((response.status, response.lookup()), (200, "FOUND"));
        assert_eq!(response.body, site::content_of(7));
        assert_eq!(response.header("X-Addr"), Some(store.address().as_str()));
    }
    assert_eq!(store.requests(), 1);
    assert_eq!(nginx.get("/file/7").status, 200);
    assert_eq!(store.requests(), 2, "a later request is a lookup of its own");
}

#[test]
fn other_keys_are_lookups_of_their_own() {
    let (gate, store, nginx) = gated(|exchange| exchange.path());
    let clients = ask_all(&nginx, (0..100).map(|number| format!("/file/{}", number % 10)));
    gate.open();
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.read("GET").body, site::content_of(number as u64 % 10));
    }
    for id in 0..10 {
        assert_eq!(store.requests_for(&id.to_string()), 1, "ID {id}");
    }
}

#[test]
fn get_and_head_and_any_arguments_share_a_lookup() {
    let (gate, store, nginx) = gated(|exchange| exchange.path());
    let mut head = nginx.connect();
    head.send("HEAD /file/7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut part = nginx.connect();
    part.send("GET /file/7?a=b HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-3\r\n\r\n");
    let mut clients = ask_all(&nginx, ["/file/7".to_owned()]);
    gate.open();
    let length = site::content_of(7).len().to_string();
    assert_eq!(head.read("HEAD").header("Content-Length"), Some(length.as_str()));
    assert_eq!(part.read("GET").text(), "file");
    assert_eq!(clients[0].read("GET").body, site::content_of(7));
    assert_eq!(store.requests(), 1);
}

#[test]
fn all_share_a_bad_outcome() {
    let scripts: [(Script, u16, &str); 4] = [
        (|exchange| exchange.miss(), 404, "MISS"),
        (|exchange| exchange.value("../x"), 502, "INVALID"),
        (|exchange| exchange.close(), 502, "ERROR"),
        (|exchange| exchange.send("what?\r\n"), 502, "ERROR"),
    ];
    for (script, status, lookup) in scripts {
        let (gate, store, nginx) = gated(script);
        let clients = ask_all(&nginx, (0..20).map(|_| "/file/7".to_owned()));
        gate.open();
        for mut client in clients {
            let response = client.read("GET");
            assert_eq!((response.status, response.lookup()), (status, lookup));
        }
        assert_eq!(store.requests(), 1, "{lookup}");
    }
}

#[test]
fn the_one_who_asked_first_may_leave() {
    let (gate, store, nginx) = gated(|exchange| exchange.path());
    let mut first = nginx.connect();
    first.ask("/file/7");
    wait_until("the lookup", || store.requests() == 1);
    let others = ask_all(&nginx, (0..10).map(|_| "/file/7".to_owned()));
    first.abort();
    nginx.wait_for_access("GET /file/7");
    gate.open();
    for mut client in others {
        assert_eq!(client.read("GET").body, site::content_of(7));
    }
    assert_eq!(store.requests(), 1);
}

#[test]
fn when_all_have_left_the_next_one_gets_his_own_answer() {
    let (gate, store, nginx) = gated(|exchange| exchange.path());
    for id in [7, 8] {
        for client in ask_all(&nginx, (0..10).map(|_| format!("/file/{id}"))) {
            client.abort();
        }
    }
    wait_until("the aborts in the log", || nginx.access_log().len() >= 22);
    let mut clients = ask_all(&nginx, ["/file/9", "/file/7"].map(str::to_owned));
    gate.open();
    assert_eq!(clients[0].read("GET").body, site::content_of(9));
    assert_eq!(clients[1].read("GET").body, site::content_of(7));
    assert!(store.requests() >= 3, "{} lookups", store.requests());
}

#[test]
fn different_stores_and_modes_are_different_lookups() {
    let (one, two) = (Memcached::start(), Memcached::start());
    one.set("1", "one");
    two.set("1", b"\x04\x08\"\x08two");
    let nginx = Setup::new()
        .file("one", b"one\n")
        .file("two", b"two\n")
        .server("http_sendfile_fallback off;\n")
        .location("/one/", &format!("http_sendfile on; http_sendfile_pass {};", one.address()))
        .location("/two/", &format!("http_sendfile on; http_sendfile_pass {};", two.address()))
        .location(
            "/raw/",
            &format!(
                "http_sendfile on; http_sendfile_pass {}; http_sendfile_value raw;",
                two.address()
            ),
        )
        .document("static.txt", b"static\n")
        .start();
    one.stop();
    two.stop();
    let uris = ["/one/1", "/two/1", "/raw/1", "/one/1"].map(str::to_owned);
    let mut clients = ask_all(&nginx, uris);
    one.go_on();
    two.go_on();
    let mut answers = clients.iter_mut().map(|client| client.read("GET"));
    let mut next = || answers.next().expect("four answers");
    assert_eq!(next().text(), "one\n");
    assert_eq!(next().text(), "two\n");
    assert_eq!(next().lookup(), "INVALID");
    assert_eq!(next().text(), "one\n");
}

#[test]
fn those_who_share_a_lookup_keep_their_own_roots_fallbacks_and_timeouts() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = Setup::new()
        .store(&store.address())
        .files(0..10)
        .server("http_sendfile_timeout 30s;\n")
        .location("/file/", "http_sendfile on;")
        .location("/other/", "http_sendfile on; http_sendfile_root /elsewhere/;")
        .location("/hurried/", "http_sendfile on; http_sendfile_timeout 100ms;")
        .location(
            "/falling/",
            "http_sendfile on; http_sendfile_timeout 100ms; http_sendfile_fallback timeout;",
        )
        .location("/elsewhere/", "internal; return 200 $uri;")
        .document("falling/7", b"fallen back\n")
        .document("static.txt", b"static\n")
        .start();
    let mut patient = ask_all(&nginx, ["/file/7", "/other/7"].map(str::to_owned));
    let hurried = nginx.get("/hurried/7");
    assert_eq!((hurried.status, hurried.lookup()), (504, "TIMEOUT"));
    let falling = nginx.get("/falling/7");
    assert_eq!((falling.text().as_str(), falling.lookup()), ("fallen back\n", "TIMEOUT"));
    gate.open();
    assert_eq!(patient[0].read("GET").body, site::content_of(7));
    assert_eq!(patient[1].read("GET").text(), "/elsewhere/07/7.dat");
}

#[test]
fn when_the_first_has_left_the_others_still_get_the_next_server() {
    let (gate, bad) = Store::behind_gate(|exchange| exchange.close());
    let good = Store::start(|exchange| exchange.path());
    let nginx = Setup::new()
        .http(&format!(
            "upstream stores {{ server {}; server {} backup; }}\n",
            bad.address(),
            good.address()
        ))
        .store("stores")
        .files(0..10)
        .document("static.txt", b"static\n")
        .lookups("http_sendfile_fallback off; http_sendfile_timeout 30s;")
        .start();
    let mut clients = ask_all(&nginx, (0..5).map(|_| "/file/7".to_owned()));
    clients.remove(0).abort();
    nginx.wait_for_access("GET /file/7");
    gate.open();
    for client in &mut clients {
        let response = client.read("GET");
        assert_eq!((response.status, response.lookup()), (200, "FOUND"));
        assert_eq!(response.body, site::content_of(7));
    }
    assert_eq!((bad.requests(), good.requests()), (1, 1));
}

#[test]
fn requests_of_one_turn_leave_on_few_connections() {
    let (gate, store, nginx) = gated(|exchange| exchange.path());
    let clients = ask_all(&nginx, (0..100).map(|id| format!("/file/{id}")));
    assert!(store.connections() <= 16, "{} connections", store.connections());
    gate.open();
    for (id, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.read("GET").body, site::content_of(id as u64));
    }
    assert_eq!(store.requests(), 100);
}
