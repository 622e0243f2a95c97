//! Every directive of `smart_limit`: what it takes, what it refuses and in which words, and where
//! it may stand.

use crate::common::level::{self, Level, EVERYWHERE};
use crate::common::limit::limited;
use crate::common::setup::Setup;

use Level::{Http, Location, Main, Server, Upstream};

const ZONES: &str = "smart_limit_zone $arg_k zone=one:1m;\nsmart_limit_zone $arg_k zone=two:1m;\n";

fn setup() -> Setup {
    Setup::new().http(ZONES)
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
const EACH: [&str; 6] = [
    "smart_limit zone=one;",
    "smart_limit_status 429;",
    "smart_limit_log_level warn;",
    "smart_limit_dry_run on;",
    "smart_limit_headers draft;",
    "smart_limit_bypass $arg_b;",
];

#[test]
fn good_arguments_are_taken_at_every_level() {
    for level in EVERYWHERE {
        for directives in [
            "smart_limit zone=one;",
            "smart_limit zone=one burst=5;",
            "smart_limit zone=one burst=5 nodelay;",
            "smart_limit zone=one burst=5 delay=3;",
            "smart_limit nodelay burst=5 zone=one;",
            "smart_limit zone=one nodelay;",
            "smart_limit zone=one burst=5 nodelay delay=3;",
            "smart_limit zone=one burst=5 delay=3 nodelay;",
            "smart_limit zone=one burst=5 delay=10;",
            "smart_limit zone=one burst=4294966;",
            "smart_limit zone=one dry_run;",
            "smart_limit dry_run zone=one burst=5 delay=3;",
            "smart_limit zone=one;\nsmart_limit zone=two burst=5;",
            "smart_limit off;",
            "smart_limit_status 400;",
            "smart_limit_status 429;",
            "smart_limit_status 599;",
            "smart_limit_log_level info;",
            "smart_limit_log_level notice;",
            "smart_limit_log_level warn;",
            "smart_limit_log_level error;",
            "smart_limit_dry_run on;",
            "smart_limit_dry_run off;",
            "smart_limit_headers off;",
            "smart_limit_headers retry_after;",
            "smart_limit_headers draft;",
            "smart_limit_bypass $arg_b;",
            "smart_limit_bypass $arg_b $http_x_b 0 \"\";",
        ] {
            accepted(level, directives);
        }
    }
}

#[test]
fn good_zones_are_taken() {
    for directives in [
        "smart_limit_zone $arg_k zone=z:1m;",
        "smart_limit_zone $arg_k rate=1r/s zone=z:1m;",
        "smart_limit_zone \"$arg_k$remote_addr\" zone=z:32k rate=1r/s;",
        "smart_limit_zone everybody zone=z:1m rate=1r/s;",
        "smart_limit_zone $binary_remote_addr zone=z:1m rate=1r/s ipv6_prefix=64;",
        "smart_limit_zone $binary_remote_addr zone=z:1m ipv6_prefix=1;",
        "smart_limit_zone $binary_remote_addr ipv6_prefix=128 zone=z:1m;",
        // Before the zone that it names, as for limit_req.
        "smart_limit zone=later;\nsmart_limit_zone $arg_k zone=later:1m;",
    ] {
        accepted(Http, directives);
    }
}

#[test]
fn good_rates_are_taken() {
    for rate in [
        "1r/s",
        "100000r/s",
        "30r/m",
        "100r/h",
        "1000r/d",
        "10r/5s",
        "10r/2m",
        "3r/12h",
        "1r/49d",
        "4294967295r/s",
        "10",
        "$arg_r",
        "$arg_r:1r/s",
        "$arg_r:10",
        "$arg_r:1r/2d",
    ] {
        accepted(Http, &format!("smart_limit_zone $arg_k zone=z:1m rate={rate};"));
    }
}

#[test]
fn wrong_rates_are_refused() {
    for rate in [
        "",
        "x",
        "0",
        "-1",
        "+1",
        "1.5",
        "0r/s",
        "-1r/s",
        "1.5r/s",
        "r/s",
        "1r",
        "1r/",
        "1r/x",
        "1r/ms",
        "1r/w",
        "1r/5",
        "1r/0s",
        "1r/-1s",
        "1r/1.5s",
        "1r/ss",
        "1 r/s",
        "1r/s ",
        "1r/s5",
        "1/s",
        "1R/S",
        "99999999999999999999",
        "99999999999999999999r/s",
        "1r/99999999999999999999s",
        "18446744073709551615r/s",
        "9223372036854775808",
        "1r/1000000d",
        "4294967296r/s",
        "1r/50d",
    ] {
        let directive = format!("smart_limit_zone $arg_k zone=z:1m \"rate={rate}\";");
        refused(Http, &directive, &format!("invalid rate \"rate={rate}\""));
    }
    for rate in ["$arg_r:x", "$arg_r:0", "$arg_r:0r/s", "$arg_r:1r/w", "$arg_r:-1"] {
        let directive = format!("smart_limit_zone $arg_k zone=z:1m rate={rate};");
        refused(Http, &directive, &format!("invalid rate \"rate={rate}\""));
    }
    for rate in ["$", "$:1r/s"] {
        let directive = format!("smart_limit_zone $arg_k zone=z:1m rate={rate};");
        refused(Http, &directive, &format!("invalid rate \"rate={rate}\""));
    }
    for rate in ["$no_such_variable", "$no_such_variable:1r/s"] {
        let directive = format!("smart_limit_zone $arg_k zone=z:1m rate={rate};");
        let message = "unknown \"no_such_variable\" variable";
        level::refused_at_the_end(setup(), Http, &directive, message);
    }
}

#[test]
fn wrong_zones_are_refused() {
    const BOUND: &str = "smart_limit_zone \"one\" is already bound to key \"$arg_k\"";
    const CONFLICT: &str = "the size 2097152 of shared memory zone \"one\" conflicts";
    for (directive, message) in [
        ("smart_limit_zone $arg_k zone=z;", "invalid zone size \"zone=z\""),
        ("smart_limit_zone $arg_k zone=z:;", "invalid zone size \"zone=z:\""),
        ("smart_limit_zone $arg_k zone=z:1x;", "invalid zone size \"zone=z:1x\""),
        ("smart_limit_zone $arg_k zone=z:-1m;", "invalid zone size \"zone=z:-1m\""),
        ("smart_limit_zone $arg_k zone=z:1k;", "zone \"zone=z:1k\" is too small"),
        ("smart_limit_zone $arg_k zone=z:31k;", "zone \"zone=z:31k\" is too small"),
        ("smart_limit_zone $arg_k zone=z:0;", "zone \"zone=z:0\" is too small"),
        ("smart_limit_zone $arg_k zone=:1m;", "\"smart_limit_zone\" must have \"zone\" parameter"),
        ("smart_limit_zone $arg_k rate=1r/s;", "\"smart_limit_zone\" must have \"zone\" parameter"),
        ("smart_limit_zone $arg_k zone=z:1m x;", "invalid parameter \"x\""),
        ("smart_limit_zone $arg_k zone=z:1m burst=1;", "invalid parameter \"burst=1\""),
        ("smart_limit_zone zone=z:1m $arg_k;", "invalid parameter \"$arg_k\""),
        ("smart_limit_zone $arg_k zone=one:1m;", BOUND),
        ("smart_limit_zone $uri zone=one:1m;", BOUND),
        ("smart_limit_zone $arg_k zone=one:2m;", CONFLICT),
        ("smart_limit_zone \"$\" zone=z:1m;", "invalid variable name"),
    ] {
        refused(Http, directive, message);
    }
    let directive = "smart_limit_zone $no_such_variable zone=z:1m;";
    level::refused_at_the_end(setup(), Http, directive, "unknown \"no_such_variable\" variable");
}

#[test]
fn wrong_prefixes_are_refused() {
    for prefix in ["0", "129", "-1", "64bit", "", "/64", "4294967360"] {
        let directive =
            format!("smart_limit_zone $binary_remote_addr zone=z:1m ipv6_prefix={prefix};");
        refused(Http, &directive, &format!("\"ipv6_prefix={prefix}\""));
    }
    // Any other key has no bits that would be an address.
    for key in ["$remote_addr", "$binary_remote_addr$arg_k", "everybody"] {
        let directive = format!("smart_limit_zone {key} zone=z:1m ipv6_prefix=64;");
        refused(Http, &directive, "ipv6_prefix");
    }
}

#[test]
fn wrong_limits_are_refused() {
    for (directives, message) in [
        ("smart_limit zone=one burst=x;", "invalid burst value \"burst=x\""),
        ("smart_limit zone=one burst=;", "invalid burst value \"burst=\""),
        ("smart_limit zone=one burst=0;", "invalid burst value \"burst=0\""),
        ("smart_limit zone=one burst=-1;", "invalid burst value \"burst=-1\""),
        ("smart_limit zone=one burst=1.5;", "invalid burst value \"burst=1.5\""),
        ("smart_limit zone=one burst=4294967;", "invalid burst value \"burst=4294967\""),
        (
            "smart_limit zone=one burst=99999999999999999999;",
            "invalid burst value \"burst=99999999999999999999\"",
        ),
        ("smart_limit zone=one burst=5 delay=x;", "invalid delay value \"delay=x\""),
        ("smart_limit zone=one burst=5 delay=;", "invalid delay value \"delay=\""),
        ("smart_limit zone=one burst=5 delay=0;", "invalid delay value \"delay=0\""),
        ("smart_limit zone=one burst=5 delay=-1;", "invalid delay value \"delay=-1\""),
        ("smart_limit zone=one NODELAY;", "invalid parameter \"NODELAY\""),
        ("smart_limit zone=one x;", "invalid parameter \"x\""),
        ("smart_limit one;", "invalid parameter \"one\""),
        ("smart_limit on;", "invalid parameter \"on\""),
        ("smart_limit burst=5;", "\"smart_limit\" must have \"zone\" parameter"),
        ("smart_limit dry_run;", "\"smart_limit\" must have \"zone\" parameter"),
        ("smart_limit off zone=one;", "\"smart_limit off\" takes no parameters"),
        ("smart_limit zone=one off;", "\"smart_limit off\" takes no parameters"),
        ("smart_limit off off;", "\"smart_limit off\" takes no parameters"),
        ("  smart_limit off;\nsmart_limit off;", "\"smart_limit\" directive is duplicate"),
        ("  smart_limit off;\nsmart_limit zone=one;", "\"smart_limit\" directive is duplicate"),
        ("  smart_limit zone=one;\nsmart_limit off;", "\"smart_limit\" directive is duplicate"),
        (
            "  smart_limit zone=one;\nsmart_limit zone=one;",
            "\"smart_limit\" directive is duplicate",
        ),
        (
            "  smart_limit zone=one;\nsmart_limit zone=one burst=5;",
            "\"smart_limit\" directive is duplicate",
        ),
        (
            "  smart_limit zone=one;\n  smart_limit zone=two;\nsmart_limit zone=one;",
            "\"smart_limit\" directive is duplicate",
        ),
    ] {
        for level in EVERYWHERE {
            refused(level, directives, message);
        }
    }
}

#[test]
fn wrong_arguments_of_the_others_are_refused() {
    for (directive, message) in [
        ("smart_limit_status 399;", "value must be between 400 and 599"),
        ("smart_limit_status 600;", "value must be between 400 and 599"),
        ("smart_limit_status busy;", "invalid number"),
        ("smart_limit_log_level debug;", "invalid value \"debug\""),
        ("smart_limit_log_level crit;", "invalid value \"crit\""),
        ("smart_limit_log_level off;", "invalid value \"off\""),
        (
            "smart_limit_dry_run maybe;",
            "invalid value \"maybe\" in \"smart_limit_dry_run\" directive",
        ),
        ("smart_limit_headers on;", "invalid value \"on\""),
        ("smart_limit_headers all;", "invalid value \"all\""),
        ("smart_limit_bypass \"$\";", "invalid variable name"),
    ] {
        refused(Location, directive, message);
    }
    let directive = "smart_limit_bypass $arg_b $no_such_variable;";
    level::refused_at_the_end(setup(), Server, directive, "unknown \"no_such_variable\" variable");
}

#[test]
fn the_number_of_arguments_is_checked() {
    let directives = [
        "smart_limit;",
        "smart_limit_status;",
        "smart_limit_status 429 503;",
        "smart_limit_log_level;",
        "smart_limit_log_level warn error;",
        "smart_limit_dry_run;",
        "smart_limit_dry_run on off;",
        "smart_limit_headers;",
        "smart_limit_headers off draft;",
        "smart_limit_bypass;",
    ];
    level::refused_for_their_number(setup, Server, &directives);
    let zones = ["smart_limit_zone;", "smart_limit_zone $arg_k;"];
    level::refused_for_their_number(setup, Http, &zones);
}

#[test]
fn a_directive_stands_once_at_a_level() {
    level::refused_twice(setup, &EACH);
}

#[test]
fn a_directive_stands_where_it_belongs() {
    level::refused_at(setup, &[Main, Upstream], &EACH);
    let zone = ["smart_limit_zone $arg_k zone=z:1m;"];
    level::refused_at(setup, &[Main, Server, Location, Upstream], &zone);
    for directive in EACH {
        let condition = format!("if ($arg_k) {{\n{directive}\n}}");
        let check = level::at(setup(), Location, &condition).check();
        assert!(check.message.contains("directive is not allowed here"), "{}", check.message);
    }
}

#[test]
fn a_zone_that_nobody_declares_is_refused_by_name() {
    for level in EVERYWHERE {
        let message = "zero size shared memory zone \"nowhere\"";
        level::refused_at_the_end(setup(), level, "smart_limit zone=nowhere;", message);
    }
}

#[test]
fn a_zone_has_one_use() {
    let kinds = [
        "smart_limit_zone $arg_k zone=shared:1m;",
        "limit_req_zone $arg_k zone=shared:1m rate=1r/s;",
        "http_sendfile_cache_zone shared:1m;",
    ];
    for (first, second) in [(0, 1), (1, 0), (0, 2), (2, 0)] {
        let both = format!("{}\n{}", kinds[first], kinds[second]);
        refused(Http, &both, "\"shared\" is already declared for a different use");
    }
    let directives = "http_sendfile_cache_zone cache:1m;\nsmart_limit zone=cache;";
    refused(Http, directives, "\"cache\" is already declared for a different use");
    let directives = "  smart_limit zone=one;\nhttp_sendfile_cache one;";
    refused(Http, directives, "\"one\" is already declared for a different use");
}

#[test]
fn the_smallest_zone_that_is_taken_works() {
    let nginx = limited()
        .http("smart_limit_zone $arg_k zone=one:32k rate=1r/h;\n")
        .limit("/one", "smart_limit zone=one;")
        .start();
    assert_eq!(nginx.get("/one?k=a").verdict(), "200 PASSED");
    assert_eq!(nginx.get("/one?k=a").verdict(), "503 REJECTED");
    assert_eq!(nginx.get("/one?k=b").verdict(), "200 PASSED");
}
