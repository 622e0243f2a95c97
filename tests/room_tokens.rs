//! Tokens of a waiting room, end to end: what is one, what is none, and who is who.
#![cfg(feature = "tools")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use common::client::{request, Response};
use common::clock::Clock;
use common::curl::{curl, write_certificate};
use common::limit::{HEADERS, QUIET};
use common::nginx::Nginx;
use common::port::Port;
use common::process;
use common::room::{counts, queue, room, rooms, seated, Visitor, ROOM_TYPE};

/// A server with the room of these parameters, whose clock stands still.
fn start(parameters: &str) -> (Clock, Nginx) {
    let (clock, setup) = Clock::with_time_of_day(room(parameters));
    (clock, setup.start())
}

/// The session that the answer is of.
fn session(response: &Response) -> &str {
    response.header("X-Session").unwrap_or("-")
}

/// What is as none: a new token is sent, and no place is given.
#[track_caller]
fn assert_none(nginx: &Nginx, header: &str, what: &str) {
    let answer = nginx.connect().get_with("/", &[("Cookie", header), ("Accept", ROOM_TYPE)]);
    assert_eq!(answer.status, 503, "{what}: {header}");
    assert_eq!(answer.set_cookies().len(), 1, "{what}: {header}");
    assert!(answer.json()["position"].is_null(), "{what}: {header}");
}

/// What is a token: none is sent, and its owner has the only place.
#[track_caller]
fn assert_valid(nginx: &Nginx, header: &str) {
    let answer = nginx.connect().get_with("/", &[("Cookie", header), ("Accept", ROOM_TYPE)]);
    assert_eq!((answer.status, answer.set_cookies().len()), (503, 0), "{header}");
    assert_eq!(answer.json()["position"], 1, "{header}");
}

#[test]
fn smoke_a_token_that_is_none_costs_nothing() {
    let nginx = room("max_active=1").server("large_client_header_buffers 4 16k;\n").start();
    seated(&nginx);
    let visitor = queue(&nginx, "/", 1).remove(0);
    let token = visitor.token();
    for header in [
        format!("smart_limit_r={token}"),
        format!("a=b; smart_limit_r={token}; c=d"),
        format!("smart_limit_q={token}; smart_limit_r={token}"),
    ] {
        assert_valid(&nginx, &header);
    }
    let eight_kib = "A".repeat(8192);
    let mut other = Visitor::new(&nginx);
    other.get("/");
    for (what, header) in [
        ("another name", format!("smart_limit={token}")),
        ("another room's name", format!("smart_limit_q={token}")),
        ("a name in capitals", format!("SMART_LIMIT_R={token}")),
        ("twice", format!("smart_limit_r={token}; smart_limit_r={token}")),
        ("twice, of two", format!("smart_limit_r={token}; smart_limit_r={}", other.token())),
        ("doubled", format!("smart_limit_r={token}{token}")),
        ("in quotes", format!("smart_limit_r=\"{token}\"")),
        ("padded", format!("smart_limit_r={token}=")),
        ("in capitals", format!("smart_limit_r={}", token.to_uppercase())),
        ("nothing", "smart_limit_r=".to_owned()),
        ("8 KiB", format!("smart_limit_r={eight_kib}")),
        ("8 KiB after a token", format!("smart_limit_r={token}{eight_kib}")),
        ("the session's number", "smart_limit_r=0123456789abcdef".to_owned()),
        ("bytes", "smart_limit_r=\u{80}\u{7ff}%00%ff".to_owned()),
    ] {
        assert_none(&nginx, &header, what);
    }
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn every_changed_bit_and_every_beginning_of_a_token_are_as_none() {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let nginx = room("max_active=1").server(QUIET).start();
    seated(&nginx);
    let visitor = queue(&nginx, "/", 1).remove(0);
    let token = visitor.token().as_bytes();
    let mut bad: Vec<Vec<u8>> = (0..token.len()).map(|length| token[..length].to_vec()).collect();
    for place in 0..token.len() {
        let digit = DIGITS.iter().position(|digit| *digit == token[place]).expect("a digit");
        bad.extend((0..6).map(|bit| {
            let mut changed = token.to_vec();
            changed[place] = DIGITS[digit ^ 1 << bit];
            changed
        }));
    }
    let ask = |token: &[u8]| {
        let cookie = format!("smart_limit_r={}", String::from_utf8_lossy(token));
        request("GET", "/", &[("Cookie", &cookie), ("Accept", ROOM_TYPE)], b"")
    };
    let mut client = nginx.connect();
    for bad in &bad {
        client.send(ask(bad));
        let answer = client.read("GET");
        assert_eq!(answer.set_cookies().len(), 1, "{}", String::from_utf8_lossy(bad));
        assert!(answer.json()["position"].is_null(), "{}", String::from_utf8_lossy(bad));
    }
    assert_eq!(bad.len(), 64 + 64 * 6);
    client.send(ask(token));
    assert_eq!(client.read("GET").json()["position"], 1);
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn a_token_has_its_time() {
    let (clock, nginx) = start("max_active=1 session=1h token=1h");
    seated(&nginx);
    let visitor = queue(&nginx, "/", 1).remove(0);
    let (cookie, issued) = (format!("smart_limit_r={}", visitor.token()), clock.time_of_day());
    let at = |seconds: i64| {
        let seconds = issued.as_secs().checked_add_signed(seconds).expect("a time");
        clock.set_time_of_day(Duration::from_secs(seconds));
    };
    for seconds in [0, 1800, -60] {
        at(seconds);
        assert_valid(&nginx, &cookie);
    }
    for (seconds, what) in [(-61, "of the future"), (-100_000, "of the future"), (3600, "expired")]
    {
        at(seconds);
        assert_none(&nginx, &cookie, what);
    }
    at(3599);
    let renewed = nginx.connect().get_with("/", &[("Cookie", &cookie), ("Accept", ROOM_TYPE)]);
    assert_eq!(renewed.json()["position"], 1, "valid to its last second");
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn who_has_less_than_half_left_is_signed_anew_on_any_answer() {
    let setup = room("max_active=1 session=1000s token=1000s absent=1d").limit(
        "/stored",
        &format!("{HEADERS} smart_limit room=r; expires 1h; add_header Cache-Control public;"),
    );
    let (clock, setup) = Clock::with_time_of_day(setup);
    let nginx = setup.start();
    let mut first = seated(&nginx);
    let mut second = queue(&nginx, "/", 1).remove(0);
    clock.set_time_of_day(clock.time_of_day() + Duration::from_secs(500));
    for path in ["/", "/stored", "/counts"] {
        assert!(first.get(path).set_cookies().is_empty(), "{path}");
        assert!(second.get(path).set_cookies().is_empty(), "{path}");
    }
    clock.set_time_of_day(clock.time_of_day() + Duration::from_secs(1));
    let renewed = |visitor: &Visitor, path: &str, accept: &str| {
        let answer = visitor.clone().get_with(path, &[("Accept", accept)]);
        let [cookie] = answer.set_cookies()[..] else { panic!("{path}: {answer:?}") };
        assert!(cookie.contains("; Max-Age=1000; "), "{cookie}");
        assert!(!cookie.contains(visitor.token()), "{cookie}");
        answer
    };
    for (path, accept) in [("/", "*/*"), ("/stored", "*/*"), ("/", ROOM_TYPE)] {
        let answer = renewed(&first, path, accept);
        assert_eq!(answer.verdict(), "200 ADMITTED");
        let control = if accept == ROOM_TYPE { "no-store" } else { "private, no-store" };
        assert_eq!(answer.all("Cache-Control"), [control], "{path}");
        assert_eq!(answer.header("Expires"), None, "{path}");
    }
    for accept in ["text/html", "application/json", ROOM_TYPE] {
        let answer = renewed(&second, "/", accept);
        assert_eq!(answer.verdict(), "503 WAITING");
        assert_eq!(answer.all("Cache-Control"), ["no-store"], "{accept}");
    }
    let (old, before) = (first.clone(), session(&first.clone().get("/")).to_owned());
    let anew = first.get("/");
    assert_ne!(old.token(), first.token());
    assert_eq!(session(&anew), before, "the same session");
    assert!(first.get("/").set_cookies().is_empty(), "once");
    assert_eq!(old.clone().get("/").verdict(), "200 ADMITTED", "as does the token of before");
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn nobody_gets_a_cookie_over_a_valid_one() {
    let (clock, nginx) = start("max_active=1 session=10s");
    let mut all = vec![seated(&nginx)];
    all.extend(queue(&nginx, "/", 2));
    for visitor in &mut all {
        let token = visitor.token().to_owned();
        for _ in 0..3 {
            for accept in ["text/html", "application/json", ROOM_TYPE] {
                for path in ["/", "/counts"] {
                    let answer = visitor.get_with(path, &[("Accept", accept)]);
                    assert!(answer.set_cookies().is_empty(), "{answer:?}");
                }
            }
            assert!(visitor.request("POST", "/", &[], b"x").set_cookies().is_empty());
        }
        clock.advance_seconds(5);
        assert_eq!(visitor.token(), token);
    }
}

#[test]
fn tabs_of_one_browser_are_one_place() {
    let (clock, nginx) = start("max_active=1 session=10s");
    seated(&nginx);
    let mut tabs = vec![queue(&nginx, "/", 1).remove(0); 5];
    for tab in &mut tabs {
        assert_eq!(tab.poll("/")["position"], 1);
        assert_eq!(tab.poll_hidden("/")["position"], 1);
    }
    assert_eq!(counts(&nginx), (1, 1));
    clock.advance_seconds(10);
    for tab in &mut tabs {
        assert_eq!(tab.get("/").verdict(), "200 ADMITTED");
    }
    assert_eq!(counts(&nginx), (0, 1), "and one seat");
}

#[test]
fn who_keeps_no_cookies_leaves_nothing_behind() {
    let nginx = room("max_active=1").server(QUIET).start();
    seated(&nginx);
    let mut client = nginx.connect();
    for _ in 0..1000 {
        let answer = client.get("/");
        assert_eq!((answer.verdict(), answer.set_cookies().len()), ("503 WAITING".to_owned(), 1));
    }
    assert_eq!(counts(&nginx), (0, 1));
}

#[test]
fn a_first_visit_of_many_requests_is_one_place() {
    const COUNT: usize = 40;
    let nginx = room("max_active=1").workers(2).start();
    seated(&nginx);
    let mut clients: Vec<_> = (0..COUNT).map(|_| nginx.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("/"));
    let mut browser = Visitor::new(&nginx);
    let mut tokens: Vec<String> = Vec::new();
    for client in &mut clients {
        let answer = client.read("GET");
        assert_eq!(answer.verdict(), "503 WAITING");
        let [cookie] = answer.set_cookies()[..] else { panic!("{answer:?}") };
        let (pair, _) = cookie.split_once(';').expect("attributes");
        let (name, value) = pair.split_once('=').expect("a value");
        tokens.push(value.to_owned());
        // A browser keeps what comes last.
        browser = browser.with_cookie(name, value);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), COUNT);
    assert_eq!(counts(&nginx), (0, 1));
    let text = browser.text("GET", "/", &[], b"");
    for client in &mut clients {
        client.send(&text);
    }
    assert!(clients.iter_mut().all(|client| client.read("GET").verdict() == "503 WAITING"));
    assert_eq!(browser.poll("/")["position"], 1);
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn a_first_token_that_is_replayed_is_one_place() {
    let nginx = room("max_active=1").workers(2).server(QUIET).start();
    seated(&nginx);
    let mut visitor = Visitor::new(&nginx);
    visitor.get("/");
    let text = visitor.text("HEAD", "/", &[], b"");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = nginx.connect();
                for _ in 0..50 {
                    client.send(text.repeat(50));
                    assert!((0..50).all(|_| client.read("HEAD").status == 503));
                }
            });
        }
    });
    assert_eq!(visitor.poll("/")["position"], 1);
    assert_eq!(counts(&nginx), (1, 1));
}

#[test]
fn two_rooms_of_one_host_live_side_by_side() {
    let nginx = rooms()
        .http("smart_limit_room a 1m max_active=1;\nsmart_limit_room b 1m max_active=1;\n")
        .http("smart_limit_secret_file secret;\n")
        .limit("/a", "smart_limit room=a;")
        .limit("/b", "smart_limit room=b;");
    write_secret(nginx.prefix(), "secret");
    let nginx = nginx.start();
    let mut first = Visitor::new(&nginx);
    for path in ["/a", "/b"] {
        first.get(path);
        assert_eq!(first.get(path).verdict(), "200 ADMITTED");
    }
    let mut second = Visitor::new(&nginx);
    assert_eq!(second.join("/a")["position"], 1);
    assert_eq!(second.join("/b")["position"], 1);
    let names: Vec<_> = second.cookies.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["smart_limit_a", "smart_limit_b"]);
    assert_eq!(second.poll("/a")["room"], "a");
    // What is signed for one room is nothing in another.
    let of_a = second.cookie("smart_limit_a").expect("a token").to_owned();
    let mut forger = Visitor::new(&nginx).with_cookie("smart_limit_b", &of_a);
    let answer = forger.get_with("/b", &[("Accept", ROOM_TYPE)]);
    assert_eq!(answer.set_cookies().len(), 1);
    assert!(answer.json()["position"].is_null());
    assert_eq!(first.get("/a").verdict(), "200 ADMITTED");
    assert_eq!(first.get("/b").verdict(), "200 ADMITTED");
}

#[test]
fn a_cookie_has_the_attributes_that_the_operator_wants() {
    let port = Port::reserve();
    let other = |name: &str, directive: &str| {
        format!(
            "server {{ listen 127.0.0.1:PORT; listen {} ssl; server_name {name}; {directive}
            ssl_certificate PREFIX/certificate.pem; ssl_certificate_key PREFIX/key.pem;
            location / {{ smart_limit room=r; }} }}\n",
            port.address(),
        )
    };
    let servers = [
        other("plain", ""),
        other(
            "all",
            "smart_limit_cookie wait path=/shop/ domain=example.com samesite=none secure=on;",
        ),
        other("off", "smart_limit_cookie wait samesite=strict secure=off;"),
    ];
    let setup = room("max_active=1 token=2h");
    write_certificate(setup.prefix());
    let (here, prefix) = (setup.port().to_string(), setup.prefix().display().to_string());
    let servers = servers.concat().replace("PORT", &here).replace("PREFIX", &prefix);
    let nginx = setup.http(&servers).start();
    seated(&nginx);
    let attributes = |scheme: &str, host: &str| {
        let (number, uri) = match scheme {
            "https" => (port.number(), format!("https://{host}:{}/", port.number())),
            _ => (nginx.port(), format!("http://{host}:{}/", nginx.port())),
        };
        let resolve = format!("{host}:{number}:127.0.0.1");
        let told = "%header{set-cookie}";
        let arguments = ["--insecure", "--resolve", &resolve, "--output", "/dev/null"];
        let out = curl(&[&arguments[..], &["--write-out", told, &uri]].concat());
        let text = String::from_utf8(out).expect("text");
        let (name, rest) = text.split_once('=').expect("a cookie");
        format!("{name}; {}", rest.split_once("; ").expect("attributes").1)
    };
    for (scheme, host, expected) in [
        ("http", "plain", "smart_limit_r; Max-Age=7200; Path=/; SameSite=Lax; HttpOnly"),
        ("https", "plain", "smart_limit_r; Max-Age=7200; Path=/; SameSite=Lax; Secure; HttpOnly"),
        ("http", "all", ALL),
        ("https", "all", ALL),
        ("http", "off", "wait_r; Max-Age=7200; Path=/; SameSite=Strict; HttpOnly"),
        ("https", "off", "wait_r; Max-Age=7200; Path=/; SameSite=Strict; HttpOnly"),
    ] {
        assert_eq!(attributes(scheme, host), expected, "{scheme} {host}");
    }
}

const ALL: &str =
    "wait_r; Max-Age=7200; Path=/shop/; Domain=example.com; SameSite=None; Secure; HttpOnly";

/// A server of its own whose room signs with these secrets, the first of them.
fn with_secrets(secrets: &[&str]) -> Nginx {
    let mut setup = room("max_active=1");
    for secret in secrets {
        write_secret(setup.prefix(), secret);
        setup = setup.http(&format!("smart_limit_secret_file {secret};\n"));
    }
    let nginx = setup.start();
    seated(&nginx);
    nginx
}

fn write_secret(directory: &Path, name: &str) {
    let path = directory.join(name);
    fs::write(&path, name.repeat(32)).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
}

/// Whether a server believes a token.
fn believes(nginx: &Nginx, token: &str) -> bool {
    let mut visitor = Visitor::new(nginx).with_cookie("smart_limit_r", token);
    visitor.get("/").set_cookies().is_empty()
}

#[test]
fn servers_with_one_secret_believe_each_other_and_no_others() {
    let [one, same, other] = [&["s1"], &["s1"], &["s2"]].map(|secrets| with_secrets(secrets));
    let alone = with_secrets(&[]);
    let token = queue(&one, "/", 1).remove(0).token().to_owned();
    assert!(believes(&one, &token) && believes(&same, &token));
    assert!(!believes(&other, &token) && !believes(&alone, &token));
    let mut there = Visitor::new(&same).with_cookie("smart_limit_r", &token);
    assert_eq!(there.poll("/")["position"], 1, "a place of its own");
    let token = queue(&alone, "/", 1).remove(0).token().to_owned();
    assert!(believes(&alone, &token) && !believes(&with_secrets(&[]), &token), "random secrets");
}

#[test]
fn a_secret_is_changed_without_anybody_losing_his_token() {
    let old = with_secrets(&["s1"]);
    let both = with_secrets(&["s2", "s1"]);
    let new = with_secrets(&["s2"]);
    let token = queue(&old, "/", 1).remove(0).token().to_owned();
    assert!(believes(&both, &token), "all verify");
    assert!(!believes(&new, &token));
    let mut visitor = Visitor::new(&both);
    assert_eq!(visitor.join("/")["position"], 2);
    let token = visitor.token().to_owned();
    assert!(believes(&both, &token) && believes(&new, &token), "the first signs");
    assert!(!believes(&old, &token));
}

#[test]
fn a_secret_is_changed_by_a_reload() {
    let setup = room("max_active=1").http("smart_limit_secret_file s1;\n");
    for secret in ["s1", "s2"] {
        write_secret(setup.prefix(), secret);
    }
    let nginx = setup.start();
    seated(&nginx);
    let visitor = queue(&nginx, "/", 1).remove(0);
    let change = |from: &str, to: &str| {
        nginx.reconfigure(|text| text.replace(from, to));
        process::wait_for_end(&nginx.reload());
    };
    change(
        "smart_limit_secret_file s1;",
        "smart_limit_secret_file s2; smart_limit_secret_file s1;",
    );
    assert!(believes(&nginx, visitor.token()));
    assert_eq!(visitor.clone().poll("/")["position"], 1, "the place is his as before");
    change("smart_limit_secret_file s1;", "");
    assert!(!believes(&nginx, visitor.token()));
}

#[test]
fn a_token_may_stand_in_any_of_several_fields_but_once() {
    let nginx = room("max_active=1").start();
    seated(&nginx);
    let token = format!("smart_limit_r={}", queue(&nginx, "/", 1).remove(0).token());
    let answer = |fields: &[&str]| {
        let mut headers: Vec<_> = fields.iter().map(|field| ("Cookie", *field)).collect();
        headers.push(("Accept", ROOM_TYPE));
        nginx.connect().get_with("/", &headers).json()["position"].clone()
    };
    assert_eq!(answer(&["a=b", &token, "c=d"]), 1);
    assert!(answer(&[&token, "a=b", &token]).is_null());
}

#[test]
fn another_site_s_request_overwrites_no_cookie() {
    let cookie = |same_site: &str| {
        let directive = format!("smart_limit_cookie smart_limit samesite={same_site};\n");
        let nginx = room("max_active=1").server(&directive).start();
        seated(&nginx);
        ["GET", "HEAD", "POST"].map(|method| {
            let sites = ["cross-site", "same-site", "same-origin", "none"];
            sites.map(|site| {
                let answer =
                    Visitor::new(&nginx).request(method, "/", &[("Sec-Fetch-Site", site)], b"");
                assert_eq!(answer.verdict(), "503 WAITING");
                answer.set_cookies().len()
            })
        })
    };
    // A browser keeps a cookie back that is strict, and one that is lax if nothing is navigated to.
    assert_eq!(cookie("lax"), [[1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]]);
    assert_eq!(cookie("strict"), [[0, 1, 1, 1]; 3]);
    assert_eq!(cookie("none"), [[1, 1, 1, 1]; 3]);
}
