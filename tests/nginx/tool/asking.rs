//! How `ngx-smart status` asks: by which URLs, with whose password, whom it trusts, and what it says if it is of no use.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::status::{assert_said, changed, interface, snapshot, tool, url, HISTORY, STATUS};
use crate::common::port::Port;
use crate::common::setup::Setup;
use crate::common::terminal::Terminal;

#[test]
fn what_cannot_be_asked_is_said_in_a_line() {
    let nginx = interface(&changed(|status| status["version"] = json!(2)));
    let base = format!("http://127.0.0.1:{}", nginx.port());
    let nobody = Port::reserve();
    for (url, reason) in [
        (url(&nginx), "status.json: the status interface is of version 2, and this tool"),
        (format!("{base}/elsewhere/"), "answered 301: it refers to another address"),
        (format!("{base}/refused"), "refused/status.json: answered 403: not\\u{1b}[2J you\n"),
        (format!("{base}/nothing/"), "nothing/status.json: answered 404\n"),
        (format!("{base}/short/"), "short/status.json: "),
        (format!("http://{}/", nobody.address()), "nothing listens there\n"),
        ("ftp://127.0.0.1/".to_owned(), "the URL must begin with http:// or https://"),
    ] {
        assert_said(&snapshot(&url), 2, &[], &["ngx-smart: ", reason]);
    }
    let output = tool(&base, &["--watch=60"]).output().expect("the tool runs");
    assert_said(&output, 2, &[], &["a number from 0.2 to 10 is wanted"]);
    let output = tool(&url(&nginx), &["--watch"]).output().expect("the tool runs");
    assert_said(&output, 2, &[], &["--watch needs a terminal\n"]);
}

#[test]
fn a_password_is_sent_and_never_shown() {
    let setup = Setup::without_module();
    let users = setup.prefix().join("users");
    fs::write(&users, "user:{PLAIN}s3cret\n").expect("a file");
    let locked = format!("auth_basic who; auth_basic_user_file {};", users.display());
    let nginx = setup
        .location("/smart/", &locked)
        .document("smart/status.json", STATUS.as_bytes())
        .document("smart/history.json", HISTORY.as_bytes())
        .start();
    let url = |authority: &str, path: &str| {
        format!("http://{authority}@127.0.0.1:{}{path}", nginx.port())
    };
    assert_said(&snapshot(&url("user:s3cret", "/smart/")), 0, &["All is well\n"], &[]);
    for (authority, path, reason) in [
        ("user:s3cret", "/nothing/", "nothing/status.json: answered 404\n"),
        ("us:s3cret", "/smart/", "smart/status.json: answered 401\n"),
        ("user:s3cret", "/smart/?a", "smart/?a: the URL of the location is wanted"),
    ] {
        let output = snapshot(&url(authority, path));
        let shown = format!("ngx-smart: {}", url(&authority.replace("s3cret", "…"), ""));
        assert_said(&output, 2, &[], &[&shown, reason]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("s3cret"), "{output:?}");
    }
    let mut terminal =
        Terminal::start(&tool(&url("user:s3cret", "/smart/"), &["--watch=0.2"]), 24, 100);
    terminal.wait_for(&[&format!("All is well  {}", url("user:…", "/smart/"))]);
    terminal.press("q");
    let drawn = terminal.bytes();
    assert!(!drawn.windows(6).any(|part| part == b"s3cret"));
    assert_eq!(terminal.end(), Ok(0));
}

/// What makes a certificate one of a server, and none of an authority.
const CERTIFICATE: &str = "[req]
distinguished_name = name
x509_extensions = server
[name]
[server]
subjectAltName = IP:127.0.0.1
basicConstraints = critical, CA:FALSE
";

#[test]
fn a_server_that_speaks_tls_is_asked_if_the_system_trusts_it() {
    let (setup, port) = (Setup::without_module(), Port::reserve());
    let prefix = setup.prefix().to_owned();
    fs::write(prefix.join("openssl.cnf"), CERTIFICATE).expect("a file");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-subj", "/CN=status", "-days", "1", "-config", "openssl.cnf"]);
    openssl.args(["-keyout", "key.pem", "-out", "certificate.pem"]).current_dir(&prefix);
    assert!(openssl.output().expect("openssl is installed").status.success());
    let directory = prefix.display();
    let _nginx = setup
        .server(&format!(
            "listen {} ssl; ssl_certificate {directory}/certificate.pem;
            ssl_certificate_key {directory}/key.pem;\n",
            port.address()
        ))
        .document("smart/status.json", STATUS.as_bytes())
        .document("smart/history.json", HISTORY.as_bytes())
        .start();
    let ask = |trusted: &str| {
        let mut command = tool(&format!("https://{}/smart/", port.address()), &[]);
        command.env("SSL_CERT_FILE", prefix.join(trusted)).env_remove("SSL_CERT_DIR");
        command.output().expect("the tool runs")
    };
    assert_said(&ask("certificate.pem"), 0, &["All is well\n"], &[]);
    assert_said(
        &ask("openssl.cnf"),
        2,
        &[],
        &["the system has no certificates to know a server by"],
    );
    let other = tempfile::tempdir().expect("a directory");
    crate::common::curl::write_certificate(other.path());
    fs::copy(other.path().join("certificate.pem"), prefix.join("other.pem")).expect("a copy");
    assert_said(&ask("other.pem"), 2, &[], &["invalid peer certificate: UnknownIssuer\n"]);
}
