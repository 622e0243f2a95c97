//! An HTTP/1.1 client that sends exact bytes and hides nothing.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use rustix::net::{socket_with, AddressFamily, Ipv4Addr, SocketAddrV4, SocketFlags, SocketType};

use super::patience;

/// One connection.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values as they came.
    pub headers: Vec<(String, String)>,
    /// The body, without chunks' sizes.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// `$sendfile_status`, which the tests' configuration sends along; `-` where there is none.
    pub fn lookup(&self) -> &str {
        self.header("X-Lookup").unwrap_or("-")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects to a port of 127.0.0.1.
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("nginx accepts")
    }

    /// Connects, if the server accepts.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        Self::of(TcpStream::connect(("127.0.0.1", port))?)
    }

    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Connects as somebody for whom the kernel keeps a few KiB only of what he has not read yet.
    #[track_caller]
    pub fn connect_narrow(port: u16) -> Self {
        let socket =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .expect("a socket");
        set_socket_recv_buffer_size(&socket, 4096).expect("SO_RCVBUF");
        rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
            .expect("nginx accepts");
        Self::of(socket.into()).expect("a connection")
    }

    /// Sends these bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).expect("nginx reads");
    }

    /// Sends these bytes, if the server still reads.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a GET, without waiting for the answer.
    #[track_caller]
    pub fn ask(&mut self, path: &str) {
        self.send(request("GET", path, &[], b""));
    }

    /// The answer to a GET; the connection stays open.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// The answer to a GET with headers.
    #[track_caller]
    pub fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request("GET", path, headers, b"")
    }

    /// The answer to a request.
    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send(request(method, path, headers, body));
        self.read(method)
    }

    /// The next answer, to a request of this method.
    #[track_caller]
    pub fn read(&mut self, method: &str) -> Response {
        self.try_read(method).expect("a whole response")
    }

    /// The next answer, if it comes whole.
    pub fn try_read(&mut self, method: &str) -> io::Result<Response> {
        let head = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break self.take(end + 4)?;
            }
            self.fill()?;
        };
        let mut response = parse_head(&head)?;
        if method == "HEAD" || matches!(response.status, 204 | 304) {
            return Ok(response);
        }
        response.body = if let Some(length) = response.header("Content-Length") {
            let length = length.parse().map_err(|_| malformed("Content-Length"))?;
            self.take(length)?
        } else if response.header("Transfer-Encoding") == Some("chunked") {
            self.take_chunks()?
        } else {
            while self.fill().is_ok() {}
            std::mem::take(&mut self.unread)
        };
        Ok(response)
    }

    /// Waits until some of the next answer has come.
    #[track_caller]
    pub fn wait_for_some(&mut self) {
        if self.unread.is_empty() {
            self.fill().expect("an answer");
        }
    }

    /// All that the server sends until it closes the connection.
    #[track_caller]
    pub fn read_to_end(mut self) -> String {
        self.stream.read_to_end(&mut self.unread).expect("the server to close the connection");
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Drops the connection with a reset, as a client that crashed.
    pub fn abort(self) {
        // Without the option the close is merely polite, and the test weaker, not wrong.
        let _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Waits until the server closes the connection; panics if it sends something instead.
    #[track_caller]
    pub fn wait_for_close(&mut self) {
        match self.fill() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
            other => panic!("the connection is not closed: {other:?}"),
        }
    }

    fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = find(&self.unread, b"\r\n") {
                    break self.take(end + 2)?;
                }
                self.fill()?;
            };
            let line = String::from_utf8_lossy(&line).into_owned();
            let size =
                usize::from_str_radix(line.trim(), 16).map_err(|_| malformed("chunk size"))?;
            let chunk = self.take(size + 2)?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.fill()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16384];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.unread.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                // The kernel may say so where a read has a timeout, though no signal has a handler.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The bytes of a request; `Host` and, with a body, `Content-Length` are added.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn parse_head(head: &[u8]) -> io::Result<Response> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status =
        status.and_then(|line| line.get(..3)?.parse().ok()).ok_or_else(|| malformed("status"))?;
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Response { status, headers: lines.filter_map(header).collect(), body: Vec::new() })
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a malformed {what}"))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
