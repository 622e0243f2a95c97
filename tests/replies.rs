//! A store that cuts its replies, dribbles them, lies, or speaks when nobody asked: no wrong file,
//! and a connection that is out of step is closed and never used again.
#![cfg(feature = "tools")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use common::client::Client;
use common::nginx::Nginx;
use common::process::{self, Signal};
use common::setup::Setup;
use common::store::{value_of, value_reply, Store};
use common::{dose, site, wait_until};

fn start(store: &Store) -> Nginx {
    Setup::new()
        .store(&store.address())
        .files(0..10)
        .file("a", b"a\n")
        .file("ab/c", b"abc\n")
        .lookups("http_sendfile_fallback off; http_sendfile_timeout 5s;")
        .start()
}

/// Replies of many kinds to `get KEY`, and whether they end in a file (200), a miss (404) or a
/// refusal (502).
fn replies(key: &str) -> Vec<(Vec<u8>, u16)> {
    let values: [(&[u8], u16); 17] = [
        (b"a", 200),
        (b"ab/c", 200),
        (b"07/7.dat", 200),
        (b"\x04\x08\"\x06a", 200),
        (b"\x04\x08\"\x09ab/c", 200),
        (b"\x04\x08I\"\x06a\x06:\x06ET", 200),
        (b"\x04\x08I\"\x0d07/7.dat\x06:\x06EF", 200),
        (b"\x04\x08I\"\x06a\x06:\x0dencoding\"\x0eShift_JIS", 200),
        (b"\x04\x08\"\x07", 502),
        (b"../a", 502),
        (b"/a", 502),
        (b"", 502),
        (b"END", 404),
        (b"END\r\n", 502),
        (b"a\r\nEND\r\n", 502),
        (b"VALUE 7 0 1", 404),
        (b"no/such/file", 404),
    ];
    let mut replies: Vec<(Vec<u8>, u16)> =
        values.iter().map(|(value, status)| (value_reply(key, value), *status)).collect();
    let flags = value_reply(key, b"a");
    let flags =
        String::from_utf8(flags).expect("text").replacen(" 0 1\r\n", " 4294967295 1\r\n", 1);
    replies.push((flags.into_bytes(), 200));
    replies.push((b"END\r\n".to_vec(), 404));
    replies.push((b"SERVER_ERROR out of memory\r\n".to_vec(), 502));
    assert_eq!(replies.len(), 20);
    replies
}

/// The key says which reply is wanted, and how much of it.
fn parse(key: &str) -> (usize, usize) {
    let number: usize = key.parse().expect("a number");
    (number / 1000, number % 1000)
}

#[test]
fn smoke_a_reply_cut_anywhere_is_an_error() {
    let store = Store::start(|exchange| {
        let (reply, length) = parse(&exchange.key);
        exchange.send(&replies(&exchange.key)[reply].0[..length])?;
        exchange.close()
    });
    let nginx = start(&store);
    let worker = nginx.worker();
    let mut client = nginx.connect();
    for reply in 0..20 {
        for length in 1.. {
            let key = format!("{}", reply * 1000 + length);
            let (bytes, status) = &replies(&key)[reply];
            let response = client.get(&format!("/file/{key}"));
            let context = format!("{length} bytes of {:?}", shown(bytes));
            assert!(store.requests_for(&key) > 0, "{context}");
            if length == bytes.len() {
                assert_eq!(response.status, *status, "{context}");
                break;
            }
            assert_eq!((response.status, response.lookup()), (502, "ERROR"), "{context}");
        }
    }
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn a_connection_closed_without_a_reply_is_an_error() {
    let store = Store::start(
        |exchange| if exchange.key == "7" { exchange.close() } else { exchange.path() },
    );
    let nginx = start(&store);
    for _ in 0..20 {
        assert_eq!(nginx.get("/file/7").lookup(), "ERROR");
        // A server that accepts and says nothing is left alone for a moment.
        wait_until("a good answer", || nginx.get("/file/8").body == site::content_of(8));
    }
}

#[test]
fn a_reply_in_single_bytes_is_as_good_as_whole() {
    let store = Store::start(|exchange| {
        let (reply, _) = parse(&exchange.key);
        exchange.dribble(&replies(&exchange.key)[reply].0)
    });
    let nginx = start(&store);
    let mut client = nginx.connect();
    for reply in 0..20 {
        let key = format!("{}", reply * 1000);
        let response = client.get(&format!("/file/{key}"));
        let (bytes, status) = &replies(&key)[reply];
        assert_eq!(response.status, *status, "{:?}", shown(bytes));
    }
}

/// Replies that no memcached gives to `get KEY`, and after which the next reply's begin is unknown.
fn garbage(key: &str) -> Vec<Vec<u8>> {
    let mut shapes: Vec<Vec<u8>> = [
        "\r\n",
        "\n",
        "ERROR\r\n",
        "CLIENT_ERROR bad command line format\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "STORED\r\n",
        "END \r\n",
        "end\r\n",
        "ENDED\r\n",
        "VALUE\r\n",
        "VALUE \r\n",
        "VALUE KEY\r\na\r\nEND\r\n",
        "VALUE KEY 0\r\na\r\nEND\r\n",
        "VALUE KEY 0 \r\na\r\nEND\r\n",
        "VALUE KEY 0 one\r\na\r\nEND\r\n",
        "VALUE KEY zero 1\r\na\r\nEND\r\n",
        "VALUE KEY 0 1 x y\r\na\r\nEND\r\n",
        "VALUE KEY 0 +1\r\na\r\nEND\r\n",
        "VALUE KEY 0 0x1\r\na\r\nEND\r\n",
        "VALUE KEY -1 1\r\na\r\nEND\r\n",
        "VALUE KEY 99999999999 1\r\na\r\nEND\r\n",
        "VALUE  KEY 0 1\r\na\r\nEND\r\n",
        "VALUE KEY 0 1\na\r\nEND\r\n",
        "VALUE KEY 0 1\r\na\nEND\r\n",
        "VALUE KEY 0 1\r\naEND\r\n",
        "VALUE KEY 0 1\r\na\r\nEDN\r\n",
        "VALUE KEY 0 1\r\na\r\nENDS\r\n",
        "VALUE KEY 0 1\r\na\r\n\r\nEND\r\n",
        "VALUE KEY 0 1\r\na\r\nVALUE KEY 0 1\r\na\r\nEND\r\n",
        "VALUE KEY 0 2\r\na\r\nEND\r\n",
        "VALUE KEY 0 3\r\nab/c\r\nEND\r\n",
        "VALUE KEY 0 -1\r\na\r\nEND\r\n",
        "VALUE KEY 0 2147483648\r\na\r\nEND\r\n",
        "VALUE KEY 0 4294967295\r\na\r\nEND\r\n",
        "VALUE KEY 0 4294967296\r\na\r\nEND\r\n",
        "VALUE KEY 0 4294967297\r\na\r\nEND\r\n",
        "VALUE KEY 0 18446744073709551615\r\na\r\nEND\r\n",
        "VALUE KEY 0 18446744073709551616\r\na\r\nEND\r\n",
        "VALUE KEY 0 18446744073709551617\r\na\r\nEND\r\n",
        "VALUE KEY 0 99999999999999999999999999\r\na\r\nEND\r\n",
        "VALUE other 0 1\r\na\r\nEND\r\n",
        "VALUE KEY0 0 1\r\na\r\nEND\r\n",
        "VALUE KE 0 1\r\na\r\nEND\r\n",
        "VA 1\r\na\r\n",
        "EN\r\n",
    ]
    .iter()
    .map(|text| text.replace("KEY", key).into_bytes())
    .collect();
    shapes.push(b"\0\0\0\0".to_vec());
    shapes.push(b"\x81\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00".to_vec());
    shapes.push(b"VALUE \xff\xfe 0 1\r\na\r\nEND\r\n".to_vec());
    shapes.push([format!("VALUE {key} ").into_bytes(), vec![b'0'; 100_000]].concat());
    shapes.push(vec![b'x'; 300_000]);
    assert_eq!(shapes.len(), 50);
    shapes
}

// Garbage may be the beginning of a reply, as far as the module can know: then the outcome is
// TIMEOUT, and the connection, whose next answer would be out of step, ends all the same.
#[test]
fn garbage_is_an_error_and_ends_the_connection() {
    for round in 0..dose(1, 100) {
        let store = Store::start(|exchange| {
            let number: usize = exchange.key.parse().expect("a number");
            if number < 10 {
                exchange.path()
            } else {
                exchange.send(&garbage(&exchange.key)[number - 10])
            }
        });
        let nginx = Setup::new()
            .store(&store.address())
            .files(0..10)
            .file("a", b"a\n")
            .file("ab/c", b"abc\n")
            .lookups("http_sendfile_fallback off; http_sendfile_timeout 300ms;")
            .start();
        let mut client = nginx.connect();
        for number in 0..50 {
            let (closed, id) = (store.closed(), number + 10);
            let response = client.get(&format!("/file/{id}"));
            let shape = shown(&garbage(&id.to_string())[number]);
            assert!(
                matches!(response.lookup(), "ERROR" | "TIMEOUT"),
                "{}: {shape:?}",
                response.lookup()
            );
            assert!(matches!(response.status, 502 | 504), "{}: {shape:?}", response.status);
            // Good requests follow at once: were the connection used again, one would be answered
            // with what is left of the garbage.
            for good in 0..3 {
                let response = client.get(&format!("/file/{good}"));
                assert_eq!(response.body, site::content_of(good), "round {round} after {shape:?}");
            }
            wait_until(&format!("the end of the connection that sent {shape:?}"), || {
                store.closed() > closed
            });
        }
        nginx.wait_for_error("memcached sent ");
    }
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
    let gate = common::store::Gate::closed();
    let store = Store::start({
        let gate = gate.clone();
        move |exchange| {
            gate.wait();
            exchange.path()
        }
    });
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
    let gate = common::store::Gate::closed();
    let store = Store::start({
        let gate = gate.clone();
        move |exchange| {
            gate.wait();
            exchange.path()
        }
    });
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

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned()
}
