//! Bodies of requests that a limiter holds back or refuses: what is ours to do, limit_req does too.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::application::{application, pass};
use crate::common::client::request;
use crate::common::limited::{each_limiter, renamed_for, wait_for_delays};
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::wait_until;

/// A limited location before an application, where the next request has to wait for two seconds;
/// and one whose requests become such after their bodies were given up, because there is no memcached.
fn start(limiter: &str) -> Nginx {
    start_with_rate(limiter, "30r/m")
}

fn start_with_rate(limiter: &str, rate: &str) -> Nginx {
    let setup = application(Setup::new());
    // Nobody else is to listen there while the test runs.
    let nobody = Box::leak(Box::new(Port::reserve())).address();
    let limit = format!("limit_req zone=one burst=2; {}", pass(&setup));
    let nginx = setup
        .http(&renamed_for(limiter, &format!("limit_req_zone $host zone=one:1m rate={rate};\n")))
        .location("/application/", &renamed_for(limiter, &limit))
        .location("= /instead", &renamed_for(limiter, "limit_req zone=one burst=2;"))
        .document("instead", b"instead")
        .location(
            "/memcached/",
            &format!(
                "set $memcached_key 1; memcached_pass {nobody}; error_page 502 =200 /instead;"
            ),
        )
        .start();
    assert_eq!(nginx.get("/application/").status, 200);
    nginx
}

#[test]
fn the_body_of_a_request_that_waits_reaches_the_application_whole() {
    each_limiter(|limiter| {
        let nginx = start(limiter);
        let mut client = nginx.connect();
        for body in ["short".to_owned(), "0123456789".repeat(20_000)] {
            let response = client.request("POST", "/application/a", &[], body.as_bytes());
            assert!(response.text() == format!("/application/a [{body}] \n"), "{}", body.len());
        }
        wait_for_delays(&nginx, 2);
    });
}

/// Sends a request with a body in three parts: before it is held back, while it waits, and
/// afterwards. Returns the text of its answer, and of the next one on the connection.
fn send_in_parts(nginx: &Nginx, path: &str, body: &str) -> [String; 2] {
    let request = request("GET", path, &[], body.as_bytes());
    let (before, rest) = request.split_at(request.len() / 3);
    let (during, after) = rest.split_at(rest.len() / 2);
    let mut client = nginx.connect();
    client.send(before);
    wait_for_delays(nginx, 1);
    client.send(during);
    // What is tested is what comes when the delay is over.
    thread::sleep(Duration::from_millis(2_200));
    client.send(after);
    [client.read("GET").text(), client.get("/application/b").text()]
}

#[test]
fn a_body_may_arrive_before_during_and_after_the_delay() {
    each_limiter(|limiter| {
        let body = "0123456789".repeat(5_000);
        let [answer, next] = send_in_parts(&start(limiter), "/application/a", &body);
        assert!(answer == format!("/application/a [{body}] \n"));
        assert_eq!(next, "/application/b [] \n");
    });
}

#[test]
fn a_body_that_nobody_wants_may_arrive_before_during_and_after_the_delay() {
    each_limiter(|limiter| {
        let body = "0123456789".repeat(5_000);
        let [answer, next] = send_in_parts(&start(limiter), "/memcached/a", &body);
        assert_eq!(answer, "instead");
        assert_eq!(next, "/application/b [] \n");
    });
}

#[test]
fn a_client_that_leaves_with_half_a_body_is_noticed() {
    each_limiter(|limiter| {
        let nginx = start_with_rate(limiter, "3r/m");
        let (began, mut client) = (Instant::now(), nginx.connect());
        let request = request("POST", "/application/a", &[], &[b'x'; 50_000]);
        client.send(&request[..request.len() / 2]);
        wait_for_delays(&nginx, 1);
        drop(client);
        wait_until("the abort in the log", || nginx.aborted() == 1);
        assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
    });
}

#[test]
fn the_body_of_a_request_that_is_refused_is_read_past() {
    each_limiter(|limiter| {
        let nginx = Setup::new()
            .http(&renamed_for(limiter, "limit_req_zone $host zone=one:1m rate=3r/m;\n"))
            .location("/limited", &renamed_for(limiter, "limit_req zone=one; empty_gif;"))
            .document("free", b"free")
            .start();
        let mut client = nginx.connect();
        assert_eq!(client.get("/limited").status, 200);
        for size in [5, 3_000, 200_000] {
            let response = client.request("POST", "/limited", &[], &vec![b'x'; size]);
            assert_eq!(response.status, 503, "a body of {size}");
        }
        assert_eq!(client.get("/free").text(), "free");
    });
}
