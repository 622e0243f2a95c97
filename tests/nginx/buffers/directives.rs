//! The directives of `smart_buffers`: what they take and refuse; and what becomes of what was measured.

use std::thread;

use crate::common::buffers::assert_sizes;
use crate::common::client::Client;
use crate::common::level::{self, Level, EVERYWHERE};
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::process;
use crate::common::setup::Setup;
use crate::common::{sanitized, wait_until};
use serde_json::Value;

use Level::{Http, Location, Main, Server, Upstream};

fn setup() -> Setup {
    Setup::new().http("smart_buffers_zone 1m;\n")
}

#[test]
fn good_arguments_are_taken_at_every_level() {
    for level in EVERYWHERE {
        for directives in [
            "smart_buffers on;",
            "smart_buffers off;",
            "smart_buffers_budget 1;",
            "smart_buffers_budget 64k;",
            "smart_buffers on;\nsmart_buffers_budget 8m;",
        ] {
            level::accepted(setup(), level, directives);
        }
    }
    for size in ["32k", "1m", "8M", "262144"] {
        let zone = format!("smart_buffers on;\nsmart_buffers_zone {size};");
        level::accepted(Setup::new(), Http, &zone);
    }
    // Nothing is measured, so nothing is needed.
    level::accepted(Setup::new(), Http, "smart_buffers off;\nsmart_buffers_budget 1m;");
}

#[test]
fn bad_arguments_are_refused_with_their_place() {
    for level in EVERYWHERE {
        for (directive, message) in [
            ("smart_buffers maybe;", "invalid value \"maybe\" in \"smart_buffers\" directive"),
            ("smart_buffers_budget much;", "\"smart_buffers_budget\" directive invalid value"),
            ("smart_buffers_budget -1;", "\"smart_buffers_budget\" directive invalid value"),
            ("smart_buffers_budget 1g2;", "\"smart_buffers_budget\" directive invalid value"),
        ] {
            level::refused(setup(), level, directive, message);
        }
        level::refused_for_their_number(
            setup,
            level,
            &[
                "smart_buffers;",
                "smart_buffers on on;",
                "smart_buffers_budget;",
                "smart_buffers_budget 1m 2m;",
            ],
        );
    }
    for (size, message) in [
        ("much", "invalid zone size \"much\""),
        ("0", "zone \"0\" is too small"),
        ("28k", "zone \"28k\" is too small"),
        ("-1m", "invalid zone size \"-1m\""),
    ] {
        level::refused(Setup::new(), Http, &format!("smart_buffers_zone {size};"), message);
    }
    level::refused_for_their_number(
        Setup::new,
        Http,
        &["smart_buffers_zone;", "smart_buffers_zone zone=a:1m 1m;"],
    );
}

#[test]
fn none_stands_twice_or_where_it_may_not() {
    level::refused_twice(setup, &["smart_buffers on;", "smart_buffers_budget 1m;"]);
    let twice = "  smart_buffers_zone 1m;\nsmart_buffers_zone 1m;";
    level::refused(Setup::new(), Http, twice, "\"smart_buffers_zone\" directive is duplicate");
    level::refused_at(Setup::new, &[Main, Server, Location, Upstream], &["smart_buffers_zone 1m;"]);
    level::refused_at(setup, &[Main, Upstream], &["smart_buffers on;", "smart_buffers_budget 1m;"]);
    let in_an_if = "location / {\nif ($arg_a) {\nsmart_buffers on;\n}\n}";
    let check = setup().server(in_an_if).check();
    assert!(
        check.message.contains("\"smart_buffers\" directive is not allowed here"),
        "{}",
        check.message
    );
}

#[test]
fn measuring_needs_a_zone_which_nobody_else_has() {
    for level in EVERYWHERE {
        let message = "\"smart_buffers\" needs \"smart_buffers_zone\"";
        level::refused_at_the_end(Setup::new(), level, "smart_buffers on;", message);
    }
    let other = "limit_req_zone $uri zone=ngx_smart_buffers:1m rate=1r/s;\nsmart_buffers_zone 1m;";
    let message =
        "the shared memory zone \"ngx_smart_buffers\" is already declared for a different use";
    level::refused(Setup::new(), Http, other, message);
}

/// The names of all locations that are measured, in their order.
fn names(buffers: &Value) -> Vec<&str> {
    let locations = buffers["locations"].as_array().expect("locations");
    let mut names: Vec<&str> =
        locations.iter().map(|one| one["location"].as_str().expect("a name")).collect();
    names.sort_unstable();
    names
}

#[test]
fn smoke_inner_levels_prevail() {
    let other = Port::reserve();
    let nginx = setup()
        .interface()
        .http("smart_buffers on; smart_buffers_budget 2m;\n")
        .server("smart_buffers off; smart_buffers_budget 3m;\n")
        .location("/off/", "return 204;")
        .location(
            "/on/",
            "smart_buffers on; return 204; location /on/more/ { smart_buffers_budget 4m; }",
        )
        .http(&format!("server {{ listen {}; server_name other; }}\n", other.address()))
        .start();
    let buffers = nginx.buffers();
    assert_eq!(names(&buffers), ["", "/on/", "/on/more/"]);
    for (server, location, megabytes) in [("other", "", 2), ("", "/on/", 3), ("", "/on/more/", 4)] {
        assert_eq!(nginx.location_of(server, location)["budget_bytes"], megabytes << 20);
    }
    let nginx = setup().interface().location("/on/", "smart_buffers on;").start();
    assert_eq!(nginx.location("/on/")["budget_bytes"], 1 << 20, "the default");
    assert_eq!(names(&nginx.buffers()), ["/on/"]);
}

#[test]
fn nothing_is_told_without_a_zone() {
    let nginx = Setup::new().location("/smart/", "smart_api;").start();
    assert_eq!(nginx.get("/smart/buffers").status, 404);
    assert_eq!(nginx.get("/smart/status.json").json()["buffers"], Value::Null);
}

/// `/a/` and `/b/`, which are measured, and answer 3 bytes.
fn two() -> Setup {
    Setup::new().measured().location("/a/", "return 200 one;").location("/b/", "return 200 two;")
}

#[track_caller]
fn ask(nginx: &Nginx, path: &str, times: usize) {
    let mut client = nginx.connect();
    (0..times).for_each(|_| assert_eq!(client.get(path).status, 200));
}

#[test]
fn smoke_a_reload_keeps_what_was_measured_of_what_is_still_there() {
    let nginx = two().start();
    ask(&nginx, "/a/", 20);
    ask(&nginx, "/b/", 10);
    nginx.reload();
    assert_eq!(nginx.location("/a/")["requests"], 20);
    assert_eq!(nginx.location("/b/")["requests"], 10);
    ask(&nginx, "/a/", 1);
    assert_sizes(&nginx.location_after("/a/", 21)["measured"]["response"], &[3; 21]);

    // What is gone is forgotten, also if it comes back.
    nginx.reconfigure(|text| text.replace("location /b/", "location /c/"));
    nginx.reload();
    assert_eq!(names(&nginx.buffers()), ["", "/a/", "/c/", "/files/"]);
    assert_eq!(nginx.location("/c/")["requests"], 0);
    nginx.reconfigure(|text| text.replace("location /c/", "location /b/"));
    nginx.reload();
    assert_eq!(nginx.location("/b/")["requests"], 0);
    assert_eq!(nginx.location("/a/")["requests"], 21);
    ask(&nginx, "/b/", 2);
    assert_sizes(&nginx.location_after("/b/", 2)["measured"]["response"], &[3; 2]);
}

#[test]
fn a_configuration_that_is_refused_leaves_all_as_it_is() {
    let nginx = two().start();
    ask(&nginx, "/a/", 5);
    ask(&nginx, "/b/", 5);
    nginx.allow("[emerg]");
    nginx.reconfigure(|text| text.replace("location /b/", "nonsense; location /c/"));
    process::signal(nginx.master(), process::Signal::HUP);
    nginx.wait_for_error("unknown directive \"nonsense\"");
    ask(&nginx, "/b/", 1);
    assert_eq!(nginx.location_after("/b/", 6)["requests"], 6);
    assert_eq!(nginx.location("/a/")["requests"], 5);
}

#[test]
fn a_zone_of_another_size_begins_anew() {
    let nginx = two().start();
    ask(&nginx, "/a/", 5);
    nginx.reconfigure(|text| text.replace("smart_buffers_zone 1m", "smart_buffers_zone 2m"));
    nginx.reload();
    assert_eq!(nginx.location("/a/")["requests"], 0);
    ask(&nginx, "/a/", 1);
    nginx.location_after("/a/", 1);
}

#[test]
fn locations_that_there_is_no_room_for_are_named_and_room_is_made_by_a_reload() {
    const LOCATIONS: u64 = 12;
    let mut setup = Setup::new().http("smart_buffers_zone 64k; smart_buffers on;\n").interface();
    for number in 0..LOCATIONS {
        setup = setup.location(&format!("= /{number}"), "return 200 text;");
    }
    let nginx = setup.start();
    assert_eq!(nginx.buffers()["unmeasured"], 0, "none was needed yet");
    let ask_all = || (0..LOCATIONS).for_each(|number| ask(&nginx, &format!("/{number}"), 1));
    ask_all();
    ask_all();
    let buffers = nginx.buffers();
    let measured = |buffers: &Value| {
        let locations = buffers["locations"].as_array().expect("locations");
        locations.iter().filter(|one| one["requests"] == 2).count() as u64
    };
    let room = measured(&buffers);
    assert!((1..LOCATIONS).contains(&room), "{buffers:#}");
    // Those of `/files/` and of the server itself, which nobody has asked for, have no room either.
    assert_eq!(buffers["unmeasured"], LOCATIONS + 2 - room);
    assert_eq!(nginx.location("= /0")["requests"], 2, "the first is there");
    assert_eq!(nginx.location("= /11")["requests"], 0, "the last is not");

    nginx.reconfigure(|text| text.replace("location = /0 ", "location = /gone "));
    nginx.reload();
    ask(&nginx, "/11", 3);
    nginx.location_after("= /11", 3);
}

#[test]
fn four_workers_lose_nothing() {
    const CLIENTS: usize = 8;
    let requests = if sanitized() { 100 } else { 300 };
    let mut setup = Setup::new().workers(4).measured();
    for place in ["a", "b", "c"] {
        // All of them at once are the first to need these.
        setup = setup.location(&format!("/{place}/"), &format!("return 200 {};", place.repeat(40)));
    }
    let nginx = setup.start();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let nginx = &nginx;
            scope.spawn(move || {
                for number in 0..requests {
                    let place = ["a", "b", "c"][(client + number) % 3];
                    assert_eq!(nginx.get(&format!("/{place}/")).body.len(), 40);
                }
            });
        }
    });
    let total = (CLIENTS * requests) as u64;
    let headers = || nginx.server("")["header"].clone();
    wait_until("all headers", || headers()["count"] == total);
    let length = crate::common::client::request("GET", "/a/", &[], b"").len();
    assert_sizes(&headers(), &vec![length as u64; CLIENTS * requests]);
    let places = ["/a/", "/b/", "/c/"].map(|place| nginx.location(place));
    let counted: u64 = places.iter().map(|one| one["requests"].as_u64().expect("a number")).sum();
    assert_eq!(counted, total);
    for place in &places {
        let counted = place["requests"].as_u64().expect("a number");
        assert_sizes(&place["measured"]["response"], &vec![40; counted as usize]);
    }
}

#[test]
fn the_death_of_a_worker_costs_no_more_than_its_own_requests() {
    const CLIENTS: usize = 4;
    let nginx = two().workers(2).start();
    let answered = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let nginx = &nginx;
                scope.spawn(move || {
                    // The connections to who is killed are lost, and so is a request on each.
                    let ask = || {
                        let mut client = Client::try_connect(nginx.port()).ok()?;
                        client
                            .try_send(&crate::common::client::request("GET", "/a/", &[], b""))
                            .ok()?;
                        client.try_read("GET").ok()
                    };
                    (0..300).filter(|_| ask().is_some()).count() as u64
                })
            })
            .collect();
        for _ in 0..3 {
            wait_until("requests", || nginx.location("/a/")["requests"].as_u64() > Some(50));
            nginx.kill_worker(nginx.workers()[0]);
        }
        clients.into_iter().map(|client| client.join().expect("a client")).sum::<u64>()
    });
    let counted = || nginx.location("/a/")["requests"].as_u64().expect("a number");
    // A request is answered before it is counted, so one per client may be missing each time, and one that was
    // counted may not have been answered whole.
    let lost = (3 * CLIENTS) as u64;
    wait_until("what was answered is counted", || counted().abs_diff(answered) <= lost);
    let before = counted();
    ask(&nginx, "/a/", 10);
    wait_until("it goes on", || counted() >= before + 10);
}

#[test]
fn a_new_binary_measures_from_the_beginning() {
    let nginx = two().daemon().start();
    ask(&nginx, "/a/", 7);
    let old = nginx.start_new_binary();
    // Until the old one ends, either of them may answer; none of them fails.
    ask(&nginx, "/a/", 20);
    let old_workers = nginx.workers_of(old);
    process::signal(old, process::Signal::QUIT);
    process::wait_for_end(&[old]);
    process::wait_for_end(&old_workers);
    let counted = nginx.location("/a/")["requests"].as_u64().expect("a number");
    assert!(counted <= 20, "{counted}: a new binary has memory of its own");
    ask(&nginx, "/a/", 5);
    nginx.location_after("/a/", counted + 5);
}
