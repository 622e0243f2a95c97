//! Replies that are good by themselves and answer nobody, or somebody else: a connection that is out
//! of step is closed and never used again, and nobody gets another's file.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use crate::common::client::Client;
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::setup::Setup;
use crate::common::store::{value_of, value_reply, Store};
use crate::common::{dose, site, wait_until};

fn start(store: &Store) -> Nginx {
    Setup::new()
        .store(&store.address())
        .files(0..10)
        .file("a", b"a\n")
        .lookups("http_sendfile_fallback off;")
        .start()
}

#[test]
fn what_follows_a_good_reply_ends_the_connection() {
    for surplus in ["x", "\r\n", "END\r\n", "VALUE 8 0 8\r\n08/8.dat\r\nEND\r\n", "\0", "VALUE 8"] {
        let store = Store::start(move |exchange| {
            let mut reply = value_reply(
                &exchange.key,
                site::path_of(exchange.key.parse().expect("an ID")).as_bytes(),
            );
            if exchange.key == "7" {
                reply.extend_from_slice(surplus.as_bytes());
            }
            exchange.send(reply)
        });
        let nginx = start(&store);
        let mut client = nginx.connect();
        let response = client.get("/file/7");
        assert!(response.status == 502 || response.body == site::content_of(7), "{surplus:?}");
        wait_until("the end of the connection", || store.closed() >= 1);
        for id in [8, 9] {
            assert_eq!(
                client.get(&format!("/file/{id}")).body,
                site::content_of(id),
                "after {surplus:?}"
            );
        }
        nginx.wait_for_error("memcached sent ");
    }
}

#[test]
fn bytes_that_nobody_asked_for_end_the_connection() {
    let store = Store::start(|exchange| exchange.path());
    let nginx = start(&store);
    let mut client = nginx.connect();
    let shapes = ["VALUE 8 0 8\r\n09/9.dat\r\nEND\r\n", "END\r\n", "x", "\r\n", "ERROR\r\n"];
    for round in 0..dose(shapes.len(), 5_000) {
        assert_eq!(client.get("/file/7").body, site::content_of(7));
        let open = store.connections() - store.closed();
        assert!(open > 0, "a connection is kept");
        let closed = store.closed();
        store.intrude(shapes[round % shapes.len()].as_bytes());
        wait_until("the end of the connections", || store.closed() == closed + open);
        assert_eq!(client.get("/file/8").body, site::content_of(8), "round {round}");
    }
    nginx.wait_for_error("memcached sent ");
}

/// Asks for IDs 0 to 9 in one turn of the event loop, after `/file/99`, which leaves alone.
fn ask_in_one_turn(nginx: &Nginx) -> Vec<(u64, Client)> {
    let mut clients: Vec<(u64, Client)> = (0..10).map(|id| (id, nginx.connect())).collect();
    for (_, client) in &mut clients {
        assert_eq!(client.get("/nothing").status, 404);
    }
    let mut first = nginx.connect();
    let worker = nginx.worker();
    process::stop(worker);
    first.ask("/file/99");
    for (id, client) in &mut clients {
        client.ask(&format!("/file/{id}"));
    }
    process::signal(worker, Signal::CONT);
    clients
}

#[test]
fn keys_asked_for_in_one_turn_are_told_apart() {
    type Shape = fn(&[String]) -> Vec<Vec<u8>>;
    let values = |keys: &[String]| -> Vec<Vec<u8>> {
        let path = |key: &String| site::path_of(key.parse().expect("an ID"));
        keys.iter().map(|key| value_of(key, path(key).as_bytes())).collect()
    };
    let shapes: [(&str, Shape); 8] = [
        ("in order", |_| Vec::new()),
        ("backwards", |_| Vec::new()),
        ("without every second", |_| Vec::new()),
        ("one twice", |keys| vec![value_of(&keys[0], b"a")]),
        ("another key", |_| vec![value_of("77", b"a")]),
        ("none", |_| Vec::new()),
        ("an error in the middle", |_| vec![b"ERROR\r\n".to_vec()]),
        ("SERVER_ERROR in the middle", |_| vec![b"SERVER_ERROR busy\r\n".to_vec()]),
    ];
    for (number, (shape, surplus)) in shapes.into_iter().enumerate() {
        let most_keys = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most_keys);
        let store = Store::start_with_requests(move |request| {
            seen.fetch_max(request.keys.len(), Ordering::Relaxed);
            if request.keys == ["99"] {
                return request.send("END\r\n");
            }
            let mut reply = values(&request.keys);
            match number {
                1 => reply.reverse(),
                2 => reply = reply.into_iter().step_by(2).collect(),
                5 => reply.clear(),
                _ => reply.extend(surplus(&request.keys)),
            }
            request.send(reply.concat())?;
            if number < 6 {
                request.send("END\r\n")
            } else {
                Ok(())
            }
        });
        let nginx = start(&store);
        for (id, mut client) in ask_in_one_turn(&nginx) {
            let response = client.read("GET");
            let expected: &[u16] = match number {
                0 | 1 => &[200],
                2 | 5 => &[200, 404],
                _ => &[200, 502],
            };
            assert!(expected.contains(&response.status), "{shape}: {}", response.status);
            if response.status == 200 {
                assert_eq!(response.body, site::content_of(id), "{shape}: ID {id}");
            }
        }
        assert!(
            most_keys.load(Ordering::Relaxed) > 1,
            "{shape}: no request asked for several keys"
        );
    }
}

#[test]
fn an_answer_to_a_request_that_was_given_up_reaches_nobody() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = start(&store);
    for id in [1, 2, 3] {
        let asked = store.requests();
        let mut client = nginx.connect();
        client.ask(&format!("/file/{id}"));
        wait_until("the lookup", || store.requests() > asked || id > 1);
        client.abort();
    }
    let mut clients: Vec<_> = (4..10).map(|id| (id, nginx.connect())).collect();
    for (id, client) in &mut clients {
        client.ask(&format!("/file/{id}"));
    }
    gate.open();
    for (id, client) in &mut clients {
        assert_eq!(client.read("GET").body, site::content_of(*id), "ID {id}");
    }
}

#[test]
fn a_late_answer_reaches_nobody() {
    let (gate, store) = Store::behind_gate(|exchange| exchange.path());
    let nginx = Setup::new()
        .store(&store.address())
        .files(0..10)
        .lookups("http_sendfile_fallback off; http_sendfile_timeout 100ms;")
        .start();
    for id in 0..5 {
        assert_eq!(nginx.get(&format!("/file/{id}")).lookup(), "TIMEOUT");
    }
    gate.open();
    for id in 5..10 {
        let response = nginx.get(&format!("/file/{id}"));
        if response.status == 200 {
            assert_eq!(response.body, site::content_of(id), "ID {id}");
        }
    }
    wait_until("a good answer", || nginx.get("/file/9").body == site::content_of(9));
}
