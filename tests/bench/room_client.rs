//! The visitors of `scripts/bench room`: each has a token, an address, and so a limit key and a network, of his own.
//! Tokens are signed here, with the server's secret, or each would take a request more.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{ensure, Context, Result};
use ngx_http_smart_module::core::token::{Keys, Nonce, Token};

use crate::common::client::request;
use crate::common::{patience, Numbers};
use crate::limit::Key;
use crate::limit_client::Figures;
use crate::nginx::{our_module, Configuration, Nginx};
use crate::room_machine::mix;

/// Where one waits.
pub const WAIT: &str = "/wait";

/// The secret of all tokens.
const SECRET: &[u8] = b"the secret of a benchmark, known to everybody";

/// Visits that are under way while a room is filled.
const BATCH: usize = 64;

/// The kinds of answers that one who waits can have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// What the page's script asks for.
    Json,
    /// The page.
    Page,
}

impl Form {
    /// What asks for it.
    fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/vnd.ngx-smart.room+json",
            Self::Page => "text/html",
        }
    }
}

/// All who may come.
pub struct Visitors {
    tokens: Vec<[u8; 64]>,
}

impl Visitors {
    /// So many.
    pub fn new(count: u64) -> Result<Self> {
        let keys = Keys::new(SECRET).map_err(|error| anyhow::anyhow!("{error}"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let tokens = (0..count).map(|number| {
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&mix(number).to_le_bytes());
            nonce[8..].copy_from_slice(&mix(!number).to_le_bytes());
            let text = keys.sign(b"r", &Token::new(Nonce(nonce), now, 86_400));
            Ok(text.as_bytes().try_into()?)
        });
        Ok(Self { tokens: tokens.collect::<Result<_>>()? })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.tokens.len() as u64
    }

    /// A request of one of them.
    pub fn request(&self, location: &str, number: u64, form: Form) -> Vec<u8> {
        let token = String::from_utf8_lossy(&self.tokens[number as usize]);
        let cookie = format!("smart_limit_r={token}");
        let address = Key::Address.text(number);
        let headers = [("X-Real-IP", &*address), ("Accept", form.accept()), ("Cookie", &cookie)];
        request("GET", location, &headers, b"")
    }

    /// Lets so many take places: the first request of each passes his limit, the second does not. The very
    /// first takes the seat.
    pub fn join(&self, port: u16, waiting: u64) -> Result<()> {
        let mut pipeline = Pipeline::connect(port)?;
        let numbers: Vec<u64> = (0..=waiting).collect();
        for batch in numbers.chunks(BATCH) {
            for form in [Form::Page, Form::Json] {
                let requests = batch.iter().map(|&number| self.request(WAIT, number, form));
                pipeline.send(&requests.collect::<Vec<_>>().concat())?;
                for &number in batch {
                    let status = pipeline.read()?;
                    let is_place = form == Form::Json && number > 0;
                    let expected = if is_place { 503 } else { 200 };
                    ensure!(status == expected, "visitor {number} is answered with {status}");
                }
            }
        }
        Ok(())
    }
}

/// An nginx with a room of 64 MB and a seat, and a limit by address that nobody passes twice.
pub fn configuration(name: &str, directory: &Path) -> Result<Configuration> {
    let secret = directory.join("secret");
    fs::write(&secret, SECRET)?;
    // Whom everybody may read, nginx warns of.
    fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
    Ok(Configuration {
        name: name.to_owned(),
        workers: 1,
        modules: our_module()?,
        http: format!(
            "set_real_ip_from 127.0.0.1;
            real_ip_header X-Real-IP;
            smart_limit_secret_file {};
            smart_limit_room r 64m max_active=1 session=1d absent=1d;
            smart_limit_zone $binary_remote_addr zone=address:64m rate=1r/d;
            smart_limit_log_level info;\n",
            secret.display()
        ),
        server: format!(
            "location = {WAIT} {{
                smart_limit zone=address room=r;
                empty_gif;
            }}\n"
        ),
    })
}

/// A connection on which requests are sent before the answers to others have come.
pub struct Pipeline {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer is not read yet.
    unread: Range<usize>,
    /// Bytes of the last answer's body.
    pub body: usize,
}

impl Pipeline {
    /// Connects.
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        Ok(Self { stream, buffer: vec![0; 1 << 17], unread: 0..0, body: 0 })
    }

    /// Sends requests.
    pub fn send(&mut self, requests: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(requests)?)
    }

    /// Reads an answer; its status.
    pub fn read(&mut self) -> Result<u16> {
        let head = loop {
            let unread = &self.buffer[self.unread.clone()];
            match unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.receive()?,
            }
        };
        let text = std::str::from_utf8(&self.buffer[self.unread.start..][..head])?;
        let status = text.get(9..12).context("a short answer")?.parse()?;
        let (_, length) = text.split_once("Content-Length: ").context("no Content-Length")?;
        let (length, _) = length.split_once('\r').context("a header without an end")?;
        self.body = length.parse()?;
        while self.unread.len() < head + self.body {
            self.receive()?;
        }
        self.unread.start += head + self.body;
        Ok(status)
    }

    fn receive(&mut self) -> Result<()> {
        if self.unread.end == self.buffer.len() || self.unread.is_empty() {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let count = self.stream.read(&mut self.buffer[self.unread.end..])?;
        ensure!(count > 0, "nginx closed the connection");
        self.unread.end += count;
        Ok(())
    }
}

/// A run of load: those who wait poll at random.
pub struct Load<'a> {
    pub nginx: &'a Nginx,
    pub visitors: &'a Visitors,
    pub location: &'a str,
    pub form: Form,
    /// The status of all answers.
    pub status: u16,
    /// Those from 1 to this poll.
    pub waiting: u64,
    pub connections: usize,
    /// Requests under way on each.
    pub depth: usize,
    pub run: Duration,
    pub seed: u64,
}

impl Load<'_> {
    /// Runs it to the end.
    pub fn run(&self) -> Result<Figures> {
        let mut numbers = Numbers::new(self.seed);
        let mut send = |pipeline: &mut Pipeline| {
            let polls = (0..self.depth).map(|_| {
                let number = 1 + numbers.below(self.waiting);
                self.visitors.request(self.location, number, self.form)
            });
            pipeline.send(&polls.collect::<Vec<_>>().concat())
        };
        let mut pipelines = (0..self.connections)
            .map(|_| Pipeline::connect(self.nginx.port()))
            .collect::<Result<Vec<_>>>()?;
        let before = self.nginx.cpu_time()?;
        let started = Instant::now();
        let mut answered = 0;
        pipelines.iter_mut().try_for_each(&mut send)?;
        let mut goes_on = true;
        while goes_on {
            goes_on = started.elapsed() < self.run;
            for pipeline in &mut pipelines {
                for _ in 0..self.depth {
                    let status = pipeline.read()?;
                    ensure!(status == self.status, "answered with {status}");
                }
                answered += self.depth;
                if goes_on {
                    send(pipeline)?;
                }
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let cpu = (self.nginx.cpu_time()? - before) as f64;
        let answered = answered as f64;
        Ok(Figures { rate: answered / seconds, cpu: cpu / answered, busy: cpu / 1e9 / seconds })
    }
}
