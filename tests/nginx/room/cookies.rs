//! The cookies of a waiting room, and the secrets that they are signed with.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::curl::{curl, write_certificate};
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::process;
use crate::common::room::{queue, room, rooms, seated, Visitor, ROOM_TYPE};

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
