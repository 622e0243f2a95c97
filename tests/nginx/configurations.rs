//! The configurations of `nginx-conf/` and README do what they say: each is loaded as it stands, but
//! for its ports, and serves. The reference in README names all that there is.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::common::client::Client;
use crate::common::clock::Clock;
use crate::common::configuration::{adapted, configuration, directory, start, wait_for_line};
use crate::common::memcached::Memcached;
use crate::common::nginx::Nginx;
use crate::common::port::Port;
use crate::common::setup::Setup;
use ngx_http_smart_module::core::value::marshal_string;

const ALL: [&str; 9] = [
    "buffers",
    "limit",
    "sendfile",
    "sendfile-beside-rails",
    "sendfile-cache",
    "sendfile-upstream",
    "status",
    "waiting-room",
    "waiting-room-own-page",
];

#[track_caller]
fn assert_document(nginx: &Nginx, path: &str) {
    let response = nginx.get(path);
    assert_eq!((response.status, response.text().as_str()), (200, "a document\n"), "{path}");
    assert_eq!(response.header("Content-Type"), Some("application/pdf"), "{path}");
}

#[test]
fn none_is_left_out() {
    let files = fs::read_dir(directory()).expect("nginx-conf");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let names = names.filter(|name| name.ends_with(".conf"));
    let expected = ALL.map(|name| format!("{name}.conf"));
    assert_eq!(names.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

#[test]
fn smoke_sendfile() {
    let memcached = Memcached::start();
    memcached.set("297887", "aa/297887.pdf");
    let store = ("127.0.0.1:11211", memcached.address());
    let nginx = start(configuration("sendfile", &[store]));
    assert_document(&nginx, "/file/297887");
    assert_eq!(nginx.get("/file/1").status, 404);
    assert_eq!(nginx.get("/files/aa/297887.pdf").status, 404, "the path is no address");
    let server = memcached.address();
    wait_for_line(&nginx, &format!("FOUND id=297887 path=aa/297887.pdf server={server} time="));
    wait_for_line(&nginx, "404 153 MISS id=1 path=-");
    assert!(!nginx.error_log().contains("[error]"), "a miss is no error: {}", nginx.error_log());
}

#[test]
fn smoke_sendfile_beside_rails() {
    let answer = "return 200 'Rails: $request_method $request_uri';";
    let rails = Setup::without_module().location("/", answer).start();
    let mut memcached = Memcached::start();
    memcached.set("document:297887", "aa/297887.pdf");
    memcached.set("document:8", marshal_string(b"aa/297887.pdf"));
    memcached.set("document:9", include_bytes!("../data/marshal/other-cache-entry.bin"));
    let nginx = start(configuration(
        "sendfile-beside-rails",
        &[
            ("127.0.0.1:11211", memcached.address()),
            ("127.0.0.1:3000", format!("127.0.0.1:{}", rails.port())),
        ],
    ));
    assert_document(&nginx, "/documents/297887");
    assert_document(&nginx, "/documents/8");
    assert_eq!(nginx.get("/documents/9").status, 502, "stored without raw: true");
    nginx.wait_for_error("such as an ActiveSupport::Cache entry");

    let of_rails = |path: &str| nginx.get(path).text() == format!("Rails: GET {path}");
    assert!(of_rails("/documents/7?a=b"), "an ID that memcached does not know");
    assert!(of_rails("/documents/new") && of_rails("/other/297887"));
    let posted = nginx.connect().request("POST", "/documents/297887", &[], b"a=b");
    assert_eq!(posted.text(), "Rails: POST /documents/297887");

    memcached.kill();
    assert!(of_rails("/documents/297887"), "without memcached all is as it was");
}

#[test]
fn sendfile_upstream() {
    let mut servers: Vec<_> = (0..3).map(|_| Memcached::start()).collect();
    let ports = ["127.0.0.1:11211", "127.0.0.1:11212", "127.0.0.1:11213"];
    let addresses: Vec<_> = ports.into_iter().zip(servers.iter().map(Memcached::address)).collect();
    let nginx = start(configuration("sendfile-upstream", &addresses));

    servers[1].set("1", "aa/297887.pdf");
    servers[2].set("2", "aa/297887.pdf");
    assert_document(&nginx, "/file/1");
    assert_document(&nginx, "/file/2");
    assert_eq!(nginx.get("/file/3").status, 404);
    assert_eq!(nginx.get("/report/1").status, 404, "its first server does not know it");

    servers[0].kill();
    assert_document(&nginx, "/report/1");
    assert_document(&nginx, "/file/1");
    assert_document(&nginx, "/file/2");
}

#[test]
fn smoke_sendfile_cache() {
    let memcached = Memcached::start();
    memcached.set("297887", "aa/297887.pdf");
    memcached.set("ticket:297887", "aa/297887.pdf");
    let store = ("127.0.0.1:11211", memcached.address());
    let nginx = start(configuration("sendfile-cache", &[store]));
    for path in ["/file/297887", "/file/297887", "/ticket/297887", "/ticket/297887"] {
        assert_document(&nginx, path);
    }
    assert_eq!(memcached.statistic("get_hits"), 3, "one of four was answered by the cache");
    wait_for_line(&nginx, "HIT server=- time=0.000");

    nginx.reload();
    memcached.delete("297887");
    assert_document(&nginx, "/file/297887");
    assert_eq!(nginx.get("/ticket/1").status, 404);
}

/// `limit.conf`, before an application, under a clock that stands still.
fn start_limit() -> (Clock, Nginx, Nginx) {
    let application = Setup::without_module().location("/", "empty_gif;").start();
    let address = format!("127.0.0.1:{}", application.port());
    let setup = configuration("limit", &[("127.0.0.1:3000", address)]);
    fs::create_dir(setup.prefix().join("assets")).expect("a directory");
    fs::write(setup.prefix().join("assets/logo.svg"), "a logo\n").expect("a file");
    let (clock, setup) = Clock::into(setup);
    (clock, start(setup), application)
}

/// The statuses of `count` requests from an address, and how often each came in a row, as in `200 6, 429 1`.
fn statuses(nginx: &Nginx, address: &str, token: &str, path: &str, count: usize) -> String {
    let headers = [("X-Forwarded-For", address), ("X-API-Token", token)];
    let mut rows: Vec<(u16, usize)> = Vec::new();
    for _ in 0..count {
        let status = nginx.connect().get_with(path, &headers).status;
        match rows.last_mut() {
            Some((same, times)) if *same == status => *times += 1,
            _ => rows.push((status, 1)),
        }
    }
    let rows = rows.iter().map(|(status, times)| format!("{status} {times}"));
    rows.collect::<Vec<_>>().join(", ")
}

#[test]
fn smoke_limit_of_addresses_and_logins() {
    let (clock, nginx, _application) = start_limit();
    let ask = |address: &str, path: &str, count| statuses(&nginx, address, "", path, count);

    // Eleven at once, ten later, and what is over that is refused.
    let mut clients: Vec<_> = (0..40).map(|_| nginx.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("/"));
    let log = nginx.prefix().join("access.log");
    let count = |text: &str| {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    };
    let all = [(" PASSED zone=addresses", 11), (" REJECTED zone=addresses excess=21.000 ", 19)];
    for (verdict, times) in all {
        crate::common::wait_until(verdict, || count(verdict) == times);
    }
    clock.advance_seconds(1);
    let answers: Vec<_> = clients.iter_mut().map(|client| client.read("GET")).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 21);
    crate::common::wait_until("the delayed ones", || count(" DELAYED zone=addresses") == 10);

    assert_eq!(ask("192.0.2.1", "/login", 8), "200 6, 429 2");
    clock.advance_seconds(9);
    assert_eq!(ask("192.0.2.1", "/login", 1), "429 1");
    clock.advance_seconds(1);
    assert_eq!(ask("192.0.2.1", "/login", 2), "200 1, 429 1");
    assert_eq!(ask("2001:db8:1:2::1", "/login", 6), "200 6");
    assert_eq!(ask("2001:db8:1:2:ffff::1", "/login", 1), "429 1", "of the same /64");
    assert_eq!(ask("2001:db8:1:3::1", "/login", 1), "200 1");

    assert_eq!(ask("192.0.2.10", "/login", 30), "200 30", "monitoring");
    wait_for_line(&nginx, "\"GET /login HTTP/1.1\" 200 43 BYPASSED zone=- excess=- retry_after=-");
    assert_eq!(ask("192.0.2.1", "/assets/logo.svg", 60), "200 60");
    wait_for_line(&nginx, "\"GET /assets/logo.svg HTTP/1.1\" 200 7 - zone=-");
}

#[test]
fn limit_of_customers_and_of_searches() {
    let (clock, nginx, _application) = start_limit();
    for (number, (token, seconds)) in
        [("c7f3106b48e2", 4), ("90e4d5aa21c6", 2)].into_iter().enumerate()
    {
        // The limit of addresses is counted too, so each asks from its own.
        let address = format!("192.0.2.{number}");
        assert_eq!(statuses(&nginx, &address, token, "/api/", 13), "200 11, 429 2");
        clock.advance_seconds(seconds);
        assert_eq!(statuses(&nginx, &address, token, "/api/", 2), "200 1, 429 1");
    }
    assert_eq!(statuses(&nginx, "192.0.2.20", "unknown", "/api/", 22), "200 21, 429 1");

    let headers = [("X-Forwarded-For", "192.0.2.30"), ("X-API-Token", "5b2c9ad1e07f")];
    let answer = nginx.connect().get_with("/api/", &headers);
    let policy = "\"addresses\";q=21;w=3, \"customers\";q=11;w=1";
    assert_eq!(answer.header("RateLimit-Policy"), Some(policy));
    let left = "\"addresses\";r=20;t=1, \"customers\";r=10;t=1";
    assert_eq!(answer.header("RateLimit"), Some(left));

    assert_eq!(statuses(&nginx, "192.0.2.40", "", "/search", 10), "200 10");
    wait_for_line(&nginx, " REJECTED_DRY_RUN zone=searches excess=6.000 retry_after=1");
    nginx.wait_for_error("limiting requests, dry run, excess: 6.000 by zone \"searches\"");
}

const README: &str = include_str!("../../README.md");

/// The configuration in README that has this directive, in an nginx that has the rest.
fn of_readme(directive: &str, application: &Nginx, replace: impl Fn(String) -> String) -> Setup {
    let blocks = README.split("```nginx\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut whole = blocks.filter(|block| block.starts_with("load_module"));
    let block = whole.find(|block| block.contains(directive)).expect("a configuration");
    let setup = Setup::new();
    let rest = format!(
        "types {{ application/pdf pdf; }}
         access_log access.log;
         upstream application {{ server 127.0.0.1:{}; }}
         server {{
             listen 127.0.0.1:{};",
        application.port(),
        setup.port()
    );
    let text = block
        .replace("server {\n", &rest)
        .replace("http {\n", "pid nginx.pid;\nevents {}\nhttp {\n");
    adapted(setup, replace(text))
}

#[test]
fn files_by_the_configuration_of_readme() {
    let answer = "return 200 'the application: $request_uri';";
    let application = Setup::without_module().location("/", answer).start();
    let memcached = Memcached::start();
    memcached.set("document:297887", "aa/297887.pdf");

    let nginx = start(of_readme("http_sendfile_pass", &application, |text| {
        text.replace("127.0.0.1:11211", &memcached.address()).replace("/srv/documents/", "files/")
    }));
    assert_document(&nginx, "/documents/297887");
    assert_document(&nginx, "/documents/297887");
    assert_eq!(memcached.statistic("get_hits"), 1);
    assert_eq!(nginx.get("/documents/7").text(), "the application: /documents/7");
}

#[test]
fn limits_by_the_configuration_of_readme() {
    let application = Setup::without_module().location("/", "empty_gif;").start();
    let setup = of_readme("smart_limit_zone", &application, |text| text);
    let (clock, setup) = Clock::into(setup);
    let nginx = start(setup);
    assert_eq!(statuses(&nginx, "", "", "/login", 8), "200 6, 429 2");
    assert_eq!(statuses(&nginx, "", "", "/", 5), "200 5", "eleven in all pass at once");
    clock.advance_seconds(10);
    assert_eq!(statuses(&nginx, "", "", "/login", 2), "200 1, 429 1");
}

#[test]
fn a_room_by_the_configuration_of_readme() {
    let application = Setup::without_module().location("/", "empty_gif;").start();
    let setup = of_readme("smart_limit_room", &application, |text| {
        text.replace("/etc/nginx/room.secret", "room.secret")
            .replace("root /srv/site;", "return 204;")
    });
    let secret = setup.prefix().join("room.secret");
    fs::write(&secret, [7; 32]).expect("a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a private file");
    let nginx = start(setup);
    // Half of the seats are for those who come for the first time.
    for visitor in 0..101 {
        let status = if visitor < 100 { 200 } else { 503 };
        assert_eq!(nginx.get("/").status, status, "{visitor}");
    }
    assert_eq!(nginx.get("/assets/logo.svg").status, 204);
}

/// An application that answers with a page of 11 KB.
fn application() -> Nginx {
    Setup::without_module().document("page", &[b'x'; 11 * 1024]).start()
}

/// Asks so often that there is advice.
fn ask_often(nginx: &Nginx, path: &str) {
    let mut client = nginx.connect();
    for _ in 0..1_000 {
        assert_eq!(client.get(path).status, 200);
    }
}

/// Takes the advice for a location, as somebody on the same machine gets it from `port`, into a file.
fn take_advice(nginx: &Nginx, port: u16, location: &str, file: &str) {
    let advice = Client::connect(port).get(&format!("/smart/buffers.conf?location={location}"));
    assert!(advice.text().contains("proxy_buffers "), "{}", advice.text());
    let directory = nginx.prefix().join("advice");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join(file), advice.text()).expect("a file");
    nginx.reload();
    let state = Client::connect(port).get(&format!("/smart/buffers?location={location}")).text();
    assert!(state.contains("\"state\":\"fine\""), "{state}");
}

#[test]
fn smoke_buffers() {
    let (application, status) = (application(), Port::reserve());
    let nginx = start(configuration(
        "buffers",
        &[
            ("127.0.0.1:8081", status.address()),
            ("127.0.0.1:3000", format!("127.0.0.1:{}", application.port())),
        ],
    ));
    ask_often(&nginx, "/page");
    take_advice(&nginx, status.number(), "/", "pages.conf");
}

#[test]
fn buffers_by_the_configuration_of_readme() {
    let application = application();
    let nginx = start(of_readme("smart_buffers_zone", &application, |text| {
        text.replace("proxy_pass http://application;", "proxy_pass http://application/;")
    }));
    ask_often(&nginx, "/api/page");
    take_advice(&nginx, nginx.port(), "/api/", "api.conf");
}

#[test]
fn smoke_status() {
    let (memcached, application, status) = (Memcached::start(), application(), Port::reserve());
    memcached.set("297887", "aa/297887.pdf");
    let nginx = start(configuration(
        "status",
        &[
            ("127.0.0.1:11211", memcached.address()),
            ("127.0.0.1:8081", status.address()),
            ("127.0.0.1:3000", format!("127.0.0.1:{}", application.port())),
        ],
    ));
    assert_eq!(nginx.get("/file/297887").status, 200);
    assert_eq!(nginx.get("/page").status, 200);

    let mut client = Client::connect(status.number());
    let told = client.get("/smart/status.json").text();
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["sendfile"]["lookups"]["found"]["count"], 1);
    assert_eq!(told["sendfile"]["caches"]["lookups"]["entries"], 1);
    assert_eq!(told["limits"]["addresses"]["passed"], 2);
    assert_eq!(told["rooms"]["shop"]["max_active"], 500);
    assert!(told["buffers"]["locations"].as_array().is_some_and(|all| all.len() >= 3));
    assert!(client.get("/look/metrics").text().contains("ngx_smart_panics_total 0\n"));
    assert!(client.get("/smart/").text().starts_with("<!doctype html>"));

    let key = "limits/addresses?key=127.0.0.1";
    let mut remove =
        |location| client.request("DELETE", &format!("{location}{key}"), &[], b"").status;
    assert_eq!((remove("/look/"), remove("/smart/"), remove("/smart/")), (403, 204, 404));
}

/// What stands in a source between `before` and the next quotation mark.
fn between(text: &'static str, before: &'static str) -> Vec<&'static str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn readme_names_every_directive_and_variable() {
    let modules = [
        (include_str!("../../src/sendfile/directives.rs"), "ngx_string!(\"http_sendfile", 11),
        (include_str!("../../src/limit/directives.rs"), "ngx_string!(\"smart_limit", 12),
        (include_str!("../../src/buffers/directives.rs"), "ngx_string!(\"smart_buffers", 3),
        (include_str!("../../src/api/directives.rs"), "ngx_string!(\"smart_api", 1),
    ];
    for (source, before, least) in modules {
        let (names, capability) = (between(source, before), &before["ngx_string!(\"".len()..]);
        assert!(names.len() >= least, "{names:?}");
        for rest in names {
            let heading = format!("\n#### {capability}{rest}\n");
            assert!(README.contains(&heading), "{heading}");
        }
    }
    let notes = include_str!("../../src/limit/notes.rs");
    let of_room = include_str!("../../src/limit/room/notes.rs");
    let session = include_str!("../../src/limit/room/session.rs");
    let variables = [
        between(include_str!("../../src/sendfile/vars.rs"), "NAME: &'static str = \""),
        between(notes, "NAME: &'static str = \""),
        between(notes, "Text::declare(cf, \""),
        between(of_room, "NAME: &'static str = \""),
        between(of_room, "Text::declare(cf, \""),
        between(session, "NAME: &'static str = \""),
    ];
    let [of_sendfile, numbers, texts, rooms @ ..] = &variables;
    assert!(of_sendfile.len() >= 5 && numbers.len() + texts.len() >= 4, "{variables:?}");
    assert_eq!(rooms.concat().len(), 7, "{variables:?}");
    for name in variables.iter().flatten() {
        assert!(README.contains(&format!("\n| `${name}` |")), "${name}");
    }
}
