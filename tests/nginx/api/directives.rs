//! `smart_api`: where it may stand, what it takes, and what `nginx -t` says of anything else.

use crate::common::level::{accepted, refused, refused_at, refused_for_their_number, Level};
use crate::common::setup::Setup;

#[test]
fn smoke_good_ones_are_accepted() {
    for directive in ["smart_api;", "smart_api write;"] {
        accepted(Setup::new(), Level::Location, directive);
    }
    for server in [
        "location /smart/ { smart_api; }\nlocation /control/ { smart_api write; }",
        "location ^~ /smart { smart_api; }",
        "location / { smart_api; location /control/ { smart_api write; } }",
        "location /smart/ { smart_api; limit_except GET { deny all; } }",
        "location /smart/ { smart_api; if ($arg_k) { set $k 1; } }",
    ] {
        accepted(Setup::new(), Level::Server, server);
    }
}

#[test]
fn arguments_are_none_or_write() {
    refused_for_their_number(Setup::new, Level::Location, &["smart_api write write;"]);
    for (argument, shown) in [("read", "read"), ("on", "on"), ("Write", "Write"), ("''", "")] {
        let directive = format!("smart_api {argument};");
        let message = format!("invalid parameter \"{shown}\"");
        refused(Setup::new(), Level::Location, &directive, &message);
    }
}

#[test]
fn it_stands_once_in_a_location() {
    for first in ["smart_api;", "smart_api write;"] {
        let twice = format!("  {first}\nsmart_api write;");
        let message = "\"smart_api\" directive is duplicate";
        refused(Setup::new(), Level::Location, &twice, message);
    }
}

#[test]
fn it_stands_in_locations_alone() {
    let levels = [Level::Main, Level::Http, Level::Server, Level::Upstream];
    refused_at(Setup::new, &levels, &["smart_api;", "smart_api write;"]);
    for block in ["if ($arg_k) {", "limit_except GET {"] {
        let directives = format!("location /smart/ {{ {block}\nsmart_api;\n}} }}");
        // The last line is not the directive's own.
        let check = Setup::new().server(&directives).check();
        assert!(!check.accepted, "{block}");
        let message = "\"smart_api\" directive is not allowed here";
        assert!(check.message.contains(message), "{block}: {}", check.message);
    }
}

#[test]
fn the_location_is_that_of_a_prefix() {
    let message = "\"smart_api\" needs a location of a prefix, it cannot be in one with \"=\" or \
        \"@\" or of a regular expression";
    for location in ["= /smart/", "@smart", "~ ^/smart/", "~* /smart/"] {
        let directives = format!("location {location} {{\nsmart_api; }}");
        refused(Setup::new(), Level::Server, &directives, message);
    }
}

#[test]
fn its_zone_is_nobody_elses() {
    let setup = || Setup::new().http("smart_limit_zone all zone=ngx_smart_api:1m rate=1r/s;\n");
    let message = "is already declared for a different use";
    let check = setup().location("/smart/", "smart_api;").check();
    assert!(!check.accepted && check.message.contains(message), "{}", check.message);
    accepted(setup(), Level::Server, "# the name is free where nobody has the interface");
}
