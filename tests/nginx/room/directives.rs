//! Every directive of the waiting room: what it takes, what it refuses and in which words, and where it
//! may stand.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::common::level::{self, Level, EVERYWHERE};
use crate::common::setup::Setup;

use Level::{Http, Location, Main, Server, Upstream};

const ZONES: &str = "smart_limit_zone $arg_k zone=one:1m;\nsmart_limit_zone $arg_k zone=two:1m;
smart_limit_room queue 1m max_active=10;\nsmart_limit_room other 1m max_active=10;\n";

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
const EACH: [&str; 2] = ["smart_limit_room_status 202;", "smart_limit_room_page @wait;"];

#[test]
fn good_arguments_are_taken_at_every_level() {
    for level in EVERYWHERE {
        for directives in [
            "smart_limit room=queue;",
            "smart_limit room=queue dry_run;",
            "smart_limit zone=one room=queue;",
            "smart_limit room=queue burst=5 nodelay dry_run zone=one;",
            "smart_limit zone=one room=queue;\nsmart_limit zone=two room=queue burst=5;",
            "smart_limit zone=one room=queue;\nsmart_limit zone=two;",
            "smart_limit room=queue;\nsmart_limit zone=one;",
            "smart_limit zone=one room=queue;\nsmart_limit room=queue;",
            "smart_limit_room_status 200;",
            "smart_limit_room_status 202;",
            "smart_limit_room_status 429;",
            "smart_limit_room_status 503;",
            "smart_limit_room_page builtin;",
            "smart_limit_room_page /wait.html;",
            "smart_limit_room_page /wait?position=$smart_limit_status;",
            "smart_limit_room_page @wait;",
        ] {
            accepted(level, directives);
        }
    }
}

#[test]
fn good_rooms_are_taken() {
    for parameters in [
        "max_active=1",
        "max_active=100 session=10m",
        "session=1h max_active=100",
        "max_active=5 admit=10r/s",
        "max_active=5 admit=30r/m",
        "max_active=5 renew=on",
        "max_active=5 renew=off idle=off",
        "max_active=5 idle=2m",
        "max_active=5 absent=500ms",
        "max_active=5 max_waiting=1",
        "max_active=5 per_net=1",
        "max_active=5 per_net=off",
        "max_active=5 entry_delay=0",
        "max_active=5 entry_delay=1s",
        "max_active=5 order=fifo",
        "max_active=5 order=random",
        "max_active=5 refresh=1s",
        "max_active=5 refresh=1s:1s",
        "max_active=5 refresh=1500ms:2m",
        "max_active=5 refresh=2m",
        "max_active=5 token=10m",
        "max_active=5 token=365d session=365d",
    ] {
        accepted(Http, &format!("smart_limit_room r 1m {parameters};"));
    }
    for directives in [
        "smart_limit_room a!#$%&'*+-.^_`|~z 1m max_active=1;",
        // Before the room that it names, as zones.
        "smart_limit room=later;\nsmart_limit_room later 1m max_active=1;",
    ] {
        accepted(Http, directives);
    }
}

#[test]
fn wrong_parameters_of_rooms_are_refused() {
    let numbers = ["", "x", "0", "-1", "+1", "1.5", "1k", "4294967296", "99999999999999999999"];
    let times =
        ["", "x", "0", "0s", "-1s", "+1s", "1.5s", "10 s", "1x", "s", "366d", "99999999999y"];
    let refreshes =
        ["999ms", "10s:", "10s:9s", "10s:x", ":10s", "10s:20s:30s", "10s:366d", "0:10s"];
    let wrong: [(&str, &[&str]); 12] = [
        ("max_active", &numbers),
        ("max_waiting", &numbers),
        ("max_waiting", &["off"]),
        ("per_net", &numbers),
        ("session", &times),
        ("session", &["off"]),
        ("idle", &times),
        ("absent", &times),
        ("token", &times),
        ("token", &["1500ms"]),
        ("refresh", &times),
        ("refresh", &refreshes),
    ];
    for (name, values) in wrong {
        values.iter().for_each(|value| refused_parameter(name, value));
    }
    for value in ["", "x", "-1", "1.5s", "366d", "off"] {
        refused_parameter("entry_delay", value);
    }
    for value in ["", "x", "0", "-1", "0r/s", "1r/w", "$arg_r", "off"] {
        refused_parameter("admit", value);
    }
    for value in ["", "ON", "yes", "1"] {
        refused_parameter("renew", value);
    }
    for value in ["", "FIFO", "lifo", "random:1"] {
        refused_parameter("order", value);
    }
}

#[track_caller]
fn refused_parameter(name: &str, value: &str) {
    let directive = format!("smart_limit_room r 1m max_active=5 \"{name}={value}\";");
    refused(Http, &directive, &format!("invalid {name} value \"{name}={value}\""));
}

#[test]
fn wrong_rooms_are_refused() {
    const MISSING: &str = "\"smart_limit_room\" must have \"max_active\" parameter";
    for (directive, message) in [
        ("smart_limit_room r 1m session=5m;", MISSING),
        ("smart_limit_room r max_active=5;", MISSING),
        ("smart_limit_room r 1m max_active=5 x;", "invalid parameter \"x\""),
        (
            "smart_limit_room r 1m max_active=5 max_active;",
            "invalid max_active value \"max_active\"",
        ),
        ("smart_limit_room r 1m max_active=5 rate=1r/s;", "invalid parameter \"rate=1r/s\""),
        ("smart_limit_room r 1m max_active=5 Session=5m;", "invalid parameter \"Session=5m\""),
        ("smart_limit_room r 1m max_active=5 =5m;", "invalid parameter \"=5m\""),
        ("smart_limit_room r max_active=5 1m;", "invalid parameter \"1m\""),
        ("smart_limit_room \"\" 1m max_active=5;", "invalid room name \"\""),
        ("smart_limit_room \"a b\" 1m max_active=5;", "invalid room name \"a b\""),
        ("smart_limit_room a=b 1m max_active=5;", "invalid room name \"a=b\""),
        ("smart_limit_room \"a;b\" 1m max_active=5;", "invalid room name \"a;b\""),
        ("smart_limit_room caf\u{e9} 1m max_active=5;", "invalid room name \"caf\u{e9}\""),
        ("smart_limit_room r \"\" max_active=5;", "invalid zone size \"\""),
        ("smart_limit_room r 1x max_active=5;", "invalid zone size \"1x\""),
        ("smart_limit_room r -1m max_active=5;", "invalid zone size \"-1m\""),
        ("smart_limit_room r zone=r:1m max_active=5;", "invalid zone size \"zone=r:1m\""),
        ("smart_limit_room r 0 max_active=5;", "zone \"0\" is too small"),
        ("smart_limit_room r 31k max_active=5;", "zone \"31k\" is too small"),
        ("smart_limit_room queue 1m max_active=5;", "smart_limit_room \"queue\" is duplicate"),
        (
            "smart_limit_room queue 2m max_active=5;",
            "the size 2097152 of shared memory zone \"queue\" conflicts",
        ),
        (
            "smart_limit_room r 1m max_active=5 session=2h token=1h;",
            "\"token\" is shorter than \"session\" in room \"r\"",
        ),
    ] {
        refused(Http, directive, message);
    }
}

#[test]
fn what_does_not_fit_the_size_is_refused() {
    for parameter in ["max_active", "max_waiting"] {
        let room = |number: u32| {
            let others = if parameter == "max_active" { "" } else { "max_active=1" };
            format!("smart_limit_room r 64k {parameter}={number} {others};")
        };
        let check = level::at(setup(), Http, &room(1_000_000)).check();
        assert!(!check.accepted, "a million in 64k");
        let sentence = format!(
            "[emerg] \"{parameter}=1000000\" does not fit in room \"r\": its size holds at most "
        );
        let (_, most) = check.message.split_once(&sentence).expect("the sentence");
        let most = most.split_whitespace().next().expect("a number").parse().expect("a number");
        assert!(most > 1, "{most}");
        accepted(Http, &room(most));
        level::refused_at_the_end(setup(), Http, &room(most + 1), "does not fit in room \"r\"");
    }
}

#[test]
fn a_token_that_may_end_before_its_owner_comes_back_is_warned_of() {
    let warning = "\"token\" is shorter than twice the longest \"refresh\" in room \"r\"";
    for parameters in ["session=1m token=1m", "session=1m token=3m refresh=5s:91s"] {
        let room = format!("smart_limit_room r 1m max_active=5 {parameters};");
        let check = level::at(setup(), Http, &room).check();
        assert!(check.accepted && check.message.contains(warning), "{}", check.message);
    }
    accepted(Http, "smart_limit_room r 1m max_active=5 session=1m token=3m refresh=5s:90s;");
}

#[test]
fn wrong_limits_with_rooms_are_refused() {
    const CONFLICT: &str = "room \"other\" conflicts with room \"queue\" at one level";
    const DUPLICATE: &str = "\"smart_limit\" directive is duplicate";
    const ZONE: &str = "\"smart_limit\" must have \"zone\" parameter";
    for (directives, message) in [
        ("smart_limit room=queue burst=5;", ZONE),
        ("smart_limit room=queue delay=5;", ZONE),
        ("smart_limit nodelay room=queue;", ZONE),
        ("smart_limit room=queue x;", "invalid parameter \"x\""),
        ("smart_limit room=queue off;", "\"smart_limit off\" takes no parameters"),
        ("  smart_limit zone=one room=queue;\nsmart_limit zone=two room=other;", CONFLICT),
        ("  smart_limit zone=one room=queue;\nsmart_limit room=other;", CONFLICT),
        ("  smart_limit room=queue;\nsmart_limit zone=one room=other;", CONFLICT),
        ("  smart_limit room=queue;\nsmart_limit room=other;", CONFLICT),
        ("  smart_limit room=queue;\nsmart_limit room=queue;", DUPLICATE),
        ("  smart_limit room=queue;\nsmart_limit room=queue dry_run;", DUPLICATE),
        ("  smart_limit room=queue;\nsmart_limit off;", DUPLICATE),
        ("  smart_limit off;\nsmart_limit room=queue;", DUPLICATE),
        ("  smart_limit zone=one;\nsmart_limit zone=one room=queue;", DUPLICATE),
        ("smart_limit room=one;", "\"one\" is already declared for a different use"),
        ("smart_limit zone=queue;", "\"queue\" is already declared for a different use"),
    ] {
        EVERYWHERE.into_iter().for_each(|level| refused(level, directives, message));
    }
}

#[test]
fn a_room_that_nobody_declares_is_refused_by_name() {
    for level in EVERYWHERE {
        for directive in ["smart_limit room=nowhere;", "smart_limit zone=one room=nowhere;"] {
            let message = "zero size shared memory zone \"nowhere\"";
            level::refused_at_the_end(setup(), level, directive, message);
        }
    }
    let message = "invalid parameter \"room\"";
    refused(Location, "smart_limit room;", message);
}

#[test]
fn a_name_has_one_use() {
    let kinds = [
        "smart_limit_room shared 1m max_active=5;",
        "smart_limit_zone $arg_k zone=shared:1m;",
        "limit_req_zone $arg_k zone=shared:1m rate=1r/s;",
        "http_sendfile_cache_zone shared:1m;",
    ];
    for other in &kinds[1..] {
        for (first, second) in [(kinds[0], *other), (*other, kinds[0])] {
            let both = format!("{first}\n{second}");
            refused(Http, &both, "\"shared\" is already declared for a different use");
        }
    }
}

#[test]
fn good_cookies_are_taken() {
    for level in [Http, Server] {
        for arguments in [
            "seat",
            "seat path=/shop/",
            "seat domain=example.com",
            "seat domain=.example.com",
            "seat samesite=lax",
            "seat samesite=strict secure=off",
            "seat samesite=none",
            "seat samesite=none secure=on",
            "seat secure=auto path=/ domain=a.example samesite=lax",
        ] {
            accepted(level, &format!("smart_limit_cookie {arguments};"));
        }
    }
}

#[test]
fn wrong_cookies_are_refused() {
    for (arguments, message) in [
        ("\"\"", "invalid cookie name \"\""),
        ("\"a b\"", "invalid cookie name \"a b\""),
        ("path=/", "invalid cookie name \"path=/\""),
        ("seat x", "invalid parameter \"x\""),
        ("seat path", "invalid parameter \"path\""),
        ("seat path=", "invalid parameter \"path=\""),
        ("seat path=shop", "invalid parameter \"path=shop\""),
        ("seat \"path=/;secure\"", "invalid parameter \"path=/;secure\""),
        ("seat domain=", "invalid parameter \"domain=\""),
        ("seat domain=a..b", "invalid parameter \"domain=a..b\""),
        ("seat domain=example.com:80", "invalid parameter \"domain=example.com:80\""),
        ("seat samesite=", "invalid parameter \"samesite=\""),
        ("seat samesite=Lax", "invalid parameter \"samesite=Lax\""),
        ("seat secure=", "invalid parameter \"secure=\""),
        ("seat secure", "invalid parameter \"secure\""),
        ("seat httponly", "invalid parameter \"httponly\""),
        ("seat samesite=none secure=off", "\"samesite=none\" contradicts \"secure=off\""),
    ] {
        for level in [Http, Server] {
            refused(level, &format!("smart_limit_cookie {arguments};"), message);
        }
    }
}

#[test]
fn wrong_arguments_of_the_others_are_refused() {
    for (directive, message) in [
        ("smart_limit_room_status 404;", "invalid value \"404\""),
        ("smart_limit_room_status 201;", "invalid value \"201\""),
        ("smart_limit_room_status busy;", "invalid value \"busy\""),
        ("smart_limit_room_page wait.html;", "invalid page \"wait.html\""),
        ("smart_limit_room_page \"\";", "invalid page \"\""),
        ("smart_limit_room_page @;", "invalid page \"@\""),
        ("smart_limit_room_page https://example.com/;", "invalid page \"https://example.com/\""),
        ("smart_limit_room_page $arg_page;", "invalid page \"$arg_page\""),
        ("smart_limit_room_page \"/$\";", "invalid variable name"),
    ] {
        EVERYWHERE.into_iter().for_each(|level| refused(level, directive, message));
    }
    let directive = "smart_limit_room_page /$no_such_variable;";
    level::refused_at_the_end(setup(), Server, directive, "unknown \"no_such_variable\" variable");
}

/// A file beside the configuration, of this mode.
fn with_file(name: &str, content: &[u8], mode: u32) -> Setup {
    let setup = setup();
    let path = setup.prefix().join(name);
    fs::write(&path, content).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    setup
}

#[test]
fn secrets_are_read_from_files() {
    let secret = |mode| with_file("secret", &[0xff; 16], mode);
    level::accepted(secret(0o600), Http, "smart_limit_secret_file secret;");
    level::accepted(secret(0o640), Http, "smart_limit_secret_file secret;");
    let twice = "smart_limit_secret_file secret;\nsmart_limit_secret_file secret;";
    level::accepted(secret(0o600), Http, twice);
    let setup = secret(0o400);
    let whole = format!("smart_limit_secret_file {}/secret;", setup.prefix().display());
    level::accepted(setup, Http, &whole);
    level::accepted(with_file("long", &[1; 4096], 0o600), Http, "smart_limit_secret_file long;");
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    let setup = with_file("secret", &[7; 32], 0o644);
    let check = level::at(setup, Http, "smart_limit_secret_file secret;").check();
    assert!(check.accepted, "{}", check.message);
    let warning = "/secret\" is readable by everybody in ";
    assert!(
        check.message.contains("[warn]") && check.message.contains(warning),
        "{}",
        check.message
    );
}

#[test]
fn wrong_secrets_are_refused() {
    let directive = "smart_limit_secret_file secret;";
    let short = "a secret must have at least 16 bytes, and this one has";
    for (length, message) in [(0, short), (15, short), (4097, "has more than 4096 bytes")] {
        let setup = with_file("secret", &vec![b'x'; length], 0o600);
        level::refused(setup, Http, directive, message);
    }
    let absent = setup();
    let place = absent.prefix().display().to_string();
    let message = format!("open() \"{place}/absent\" failed (2: No such file or directory)");
    level::refused(absent, Http, "smart_limit_secret_file absent;", &message);
    let directory = setup();
    let place = directory.prefix().display().to_string();
    let directive = format!("smart_limit_secret_file {place};");
    let message = format!("read() \"{place}\" failed (21: Is a directory)");
    level::refused(directory, Http, &directive, &message);
    // The second one is as good as the first.
    let setup = with_file("secret", &[1; 16], 0o600);
    fs::write(setup.prefix().join("short"), "short").expect("a file");
    let both = "smart_limit_secret_file secret;\nsmart_limit_secret_file short;";
    level::refused(setup, Http, both, short);
}

#[test]
fn the_number_of_arguments_is_checked() {
    let everywhere = [
        "smart_limit_room_status;",
        "smart_limit_room_status 200 503;",
        "smart_limit_room_page;",
        "smart_limit_room_page /a /b;",
        "smart_limit_cookie;",
    ];
    level::refused_for_their_number(setup, Server, &everywhere);
    let of_http = [
        "smart_limit_room;",
        "smart_limit_room r;",
        "smart_limit_secret_file;",
        "smart_limit_secret_file a b;",
    ];
    level::refused_for_their_number(setup, Http, &of_http);
}

#[test]
fn a_directive_stands_once_at_a_level() {
    level::refused_twice(setup, &EACH);
    for level in [Http, Server] {
        let message = "\"smart_limit_cookie\" directive is duplicate";
        refused(level, "  smart_limit_cookie a;\nsmart_limit_cookie b;", message);
    }
}

#[test]
fn a_directive_stands_where_it_belongs() {
    level::refused_at(setup, &[Main, Upstream], &EACH);
    level::refused_at(setup, &[Main, Location, Upstream], &["smart_limit_cookie seat;"]);
    let of_http = ["smart_limit_room r 1m max_active=5;", "smart_limit_secret_file secret;"];
    level::refused_at(setup, &[Main, Server, Location, Upstream], &of_http);
    for directive in EACH {
        let condition = format!("if ($arg_k) {{\n{directive}\n}}");
        let check = level::at(setup(), Location, &condition).check();
        assert!(check.message.contains("directive is not allowed here"), "{}", check.message);
    }
}
