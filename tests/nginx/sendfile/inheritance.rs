//! What a directive is when nobody sets it, and what an inner level makes of an outer one's.

use crate::common::client::Client;
use crate::common::memcached::Memcached;
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::store::Store;

#[test]
fn smoke_the_defaults_are_those_of_the_documentation() {
    let memcached = Memcached::with_paths(0..2);
    memcached.set("1", b"\x04\x08\"\x0d01/1.dat");
    memcached.set("66", "../66");
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..2)
        .document("file/5", b"not in the store\n")
        .lookups("")
        .location("/off/", "")
        .start();
    let off = nginx.get("/off/1");
    assert_eq!((off.status, off.lookup()), (404, "-"), "http_sendfile is off");
    assert_eq!(nginx.get("/file/0").text(), "file 0\n", "key, root, raw value");
    assert_eq!(nginx.get("/file/1").text(), "file 1\nfile 1\n", "Marshal value");
    assert_eq!(nginx.get("/file/1").lookup(), "FOUND", "no cache");
    let miss = nginx.get("/file/5");
    assert_eq!((miss.text().as_str(), miss.lookup()), ("not in the store\n", "MISS"), "fallback");
    let invalid = nginx.get("/file/66");
    assert_eq!((invalid.status, invalid.lookup()), (502, "INVALID"), "no fallback");
}

#[test]
fn the_default_store_is_memcached_on_this_machine() {
    let nginx = Setup::new().lookups("http_sendfile_fallback miss error timeout;").start();
    // Whoever listens there, or nobody: that address it is.
    assert_eq!(nginx.get("/file/1").header("X-Addr"), Some("127.0.0.1:11211"));
}

#[test]
fn the_default_timeout_is_half_a_second() {
    let store = Store::start(|_| Ok(()));
    let pass = format!("http_sendfile_pass {};", store.address());
    let nginx = Setup::new().lookups(&pass).start();
    assert_eq!(nginx.get("/file/1").status, 504);
    let time: f64 = nginx.wait_for_access("/file/1")["time"].parse().expect("seconds");
    assert!((0.5..5.0).contains(&time), "{time} s");
    assert_eq!(store.requests(), 1, "a timeout on the only server is not tried again");
}

#[test]
fn what_the_outer_level_sets_the_inner_one_inherits_or_overrides() {
    let memcached = Memcached::start();
    memcached.set("outer:1", "one");
    memcached.set("inner:1", "two");
    let nothing = Store::start(|exchange| exchange.miss());
    let nginx = Setup::new()
        .http("http_sendfile on; http_sendfile_key outer:$sendfile_id; http_sendfile_root /up/;")
        .http("http_sendfile_fallback off; http_sendfile_value raw;")
        .http("http_sendfile_cache_zone lookups:1m; http_sendfile_cache lookups;")
        .store(&memcached.address())
        .location("/up/", "internal; return 200 up:$uri;")
        .location("/down/", "internal; return 200 down:$uri;")
        .location("/inherits/", "")
        .location("/key/", "http_sendfile_key inner:$sendfile_id;")
        .location("/rooted/", "http_sendfile_root /down/;")
        .location("/off/", "http_sendfile off;")
        .location(
            "/pass/",
            &format!("http_sendfile_pass {}; http_sendfile_cache off;", nothing.address()),
        )
        .location("/value/", "http_sendfile_value marshal;")
        .location("/fallback/", "http_sendfile_fallback miss; http_sendfile_key none:$sendfile_id;")
        .location("/uncached/", "http_sendfile_cache off;")
        .document("fallback/1", b"its own\n")
        .start();
    assert_eq!(nginx.get("/inherits/1").text(), "up:/up/one");
    assert_eq!(nginx.get("/inherits/1").lookup(), "HIT");
    assert_eq!(nginx.get("/key/1").text(), "up:/up/two");
    assert_eq!(nginx.get("/rooted/1").text(), "down:/down/one");
    assert_eq!(nginx.get("/off/1").lookup(), "-");
    let other_store = nginx.get("/pass/1");
    assert_eq!((other_store.status, other_store.lookup()), (404, "MISS"));
    let other_value = nginx.get("/value/1");
    assert_eq!((other_value.status, other_value.lookup()), (502, "INVALID"));
    assert_eq!(nginx.get("/fallback/1").text(), "its own\n");
    assert_eq!(nginx.get("/uncached/1").lookup(), "FOUND");
}

#[test]
fn the_module_serves_many_servers_of_one_nginx() {
    let (one, two) = (Memcached::start(), Memcached::start());
    one.set("1", "one");
    two.set("1", "two");
    let other = Port::reserve();
    let nginx = Setup::new()
        .http(&format!(
            "server {{ listen {}; http_sendfile on; http_sendfile_pass {}; location /files/ {{ return 200 $uri; }} }}",
            other.address(),
            two.address()
        ))
        .server(&format!("http_sendfile_pass {}; http_sendfile on;", one.address()))
        .file("one", b"the first\n")
        .start();
    assert_eq!(nginx.get("/1").text(), "the first\n");
    assert_eq!(Client::connect(other.number()).get("/1").text(), "/files/two");
}
