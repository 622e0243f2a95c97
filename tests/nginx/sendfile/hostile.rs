//! Values and IDs that mean harm: none reaches a file outside of the root, the log says why, and
//! the worker lives.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;
use crate::common::store::Store;

fn start(memcached: &Memcached, target: &str) -> Nginx {
    Setup::new()
        .store(&memcached.address())
        .file("good", b"good\n")
        .document("secret", b"outside of the root\n")
        .http(target)
        .lookups("http_sendfile_fallback off;")
        .start()
}

/// Asks for each value in turn; every one must be refused, with a reason in the log.
#[track_caller]
fn all_refused(values: &[&[u8]]) {
    let memcached = Memcached::start();
    let nginx = start(&memcached, "");
    let worker = nginx.worker();
    let mut client = nginx.connect();
    for (id, value) in values.iter().enumerate() {
        memcached.set(&id.to_string(), value);
        let response = client.get(&format!("/file/{id}"));
        let shown = String::from_utf8_lossy(&value[..value.len().min(40)]);
        assert_eq!((response.status, response.lookup()), (502, "INVALID"), "{shown:?}");
        let line = nginx.wait_for_error(&format!("invalid path for key \"{id}\": "));
        assert!(line.contains("[error]") && line.contains("request: \"GET /file/"), "{line}");
    }
    memcached.set("1000", "good");
    assert_eq!(client.get("/file/1000").text(), "good\n");
    assert_eq!(nginx.worker(), worker, "the same worker");
}

#[test]
fn smoke_values_that_leave_the_root_are_refused() {
    all_refused(&[
        b"../html/secret",
        b"..",
        b".",
        b"a/../../html/secret",
        b"a/..",
        b"good/..",
        b"./good",
        b"a/./b",
        b"a/.",
        b"//html/secret",
        b"/html/secret",
        b"/",
        b"a//b",
        b"good/",
        b"..\\html\\secret",
        b"\\",
        b"a\\b",
    ]);
}

#[test]
fn values_with_control_bytes_are_refused() {
    let mut values: Vec<Vec<u8>> =
        (0..=0x1f).chain([0x7f]).map(|byte| vec![b'a', byte, b'b']).collect();
    values.extend([
        b"good\0".to_vec(),
        b"good\n".to_vec(),
        b"\rgood".to_vec(),
        b"good\r\nX: y".to_vec(),
    ]);
    all_refused(&values.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

#[test]
fn values_of_no_sensible_length_are_refused() {
    all_refused(&[b"", &[b'a'; 4097], &[b'a'; 65_536], &b"a/".repeat(500_000)]);
}

#[test]
fn marshalled_values_are_no_way_around() {
    all_refused(&[
        b"\x04\x08\"\x13../html/secret",
        b"\x04\x08I\"\x0f/secret..\x06:\x06ET",
        b"\x04\x08\"\x00",
        b"\x04\x08\"\x0agood",
        b"\x04\x08\"\x09good and more",
        b"\x04\x08\"",
        b"\x04\x08",
        b"\x04\x08\"\x04\xff\xff\xff\xffgood",
        b"\x04\x08\"\xfcgood",
        b"\x04\x08i\x09",
        b"\x04\x08[\x06\"\x09good",
        b"\x04\x08o:\x0bObject\x00",
    ]);
}

#[test]
fn a_value_of_a_mebibyte_harms_nobody() {
    let store = Store::start(|exchange| match exchange.key.as_str() {
        "1" => exchange.value(vec![b'a'; 1 << 20]),
        "2" => exchange.value(vec![b'a'; 64 << 20]),
        _ => exchange.value("good"),
    });
    let nginx = Setup::new()
        .store(&store.address())
        .file("good", b"good\n")
        .lookups("http_sendfile_fallback off;")
        .start();
    let (worker, before) = (nginx.worker(), crate::common::process::resident_kib(nginx.worker()));
    for id in [1, 1, 2, 2] {
        let response = nginx.get(&format!("/file/{id}"));
        assert!(matches!(response.lookup(), "INVALID" | "ERROR"), "{}", response.lookup());
        assert_eq!(response.status, 502);
        assert_eq!(nginx.get("/file/3").text(), "good\n");
    }
    let grown = crate::common::process::resident_kib(worker) - before;
    assert!(grown < 4096, "{grown} KiB for values that nobody can use");
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn bytes_that_mean_something_in_uris_stand_for_themselves() {
    let memcached = Memcached::start();
    let names: [&[u8]; 12] = [
        b"%2e%2e%2f",
        b"..%2fhtml%2fsecret",
        b"a?x",
        b"?x",
        b"a#x",
        b"@name",
        b"...",
        b"a..b/.c",
        b"a b",
        b"caf\xc3\xa9",
        b"\xff\xfe\xe9",
        b"$uri",
    ];
    let nginx = start(&memcached, "");
    let files = nginx.files();
    for (id, name) in names.iter().enumerate() {
        use std::os::unix::ffi::OsStrExt;
        let path = files.join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, format!("content {id}\n")).expect("a file");
        memcached.set(&id.to_string(), name);
        let response = nginx.get(&format!("/file/{id}?kept"));
        let shown = String::from_utf8_lossy(name);
        assert_eq!(response.text(), format!("content {id}\n"), "{shown}");
    }
}

#[test]
fn the_longest_path_is_tried_and_not_found() {
    let memcached = Memcached::start();
    memcached.set("1", "abcdefg/".repeat(512).strip_suffix('/').expect("a slash"));
    memcached.set("2", [b'a'; 4096]);
    memcached.set("3", [b'a'; 256]);
    let nginx =
        start(&memcached, "http_sendfile_cache_zone lookups:1m; http_sendfile_cache lookups;");
    let worker = nginx.worker();
    for id in [1, 2, 3, 1, 2, 3] {
        let response = nginx.get(&format!("/file/{id}"));
        assert_eq!(response.status, 404, "ID {id}");
        assert!(matches!(response.lookup(), "FOUND" | "HIT"), "{}", response.lookup());
    }
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn links_are_what_nginx_makes_of_them() {
    let memcached = Memcached::start();
    memcached.set("1", "link");
    memcached.set("2", "linked/secret");
    let link = |nginx: &Nginx| {
        symlink(nginx.prefix().join("html/secret"), nginx.files().join("link")).expect("a link");
        symlink(nginx.prefix().join("html"), nginx.files().join("linked")).expect("a link");
    };
    let nginx = start(&memcached, "");
    link(&nginx);
    assert_eq!(nginx.get("/file/1").text(), "outside of the root\n");
    let nginx = start(&memcached, "disable_symlinks on;");
    link(&nginx);
    assert_eq!(nginx.get("/file/1").status, 403);
    // nginx's own answer where a directory on the way is a link.
    assert_eq!(nginx.get("/file/2").status, 404);
}

#[test]
fn a_directory_is_neither_listed_nor_served() {
    let memcached = Memcached::start();
    memcached.set("1", "directory");
    let nginx = start(&memcached, "autoindex on; index index.html;");
    fs::create_dir(nginx.files().join("directory")).expect("a directory");
    fs::write(nginx.files().join("directory/index.html"), "listed\n").expect("a file");
    let response = nginx.get("/file/1");
    assert_ne!(response.status, 200);
    assert!(!response.text().contains("listed") && !response.text().contains("index.html"));
}

#[test]
fn a_pipe_or_a_socket_does_not_hang_the_worker() {
    let memcached = Memcached::start();
    memcached.set("1", "pipe");
    memcached.set("2", "socket");
    memcached.set("3", "good");
    let nginx = start(&memcached, "");
    let pipe = nginx.files().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    let _socket =
        std::os::unix::net::UnixListener::bind(nginx.files().join("socket")).expect("a socket");
    for id in [1, 2] {
        let response = nginx.get(&format!("/file/{id}"));
        assert!((400..600).contains(&response.status), "{}", response.status);
        assert_eq!(nginx.get("/file/3").text(), "good\n");
    }
}

#[test]
fn keys_that_memcached_cannot_take_are_never_sent() {
    let store = Store::start(|exchange| exchange.path());
    let nginx = Setup::new()
        .store(&store.address())
        .lookups("http_sendfile_fallback off;")
        .location("/uri/", "http_sendfile on; http_sendfile_key $uri; http_sendfile_fallback off;")
        .start();
    let worker = nginx.worker();
    let digits = |count: usize| format!("/file/{}", "7".repeat(count));
    for uri in [
        &digits(251),
        &digits(1000),
        "/uri/a%20b",
        "/uri/a%09b",
        "/uri/a%0d%0aget%20b",
        "/uri/a%0a",
        "/uri/a%01",
        "/uri/a%7f",
    ] {
        let response = nginx.get(uri);
        assert_eq!((response.status, response.lookup()), (502, "INVALID"), "{uri}");
        nginx.wait_for_error("invalid key: ");
    }
    assert_eq!(nginx.error_log().matches("invalid key: ").count(), 8);
    assert_eq!(store.requests(), 0, "nothing was sent");
    assert_eq!(nginx.get("/uri/a%00").status, 400, "nginx itself refuses NUL");
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn keys_of_any_other_bytes_and_of_the_greatest_length_are_sent() {
    let memcached = Memcached::start();
    let longest = "7".repeat(250);
    memcached.set(&longest, "good");
    memcached.set("/uri/caf\u{e9}?&#;%", "good");
    let nginx = Setup::new()
        .store(&memcached.address())
        .file("good", b"good\n")
        .lookups("http_sendfile_fallback off;")
        .location("/uri/", "http_sendfile on; http_sendfile_key $uri; http_sendfile_fallback off;")
        .start();
    assert_eq!(nginx.get(&format!("/file/{longest}")).text(), "good\n");
    assert_eq!(nginx.get("/uri/caf%c3%a9%3f&%23;%25").text(), "good\n");
    assert_eq!(nginx.get("/uri/%ff%fe").lookup(), "MISS");
}
