//! Real upstreams of all protocols, which answer with as much as they are asked for.

use super::client::Client;
use super::nginx::Nginx;
use super::port::Port;
use super::setup::Setup;
use super::uwsgi::Uwsgi;

/// The protocols, by what their directives begin with.
pub const PROTOCOLS: [&str; 5] = ["proxy", "fastcgi", "uwsgi", "scgi", "grpc"];

/// Those whose answers nginx buffers.
pub const BUFFERED: [&str; 4] = ["proxy", "fastcgi", "uwsgi", "scgi"];

/// Bytes that a body may have.
pub const BODIES: [usize; 8] = [0, 1, 100, 3000, 5000, 20_000, 60_000, 1_000_000];

/// Bytes that a header field may have.
pub const HEADERS: [usize; 4] = [1, 300, 3000, 9000];

/// uWSGI for three of the protocols, and another nginx for `proxy` and `grpc`.
pub struct Upstreams {
    uwsgi: Uwsgi,
    nginx: Nginx,
    http2: Port,
}

impl Upstreams {
    /// Starts them.
    pub fn start() -> Self {
        let http2 = Port::reserve();
        // nginx takes no longer word than 4 KiB.
        let paddings = HEADERS.map(|length| {
            let (hundreds, rest) = (length / 100, length % 100);
            format!("{length} {}{};\n", "${hundred}".repeat(hundreds), "0".repeat(rest))
        });
        let mut setup = Setup::without_module()
            .http(&format!("map $host $hundred {{ default {}; }}\n", "0".repeat(100)))
            .http(&format!("map $arg_header $padding {{ {} }}\n", paddings.concat()))
            .http2(&http2)
            .location(
                "/",
                "rewrite ^ /$arg_body break; add_header X-Padding $padding;
                add_header X-Accel-Buffering $arg_buffering;",
            );
        for length in BODIES {
            setup = setup.document(&length.to_string(), &vec![0; length]);
        }
        Self { uwsgi: Uwsgi::start(), nginx: setup.start(), http2 }
    }

    /// The address of the one that speaks HTTP/1.
    pub fn http(&self) -> String {
        format!("127.0.0.1:{}", self.nginx.port())
    }

    /// What passes requests on by a protocol: directives of a location.
    pub fn pass(&self, protocol: &str) -> String {
        match protocol {
            "proxy" => format!("proxy_pass http://{};", self.http()),
            "grpc" => format!("grpc_pass grpc://{};", self.http2.address()),
            other => self.uwsgi.pass(other),
        }
    }

    /// A measured location `/PROTOCOL/` for each protocol, with directives in which `PROTOCOL` stands for it.
    pub fn passing(&self, protocols: &[&str], directives: &str) -> Setup {
        protocols.iter().fold(Setup::new().measured(), |setup, protocol| {
            let directives = directives.replace("PROTOCOL", protocol);
            setup.location(
                &format!("/{protocol}/"),
                &format!("{directives} {}", self.pass(protocol)),
            )
        })
    }

    /// The header of the answer to such a request, if nginx gives it to who speaks HTTP/1.0, as `proxy` does.
    pub fn head(&self, arguments: &str) -> String {
        let mut client = Client::connect(self.nginx.port());
        client.send(format!("GET /?{arguments} HTTP/1.0\r\n\r\n"));
        let answer = client.read_to_end();
        let (head, _) = answer.split_once("\r\n\r\n").expect("a header");
        format!("{head}\r\n\r\n")
    }
}

/// The arguments that ask for an answer.
pub fn asking_for(body: usize, header: usize) -> String {
    format!("body={body}&header={header}")
}

/// Asks at the location of a protocol for an answer with a body and a header field of so many bytes. The client is to
/// stay until it is measured: nginx learns that an unbuffered answer has ended after the client has all of it.
#[track_caller]
pub fn ask(client: &mut Client, protocol: &str, (body, header): (usize, usize)) {
    let answer = client.get(&format!("/{protocol}/?{}", asking_for(body, header)));
    assert_eq!((answer.status, answer.body.len()), (200, body), "{protocol}");
}
