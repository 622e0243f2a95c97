//! To which location a request is counted, and by which name.

use std::cell::Cell;

use crate::common::buffers::{assert_sizes, listening};
use crate::common::client::{request, Client};
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::upstreams::{asking_for, Upstreams};
use crate::common::wait_until;
use serde_json::{json, Value};

#[test]
fn parts_of_a_location_are_counted_with_it() {
    let nginx = Setup::new()
        .measured()
        .location(
            "/parted/",
            "if ($arg_a) { add_header X-A a; } if ($arg_b) { return 204; }
            limit_except GET { deny all; } return 200 text;",
        )
        .start();
    for path in ["/parted/", "/parted/?a=1", "/parted/?b=1"] {
        assert!(nginx.get(path).status < 300);
    }
    assert_eq!(nginx.location_after("/parted/", 3)["location"], "/parted/");
    assert_eq!(nginx.connect().request("PUT", "/parted/", &[], b"").status, 403);
    nginx.location_after("/parted/", 4);
}

#[test]
fn smoke_locations_are_named_as_they_are_written() {
    let nginx = Setup::new()
        .measured()
        .document("a.re", b"text")
        .document("b.CI", b"text")
        .location("/outer/", "return 204; location /outer/inner/ { return 204; }")
        .location("= /exact", "return 204;")
        .location("^~ /first/", "return 204;")
        .location("~ \\.re$", "")
        .location("~* \\.ci$", "")
        .location("/named/", "try_files /nothing @named;")
        .location("@named", "return 204;")
        .start();
    for (path, location) in [
        ("/outer/", "/outer/"),
        ("/outer/inner/x", "/outer/inner/"),
        ("/exact", "= /exact"),
        ("/first/a.re", "^~ /first/"),
        ("/a.re", "~ \\.re$"),
        ("/b.CI", "~ \\.ci$"),
        ("/named/", "@named"),
        ("/nowhere", ""),
    ] {
        nginx.get(path);
        assert_eq!(nginx.location_after(location, 1)["location"], location);
    }
    assert_eq!(nginx.location("/named/")["requests"], 0, "its last location was another");
}

#[test]
fn what_is_not_switched_on_is_not_measured() {
    let nginx = Setup::new()
        .http("smart_buffers_zone 1m;\n")
        .interface()
        .location("/off/", "return 204;")
        .location(
            "/on/",
            "smart_buffers on; return 204; location /on/off/ { smart_buffers off; return 204; }",
        )
        .start();
    for path in ["/off/", "/on/", "/on/off/"] {
        assert_eq!(nginx.get(path).status, 204);
    }
    nginx.location_after("/on/", 1);
    let buffers = nginx.buffers();
    let names: Vec<&Value> = buffers["locations"]
        .as_array()
        .expect("locations")
        .iter()
        .map(|one| &one["location"])
        .collect();
    assert_eq!(names, ["/on/"]);
}

#[test]
fn an_answer_belongs_to_who_has_passed_the_request_on() {
    let (upstreams, backend, dead) = (Upstreams::start(), Port::reserve(), Port::reserve());
    let nginx = Setup::new()
        .measured()
        .http(&format!(
            "server {{ listen {}; smart_buffers off; location / {{ add_header X-Accel-Redirect /kept/page; return 200; }} }}\n",
            backend.address()
        ))
        .document("kept/page", &[b'p'; 3000])
        .document("sorry", &[b's'; 70])
        .location("/application/", &format!("proxy_pass http://{};", backend.address()))
        .location("/kept/", "internal;")
        .location("/dead/", &format!("error_page 502 /sorry; proxy_pass http://{};", dead.address()))
        .location("/refused/", &format!("error_page 404 /sorry; proxy_intercept_errors on; {}", upstreams.pass("proxy")))
        .location("= /sorry", "")
        .start();
    assert_eq!(nginx.get("/application/").body.len(), 3000);
    let passed = nginx.location_after("/application/", 1)["measured"].clone();
    assert_eq!(passed["upstream"]["protocol"], "proxy");
    assert_eq!(passed["upstream"]["response"]["count"], 0, "it had no body");
    assert_eq!(passed["response"]["count"], 0);
    let kept = nginx.location("/kept/");
    assert_eq!(
        (&kept["requests"], &kept["measured"]["upstream"]["response"]["count"]),
        (&json!(0), &json!(0))
    );
    assert_sizes(&kept["measured"]["response"], &[3000]);

    assert_eq!(nginx.get("/dead/").status, 502);
    let dead = nginx.location_after("/dead/", 1)["measured"].clone();
    assert_eq!(
        (&dead["upstream"]["header"]["count"], &dead["response"]["count"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(nginx.get(&format!("/refused/?{}", asking_for(7, 1))).status, 404);
    let refused = nginx.location_after("/refused/", 1)["measured"].clone();
    assert_eq!(refused["upstream"]["header"]["count"], 1);
    let sorry = nginx.location("= /sorry");
    assert_eq!(sorry["requests"], 0);
    assert_sizes(&sorry["measured"]["response"], &[70, 70]);
}

/// As README says: nginx keeps nothing of the first.
#[test]
fn where_a_second_upstream_answers_all_is_counted_there() {
    let (upstreams, dead) = (Upstreams::start(), Port::reserve());
    let first = format!("error_page 502 = @second; proxy_pass http://{};", dead.address());
    let nginx = Setup::new()
        .measured()
        .location("/first/", &first)
        .location("@second", &upstreams.pass("proxy"))
        .start();
    let path = format!("/first/?{}", asking_for(5000, 1));
    assert_eq!(nginx.get(&path).body.len(), 5000);
    let second = nginx.location_after("@second", 1)["measured"].clone();
    assert_sizes(&second["upstream"]["response"], &[5000]);
    // The body was read for the first; what the second thinks of it does not matter.
    assert_eq!(nginx.connect().request("POST", &path, &[], &[b'b'; 300]).status, 405);
    let second = nginx.location_after("@second", 2)["measured"].clone();
    assert_sizes(&second["request_body"], &[300]);
    assert_eq!(nginx.location("/first/")["requests"], 0);
}

#[test]
fn subrequests_add_nothing_to_the_request_they_are_of() {
    let (upstreams, port) = (Upstreams::start(), Port::reserve());
    for log in ["off", "on"] {
        let part =
            format!("rewrite ^ /?{} break; {}", asking_for(5000, 1), upstreams.pass("proxy"));
        let server = format!(
            "server {{ listen {}; server_name one; log_subrequest {log}; root html; ssi on; ssi_types *;
            location /asking/ {{ auth_request /part; auth_request_set $nothing $upstream_status; {} }}
            location = /part {{ internal; {part} }} }}\n",
            port.address(),
            upstreams.pass("proxy"),
        );
        let nginx = Setup::new()
            .measured()
            .http(&server)
            .document(
                "page",
                b"<!--# include virtual=\"/part\" --> and <!--# include virtual=\"/part\" -->",
            )
            .start();
        let mut client = Client::connect(port.number());
        let page = request("GET", "/page", &[], b"");
        client.send(&page);
        assert_eq!(client.read("GET").body.len(), 10_005);
        let asking =
            request("POST", &format!("/asking/?{}", asking_for(100, 1)), &[], &[b'x'; 300]);
        client.send(&asking);
        client.read("POST");
        let one = nginx.server_after("one", 2);
        assert_sizes(&one["header"], &[page.len() as u64, asking.len() as u64 - 300]);
        let asking = nginx.location_of("one", "/asking/");
        assert_eq!(asking["requests"], 1, "log_subrequest {log}");
        assert_sizes(&asking["measured"]["request_body"], &[300]);
        let part = nginx.location_of("one", "= /part");
        // nginx tells of the end of a subrequest only where it is told to log it.
        let (requests, included) =
            if log == "on" { (3, [5000; 2].as_slice()) } else { (0, [].as_slice()) };
        assert_eq!(part["requests"], requests);
        let part = &part["measured"];
        assert_eq!(part["upstream"]["header"]["count"], requests, "log_subrequest {log}");
        // Of whom auth_request has asked it reads no more than the header.
        assert_sizes(&part["upstream"]["response"], included);
        assert_eq!(part["request_body"]["count"], 0, "it is the request's: {part}");
        assert_eq!(part["response"]["count"], 0);
    }
}

#[test]
fn servers_of_one_name_are_one() {
    let (first, second) = (Port::reserve(), Port::reserve());
    let nginx = Setup::new()
        .measured()
        .http(&listening(&first, "server_name both other;"))
        .http(&listening(&second, "server_name both; location /own/ { return 204; }"))
        .start();
    for (port, path) in [(&first, "/"), (&second, "/"), (&second, "/own/"), (&second, "/")] {
        assert_eq!(Client::connect(port.number()).get(path).status, 204);
    }
    wait_until("3 requests", || nginx.location_of("both", "/")["requests"] == 3);
    assert_eq!(nginx.location_of("both", "/own/")["requests"], 1);
    assert_eq!(nginx.server("both")["header"]["count"], 4);
}

#[test]
fn of_servers_of_one_name_those_are_told_that_pass_requests_on() {
    let (upstreams, redirecting, other) = (Upstreams::start(), Port::reserve(), Port::reserve());
    let passing = |buffers: &str| {
        format!("server_name both; location /in/ {{ {buffers} {} }}", upstreams.pass("proxy"))
    };
    let redirects = "server_name both; location /in/ { return 301 /elsewhere; }";
    let setup = Setup::new().measured().http(&listening(&redirecting, redirects));
    let nginx = setup.server(&passing("proxy_buffers 9 16k;")).start();
    let settings = || {
        let location = nginx.location_of("both", "/in/");
        let buffers = location["settings"]["proxy_buffers"]["number"].as_u64();
        let remarks = location["advice"]["remarks"].to_string();
        (buffers, remarks.contains("1 more of this name is set otherwise"))
    };
    assert_eq!(Client::connect(redirecting.number()).get("/in/").status, 301);
    assert_eq!(nginx.get(&format!("/in/?{}", asking_for(100, 1))).status, 200);
    wait_until("both", || nginx.location_of("both", "/in/")["requests"] == 2);
    assert_eq!(settings(), (Some(9), false));

    let another = listening(&other, &passing("proxy_buffers 5 4k;"));
    let first = "smart_buffers on;\n";
    nginx.reconfigure(|text| text.replacen(first, &format!("{first}{another}"), 1));
    nginx.reload();
    wait_until("the other", || settings() == (Some(5), true));
}

/// A location `/` that keeps answers, and tells where each is from.
fn keeping(directives: &str) -> Setup {
    let setup = Setup::new().measured();
    let cache = setup.prefix().join("temp/cache").display().to_string();
    setup.http(&format!("proxy_cache_path {cache} keys_zone=answers:1m;\n")).location(
        "/",
        &format!("proxy_cache answers; add_header X-Cache $upstream_cache_status; {directives}"),
    )
}

#[test]
fn an_answer_of_a_cache_that_was_asked_about_is_the_upstreams() {
    let upstreams = Upstreams::start();
    let keeps =
        "proxy_cache_valid 200 1h; proxy_cache_bypass $arg_anew; proxy_cache_revalidate on;";
    let nginx = keeping(&format!("{keeps} {}", upstreams.pass("proxy"))).start();
    let path = format!("/?{}", asking_for(5000, 300));
    for (path, status) in [
        (path.clone(), "MISS"),
        (path.clone(), "HIT"),
        (path.clone(), "HIT"),
        (format!("{path}&anew=1"), "BYPASS"),
    ] {
        assert_eq!(nginx.get(&path).header("X-Cache"), Some(status));
    }
    let measured = nginx.location_after("/", 4)["measured"].clone();
    assert_sizes(&measured["upstream"]["response"], &[5000, 5000]);
    assert_sizes(&measured["response"], &[5000, 5000]);
}

#[test]
fn an_answer_of_a_cache_in_place_of_a_dead_upstream_is_no_header_that_was_too_big() {
    let backend = Setup::without_module().document("page", &[b'p'; 3000]).start();
    let keeps = "proxy_cache_valid 200 1s; proxy_cache_use_stale error;";
    let nginx =
        keeping(&format!("{keeps} proxy_pass http://127.0.0.1:{};", backend.port())).start();
    assert_eq!(nginx.get("/page").header("X-Cache"), Some("MISS"));
    drop(backend);
    let asked = Cell::new(1);
    wait_until("an answer that is too old", || {
        asked.set(asked.get() + 1);
        nginx.get("/page").header("X-Cache") == Some("STALE")
    });
    let measured = nginx.location_after("/", asked.get())["measured"].clone();
    let upstream = &measured["upstream"];
    assert_eq!((&upstream["header"]["count"], &upstream["header_too_big"]), (&json!(1), &json!(0)));
}

#[test]
fn each_of_many_locations_is_known_by_what_it_has_passed_on() {
    // As many as the zone has room for.
    let upstreams = Upstreams::start();
    let paths: Vec<String> = (0..70).map(|number| format!("/{number}/")).collect();
    let setup = paths.iter().fold(Setup::new().measured(), |setup, path| {
        setup.location(path, &upstreams.pass("proxy"))
    });
    let nginx = setup.start();
    let mut client = nginx.connect();
    for (path, body) in paths.iter().zip([100, 3000].into_iter().cycle()) {
        assert_eq!(client.get(&format!("{path}?{}", asking_for(body, 1))).body.len(), body);
    }
    for (path, body) in paths.iter().zip([100, 3000].into_iter().cycle()) {
        let measured = nginx.location_after(path, 1)["measured"].clone();
        assert_sizes(&measured["upstream"]["response"], &[body]);
    }
}
