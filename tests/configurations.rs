//! The configurations of `nginx-conf/` and README do what they say: each is loaded as it stands, but
//! for its ports, and serves. The reference in README names all that there is.
#![cfg(feature = "tools")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::memcached::Memcached;
use common::nginx::Nginx;
use common::setup::Setup;
use ngx_http_smart_module::core::value::marshal_string;

const ALL: [&str; 4] = ["sendfile", "sendfile-beside-rails", "sendfile-cache", "sendfile-upstream"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx-conf")
}

/// `nginx-conf/NAME.conf`, with other servers in the place of those that it names.
fn configuration(name: &str, servers: &[(&str, String)]) -> Setup {
    let path = directory().join(format!("{name}.conf"));
    let setup = Setup::new();
    let mut text = fs::read_to_string(path).expect("a configuration");
    let own = ("127.0.0.1:8080", format!("127.0.0.1:{}", setup.port()));
    for (written, real) in servers.iter().chain([&own]) {
        assert!(text.contains(&format!("{written};")) || text.contains(&format!("{written} ")));
        text = text.replace(written, real);
    }
    adapted(setup, text)
}

/// A setup with this text, for the directory that it will have here.
fn adapted(setup: Setup, mut text: String) -> Setup {
    let setup = load_module(setup, &mut text).file("aa/297887.pdf", b"a document\n");
    // Temporary files go into a directory that may be anybody's, and one worker is waited for.
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path temp/{kind};\n"))
        .concat();
    let text = text.replace("http {\n", &format!("http {{\n{temporary}"));
    let text = text.replace("worker_processes auto;", "worker_processes 1;");
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    setup.whole(format!("{user}daemon off;\n{text}"))
}

/// Puts the module where the configuration looks for it.
fn load_module(setup: Setup, text: &mut String) -> Setup {
    const LINE: &str = "load_module modules/ngx_http_smart_module.so;\n";
    assert!(text.contains(LINE));
    let module = std::env::var("NGX_SMART_MODULE").expect("scripts/test sets it");
    if module.is_empty() {
        *text = text.replace(LINE, "");
        return setup;
    }
    let modules = setup.prefix().join("modules");
    fs::create_dir(&modules).expect("a directory");
    let link = modules.join("ngx_http_smart_module.so");
    std::os::unix::fs::symlink(module, link).expect("a link");
    setup
}

#[track_caller]
fn start(setup: Setup) -> Nginx {
    let check = setup.check();
    assert!(check.accepted, "{}", check.message);
    assert!(!check.message.contains("[warn]"), "{}", check.message);
    setup.start()
}

#[track_caller]
fn assert_document(nginx: &Nginx, path: &str) {
    let response = nginx.get(path);
    assert_eq!((response.status, response.text().as_str()), (200, "a document\n"), "{path}");
    assert_eq!(response.header("Content-Type"), Some("application/pdf"), "{path}");
}

/// Waits for a line of the access log that contains `text`.
#[track_caller]
fn wait_for_line(nginx: &Nginx, text: &str) {
    let path = nginx.prefix().join("access.log");
    common::wait_until(text, || {
        fs::read_to_string(&path).is_ok_and(|log| log.lines().any(|line| line.contains(text)))
    });
}

#[test]
fn none_is_left_out() {
    let files = fs::read_dir(directory()).expect("nginx-conf");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
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
    memcached.set("document:9", include_bytes!("data/marshal/other-cache-entry.bin"));
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

const README: &str = include_str!("../README.md");

#[test]
fn the_configuration_of_readme_works_in_an_nginx_that_has_the_rest() {
    let answer = "return 200 'the application: $request_uri';";
    let application = Setup::without_module().location("/", answer).start();
    let memcached = Memcached::start();
    memcached.set("document:297887", "aa/297887.pdf");

    let setup = Setup::new();
    let (_, block) = README.split_once("```nginx\n").expect("a configuration");
    let (block, _) = block.split_once("```").expect("its end");
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
        .replace("127.0.0.1:11211", &memcached.address())
        .replace("/srv/documents/", "files/")
        .replace("server {\n", &rest)
        .replace("http {\n", "pid nginx.pid;\nevents {}\nhttp {\n");
    let nginx = start(adapted(setup, text));
    assert_document(&nginx, "/documents/297887");
    assert_document(&nginx, "/documents/297887");
    assert_eq!(memcached.statistic("get_hits"), 1);
    assert_eq!(nginx.get("/documents/7").text(), "the application: /documents/7");
}

#[test]
fn readme_names_every_directive_and_variable() {
    let between = |text: &'static str, before: &'static str| {
        let names = text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
        names.collect::<Vec<_>>()
    };
    let directives =
        between(include_str!("../src/sendfile/directives.rs"), "ngx_string!(\"http_sendfile");
    assert!(directives.len() >= 11, "{directives:?}");
    for rest in directives {
        let heading = format!("\n### http_sendfile{rest}\n");
        assert!(README.contains(&heading), "{heading}");
    }
    let variables = between(include_str!("../src/sendfile/vars.rs"), "NAME: &'static str = \"");
    assert!(variables.len() >= 5, "{variables:?}");
    for name in variables {
        assert!(README.contains(&format!("\n| `${name}` |")), "${name}");
    }
}
