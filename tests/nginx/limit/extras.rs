//! Whom a limit lets alone: those that a bypass names, a limit that only tries, keys that are empty
//! or too long; and how many addresses of IPv6 are one key.

use crate::common::limit::{limited, passed, verdicts};
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;

/// Zones `one` and `two` that let one request of a key through in an hour.
fn setup() -> Setup {
    limited()
        .http("smart_limit_zone $arg_k zone=one:1m rate=1r/h;\n")
        .http("smart_limit_zone $arg_k zone=two:1m rate=1r/h;\n")
}

#[test]
fn smoke_a_bypass_is_any_value_that_is_neither_empty_nor_zero() {
    let nginx = setup().limit("/", "smart_limit zone=one; smart_limit_bypass $arg_b;").start();
    assert_eq!(verdicts(&nginx, "/?k=a&b=1", 3), ["200 BYPASSED"; 3]);
    assert_eq!(nginx.get("/?k=a").verdict(), "200 PASSED", "who bypasses is not counted");
    for value in ["", "&b=", "&b=0"] {
        assert_eq!(nginx.get(&format!("/?k=a{value}")).verdict(), "503 REJECTED", "{value}");
    }
    for value in ["1", "yes", "00", "0.0", "-", "off", "%30"] {
        assert_eq!(nginx.get(&format!("/?k=a&b={value}")).verdict(), "200 BYPASSED", "{value}");
    }
}

#[test]
fn one_of_several_values_is_enough() {
    let nginx = setup()
        .limit("/", "smart_limit zone=one; smart_limit_bypass $arg_b $http_x_b \"$arg_c$arg_d\";")
        .limit("/fixed", "smart_limit zone=one; smart_limit_bypass 0 \"\" 0;")
        .limit("/always", "smart_limit zone=one; smart_limit_bypass 0 1;")
        .limit("/unlimited", "smart_limit_bypass 1;")
        .start();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    assert_eq!(nginx.get("/?k=a&b=0&c=0").verdict(), "503 REJECTED");
    assert_eq!(nginx.get("/?k=a&b=0&c=0&d=0").verdict(), "200 BYPASSED", "it is 00");
    assert_eq!(nginx.connect().get_with("/?k=a&b=0", &[("X-B", "1")]).verdict(), "200 BYPASSED");
    assert_eq!(verdicts(&nginx, "/fixed?k=b", 2), ["200 PASSED", "503 REJECTED"]);
    assert_eq!(verdicts(&nginx, "/always?k=b", 2), ["200 BYPASSED"; 2]);
    // There is nothing to bypass.
    assert_eq!(nginx.get("/unlimited").verdict(), "200 -");
}

#[test]
fn a_bypass_by_map_and_by_address() {
    let nginx = setup()
        .http("map $http_user_agent $friend { default 0; ~*monitor 1; }\n")
        .http("geo $inside { default 0; 10.0.0.0/8 1; 2001:db8::/32 1; }\n")
        .server("set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;\n")
        .limit("/", "smart_limit zone=one; smart_limit_bypass $friend $inside;")
        .start();
    assert_eq!(verdicts(&nginx, "/?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    for (header, value, verdict) in [
        ("User-Agent", "Monitor/1.0", "200 BYPASSED"),
        ("User-Agent", "Browser/1.0", "503 REJECTED"),
        ("X-Real-IP", "10.1.2.3", "200 BYPASSED"),
        ("X-Real-IP", "11.1.2.3", "503 REJECTED"),
        ("X-Real-IP", "2001:db8:1::1", "200 BYPASSED"),
    ] {
        let response = nginx.connect().get_with("/?k=a", &[(header, value)]);
        assert_eq!(response.verdict(), verdict, "{header}: {value}");
    }
}

#[test]
fn a_bypassed_request_is_left_alone_after_redirects_too() {
    let nginx = setup()
        .location("/from", "smart_limit zone=one; smart_limit_bypass 1; try_files /no /to?$args;")
        .limit("/to", "smart_limit zone=two;")
        .start();
    assert_eq!(verdicts(&nginx, "/from?k=a", 3), ["200 BYPASSED"; 3]);
    assert_eq!(verdicts(&nginx, "/to?k=a", 2), ["200 PASSED", "503 REJECTED"]);
}

/// What an nginx says to four requests of a key, when these are the parameters of its two limits;
/// with the zones that it names.
fn four(one: &str, two: &str, also: &str) -> Vec<String> {
    let nginx = setup()
        .limit("/", &format!("smart_limit zone=one {one}; smart_limit zone=two {two}; {also}"))
        .start();
    (0..4)
        .map(|_| {
            let response = nginx.get("/?k=a");
            let zone = response.header("X-Limit-Zone").expect("a zone").to_owned();
            format!("{} {zone}", response.verdict())
        })
        .collect()
}

const BURST: &str = "burst=1 nodelay";

#[test]
fn a_limit_that_only_tries_refuses_nobody_and_the_others_count() {
    // `one` alone tries; `two` refuses from the third on.
    let answers = four("dry_run", BURST, "");
    assert_eq!(answers[1], "200 REJECTED_DRY_RUN one");
    assert_eq!(answers[2..], ["503 REJECTED two", "503 REJECTED two"]);
    // `two` alone tries.
    let answers = four(BURST, "dry_run", "");
    assert_eq!(answers[1], "200 REJECTED_DRY_RUN two");
    assert_eq!(answers[2..], ["503 REJECTED one", "503 REJECTED one"]);
    // Both try.
    let answers = four(&format!("{BURST} dry_run"), "dry_run", "");
    assert_eq!(answers[1], "200 REJECTED_DRY_RUN two");
    assert!(answers[2..].iter().all(|answer| answer.starts_with("200 REJECTED_DRY_RUN")));
    // Neither does.
    let answers = four(BURST, "", "");
    assert!(answers[0].starts_with("200 PASSED"), "{answers:?}");
    assert_eq!(answers[1..], ["503 REJECTED two"; 3]);
    // And where the whole level tries, a limit of its own that does adds nothing.
    for (one, two) in [("", BURST), ("dry_run", BURST), ("dry_run", "burst=1 nodelay dry_run")] {
        let answers = four(one, two, "smart_limit_dry_run on;");
        assert!(
            answers[1..].iter().all(|answer| answer.starts_with("200 REJECTED_DRY_RUN")),
            "{answers:?}"
        );
    }
}

#[test]
fn a_limit_that_only_tries_is_logged_with_its_verdict() {
    let nginx = setup()
        .limit("/refuses", "smart_limit zone=one dry_run;")
        .limit("/delays", "smart_limit zone=two burst=9 dry_run;")
        .start();
    assert_eq!(verdicts(&nginx, "/refuses?k=a", 2), ["200 PASSED", "200 REJECTED_DRY_RUN"]);
    nginx.wait_for_error("limiting requests, dry run, excess: ");
    assert!(nginx.error_log().contains(" by zone \"one\""));
    assert_eq!(verdicts(&nginx, "/delays?k=a", 2), ["200 PASSED", "200 DELAYED_DRY_RUN"]);
    nginx.wait_for_error("delaying request, dry run, excess: ");
    assert!(nginx.error_log().contains(", by zone \"two\""));
    let told = nginx.get("/refuses?k=a");
    assert_eq!(told.header("Retry-After"), None, "nobody was refused");
    assert_eq!(told.header("X-Limit-After"), Some("3600"), "the operator may know");
}

#[test]
fn a_real_delay_or_refusal_is_the_status_beside_one_that_tries() {
    let nginx = limited()
        .http("smart_limit_zone $arg_k zone=slow:1m rate=1r/h;\n")
        .http("smart_limit_zone $arg_k zone=fast:1m rate=1r/s;\n")
        .limit("/", "smart_limit zone=slow dry_run; smart_limit zone=fast burst=1;")
        .start();
    let mut client = nginx.connect();
    client.send(crate::common::client::request("GET", "/?k=a", &[], b"").repeat(2));
    assert_eq!(client.read("GET").verdict(), "200 PASSED");
    let second = client.read("GET");
    // Would be refused by the one, was delayed by the other.
    assert_eq!(second.verdict(), "200 DELAYED");
    assert_eq!(second.header("X-Limit-Zone"), Some("fast"));
    let line = nginx.wait_for_error("limiting requests, dry run, excess: ");
    assert!(line.contains("by zone \"slow\""), "{line}");
    let line = nginx.wait_for_error("delaying request, excess: ");
    assert!(line.contains("by zone \"fast\""), "{line}");
}

#[test]
fn a_dry_run_counts_as_the_limit_would() {
    let nginx = setup()
        .limit("/tries", "smart_limit zone=one burst=2 nodelay dry_run;")
        .limit("/refuses", "smart_limit zone=one burst=2 nodelay;")
        .start();
    let tries = verdicts(&nginx, "/tries?k=a", 5);
    assert_eq!(tries[..3], ["200 PASSED"; 3]);
    assert_eq!(tries[3..], ["200 REJECTED_DRY_RUN"; 2]);
    assert_eq!(nginx.get("/refuses?k=a").verdict(), "503 REJECTED");
}

/// The verdict on a request that comes from this address.
fn from(nginx: &Nginx, path: &str, address: &str) -> String {
    nginx.connect().get_with(path, &[("X-Real-IP", address)]).verdict()
}

fn by_prefix(prefix: &str) -> Nginx {
    limited()
        .http(&format!("smart_limit_zone $binary_remote_addr zone=one:1m rate=1r/h {prefix};\n"))
        .server("set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;\n")
        .limit("/", "smart_limit zone=one;")
        .start()
}

#[track_caller]
fn shared(nginx: &Nginx, one: &str, other: &str) {
    assert_eq!(from(nginx, "/", one), "200 PASSED", "{one}");
    assert_eq!(from(nginx, "/", other), "503 REJECTED", "{other} after {one}");
}

#[track_caller]
fn apart(nginx: &Nginx, addresses: &[&str]) {
    for address in addresses {
        assert_eq!(from(nginx, "/", address), "200 PASSED", "{address}");
    }
    for address in addresses {
        assert_eq!(from(nginx, "/", address), "503 REJECTED", "{address} again");
    }
}

#[test]
fn addresses_of_one_ipv6_prefix_are_one_key() {
    let nginx = by_prefix("ipv6_prefix=64");
    shared(&nginx, "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff");
    shared(&nginx, "2001:db8:1:3::1", "2001:db8:1:3::");
    apart(&nginx, &["2001:db8:2:2::1", "2001:db8:2:3::1", "2001:db9:2:2::1", "::1", "fe80::1"]);
    // IPv4 has no such prefix: each address for itself, also one that is written as IPv6.
    apart(&nginx, &["192.0.2.1", "192.0.2.2", "193.0.2.1"]);
    apart(&nginx, &["::ffff:198.51.100.1", "::ffff:198.51.100.2", "::ffff:199.51.100.1"]);
}

#[test]
fn the_prefix_may_end_within_a_byte() {
    let nginx = by_prefix("ipv6_prefix=61");
    shared(&nginx, "2001:db8:1:8::1", "2001:db8:1:f::2");
    apart(&nginx, &["2001:db8:1:10::1", "2001:db8:1:18::1", "2001:db8:1:0::1"]);
    let nginx = by_prefix("ipv6_prefix=1");
    shared(&nginx, "2001:db8::1", "7fff::1");
    apart(&nginx, &["8000::1"]);
    let nginx = by_prefix("ipv6_prefix=127");
    shared(&nginx, "2001:db8::2", "2001:db8::3");
    apart(&nginx, &["2001:db8::1", "2001:db8::4"]);
}

#[test]
fn without_a_prefix_and_with_128_each_address_is_a_key() {
    for prefix in ["", "ipv6_prefix=128"] {
        let nginx = by_prefix(prefix);
        apart(&nginx, &["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]);
        apart(&nginx, &["192.0.2.1", "192.0.2.2"]);
    }
}

#[test]
fn smoke_an_empty_key_is_not_limited() {
    let nginx = setup()
        .limit("/", "smart_limit zone=one;")
        .limit("/both", "smart_limit zone=one; smart_limit zone=two;")
        .http("smart_limit_zone $arg_other zone=other:1m rate=1r/h;\n")
        .limit("/other", "smart_limit zone=other; smart_limit zone=one;")
        .start();
    assert_eq!(verdicts(&nginx, "/", 3), ["200 -"; 3]);
    assert_eq!(verdicts(&nginx, "/?k=", 3), ["200 -"; 3]);
    assert_eq!(verdicts(&nginx, "/both", 3), ["200 -"; 3]);
    // One limit of a level has no key, the other has.
    assert_eq!(verdicts(&nginx, "/other?k=a", 2), ["200 PASSED", "503 REJECTED"]);
    assert_eq!(verdicts(&nginx, "/other?other=a", 2), ["200 PASSED", "503 REJECTED"]);
}

#[test]
fn keys_are_any_bytes_and_nothing_but_their_bytes() {
    let nginx = setup()
        .http("smart_limit_zone $http_x_key zone=header:1m rate=1r/h;\n")
        .limit("/", "smart_limit zone=header;")
        .start();
    let ask = |key: &str| nginx.connect().get_with("/", &[("X-Key", key)]).verdict();
    let long = "x".repeat(7000);
    let keys =
        ["a", "A", "aa", "a a", "\u{e9}", "%61", "a\tb", "\u{1}", "0", "-", &long, &long[1..]];
    for key in keys {
        assert_eq!(ask(key), "200 PASSED", "{key}");
    }
    for key in keys {
        assert_eq!(ask(key), "503 REJECTED", "{key}");
    }
}

#[test]
fn a_key_of_65535_bytes_is_limited_and_a_longer_one_is_logged() {
    let nginx = limited()
        .http("smart_limit_zone $http_x_key zone=one:1m rate=1r/h;\n")
        .http("smart_limit_zone $arg_k zone=two:1m rate=1r/h;\n")
        .http("large_client_header_buffers 4 128k;\n")
        .limit("/", "smart_limit zone=one;")
        .limit("/both", "smart_limit zone=one; smart_limit zone=two burst=1 nodelay;")
        .start();
    let ask = |path: &str, key: &str| nginx.connect().get_with(path, &[("X-Key", key)]).verdict();
    let (most, more) = ("x".repeat(65_535), "x".repeat(65_536));
    assert_eq!(ask("/", &most), "200 PASSED");
    assert_eq!(ask("/", &most), "503 REJECTED");
    for _ in 0..3 {
        assert_eq!(ask("/", &more), "200 -");
    }
    let line = nginx
        .wait_for_error("the value of the \"$http_x_key\" key is more than 65535 bytes: \"xxxx");
    assert!(line.contains("[error]"), "{line}");
    let verdicts: Vec<String> = (0..3).map(|_| ask("/both?k=a", &more)).collect();
    assert_eq!(verdicts, ["200 PASSED", "200 PASSED", "503 REJECTED"], "the other limit counts");
}

#[test]
fn limits_of_one_zone_share_its_counts() {
    let nginx = setup()
        .limit("/one", "smart_limit zone=one;")
        .limit("/more", "smart_limit zone=one burst=3 nodelay;")
        .start();
    assert_eq!(passed(&nginx, "/one?k=a", 2), 1);
    assert_eq!(passed(&nginx, "/more?k=a", 5), 3);
    assert_eq!(passed(&nginx, "/one?k=a", 1), 0);
}
