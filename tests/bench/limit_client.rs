//! The client of `scripts/bench limit`: requests in a pipeline, so that as much as possible of the
//! server's time is the limiter's, and little of the machine's is the client's.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};

use crate::common::client::Client;
use crate::common::{patience, Numbers};
use crate::limit::Key;
use crate::nginx::Nginx;

/// What the load is counted by.
const ARGUMENT: Key = Key::Argument;

/// Requests that are sent at once where only the sum counts.
const BATCH: usize = 64;

/// A connection whose answers are all alike: 200, with the same headers and `empty_gif`'s image.
struct Pipeline {
    stream: TcpStream,
    /// Bytes of an answer.
    length: usize,
    buffer: Vec<u8>,
}

impl Pipeline {
    /// Connects, and asks once to learn what an answer looks like.
    fn connect(port: u16, request: &[u8]) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.write_all(request)?;
        let mut buffer = vec![0; 65536];
        let mut length = 0;
        while !is_whole(&buffer[..length]) {
            let count = stream.read(&mut buffer[length..])?;
            ensure!(count > 0, "nginx closed the connection after {length} bytes");
            length += count;
        }
        Ok(Self { stream, length, buffer })
    }

    fn send(&mut self, requests: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(requests)?)
    }

    /// Reads that many answers.
    fn read(&mut self, answers: usize) -> Result<()> {
        let expected = answers * self.length;
        if self.buffer.len() < expected {
            self.buffer.resize(expected, 0);
        }
        self.stream.read_exact(&mut self.buffer[..expected])?;
        for answer in self.buffer[..expected].chunks_exact(self.length) {
            ensure!(is_whole(answer), "an answer other than 200: {}", answer.escape_ascii());
        }
        Ok(())
    }
}

/// Whether this is a good answer from its first byte to the image's last.
fn is_whole(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\x02\x02L\x01\0;")
}

/// Asks for each of the numbered keys once, in this order; each must be let through.
pub fn ask_each(port: u16, location: &str, key: Key, numbers: &[u64]) -> Result<()> {
    let Some(first) = numbers.first() else { return Ok(()) };
    let mut pipeline = Pipeline::connect(port, &key.request(location, *first))?;
    let mut unread = 0;
    for batch in numbers[1..].chunks(BATCH) {
        let requests: Vec<u8> =
            batch.iter().flat_map(|&number| key.request(location, number)).collect();
        pipeline.send(&requests)?;
        pipeline.read(std::mem::replace(&mut unread, batch.len()))?;
    }
    pipeline.read(unread)
}

/// Asks for a key; the status of the answer.
pub fn status(client: &mut Client, location: &str, key: Key, number: u64) -> u16 {
    client.send(key.request(location, number));
    client.read("GET").status
}

/// A run of load with random keys.
pub struct Load<'a> {
    /// Who is asked.
    pub nginx: &'a Nginx,
    /// What is asked for.
    pub location: &'a str,
    /// The keys are those numbered from 0 to this, exclusive.
    pub keys: u64,
    /// Connections kept open.
    pub connections: usize,
    /// Requests under way on each.
    pub depth: usize,
    /// How long.
    pub run: Duration,
    /// Of the order of keys.
    pub seed: u64,
}

/// What a run of load has seen.
pub struct Figures {
    /// Requests per second.
    pub rate: f64,
    /// CPU time of nginx for a request, in nanoseconds.
    pub cpu: f64,
    /// CPU time of nginx in a second, in cores.
    pub busy: f64,
}

impl Load<'_> {
    /// Runs it to the end.
    pub fn run(&self) -> Result<Figures> {
        let mut numbers = Numbers::new(self.seed);
        let first = ARGUMENT.request(self.location, 0);
        let place = first.windows(3).position(|bytes| bytes == b"?k=").map_or(0, |place| place + 3);
        let mut requests = first.repeat(self.depth);
        let mut send = |pipeline: &mut Pipeline| {
            for request in requests.chunks_exact_mut(first.len()) {
                let number = numbers.below(self.keys);
                write!(&mut request[place..], "{}", ARGUMENT.text(number))?;
            }
            pipeline.send(&requests)
        };
        let mut pipelines = (0..self.connections)
            .map(|_| Pipeline::connect(self.nginx.port(), &first))
            .collect::<Result<Vec<_>>>()?;
        let before = self.nginx.cpu_time()?;
        let started = Instant::now();
        let mut answered = 0;
        pipelines.iter_mut().try_for_each(&mut send)?;
        let mut goes_on = true;
        while goes_on {
            goes_on = started.elapsed() < self.run;
            for pipeline in &mut pipelines {
                pipeline.read(self.depth)?;
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
