//! Requests that wait for their turn while nginx reloads, ends or changes its binary: none is lost.

use crate::common::client::Client;
use crate::common::clock::Clock;
use crate::common::limit::limited;
use crate::common::load::Load;
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::setup::Setup;
use crate::common::{dose, site, wait_until};

const IDS: u64 = 100;

/// A limit that lets one request of a key through in a minute while the others wait, and one that
/// is never reached: of files, as [`Load`] asks for them.
fn setup(workers: usize) -> Setup {
    let mut setup = limited()
        .workers(workers)
        .http("smart_limit_zone $arg_k zone=minute:1m rate=1r/m;\n")
        .http("smart_limit_zone $uri zone=files:1m rate=1000000r/s;\n")
        .limit("/waits", "smart_limit zone=minute burst=1000;")
        .limit("/refuses", "smart_limit zone=minute;");
    for id in 0..IDS {
        setup = setup.document(&id.to_string(), &site::content_of(id));
    }
    let root = setup.prefix().join("html").display().to_string();
    setup.location(
        "/file/",
        &format!("smart_limit zone=files burst=1000000 nodelay; alias {root}/;"),
    )
}

/// Has this many requests wait.
fn wait_in(nginx: &Nginx, clients: usize) -> Vec<Client> {
    let lines = || nginx.error_log().matches("delaying request, ").count();
    let before = lines();
    let clients: Vec<Client> = (0..clients)
        .map(|_| {
            let mut client = nginx.connect();
            client.ask("/waits?k=a");
            client
        })
        .collect();
    wait_until("the delays in the log", || lines() == before + clients.len());
    clients
}

/// The workers, those that are shutting down among them.
fn all_workers(nginx: &Nginx) -> impl Iterator<Item = process::Id> {
    let living = process::living_in(nginx.prefix());
    living.into_iter().filter(|id| process::title(*id).contains("worker"))
}

/// Waits until all these have had their turn, which has come, and looks at their answers.
#[track_caller]
fn assert_delayed(nginx: &Nginx, clients: Vec<Client>) {
    let turns = || nginx.access_log().iter().filter(|line| line["limit"] == "DELAYED").count();
    wait_until("everybody's turn", || {
        // An old worker takes no connection that would wake it: this signal has it look at the
        // clock, and open its log again.
        for worker in all_workers(nginx) {
            process::signal(worker, Signal::USR1);
        }
        turns() == clients.len()
    });
    for mut client in clients {
        assert_eq!(client.read("GET").verdict(), "200 DELAYED");
    }
}

#[test]
fn reloads_lose_no_request_that_waits() {
    for workers in [2, 4] {
        let (clock, setup) = Clock::into(setup(workers));
        let nginx = setup.start();
        assert_eq!(nginx.get("/waits?k=a").verdict(), "200 PASSED");
        let load = Load::new(&nginx, 4, IDS).start();
        let mut waiting = Vec::new();
        let mut old = Vec::new();
        for _ in 0..dose(5, 100) {
            waiting.extend(wait_in(&nginx, 8));
            old.extend(nginx.reload());
        }
        let count = waiting.len() as u64;
        clock.advance_seconds(60 * count);
        assert_delayed(&nginx, waiting);
        // All were counted, in one bucket: the last of them has just had its turn.
        clock.advance_seconds(59);
        assert_eq!(nginx.get("/refuses?k=a").verdict(), "503 REJECTED");
        clock.advance_seconds(1);
        assert_eq!(nginx.get("/refuses?k=a").verdict(), "200 PASSED");
        load.stop().assert_all_good();
        process::wait_for_end(&old);
    }
}

#[test]
fn a_fast_end_waits_for_nobody() {
    let nginx = setup(1).start();
    assert_eq!(nginx.get("/waits?k=a").verdict(), "200 PASSED");
    let waiting = wait_in(&nginx, 10);
    process::signal(nginx.master(), Signal::TERM);
    wait_until("the end", || process::living_in(nginx.prefix()).is_empty());
    drop(waiting);
}

#[test]
fn a_reload_without_the_limit_lets_those_that_wait_have_their_turn() {
    let (clock, setup) = Clock::into(setup(1));
    let nginx = setup.start();
    assert_eq!(nginx.get("/waits?k=a").verdict(), "200 PASSED");
    let waiting = wait_in(&nginx, 3);
    nginx.reconfigure(|text| {
        text.replace("smart_limit zone=minute burst=1000;", "")
            .replace("smart_limit zone=minute;", "")
            .replace("smart_limit_zone $arg_k zone=minute:1m rate=1r/m;", "")
    });
    let old = nginx.reload();
    assert_eq!(nginx.get("/waits?k=a").verdict(), "200 -");
    clock.advance_seconds(180);
    assert_delayed(&nginx, waiting);
    process::wait_for_end(&old);
}

#[test]
fn a_change_of_binary_under_load_fails_no_request() {
    let nginx = setup(2).daemon().start();
    assert_eq!(nginx.get("/refuses?k=a").verdict(), "200 PASSED");
    assert_eq!(nginx.get("/refuses?k=a").verdict(), "503 REJECTED");
    let load = Load::new(&nginx, 4, IDS).start();
    let single = Load::new(&nginx, 2, IDS).without_keepalive().start();
    for round in 0..dose(1, 50) {
        nginx.change_binary(|| {
            single.wait_for(50);
            load.wait_for(50);
        });
        // nginx hands no zone on to another binary: the limit begins anew, and limits.
        let path = format!("/refuses?k={round}");
        assert_eq!(nginx.get(&path).verdict(), "200 PASSED");
        assert_eq!(nginx.get(&path).verdict(), "503 REJECTED");
    }
    load.stop().assert_all_good();
    single.stop().assert_all_good();
}

/// It knows the rates of a configuration that has gone, and would forgive by them.
#[test]
fn an_old_worker_that_waits_for_a_request_takes_care_of_no_key() {
    let (clock, setup) = Clock::into(
        limited()
            .http("smart_limit_zone $arg_k zone=changes:64k rate=100r/s;\n")
            .http("smart_limit_zone $arg_k zone=hour:64k rate=1r/h;\n")
            .limit("/changes", "smart_limit zone=changes;")
            .limit("/waits", "smart_limit zone=hour burst=1;"),
    );
    let nginx = setup.start();
    assert_eq!(nginx.get("/waits?k=a").status, 200);
    let mut waiting = nginx.connect();
    waiting.ask("/waits?k=a");
    nginx.wait_for_error("delaying request");
    nginx.reconfigure(|text| text.replace("rate=100r/s", "rate=1r/h"));
    nginx.reload();
    assert_eq!(all_workers(&nginx).count(), 2, "the old one waits");
    assert_eq!([0; 2].map(|_| nginx.get("/changes?k=a").status), [200, 503]);
    for _ in 0..3 {
        // Time for a look after all keys, and a signal for all workers to notice the time.
        clock.advance_seconds(61);
        let looks = || nginx.error_log().matches("reopening logs").count();
        let before = looks();
        for worker in all_workers(&nginx) {
            process::signal(worker, Signal::USR1);
        }
        wait_until("both workers' look at the clock", || looks() >= before + 2);
        assert_eq!(nginx.get("/changes?k=a").status, 503, "the hour has not gone by");
    }
    clock.advance_seconds(3600);
    assert_delayed(&nginx, vec![waiting]);
}
