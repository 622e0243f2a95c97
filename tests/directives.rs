//! Every directive: what it takes, what it refuses and in which words, where it may stand, what it
//! inherits, and what it is when nobody sets it.
#![cfg(feature = "tools")]

mod common;

use common::memcached::Memcached;
use common::nginx::Setup;
use common::store::Store;

use Level::{Http, Location, Main, Server, Upstream};

/// Where a directive stands.
#[derive(Clone, Copy, Debug)]
enum Level {
    Main,
    Http,
    Server,
    Location,
    Upstream,
}

fn at(level: Level, directives: &str) -> Setup {
    let setup = Setup::new().http("http_sendfile_cache_zone known:1m;\n");
    match level {
        Main => setup.main(directives),
        Http => setup.http(directives),
        Server => setup.server(directives),
        Location => setup.server(&format!("location /here/ {{\n{directives}\n}}")),
        Upstream => setup.http(&format!(
            "upstream stores {{\nserver 127.0.0.1:1;\n{directives}\n}}"
        )),
    }
}

/// `nginx -t` must fail, say `message`, and name file and line of the (last) directive.
#[track_caller]
fn refused(level: Level, directives: &str, message: &str) {
    let check = at(level, directives).check();
    assert!(!check.accepted, "accepted: {directives}");
    assert!(
        check.message.contains(message),
        "{directives}\ngave {}\nnot {message}",
        check.message
    );
    let last = directives.lines().last().expect("a directive");
    let line = 1 + check
        .configuration
        .lines()
        .position(|line| line == last)
        .expect("the directive");
    let place = format!("nginx.conf:{line}");
    assert!(
        check.message.contains(&place),
        "{directives}\ngave {}\nnot {place}",
        check.message
    );
}

#[track_caller]
fn accepted(level: Level, directives: &str) {
    let check = at(level, directives).check();
    assert!(check.accepted, "{directives}\nrefused: {}", check.message);
    assert!(
        !check.message.contains("[warn]"),
        "{directives}\nwarned: {}",
        check.message
    );
}

const EVERYWHERE: [Level; 3] = [Http, Server, Location];

#[test]
fn good_arguments_are_taken_at_every_level() {
    for level in EVERYWHERE {
        for directive in [
            "http_sendfile on;",
            "http_sendfile off;",
            "http_sendfile_pass 127.0.0.1:11212;",
            "http_sendfile_pass localhost:11211;",
            "http_sendfile_pass [::1]:11211;",
            "http_sendfile_pass unix:/tmp/no-such.sock;",
            "http_sendfile_key $uri;",
            "http_sendfile_key file:$sendfile_id;",
            "http_sendfile_key \"\";",
            "http_sendfile_root /;",
            "http_sendfile_root /a/b/;",
            "http_sendfile_value auto;",
            "http_sendfile_value raw;",
            "http_sendfile_value marshal;",
            "http_sendfile_fallback off;",
            "http_sendfile_fallback miss;",
            "http_sendfile_fallback error timeout;",
            "http_sendfile_fallback miss error timeout invalid;",
            "http_sendfile_timeout 250ms;",
            "http_sendfile_timeout 2s;",
            "http_sendfile_connect_timeout 50ms;",
            "http_sendfile_next_upstream off;",
            "http_sendfile_next_upstream error timeout miss;",
            "http_sendfile_cache off;",
            "http_sendfile_cache known;",
            "http_sendfile_cache known valid=1m;",
            "http_sendfile_cache known valid=10s miss=1s stale=1h;",
            "http_sendfile_cache known stale=0 miss=0 valid=5;",
        ] {
            accepted(level, directive);
        }
    }
}

#[test]
fn a_pass_may_name_an_upstream_block_defined_later() {
    accepted(
        Http,
        "http_sendfile_pass stores;\nupstream stores { server 127.0.0.1:11212; keepalive 4; }",
    );
    accepted(
        Http,
        "http_sendfile_cache lookups;\nhttp_sendfile_cache_zone lookups:1m;",
    );
    accepted(
        Http,
        "http_sendfile_cache_zone one:1m;\nhttp_sendfile_cache_zone two:2m;",
    );
}

#[test]
fn wrong_arguments_are_refused() {
    for (directive, message) in [
        (
            "http_sendfile maybe;",
            "invalid value \"maybe\" in \"http_sendfile\" directive",
        ),
        ("http_sendfile_root files/;", "http_sendfile_root"),
        ("http_sendfile_root /files;", "http_sendfile_root"),
        ("http_sendfile_root \"\";", "http_sendfile_root"),
        ("http_sendfile_root @files;", "http_sendfile_root"),
        ("http_sendfile_value yaml;", "\"yaml\""),
        ("http_sendfile_value AUTOMATIC;", "\"AUTOMATIC\""),
        ("http_sendfile_fallback hit;", "\"hit\""),
        ("http_sendfile_fallback miss nothing;", "\"nothing\""),
        ("http_sendfile_fallback off miss;", "http_sendfile_fallback"),
        ("http_sendfile_fallback miss off;", "http_sendfile_fallback"),
        (
            "http_sendfile_timeout fast;",
            "\"http_sendfile_timeout\" directive invalid value",
        ),
        (
            "http_sendfile_timeout -1;",
            "\"http_sendfile_timeout\" directive invalid value",
        ),
        ("http_sendfile_timeout \"\";", "http_sendfile_timeout"),
        (
            "http_sendfile_connect_timeout 5parsecs;",
            "\"http_sendfile_connect_timeout\" directive invalid value",
        ),
        ("http_sendfile_next_upstream http_500;", "\"http_500\""),
        (
            "http_sendfile_next_upstream off error;",
            "http_sendfile_next_upstream",
        ),
        (
            "http_sendfile_next_upstream error off;",
            "http_sendfile_next_upstream",
        ),
        ("http_sendfile_pass 127.0.0.1:99999;", "invalid port in"),
        (
            "http_sendfile_pass unix:;",
            "no path in the unix domain socket",
        ),
        ("http_sendfile_pass \"\";", "http_sendfile_pass"),
        ("http_sendfile_cache known valid=;", "\"valid=\""),
        ("http_sendfile_cache known valid=soon;", "\"valid=soon\""),
        ("http_sendfile_cache known miss=-1;", "\"miss=-1\""),
        ("http_sendfile_cache known stale=long;", "\"stale=long\""),
        ("http_sendfile_cache known colour=red;", "\"colour=red\""),
        ("http_sendfile_cache known 10s;", "\"10s\""),
        ("http_sendfile_cache off valid=1s;", "\"valid=1s\""),
        ("http_sendfile_cache \"\";", "http_sendfile_cache"),
    ] {
        refused(Location, directive, message);
    }
}

#[test]
fn a_zone_needs_a_name_and_a_size() {
    for (directive, message) in [
        ("http_sendfile_cache_zone lookups;", "\"lookups\""),
        ("http_sendfile_cache_zone :1m;", "\":1m\""),
        ("http_sendfile_cache_zone lookups:;", "\"lookups:\""),
        ("http_sendfile_cache_zone lookups:1x;", "\"lookups:1x\""),
        ("http_sendfile_cache_zone lookups:-1m;", "\"lookups:-1m\""),
        ("http_sendfile_cache_zone lookups:1k;", "too small"),
        ("http_sendfile_cache_zone lookups:0;", "lookups"),
        ("http_sendfile_cache_zone \"\";", "http_sendfile_cache_zone"),
        (
            "http_sendfile_cache_zone lookups:1m;\nhttp_sendfile_cache_zone lookups:1m;",
            "lookups",
        ),
        (
            "http_sendfile_cache_zone lookups:1m;\nhttp_sendfile_cache_zone lookups:2m;",
            "lookups",
        ),
    ] {
        refused(Http, directive, message);
    }
}

#[test]
fn the_smallest_zone_that_is_taken_works() {
    let memcached = Memcached::with_paths(0..4);
    let nginx = Setup::new()
        .http("http_sendfile_cache_zone lookups:64k;\n")
        .store(&memcached.address())
        .files(0..4)
        .lookups("http_sendfile_cache lookups;")
        .start();
    assert_eq!(nginx.get("/file/3").lookup(), "FOUND");
    assert_eq!(nginx.get("/file/3").lookup(), "HIT");
}

#[test]
fn a_zone_that_nobody_declares_is_refused_by_name() {
    for level in EVERYWHERE {
        let check = at(level, "http_sendfile_cache nowhere;").check();
        assert!(
            !check.accepted && check.message.contains("\"nowhere\""),
            "{}",
            check.message
        );
    }
}

#[test]
fn a_store_that_nobody_declares_is_refused_by_name() {
    for name in ["nowhere", "127.0.0.1"] {
        let check = at(Server, &format!("http_sendfile_pass {name};")).check();
        assert!(!check.accepted, "accepted: {name}");
        assert!(
            check.message.contains(&format!("\"{name}\"")),
            "{}",
            check.message
        );
    }
}

#[test]
fn a_zone_has_one_use() {
    let check = Setup::new()
        .http("http_sendfile_cache_zone shared:1m;\n")
        .http("limit_req_zone $binary_remote_addr zone=shared:1m rate=1r/s;\n")
        .check();
    assert!(!check.accepted, "a zone for two uses");
    assert!(
        check
            .message
            .contains("\"shared\" is already declared for a different use"),
        "{}",
        check.message
    );
    let check = Setup::new()
        .http("limit_req_zone $binary_remote_addr zone=shared:1m rate=1r/s;\n")
        .http("http_sendfile_cache_zone shared:1m;\n")
        .check();
    assert!(!check.accepted, "a zone for two uses");
    assert!(check.message.contains("shared"), "{}", check.message);
}

#[test]
fn the_number_of_arguments_is_checked() {
    for directive in [
        "http_sendfile;",
        "http_sendfile on off;",
        "http_sendfile_pass;",
        "http_sendfile_pass 127.0.0.1:1 127.0.0.1:2;",
        "http_sendfile_key;",
        "http_sendfile_key a b;",
        "http_sendfile_root;",
        "http_sendfile_root /a/ /b/;",
        "http_sendfile_value;",
        "http_sendfile_value raw marshal;",
        "http_sendfile_fallback;",
        "http_sendfile_timeout;",
        "http_sendfile_timeout 1s 2s;",
        "http_sendfile_connect_timeout;",
        "http_sendfile_connect_timeout 1s 2s;",
        "http_sendfile_next_upstream;",
        "http_sendfile_cache;",
    ] {
        let name = directive.split([' ', ';']).next().expect("a name");
        refused(
            Server,
            directive,
            &format!("invalid number of arguments in \"{name}\" directive"),
        );
    }
    for directive in [
        "http_sendfile_cache_zone;",
        "http_sendfile_cache_zone a:1m b:1m;",
    ] {
        let message = "invalid number of arguments in \"http_sendfile_cache_zone\" directive";
        refused(Http, directive, message);
    }
}

#[test]
fn a_directive_stands_once_at_a_level() {
    for directive in [
        "http_sendfile on;",
        "http_sendfile_pass 127.0.0.1:11211;",
        "http_sendfile_key $sendfile_id;",
        "http_sendfile_root /files/;",
        "http_sendfile_value raw;",
        "http_sendfile_fallback miss;",
        "http_sendfile_timeout 1s;",
        "http_sendfile_connect_timeout 1s;",
        "http_sendfile_next_upstream error;",
        "http_sendfile_cache known;",
        "http_sendfile_cache off;",
    ] {
        let name = directive.split(' ').next().expect("a name");
        // Indented, so that the line named in the message is surely the second one's.
        let twice = format!("  {directive}\n{directive}");
        for level in EVERYWHERE {
            refused(level, &twice, &format!("\"{name}\" directive is duplicate"));
        }
    }
}

#[test]
fn a_directive_stands_where_it_belongs() {
    for directive in [
        "http_sendfile on;",
        "http_sendfile_pass 127.0.0.1:11211;",
        "http_sendfile_key $sendfile_id;",
        "http_sendfile_root /files/;",
        "http_sendfile_value raw;",
        "http_sendfile_fallback miss;",
        "http_sendfile_timeout 1s;",
        "http_sendfile_connect_timeout 1s;",
        "http_sendfile_next_upstream error;",
        "http_sendfile_cache known;",
    ] {
        refused(Main, directive, "directive is not allowed here");
        refused(Upstream, directive, "directive is not allowed here");
    }
    for level in [Main, Server, Location, Upstream] {
        refused(
            level,
            "http_sendfile_cache_zone lookups:1m;",
            "directive is not allowed here",
        );
    }
}

#[test]
fn an_unknown_variable_in_a_key_is_refused() {
    let check = at(Server, "http_sendfile_key $no_such_variable;").check();
    assert!(!check.accepted, "an unknown variable");
    assert!(
        check
            .message
            .contains("unknown \"no_such_variable\" variable"),
        "{}",
        check.message
    );
}

#[test]
fn a_balancer_that_sets_cookies_is_refused() {
    let block = "upstream sticky { server 127.0.0.1:1; sticky cookie route; }\n";
    if !Setup::new().http(block).check().accepted {
        return; // this nginx does not know `sticky`
    }
    let check = Setup::new().http(block).store("sticky").lookups("").check();
    assert!(
        !check.accepted && check.message.contains("sticky"),
        "{}",
        check.message
    );
}

#[test]
fn smoke_the_defaults_are_those_of_the_documentation() {
    let memcached = Memcached::with_paths(0..2);
    memcached.set("1", b"\x04\x08\"\x0c01/1.dat");
    memcached.set("66", "../66");
    let nginx = Setup::new()
        .store(&memcached.address())
        .files(0..2)
        .document("file/5", b"not in the store\n")
        .lookups("")
        .location("/off/", "")
        .start();
    let off = nginx.get("/off/1");
    assert_eq!(
        (off.status, off.lookup()),
        (404, "-"),
        "http_sendfile is off"
    );
    assert_eq!(
        nginx.get("/file/0").text(),
        "file 0\n",
        "key, root, raw value"
    );
    assert_eq!(
        nginx.get("/file/1").text(),
        "file 1\nfile 1\n",
        "Marshal value"
    );
    assert_eq!(nginx.get("/file/1").lookup(), "FOUND", "no cache");
    let miss = nginx.get("/file/5");
    assert_eq!(
        (miss.text().as_str(), miss.lookup()),
        ("not in the store\n", "MISS"),
        "fallback"
    );
    let invalid = nginx.get("/file/66");
    assert_eq!(
        (invalid.status, invalid.lookup()),
        (502, "INVALID"),
        "no fallback"
    );
}

#[test]
fn the_default_store_is_memcached_on_this_machine() {
    let nginx = Setup::new()
        .lookups("http_sendfile_fallback miss error timeout;")
        .start();
    // Whoever listens there, or nobody: that address it is.
    assert_eq!(
        nginx.get("/file/1").header("X-Addr"),
        Some("127.0.0.1:11211")
    );
}

#[test]
fn the_default_timeout_is_half_a_second() {
    let store = Store::start(|_| Ok(()));
    let nginx = Setup::new().store(&store.address()).lookups("").start();
    assert_eq!(nginx.get("/file/1").status, 504);
    let time: f64 = nginx.wait_for_access("/file/1")["time"]
        .parse()
        .expect("seconds");
    assert!((0.5..2.0).contains(&time), "{time} s");
    assert_eq!(
        store.requests(),
        1,
        "a timeout on the only server is not tried again"
    );
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
        .location("/root/", "http_sendfile_root /down/;")
        .location("/off/", "http_sendfile off;")
        .location(
            "/pass/",
            &format!(
                "http_sendfile_pass {}; http_sendfile_cache off;",
                nothing.address()
            ),
        )
        .location("/value/", "http_sendfile_value marshal;")
        .location(
            "/fallback/",
            "http_sendfile_fallback miss; http_sendfile_key none:$sendfile_id;",
        )
        .location("/uncached/", "http_sendfile_cache off;")
        .document("fallback/1", b"its own\n")
        .start();
    assert_eq!(nginx.get("/inherits/1").text(), "up:/up/one");
    assert_eq!(nginx.get("/inherits/1").lookup(), "HIT");
    assert_eq!(nginx.get("/key/1").text(), "up:/up/two");
    assert_eq!(nginx.get("/root/1").text(), "down:/down/one");
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
    let other = common::port::Port::reserve();
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
    assert_eq!(
        common::client::Client::connect(other.number())
            .get("/1")
            .text(),
        "/files/two"
    );
}
