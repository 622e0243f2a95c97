//! Memory that is not there, and calls that carry a few bytes only, while the interface answers.

use crate::common::client::{request, Client, Response};
use crate::common::nginx::Nginx;
use crate::common::preload::Preload;
use crate::common::room::{room, seated};

/// All that the interface tells of, in an nginx with the library loaded.
fn start() -> Option<(Preload, Nginx)> {
    let setup = room("max_active=5 per_net=off")
        .http("http_sendfile_cache_zone lookups:1m; smart_buffers_zone 1m;\n")
        // A small pool, so that nearly everything that a request needs is an allocation.
        .server("request_pool_size 256; connection_pool_size 256;\n")
        .location("/smart/", "smart_api write;")
        .location("/limited/", "smart_limit zone=key burst=9 nodelay; smart_buffers on; empty_gif;")
        .location("/file/", "http_sendfile on; http_sendfile_cache lookups;");
    let (preload, setup) = Preload::into(setup)?;
    let nginx = setup.start();
    seated(&nginx);
    nginx.get("/limited/?k=a");
    Some((preload, nginx))
}

const PATHS: [(&str, &str, u16); 12] = [
    ("GET", "", 200),
    ("GET", "status.json", 200),
    ("GET", "metrics", 200),
    ("GET", "history.json", 200),
    ("GET", "limits/key?key=a", 200),
    ("GET", "limits/key?top=256", 200),
    ("GET", "rooms/r", 200),
    ("GET", "buffers", 200),
    ("GET", "buffers.conf", 200),
    ("GET", "rooms/none", 404),
    ("DELETE", "limits/key?key=none", 404),
    ("POST", "status.json", 405),
];

fn ask(nginx: &Nginx, method: &str, path: &str) -> Option<Response> {
    let mut client = Client::try_connect(nginx.port()).ok()?;
    client.try_send(&request(method, &format!("/smart/{path}"), &[], b"")).ok()?;
    client.try_read(method).ok()
}

/// Asserts that an answer has all that it had with memory, but for what the time changes, or says that it has not.
#[track_caller]
fn assert_whole(response: &Response, whole: &Response) {
    match (response.status, response.header("Content-Type")) {
        (500, _) => {}
        (_, Some("application/json")) => {
            let members = |response: &Response| {
                let told = response.json();
                let names = told.as_object().expect("an object").keys().cloned();
                names.collect::<Vec<_>>()
            };
            assert_eq!(members(response), members(whole));
        }
        _ => assert_eq!(response.text().lines().count(), whole.text().lines().count()),
    }
}

#[test]
fn the_failure_of_any_allocation_is_survived() {
    let Some((preload, nginx)) = start() else {
        return;
    };
    // nginx's own words for memory that it does not get.
    nginx.allow("(12: Cannot allocate memory)");
    let worker = nginx.worker();
    let mut errors = 0;
    for (method, path, status) in PATHS {
        let whole = ask(&nginx, method, path).expect("an answer where memory is there");
        assert_eq!(whole.status, status, "{method} {path}");
        for number in 1..=200 {
            let failed = preload.failed();
            preload.fail_allocation(number);
            // No answer at all is right for a request that nginx could not even allocate.
            let seen = ask(&nginx, method, path);
            preload.fail_allocation(0);
            let seen = seen.map(|response| {
                assert_whole(&response, &whole);
                response.status
            });
            assert!(
                seen.is_none_or(|seen| seen == status || seen == 500),
                "{method} {path}, allocation {number}: {seen:?}"
            );
            assert_eq!(nginx.worker(), worker, "{method} {path}, allocation {number}");
            errors += usize::from(seen == Some(500));
            if preload.failed() == failed {
                break; // It makes no more of them.
            }
        }
    }
    assert!(errors > 20, "{errors} requests failed with {} allocations", preload.failed());
    assert_eq!(nginx.get("/smart/status.json").json()["panics"], 0);
}

#[test]
fn short_reads_and_writes_change_nothing() {
    let Some((preload, nginx)) = start() else {
        return;
    };
    preload.shorten();
    for _ in 0..5 {
        for (method, path, status) in PATHS {
            let response = ask(&nginx, method, path).expect("an answer");
            assert_eq!(response.status, status, "{method} {path}");
            let length = response.header("Content-Length").map(str::to_owned);
            assert_eq!(length, Some(response.body.len().to_string()), "{method} {path}");
        }
    }
    assert!(preload.shortened() > 50, "{} cuts", preload.shortened());
}
