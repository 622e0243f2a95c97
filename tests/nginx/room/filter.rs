//! The last word on an answer that carries the room's cookie: it is the visitor's own, whatever the application
//! and other directives say.

use crate::common::client::Response;
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;

/// A server before an application that lets everybody store its answers.
fn start() -> Nginx {
    let setup = Setup::new().document("file", b"a file\n").document("inner", b"inner");
    let prefix = setup.prefix().display().to_string();
    let pass = format!("proxy_pass http://unix:{prefix}/application.sock:/;");
    setup
        .http(&format!(
            "smart_limit_room queue 1m max_active=100;
            log_format caching '$request_uri $status [$sent_http_cache_control]';
            server {{
                listen unix:{prefix}/application.sock;
                expires 1h;
                add_header Cache-Control public;
                add_header Cache-Control s-maxage=60;
                add_header Set-Cookie own=1;
                return 200 'the application';
            }}\n"
        ))
        .server(&format!("access_log {prefix}/caching.log caching;\n"))
        .location("/seat/", &format!("smart_limit room=queue; {pass}"))
        .location(
            "/headers/",
            &format!(
                "smart_limit room=queue; expires 1h; add_header Cache-Control immutable always;
                add_header X-Other kept; {pass}"
            ),
        )
        .location("= /file", "smart_limit room=queue; expires max;")
        .location("= /plain", "smart_limit room=queue; empty_gif;")
        .location("= /error", "smart_limit room=queue; try_files /nowhere =404;")
        .location("= /page.shtml", "ssi on; ssi_types *; smart_limit room=queue;")
        .document("page.shtml", b"<!--#include virtual=\"/inner\" -->.")
        .location("= /inner", "smart_limit room=queue; expires 1h;")
        .location("/free/", &pass)
        .start()
}

fn all<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let of_name = response.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    of_name.map(|(_, value)| value.as_str()).collect()
}

/// The cookies of rooms that it sets.
fn seats(response: &Response) -> usize {
    let cookies = all(response, "Set-Cookie");
    cookies.iter().filter(|cookie| cookie.starts_with("smart_limit_queue=")).count()
}

#[test]
fn smoke_an_answer_with_the_cookie_is_stored_by_nobody() {
    let nginx = start();
    for path in ["/seat/", "/headers/", "/file", "/plain", "/error", "/page.shtml"] {
        let response = nginx.get(path);
        assert_eq!(seats(&response), 1, "{path}: {:?}", response.headers);
        assert_eq!(all(&response, "Cache-Control"), ["private, no-store"], "{path}");
        assert_eq!(all(&response, "Expires"), [""; 0], "{path}");
    }
}

#[test]
fn all_else_is_left_as_it_is() {
    let nginx = start();
    let response = nginx.get("/headers/");
    assert_eq!(all(&response, "X-Other"), ["kept"]);
    assert!(all(&response, "Set-Cookie").contains(&"own=1"));
    assert_eq!(response.text(), "the application");
    let file = nginx.get("/file");
    assert!(file.header("ETag").is_some() && file.header("Last-Modified").is_some());
}

#[test]
fn an_answer_without_the_cookie_is_not_touched() {
    let nginx = start();
    let cookies = nginx.get("/seat/");
    let cookies = all(&cookies, "Set-Cookie");
    let pairs = cookies.iter().map(|cookie| cookie.split(';').next().expect("a pair"));
    let cookie = pairs.collect::<Vec<_>>().join("; ");
    let seated = nginx.connect().get_with("/headers/", &[("Cookie", &cookie)]);
    assert_eq!((seated.status, seats(&seated)), (200, 0), "a valid token is not sent again");
    assert!(all(&seated, "Cache-Control").contains(&"immutable"));
    assert_eq!(all(&seated, "Expires").len(), 1);
    let free = nginx.get("/free/");
    assert_eq!(seats(&free), 0);
    assert_eq!(all(&free, "Cache-Control"), ["max-age=3600", "public", "s-maxage=60"]);
}

#[test]
fn nginx_knows_what_the_answer_says() {
    let nginx = start();
    let log = nginx.prefix().join("caching.log");
    for path in ["/plain", "/headers/", "/file"] {
        nginx.get(path);
        let line = format!("{path} 200 [private, no-store]");
        crate::common::wait_until(&line, || {
            std::fs::read_to_string(&log).is_ok_and(|log| log.lines().any(|one| one == line))
        });
    }
}
