//! Both limiters decide once about a request of a client, whatever it becomes inside of nginx: by
//! internal redirects and by subrequests. (`parity` says how they are compared.)

use std::path::Path;

use crate::common::limited::{renamed_for, Pair};
use crate::common::setup::{self, Setup};
use crate::common::wait_until;

const TWO: &str = "limit_req_zone $arg_key zone=limit_req_one:1m rate=3r/m;
    limit_req_zone $arg_key zone=limit_req_two:1m rate=3r/m;";

const REFUSED_BY_ONE: &str = "error limiting requests, excess: 1 by zone \"limit_req_one\"";
const REFUSED_BY_TWO: &str = "error limiting requests, excess: 1 by zone \"limit_req_two\"";

/// A server with these directives, and the location `two`, which the second limit is for.
fn start(server: &str) -> Pair {
    let two = "location /limit_req/two { limit_req zone=limit_req_two; empty_gif; }";
    Pair::start(TWO, &format!("{server} {two}"))
}

/// Asks for `one` as often as both limits would let pass together, and then for `two`, which must
/// have been spared.
#[track_caller]
fn assert_decided_in_first(pair: &Pair, passed: &str) {
    assert_eq!(pair.ask(&["one?key=1", "one?key=1"]), [passed, "503 REJECTED"]);
    assert_eq!(pair.ask(&["two?key=1", "two?key=1"]), ["200 PASSED", "503 REJECTED"]);
    assert_eq!(pair.logged(), [REFUSED_BY_ONE, REFUSED_BY_TWO]);
}

#[test]
fn an_error_page_is_not_limited_again() {
    let pair = start(
        "location /limit_req/one {
            limit_req zone=limit_req_one;
            error_page 404 /limit_req/two;
            root /nowhere;
        }",
    );
    assert_decided_in_first(&pair, "404 PASSED");
}

#[test]
fn the_error_page_of_a_refusal_is_not_limited() {
    let pair = start(
        "location /limit_req/one {
            limit_req zone=limit_req_one;
            error_page 503 =429 /limit_req/two;
            empty_gif;
        }",
    );
    assert_eq!(pair.ask(&["one?key=1", "one?key=1"]), ["200 PASSED", "429 REJECTED"]);
    assert_eq!(pair.ask(&["two?key=1", "two?key=1"]), ["200 PASSED", "503 REJECTED"]);
}

#[test]
fn a_named_location_is_not_limited_again() {
    let pair = start(
        "location /limit_req/one {
            limit_req zone=limit_req_one;
            try_files /nowhere @limit_req_named;
        }
        location @limit_req_named { limit_req zone=limit_req_two; empty_gif; }",
    );
    assert_decided_in_first(&pair, "200 PASSED");
}

#[test]
fn the_last_of_try_files_is_not_limited_again() {
    let pair = start(
        "location /limit_req/one {
            limit_req zone=limit_req_one;
            try_files /nowhere /limit_req/two?key=$arg_key;
        }",
    );
    assert_decided_in_first(&pair, "200 PASSED");
}

#[test]
fn a_request_that_no_limit_has_seen_is_limited_where_it_is_redirected_to() {
    let pair = start("location /limit_req/one { try_files /nowhere /limit_req/two?$args; }");
    assert_eq!(pair.ask(&["one?key=1", "one?key=1"]), ["200 PASSED", "503 REJECTED"]);
    assert_eq!(pair.ask(&["one", "one"]), ["200 -", "200 -"]);
    assert_eq!(pair.logged(), [REFUSED_BY_TWO]);
}

#[test]
fn a_rewritten_request_is_limited_where_it_arrives() {
    let pair = start(
        "location /limit_req/one {
            limit_req zone=limit_req_one;
            rewrite ^ /limit_req/two last;
        }",
    );
    assert_eq!(pair.ask(&["one?key=1", "one?key=1"]), ["200 PASSED", "503 REJECTED"]);
    assert_eq!(pair.logged(), [REFUSED_BY_TWO]);
}

#[test]
fn the_verdict_can_be_read_before_and_after_it_was_made() {
    let pair = Pair::start(
        TWO,
        "location /limit_req/one {
            set $limit_req_before '[$limit_req_status]';
            limit_req zone=limit_req_one;
            error_page 404 503 = /limit_req/tells;
            root /nowhere;
        }
        location /limit_req/tells { return 200 '$limit_req_before [$limit_req_status]'; }",
    );
    let told = pair.ask_for_bodies(&["one?key=1", "one?key=1", "one", "tells"]);
    let told: Vec<_> = told.iter().map(|(_, body)| body.as_str()).collect();
    assert_eq!(told, ["[] [PASSED]", "[] [REJECTED]", "[] []", " []"]);
}

/// A page with three parts, in a location with these directives; the location of the parts has
/// others.
fn page(of_page: &str, of_parts: &str) -> Pair {
    let part = "<!--#include virtual=\"/limit_req/part?$args\" -->";
    let page = format!("[{part}|{part}|{part}]");
    let setup = Setup::new()
        .document("limit_req/page", page.as_bytes())
        .document("smart_limit/page", page.replace("limit_req", "smart_limit").as_bytes())
        .document("limit_req/part", b"a part")
        .document("smart_limit/part", b"a part");
    Pair::start_from(
        setup,
        &TWO.replace("3r/m", "1r/s"),
        &format!(
            "location /limit_req/page {{ ssi on; ssi_types *; {of_page} }}
            location /limit_req/part {{ {of_parts} }}"
        ),
    )
}

/// The verdicts on the page, and the page, for a request and another one right after it.
#[track_caller]
fn ask_for_page(pair: &Pair) -> Vec<(String, String)> {
    pair.ask_for_bodies(&["page?key=1", "page?key=1"])
}

const WHOLE: &str = "[a part|a part|a part]";

#[test]
fn the_parts_of_a_page_that_was_limited_are_not() {
    let pair = page("limit_req zone=limit_req_one;", "limit_req zone=limit_req_two;");
    let [first, second] = &ask_for_page(&pair)[..] else { panic!("two answers") };
    assert_eq!((first.0.as_str(), first.1.as_str()), ("200 PASSED", WHOLE));
    assert_eq!(second.0, "503 REJECTED");
    assert_eq!(pair.logged(), [REFUSED_BY_ONE]);
}

#[test]
fn of_the_parts_of_a_page_the_first_is_limited() {
    let pair = page("", "limit_req zone=limit_req_two;");
    let [first, second] = &ask_for_page(&pair)[..] else { panic!("two answers") };
    assert_eq!(first.1, WHOLE);
    let (refused, others) = second.1.split_once('|').expect("three parts");
    assert!(refused.contains("503 Service Temporarily Unavailable"), "{refused}");
    assert_eq!(others, "a part|a part]");
    assert_eq!(pair.logged(), [REFUSED_BY_TWO]);
}

#[test]
fn a_page_waits_for_a_part_that_is_delayed() {
    let pair = page("", "limit_req zone=limit_req_two burst=1;");
    let began = std::time::Instant::now();
    for (_, body) in ask_for_page(&pair) {
        assert_eq!(body, WHOLE);
    }
    assert!(began.elapsed().as_millis() > 900, "{:?}", began.elapsed());
    assert_eq!(pair.logged(), ["warn delaying request, excess: 1, by zone \"limit_req_two\""]);
}

/// A location that asks another one, which has these directives, for permission.
fn guarded(of_guarded: &str, of_guard: &str) -> Pair {
    assert!(setup::built_with("http_auth_request_module"), "this nginx has no auth_request");
    // The subrequest has no arguments.
    Pair::start(
        &TWO.replace("3r/m", "1r/s").replace("$arg_key", "$host"),
        &format!(
            "location /limit_req/page {{ auth_request /limit_req/guard; {of_guarded} empty_gif; }}
            location /limit_req/guard {{ {of_guard} empty_gif; }}"
        ),
    )
}

#[test]
fn a_subrequest_for_authorisation_is_not_limited_after_its_request() {
    let pair = guarded("limit_req zone=limit_req_one;", "limit_req zone=limit_req_two;");
    assert_eq!(pair.ask(&["page", "page", "guard"]), ["200 PASSED", "503 REJECTED", "200 PASSED"]);
    assert_eq!(pair.logged(), [REFUSED_BY_ONE]);
}

#[test]
fn a_subrequest_for_authorisation_may_be_what_is_limited() {
    let pair = guarded("", "limit_req zone=limit_req_two burst=1;");
    assert_eq!(pair.ask(&["page"; 3]), ["200 PASSED", "200 DELAYED", "500 REJECTED"]);
    assert_eq!(
        pair.logged(),
        [
            "warn delaying request, excess: 1, by zone \"limit_req_two\"",
            "error limiting requests, excess: 2 by zone \"limit_req_two\""
        ]
    );
}

/// nginx's own limiter leaves such a request, and its connection, behind for ever.
#[test]
fn a_mirror_s_request_is_not_held_back() {
    let nginx = Setup::new()
        .http("smart_limit_zone $arg_key zone=one:1m rate=1r/h;")
        .server(
            "location /mirrored { mirror /mirror; empty_gif; }
            location /mirror { internal; smart_limit zone=one burst=9; empty_gif; }",
        )
        .start();
    for _ in 0..5 {
        assert_eq!(nginx.get("/mirrored?key=1").status, 200);
    }
    // That all are let through shows when nginx ends, without open sockets.
    wait_until("the delays", || nginx.error_log().matches("delaying request").count() == 4);
}

/// Where Debian has the module of Lua for its nginx.
const LUA: &str = "/usr/lib/nginx/modules/ngx_http_lua_module.so";

/// Unlike nginx's own subrequests, those of Lua have variables of their own.
#[test]
fn smoke_the_subrequests_of_lua_are_not_limited_again() {
    if setup::binary() != Path::new("/usr/sbin/nginx") {
        // The module fits Debian's nginx only; scripts/test runs this with it.
        return;
    }
    let four = "local answers = {}
        for number = 1, 4 do
            local answer = ngx.location.capture('/limit_req/two')
            answers[number] = answer.status .. ' ' .. (ngx.var.LIMITER_status or '-')
        end
        ngx.say(table.concat(answers, ', '))";
    for limiter in ["limit_req", "smart_limit"] {
        let nginx = Setup::new()
            .main("load_module /usr/lib/nginx/modules/ndk_http_module.so;")
            .main(&format!("load_module {LUA};"))
            .http(&renamed_for(limiter, "limit_req_zone $arg_key zone=one:1m rate=1r/m;"))
            .server(&renamed_for(
                limiter,
                &format!(
                    "location /limit_req/one {{
                        limit_req zone=one;
                        content_by_lua_block {{ {} }}
                    }}
                    location /limit_req/two {{ limit_req zone=one; empty_gif; }}",
                    four.replace("LIMITER", limiter)
                ),
            ))
            .start();
        let answer = nginx.get(&format!("/{limiter}/one?key=1"));
        let expected = ["200 PASSED"; 4].join(", ") + "\n";
        assert_eq!(String::from_utf8_lossy(&answer.body), expected, "{limiter}");
    }
}
