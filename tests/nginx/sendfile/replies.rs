//! A store that cuts its replies, dribbles them, or lies: no wrong file, and a connection on which
//! the next reply's begin is unknown is closed.

use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::store::{value_reply, Store};
use crate::common::{dose, site, wait_until};

fn start(store: &Store) -> Nginx {
    Setup::new()
        .store(&store.address())
        .files(0..10)
        .file("a", b"a\n")
        .file("ab/c", b"abc\n")
        .lookups("http_sendfile_fallback off;")
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
            .lookups("http_sendfile_fallback off; http_sendfile_timeout 5s;")
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

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned()
}
