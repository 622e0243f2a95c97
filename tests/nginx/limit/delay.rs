//! Requests that a limiter holds back: for as long as it says, whatever the protocol, and at no cost
//! to anybody else. What is asked of ours, limit_req does too.

use std::time::{Duration, Instant};

use crate::common::client::{request, Client};
use crate::common::curl::{curl, try_curl};
use crate::common::limited::{ask_at_once, each_limiter, renamed_for, wait_for_delays, TICK};
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::process::{self, Signal};
use crate::common::setup::Setup;
use crate::common::{wait_until, Numbers};

/// Adds a limit, one for all clients, in the location `/limited/`, whose documents are `one`, `two`
/// and `three`; and `/free`, where there is none.
fn limited(setup: Setup, limiter: &str, rate: &str, burst: &str) -> Setup {
    let zone = format!("limit_req_zone $binary_remote_addr zone=one:1m rate={rate};\n");
    let directives = format!("limit_req zone=one {burst};");
    let documents = ["limited/one", "limited/two", "limited/three", "free"];
    documents
        .iter()
        .fold(setup, |setup, document| setup.document(document, document.as_bytes()))
        .http(&renamed_for(limiter, &zone))
        .location("/limited/", &renamed_for(limiter, &directives))
}

fn start(limiter: &str, rate: &str, burst: &str) -> Nginx {
    limited(Setup::new(), limiter, rate, burst).start()
}

/// A server where the next request has to wait for 20 seconds.
fn start_with_long_delay(setup: Setup, limiter: &str) -> Nginx {
    let nginx = limited(setup, limiter, "3r/m", "burst=5").start();
    assert_eq!(nginx.get("/limited/one").status, 200);
    nginx
}

/// Waits until nginx has logged the end of as many requests with 499 as were aborted, and asserts
/// that it did not wait for the end of their delay.
#[track_caller]
fn assert_noticed(nginx: &Nginx, aborted: usize, began: Instant) {
    wait_until("the aborts in the log", || nginx.aborted() == aborted);
    assert!(began.elapsed() < Duration::from_secs(18), "noticed after {:?}", began.elapsed());
}

/// Asserts that a time is not below what is due, and above it not by more than a busy machine takes.
#[track_caller]
fn assert_due(time: Duration, due: Duration) {
    assert!(time + TICK >= due && time < due + Duration::from_secs(5), "{time:?}, not {due:?}");
}

#[test]
fn a_delay_lasts_as_long_as_the_excess_needs() {
    each_limiter(|limiter| {
        let nginx = start(limiter, "4r/s", "burst=4");
        let answers = ask_at_once(&nginx, &["/limited/one"; 5]);
        for (number, answer) in (0..).zip(&answers) {
            assert_eq!(answer.status, 200);
            assert_due(answer.after, Duration::from_millis(250) * number);
        }
    });
}

#[test]
fn a_client_that_leaves_is_noticed_and_costs_nothing_more() {
    each_limiter(|limiter| {
        let nginx = start_with_long_delay(Setup::new(), limiter);
        let began = Instant::now();
        let (mut leaves, mut resets) = (nginx.connect(), nginx.connect());
        leaves.ask("/limited/one");
        resets.ask("/limited/two");
        wait_for_delays(&nginx, 2);
        drop(leaves);
        resets.abort();
        assert_noticed(&nginx, 2, began);
        // Nobody waits for a timer, and what was charged remains charged.
        let old = nginx.reload();
        process::wait_for_end(&old);
        assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
        nginx.connect().ask("/limited/three");
        wait_for_delays(&nginx, 3);
        let log = nginx.error_log();
        let (_, excess) = log.rsplit_once("excess: ").expect("a delay");
        assert!(excess.starts_with("2."), "{limiter}: {excess}");
    });
}

#[test]
fn a_client_that_leaves_is_noticed_though_it_has_sent_more() {
    each_limiter(|limiter| {
        let nginx = start_with_long_delay(Setup::new(), limiter);
        let began = Instant::now();
        let mut client = nginx.connect();
        client.ask("/limited/one");
        client.ask("/limited/two");
        wait_for_delays(&nginx, 1);
        drop(client);
        assert_noticed(&nginx, 1, began);
    });
}

#[test]
fn a_client_that_leaves_while_a_part_of_its_page_waits_is_noticed() {
    each_limiter(|limiter| {
        let part = b"<!--#include virtual=\"/limited/one\" -->";
        let setup = Setup::new().document("page", part);
        let setup = setup.location("= /page", "ssi on; ssi_types *;");
        let nginx = start_with_long_delay(setup, limiter);
        let began = Instant::now();
        let mut client = nginx.connect();
        client.ask("/page");
        wait_for_delays(&nginx, 1);
        drop(client);
        assert_noticed(&nginx, 1, began);
        assert_eq!(nginx.get("/free").text(), "free");
    });
}

#[test]
fn pipelined_requests_wait_in_turn_and_are_answered_in_order() {
    each_limiter(|limiter| {
        let nginx = start(limiter, "5r/s", "burst=4");
        let paths =
            ["/limited/one", "/limited/two", "/free", "/limited/three", "/limited/one", "/free"];
        let began = Instant::now();
        let mut client = nginx.connect();
        let requests = paths.map(|path| request("GET", path, &[], b""));
        client.send(requests.concat());
        let dues = [0, 200, 200, 400, 600, 600].map(Duration::from_millis);
        for (path, due) in paths.iter().zip(dues) {
            let response = client.read("GET");
            assert_eq!((response.status, response.text().as_str()), (200, &path[1..]));
            assert_due(began.elapsed(), due);
        }
        assert_eq!(client.get("/free").text(), "free", "the connection can still be used");
    });
}

#[test]
fn a_stream_that_waits_holds_up_no_other() {
    each_limiter(|limiter| {
        let port = Port::reserve();
        let setup = Setup::new().https(&port).server("add_header X-Connection $connection;\n");
        let nginx = limited(setup, limiter, "1r/s", "burst=5").start();
        let uris = ["limited/one", "limited/two", "limited/three", "free"]
            .map(|path| format!("https://{}/{path}", port.address()));
        let told = "%{url} %{http_version} %{http_code} %header{x-connection} %{time_total}\n";
        let mut arguments = vec!["--insecure", "--http2", "--parallel", "--write-out", told];
        uris.iter().for_each(|uri| arguments.extend([uri, "--output", "/dev/null"]));
        let seen = String::from_utf8(curl(&arguments)).expect("text");
        let streams: Vec<Vec<&str>> = seen.lines().map(|line| line.split(' ').collect()).collect();
        assert_eq!(streams.len(), 4, "{seen}");
        assert!(streams.iter().all(|stream| stream[1..4] == ["2", "200", streams[0][3]]), "{seen}");
        let time = |path: &str| {
            let stream = streams.iter().find(|stream| stream[0].ends_with(path)).expect("a URI");
            Duration::from_secs_f64(stream[4].parse().expect("seconds"))
        };
        let mut limited = ["limited/one", "limited/two", "limited/three"].map(time);
        limited.sort();
        assert!(time("free") < limited[1], "{seen}");
        for (number, time) in (0..).zip(limited) {
            assert_due(time, Duration::from_secs(number));
        }
        drop(nginx);
    });
}

#[test]
fn streams_and_encrypted_connections_whose_client_leaves_are_noticed() {
    each_limiter(|limiter| {
        let port = Port::reserve();
        let nginx = start_with_long_delay(Setup::new().https(&port), limiter);
        let (began, uri) = (Instant::now(), format!("https://{}/limited/one", port.address()));
        for option in ["--http2", "--http1.1"] {
            let left = try_curl(&["--insecure", option, "--max-time", "3", &uri]);
            assert!(!left.status.success(), "{option}");
        }
        wait_for_delays(&nginx, 2);
        assert_noticed(&nginx, 2, began);
    });
}

#[test]
fn an_encrypted_request_waits_and_is_answered() {
    each_limiter(|limiter| {
        let port = Port::reserve();
        let nginx = limited(Setup::new().https(&port), limiter, "15r/m", "burst=5").start();
        assert_eq!(nginx.get("/limited/one").status, 200);
        for option in ["--http1.1", "--http2"] {
            let uri = format!("https://{}/limited/two", port.address());
            assert_eq!(curl(&["--insecure", option, &uri]), b"limited/two", "{option}");
        }
        wait_for_delays(&nginx, 2);
    });
}

#[test]
fn a_response_that_is_slowed_down_may_have_waited() {
    each_limiter(|limiter| {
        let nginx = limited(Setup::new(), limiter, "2r/s", "burst=5")
            .document("limited/slow", &[b'x'; 3000])
            .server(&renamed_for(
                limiter,
                "location = /limited/slow { limit_req zone=one burst=5; limit_rate 2k; }\n",
            ))
            .start();
        let began = Instant::now();
        let mut client = nginx.connect();
        for _ in 0..2 {
            assert_eq!(client.get("/limited/slow").body, [b'x'; 3000]);
        }
        assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
    });
}

#[test]
fn what_else_happens_on_the_connection_does_not_shorten_the_wait() {
    each_limiter(|limiter| {
        // So large a response does not leave at once: nginx learns from now on when it could write.
        let large = vec![b'x'; 12 << 20];
        let setup = Setup::new().document("large", &large);
        let nginx = limited(setup, limiter, "1r/s", "burst=5").start();
        let mut client = nginx.connect();
        assert!(client.get("/large").body == large);
        let began = Instant::now();
        assert_eq!(client.get("/limited/one").status, 200);
        client.ask("/limited/none");
        wait_for_delays(&nginx, 1);
        client.ask("/free");
        // That nginx has looked for the file shows in its log sooner than in its answer.
        nginx.wait_for_error("html/limited/none\" failed");
        assert_due(began.elapsed(), Duration::from_secs(1));
        assert_eq!(client.read("GET").status, 404);
        assert_eq!(client.read("GET").text(), "free");
    });
}

/// A server whose limit holds back four of five requests, the last one for two seconds, and the
/// clients that wait.
fn waiting(limiter: &str, setup: Setup) -> (Nginx, Instant, Vec<Client>) {
    let nginx = limited(setup, limiter, "2r/s", "burst=4").start();
    let began = Instant::now();
    let mut clients: Vec<_> = (0..5).map(|_| nginx.connect()).collect();
    for client in &mut clients {
        client.ask("/limited/one");
    }
    wait_for_delays(&nginx, 4);
    (nginx, began, clients)
}

#[track_caller]
fn assert_answered_in_time(began: Instant, clients: &mut [Client]) {
    for (number, client) in (0..).zip(clients) {
        assert_eq!(client.read("GET").text(), "limited/one");
        assert_due(began.elapsed(), Duration::from_millis(500) * number);
    }
}

#[test]
fn smoke_a_reload_loses_no_request_that_waits() {
    each_limiter(|limiter| {
        let (nginx, began, mut clients) = waiting(limiter, Setup::new());
        let old = nginx.reload();
        assert_answered_in_time(began, &mut clients);
        process::wait_for_end(&old);
    });
}

#[test]
fn a_graceful_end_answers_who_waits() {
    each_limiter(|limiter| {
        let (nginx, began, mut clients) = waiting(limiter, Setup::new());
        process::signal(nginx.master(), Signal::QUIT);
        wait_until("the end of listening", || Client::try_connect(nginx.port()).is_err());
        assert_answered_in_time(began, &mut clients);
        wait_until("the end", || process::living_in(nginx.prefix()).is_empty());
    });
}

#[test]
fn an_end_by_a_time_waits_no_longer() {
    each_limiter(|limiter| {
        let setup = Setup::new().main("worker_shutdown_timeout 200ms;\n");
        let nginx = start_with_long_delay(setup, limiter);
        let mut client = nginx.connect();
        client.ask("/limited/one");
        wait_for_delays(&nginx, 1);
        let began = Instant::now();
        process::wait_for_end(&nginx.reload());
        client.wait_for_close();
        assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
    });
}

#[test]
fn of_many_that_wait_some_leave_and_the_others_are_answered() {
    each_limiter(|limiter| {
        let nginx = start(limiter, "100r/s", "burst=200");
        let mut numbers = Numbers::new(7);
        let mut clients: Vec<_> = (0..150).map(|_| nginx.connect()).collect();
        for client in &mut clients {
            client.ask("/limited/one");
        }
        let mut aborted = 0;
        clients.retain_mut(|client| {
            let stays = numbers.below(2) == 0;
            if !stays {
                let leaves = std::mem::replace(client, nginx.connect());
                leaves.abort();
                aborted += 1;
            }
            stays
        });
        assert!(aborted > 50, "{aborted}");
        for client in &mut clients {
            assert_eq!(client.read("GET").text(), "limited/one");
        }
        assert_eq!(nginx.get("/free").text(), "free");
    });
}
