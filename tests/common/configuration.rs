//! The configurations of `nginx-conf/`, as they stand but for their ports.

use std::fs;
use std::path::{Path, PathBuf};

use super::nginx::Nginx;
use super::setup::Setup;
use super::wait_until;

/// `nginx-conf/`.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx-conf")
}

/// `nginx-conf/NAME.conf`, with other servers in the place of those that it names.
pub fn configuration(name: &str, servers: &[(&str, String)]) -> Setup {
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
pub fn adapted(setup: Setup, mut text: String) -> Setup {
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

/// Starts nginx with a configuration that nothing is wrong with.
#[track_caller]
pub fn start(setup: Setup) -> Nginx {
    let check = setup.check();
    assert!(check.accepted, "{}", check.message);
    assert!(!check.message.contains("[warn]"), "{}", check.message);
    setup.start()
}

/// Waits for a line of the access log that contains `text`.
#[track_caller]
pub fn wait_for_line(nginx: &Nginx, text: &str) {
    let path = nginx.prefix().join("access.log");
    wait_until(text, || {
        fs::read_to_string(&path).is_ok_and(|log| log.lines().any(|line| line.contains(text)))
    });
}
