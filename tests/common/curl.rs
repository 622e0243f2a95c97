//! The command `curl`, for HTTP/2 and TLS.

use std::path::Path;
use std::process::{Command, Output};

/// The standard output of `curl --silent` with `arguments`; panics if curl fails.
#[track_caller]
pub fn curl(arguments: &[&str]) -> Vec<u8> {
    let output = try_curl(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {message}");
    output.stdout
}

/// What comes of `curl --silent` with `arguments`.
pub fn try_curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"])
        .args(arguments);
    command.output().expect("curl is installed")
}

/// Writes a self-signed certificate, `certificate.pem`, and its key, `key.pem`.
pub fn write_certificate(directory: &Path) {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-days",
            "1",
            "-keyout",
            "key.pem",
            "-out",
            "certificate.pem",
        ])
        .current_dir(directory)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
