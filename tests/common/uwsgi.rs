//! A real uWSGI that speaks uwsgi, FastCGI and SCGI, and answers with as much as it is asked for.

use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::port::Port;
use super::wait_until;

/// Answers a request with a header field of `header` bytes and a body of `body` bytes, both from its arguments.
const ANSWER: &str = r#"#!/bin/sh
body=${QUERY_STRING#*body=} header=${QUERY_STRING#*header=}
printf 'Status: 200 OK\r\nX-Padding: %0*d\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n' \
    "${header%%&*}" 0 "${body%%&*}"
head -c "${body%%&*}" /dev/zero
"#;

/// What the module that speaks CGI is called in these protocols.
const CGI: &str = "9";

/// A running uWSGI.
pub struct Uwsgi {
    child: Child,
    ports: [Port; 3],
    directory: TempDir,
}

impl Uwsgi {
    /// Starts one on free ports.
    pub fn start() -> Self {
        let directory =
            tempfile::Builder::new().prefix("ngx-smart-").tempdir().expect("a directory");
        let script = directory.path().join("answer");
        fs::write(&script, ANSWER).expect("a file");
        fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("a program");
        let log = File::create(directory.path().join("log")).expect("a file");
        let ports = [(); 3].map(|()| Port::reserve());
        let mut command = Command::new("uwsgi-core");
        for (option, port) in
            ["--uwsgi-socket", "--fastcgi-socket", "--scgi-socket"].iter().zip(&ports)
        {
            command.args([option, port.address().as_str()]);
        }
        command.args(["--fastcgi-modifier1", CGI, "--scgi-modifier1", CGI]);
        command.args(["--plugin", "cgi", "--threads", "4", "--buffer-size", "65535", "--cgi"]);
        command.arg(&script).current_dir(directory.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn().expect("uWSGI starts: scripts/setup installs it");
        let uwsgi = Self { child, ports, directory };
        wait_until("uWSGI accepts", || {
            uwsgi.ports.iter().all(|port| TcpStream::connect(port.address()).is_ok())
        });
        uwsgi
    }

    /// What passes requests to it by a protocol: directives of a location.
    pub fn pass(&self, protocol: &str) -> String {
        let [uwsgi, fastcgi, scgi] = self.ports.each_ref().map(Port::address);
        let parameters: String = [
            ("REQUEST_METHOD", "$request_method"),
            ("REQUEST_URI", "$request_uri"),
            ("PATH_INFO", "$document_uri"),
            ("QUERY_STRING", "$args"),
            ("CONTENT_LENGTH", "$content_length"),
            ("SERVER_PROTOCOL", "HTTP/1.0"),
        ]
        .map(|(name, value)| format!("{protocol}_param {name} {value}; "))
        .concat();
        match protocol {
            "fastcgi" => format!("fastcgi_pass {fastcgi}; {parameters}"),
            "scgi" => format!("scgi_pass {scgi}; {parameters}"),
            "uwsgi" => format!("uwsgi_pass {uwsgi}; uwsgi_modifier1 {CGI}; {parameters}"),
            other => panic!("uWSGI does not speak {other}"),
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Uwsgi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("uWSGI's log:\n{}", self.log());
        }
        self.child.kill().expect("uWSGI ends");
        self.child.wait().expect("uWSGI has ended");
    }
}
