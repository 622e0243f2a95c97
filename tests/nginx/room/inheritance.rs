//! What the directives of the waiting room are when nobody sets them, and what an inner level makes of an
//! outer one's.

use crate::common::client::Response;
use crate::common::curl::curl;
use crate::common::limit::limited;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;

/// Two rooms, and a limit that lets one request of a key pass in a day.
fn setup() -> Setup {
    limited().document("wait.html", b"an own page\n").http(
        "smart_limit_zone $arg_k zone=one:1m rate=1r/d;
        smart_limit_zone $arg_k zone=two:1m rate=1r/d;
        smart_limit_room queue 1m max_active=100;
        smart_limit_room other 1m max_active=100;\n",
    )
}

/// The verdict on a request without a cookie, and the room that its answer gives a cookie of.
fn verdict(nginx: &Nginx, path: &str) -> String {
    let response = nginx.get(path);
    let room = cookie(&response).and_then(|cookie| cookie.split_once('='));
    let room = room.map_or("-", |(name, _)| name.trim_start_matches("smart_limit_"));
    format!("{} {room}", response.verdict())
}

fn cookie(response: &Response) -> Option<&str> {
    response.header("Set-Cookie")
}

/// The attributes of the cookie that the room gives.
fn attributes(nginx: &Nginx, path: &str) -> String {
    let response = nginx.get(path);
    let cookie = cookie(&response).expect("a cookie");
    let (name, rest) = cookie.split_once('=').expect("a name");
    let (_, attributes) = rest.split_once("; ").expect("attributes");
    format!("{name}; {attributes}")
}

#[test]
fn smoke_the_room_s_defaults_are_those_of_the_documentation() {
    let nginx = setup()
        .limit("/limit", "smart_limit zone=one room=queue;")
        .limit("/everyone", "smart_limit room=queue;")
        .start();
    assert_eq!(nginx.get("/limit?k=a").verdict(), "200 PASSED");
    let waits = nginx.get("/limit?k=a");
    assert_eq!(waits.verdict(), "503 WAITING");
    assert!(waits.text().contains("<html lang=en>"), "the page that is built in");
    let expected = "smart_limit_queue; Max-Age=86400; Path=/; SameSite=Lax; HttpOnly";
    assert_eq!(attributes(&nginx, "/limit?k=a"), expected);
    assert_eq!(attributes(&nginx, "/everyone"), expected);
}

#[test]
fn a_room_is_inherited_with_its_limits() {
    let nginx = setup()
        .http("smart_limit zone=one room=queue;\n")
        .limit("/inherits", "")
        .limit("/off", "smart_limit off;")
        .limit("/without", "smart_limit zone=one;")
        .limit("/other", "smart_limit zone=one room=other;")
        .limit("/first", "smart_limit zone=one room=other; smart_limit zone=two;")
        .limit("/second", "smart_limit zone=two; smart_limit zone=one room=other;")
        .location(
            "/nested",
            "smart_limit room=other;
             location /nested/off { smart_limit off; try_files /ok =404; }
             location /nested/on { try_files /ok =404; }",
        )
        .start();
    assert_eq!(verdict(&nginx, "/inherits?k=a"), "200 PASSED -");
    assert_eq!(verdict(&nginx, "/inherits?k=a"), "503 WAITING queue");
    assert_eq!(verdict(&nginx, "/off?k=a"), "200 - -");
    assert_eq!(verdict(&nginx, "/without?k=a"), "503 REJECTED -");
    assert_eq!(verdict(&nginx, "/other?k=a"), "503 WAITING other");
    assert_eq!(verdict(&nginx, "/first?k=a"), "503 WAITING other");
    assert_eq!(verdict(&nginx, "/second?k=a"), "503 WAITING other");
    assert_eq!(verdict(&nginx, "/nested/off"), "200 - -");
    assert_eq!(verdict(&nginx, "/nested/on"), "200 ADMITTED other");
}

#[test]
fn the_server_s_room_is_over_that_of_http() {
    let nginx = setup()
        .http("smart_limit room=queue;\n")
        .server("smart_limit room=other;\n")
        .limit("/", "")
        .limit("/queue", "smart_limit room=queue;")
        .start();
    assert_eq!(verdict(&nginx, "/"), "200 ADMITTED other");
    assert_eq!(verdict(&nginx, "/queue"), "200 ADMITTED queue");
}

#[test]
fn statuses_and_pages_are_inherited() {
    for in_http in [true, false] {
        let outer = "smart_limit_room_status 202; smart_limit_room_page /wait.html;\n";
        let setup = if in_http { setup().http(outer) } else { setup().server(outer) };
        let limit = "smart_limit zone=one room=queue;";
        let nginx = setup
            .location("= /wait.html", "")
            .limit("/outer", limit)
            .limit("/status", &format!("{limit} smart_limit_room_status 429;"))
            .limit("/page", &format!("{limit} smart_limit_room_page builtin;"))
            .start();
        assert_eq!(nginx.get("/outer?k=a").status, 200);
        let seen = |path: &str| {
            let response = nginx.get(path);
            (response.status, response.text() == "an own page\n")
        };
        assert_eq!(seen("/outer?k=a"), (202, true));
        assert_eq!(seen("/status?k=a"), (429, true));
        assert_eq!(seen("/page?k=a"), (202, false));
    }
}

#[test]
fn cookies_are_inherited_as_a_whole() {
    let outer = "smart_limit_cookie outer path=/outer/ domain=example.com samesite=strict
        secure=on;\n";
    let locations = |setup: Setup| setup.limit("/", "smart_limit room=queue;").start();
    let inherits = locations(setup().http(outer));
    assert_eq!(
        attributes(&inherits, "/"),
        "outer_queue; Max-Age=86400; Path=/outer/; Domain=example.com; SameSite=Strict; Secure; \
         HttpOnly"
    );
    let own = locations(setup().http(outer).server("smart_limit_cookie own;\n"));
    assert_eq!(attributes(&own, "/"), "own_queue; Max-Age=86400; Path=/; SameSite=Lax; HttpOnly");
}

#[test]
fn a_cookie_is_for_tls_alone_where_the_request_has_come_so() {
    let port = Port::reserve();
    let seen = |secure: &str| {
        let setup = setup().https(&port).limit("/", "smart_limit room=queue;");
        let nginx = setup.server(&format!("smart_limit_cookie seat secure={secure};\n")).start();
        let plain = attributes(&nginx, "/").contains("; Secure");
        let uri = format!("https://{}/", port.address());
        let answer = curl(&["--insecure", "--http1.1", "--include", &uri]);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("Set-Cookie: seat_queue="), "{answer}");
        (plain, answer.contains("; Secure"))
    };
    assert_eq!(seen("auto"), (false, true));
    assert_eq!(seen("on"), (true, true));
    assert_eq!(seen("off"), (false, false));
}
