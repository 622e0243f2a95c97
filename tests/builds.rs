//! The ways to build: by cargo, by nginx's configure as a module to load, and as a part of nginx.
//! Each serves the same, from the same place among nginx's modules; and who gives a build the wrong
//! nginx is told what to do.

// Another part of it is used by the other tests.
#[allow(dead_code)]
mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use common::memcached::Memcached;
use common::nginx::Nginx;
use common::place::{assert_limits_in_place, limits};
use common::setup::Setup;
use common::site;

/// Our modules, each with the one that must follow it in nginx's list.
const MODULES: [(&str, &str); 3] = [
    ("ngx_http_smart_sendfile_module", "ngx_http_mirror_module"),
    ("ngx_http_smart_limit_module", "ngx_http_realip_module"),
    ("ngx_http_smart_limit_filter_module", "ngx_http_headers_filter_module"),
];

/// How a shell takes what scripts/build made.
const TAKE_VARIABLES: &str = "made=$(scripts/build --shell \"$@\") && eval \"$made\" && \
    printf '%s\\n' \"$NGX_SMART_NGINX\" \"$NGX_SMART_MODULE\"";

/// One way to build, and what it made.
struct Build {
    way: &'static str,
    nginx: String,
    /// The shared object; empty if the module is a part of nginx.
    module: String,
}

impl Build {
    fn new(way: &'static str, arguments: &[&str]) -> Self {
        let output = Command::new("bash")
            .args(["-euc", TAKE_VARIABLES, "bash"])
            .args(arguments)
            .output()
            .expect("bash runs");
        let made = String::from_utf8(output.stdout).expect("paths");
        let mut lines = made.lines().map(str::to_owned);
        match (output.status.success(), lines.next(), lines.next()) {
            (true, Some(nginx), Some(module)) => Self { way, nginx, module },
            _ => panic!("{way}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// The source tree of this nginx.
    fn tree(&self) -> &Path {
        Path::new(&self.nginx).ancestors().nth(2).expect("a tree above objs/nginx")
    }
}

/// All three, of one nginx. Built once: the first time takes minutes.
static BUILDS: LazyLock<[Build; 3]> = LazyLock::new(|| {
    let configure = Build::new("configure", &[]);
    let tree = configure.tree().to_str().expect("a path").to_owned();
    [Build::new("cargo", &["--source", &tree]), Build::new("static", &["--static"]), configure]
});

/// An nginx in which the place of the module shows: each location has a handler of another module
/// that must come before ours, or after it.
fn start(build: &Build, memcached: &Memcached) -> Nginx {
    let setup = Setup::new().built(&build.nginx, &build.module);
    let prefix = setup.prefix().display().to_string();
    let application = format!("proxy_pass http://unix:{prefix}/application.sock;");
    setup
        .main(&format!("error_log {prefix}/debug.log debug;\n"))
        .http(&format!(
            "server {{ listen unix:{prefix}/application.sock; return 200 'application\\n'; }}\n"
        ))
        .store(&memcached.address())
        .files(0..10)
        .lookups(&application)
        .location("/tried/", &format!("http_sendfile on; try_files /tried/8 =404; {application}"))
        .document("tried/8", b"not looked up\n")
        .location("/mirrored/", &format!("http_sendfile on; mirror /mirror; {application}"))
        .location("= /mirror", "internal; log_subrequest on; return 204;")
        .location("/static/", "http_sendfile on;")
        .document("static/7", b"not looked up\n")
        .start()
}

#[test]
fn every_build_serves_the_same() {
    let memcached = Memcached::with_paths(0..10);
    for build in &*BUILDS {
        let way = build.way;
        let nginx = start(build, &memcached);
        let body = |path: &str| nginx.get(path).body;
        assert_eq!(body("/file/7"), site::content_of(7), "{way}: a hit");
        assert_eq!(body("/file/77"), b"application\n", "{way}: a miss");
        assert_eq!(body("/tried/7"), site::content_of(8), "{way}: try_files comes before us");
        assert_eq!(body("/mirrored/7"), site::content_of(7), "{way}: mirror comes before us");
        assert_eq!(body("/static/7"), site::content_of(7), "{way}: static files come after us");
        let mirrored = nginx.access_log().iter().any(|line| line["uri"] == "/mirror");
        assert!(mirrored, "{way}: the mirror was asked too");
    }
}

#[test]
fn every_build_limits_from_the_same_place() {
    for build in &*BUILDS {
        let setup = limits(Setup::new().built(&build.nginx, &build.module));
        assert_limits_in_place(&setup.start(), build.way);
    }
}

#[test]
fn every_build_stands_at_the_same_places() {
    let memcached = Memcached::start();
    let places = |build: &Build| match build.module.as_str() {
        "" => linked(build),
        _ => loaded(build, &memcached),
    };
    let places = BUILDS.each_ref().map(places);
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
}

/// The places among the modules that nginx gave the modules which it loaded: told by its debug log,
/// which is open while the configuration is read a second time.
fn loaded(build: &Build, memcached: &Memcached) -> [usize; MODULES.len()] {
    let nginx = start(build, memcached);
    nginx.reload();
    let log = fs::read_to_string(nginx.prefix().join("debug.log")).expect("a debug log");
    MODULES.map(|(module, next)| {
        let told = format!("module: {module} before {next}:");
        let (_, place) = log.split_once(&told).expect("the place of the module");
        place.lines().next().expect("a number").parse().expect("a number")
    })
}

/// The places among the modules that configure gave the modules which are a part of nginx.
fn linked(build: &Build) -> [usize; MODULES.len()] {
    let modules = fs::read_to_string(build.tree().join("objs/ngx_modules.c")).expect("modules");
    let (_, table) = modules.split_once("ngx_modules[] = {").expect("the table");
    MODULES.map(|(module, _)| {
        let mut places = table.lines().map(str::trim).filter(|line| line.starts_with('&'));
        places.position(|line| line == format!("&{module},")).expect("the place of the module")
    })
}

#[test]
fn only_what_nginx_reads_is_exported() {
    for build in BUILDS.iter().filter(|build| !build.module.is_empty()) {
        let output = Command::new("nm").args(["-D", "--defined-only", &build.module]).output();
        let symbols = String::from_utf8(output.expect("nm runs").stdout).expect("names");
        let exported: Vec<_> = symbols.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        for name in ["ngx_modules", "ngx_module_names", "ngx_module_order"] {
            assert!(exported.contains(&name), "{}: {name}", build.way);
        }
        let foreign = |name: &&&str| !name.starts_with("ngx_");
        assert_eq!(exported.iter().find(foreign), None, "{}", build.way);
    }
}

/// Asserts that a command fails and says `sentence`.
#[track_caller]
fn assert_told(command: &mut Command, sentence: &str) {
    let Output { status, stderr, .. } = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&stderr);
    assert!(!status.success(), "{command:?} succeeded");
    assert!(said.contains(sentence), "{command:?} said: {said}");
}

fn scripts_build(arguments: &[&str]) -> Command {
    let mut command = Command::new("scripts/build");
    command.args(arguments);
    command
}

/// A copy of what cargo needs of a configured tree.
fn copy_of(tree: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    let copied = Command::new("cp")
        .args(["-r", "--parents", "src", "objs/Makefile"])
        .args(["objs/ngx_auto_config.h", "objs/ngx_auto_headers.h"])
        .arg(copy.path())
        .current_dir(tree)
        .status();
    assert!(copied.expect("cp runs").success());
    copy
}

#[test]
fn a_directory_without_nginx_is_refused() {
    let empty = tempfile::tempdir().expect("a directory");
    let path = empty.path().to_str().expect("a path");
    assert_told(&mut scripts_build(&["--source", path]), "is no nginx source tree");
    assert_told(&mut scripts_build(&["--source", "/nowhere"]), "is no nginx source tree");
    assert_told(&mut scripts_build(&["--source"]), "--source needs an argument");
}

#[test]
fn a_tree_that_is_not_configured_is_refused() {
    let copy = copy_of(BUILDS[0].tree());
    fs::remove_dir_all(copy.path().join("objs")).expect("objs");
    let path = copy.path().to_str().expect("a path");
    assert_told(&mut scripts_build(&["--source", path]), "run './configure --with-compat' in it");
}

#[test]
fn an_nginx_that_is_too_old_is_refused() {
    let copy = copy_of(BUILDS[0].tree());
    let header = copy.path().join("src/core/nginx.h");
    let text = fs::read_to_string(&header).expect("nginx.h");
    let number = text.lines().find(|line| line.starts_with("#define nginx_version")).expect("one");
    fs::write(&header, text.replace(number, "#define nginx_version 1018000")).expect("nginx.h");
    assert_told(
        Command::new("cargo")
            .args(["check", "--lib", "--locked"])
            .env("NGINX_BUILD_DIR", copy.path().join("objs")),
        "is too old: ngx-smart needs 1.22.1 or newer",
    );
}

#[test]
fn options_that_contradict_are_refused() {
    let sentence = "--static and --asan build an nginx themselves";
    assert_told(&mut scripts_build(&["--distro", "--static"]), sentence);
    assert_told(&mut scripts_build(&["--source", "/nowhere", "--asan"]), sentence);
    assert_told(&mut scripts_build(&["--static", "--asan"]), sentence);
    assert_told(&mut scripts_build(&["--fast"]), "unknown argument: --fast");
}

#[test]
fn make_says_that_cargo_is_missing() {
    let nowhere = tempfile::tempdir().expect("a directory");
    assert_told(
        Command::new("/usr/bin/make")
            .arg("-C")
            .arg(BUILDS[2].tree())
            .args(["-f", "objs/Makefile", "modules"])
            .env("PATH", nowhere.path()),
        "ngx-smart: cargo is not in PATH",
    );
}
