//! Every directive: what it takes, what it refuses and in which words, and where it may stand.

use crate::common::level::{self, Level, EVERYWHERE};
use crate::common::memcached::Memcached;
use crate::common::setup::Setup;

use Level::{Http, Location, Main, Server, Upstream};

fn setup() -> Setup {
    Setup::new().http("http_sendfile_cache_zone known:1m;\n")
}

#[track_caller]
fn refused(level: Level, directives: &str, message: &str) {
    level::refused(setup(), level, directives, message);
}

#[track_caller]
fn accepted(level: Level, directives: &str) {
    level::accepted(setup(), level, directives);
}

/// One of each that may stand at every level.
const EACH: [&str; 10] = [
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
];

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
    accepted(Http, "http_sendfile_cache lookups;\nhttp_sendfile_cache_zone lookups:1m;");
    accepted(Http, "http_sendfile_cache_zone one:1m;\nhttp_sendfile_cache_zone two:2m;");
}

#[test]
fn wrong_arguments_are_refused() {
    for (directive, message) in [
        ("http_sendfile maybe;", "invalid value \"maybe\" in \"http_sendfile\" directive"),
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
        ("http_sendfile_timeout fast;", "\"http_sendfile_timeout\" directive invalid value"),
        ("http_sendfile_timeout -1;", "\"http_sendfile_timeout\" directive invalid value"),
        ("http_sendfile_timeout \"\";", "http_sendfile_timeout"),
        (
            "http_sendfile_connect_timeout 5parsecs;",
            "\"http_sendfile_connect_timeout\" directive invalid value",
        ),
        ("http_sendfile_next_upstream http_500;", "\"http_500\""),
        ("http_sendfile_next_upstream off error;", "http_sendfile_next_upstream"),
        ("http_sendfile_next_upstream error off;", "http_sendfile_next_upstream"),
        ("http_sendfile_pass 127.0.0.1:99999;", "invalid port in"),
        ("http_sendfile_pass unix:;", "no path in the unix domain socket"),
        ("http_sendfile_pass \"\";", "no host in"),
        ("http_sendfile_cache known valid=;", "\"valid=\""),
        ("http_sendfile_cache known valid=soon;", "\"valid=soon\""),
        ("http_sendfile_cache known miss=-1;", "\"miss=-1\""),
        ("http_sendfile_cache known stale=long;", "\"stale=long\""),
        ("http_sendfile_cache known colour=red;", "\"colour=red\""),
        ("http_sendfile_cache known 10s;", "\"10s\""),
        ("http_sendfile_cache off valid=1s;", "http_sendfile_cache"),
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
        ("http_sendfile_cache_zone \"\";", "\"\""),
        ("http_sendfile_cache_zone lookups:1m;\nhttp_sendfile_cache_zone lookups:1m;", "lookups"),
        ("http_sendfile_cache_zone lookups:1m;\nhttp_sendfile_cache_zone lookups:2m;", "lookups"),
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
        let check = level::at(setup(), level, "http_sendfile_cache nowhere;").check();
        assert!(!check.accepted && check.message.contains("\"nowhere\""), "{}", check.message);
    }
}

#[test]
fn a_store_that_nobody_declares_is_refused_by_name() {
    for name in ["nowhere", "127.0.0.1"] {
        let check = level::at(setup(), Server, &format!("http_sendfile_pass {name};")).check();
        assert!(!check.accepted, "accepted: {name}");
        assert!(check.message.contains(&format!("\"{name}\"")), "{}", check.message);
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
        check.message.contains("\"shared\" is already declared for a different use"),
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
    let directives = [
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
    ];
    level::refused_for_their_number(setup, Server, &directives);
    let zones = ["http_sendfile_cache_zone;", "http_sendfile_cache_zone a:1m b:1m;"];
    level::refused_for_their_number(setup, Http, &zones);
}

#[test]
fn a_directive_stands_once_at_a_level() {
    level::refused_twice(setup, &EACH);
    level::refused_twice(setup, &["http_sendfile_cache off;"]);
}

#[test]
fn a_directive_stands_where_it_belongs() {
    level::refused_at(setup, &[Main, Upstream], &EACH);
    let zone = ["http_sendfile_cache_zone lookups:1m;"];
    level::refused_at(setup, &[Main, Server, Location, Upstream], &zone);
}

#[test]
fn an_unknown_variable_in_a_key_is_refused() {
    let check = level::at(setup(), Server, "http_sendfile_key $no_such_variable;").check();
    assert!(!check.accepted, "an unknown variable");
    assert!(check.message.contains("unknown \"no_such_variable\" variable"), "{}", check.message);
}

#[test]
fn a_balancer_that_sets_cookies_is_refused() {
    let block = "upstream sticky { server 127.0.0.1:1; sticky cookie route; }\n";
    if !Setup::new().http(block).check().accepted {
        return; // this nginx does not know `sticky`
    }
    let check = Setup::new().http(block).store("sticky").lookups("").check();
    assert!(!check.accepted && check.message.contains("sticky"), "{}", check.message);
}
