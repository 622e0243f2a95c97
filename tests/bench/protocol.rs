//! What a lookup costs memcached: the classic `get`, one `get` of many keys, and the meta protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{ensure, Result};

use crate::common::process::Id;
use crate::machine::{move_to, SERVER_CORE};
use crate::memcached::Memcached;
use crate::numbers::median;

const KEYS: usize = 6_400;

#[derive(Clone, Copy)]
enum Protocol {
    Get,
    GetMany,
    Meta,
    MetaKey,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Get, Self::GetMany, Self::Meta, Self::MetaKey];

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get KEY, each",
            Self::GetMany => "get KEY KEY …",
            Self::Meta => "mg KEY v",
            Self::MetaKey => "mg KEY v k",
        }
    }

    /// The requests for `batch` and the bytes that must come back.
    fn exchange(self, batch: &[(String, String)]) -> (Vec<u8>, Vec<u8>) {
        let (mut request, mut reply) = (String::new(), String::new());
        if let Self::GetMany = self {
            request.push_str("get");
        }
        for (key, value) in batch {
            let length = value.len();
            match self {
                Self::Get => {
                    request.push_str(&format!("get {key}\r\n"));
                    reply.push_str(&format!("VALUE {key} 0 {length}\r\n{value}\r\nEND\r\n"));
                }
                Self::GetMany => {
                    request.push_str(&format!(" {key}"));
                    reply.push_str(&format!("VALUE {key} 0 {length}\r\n{value}\r\n"));
                }
                Self::Meta => {
                    request.push_str(&format!("mg {key} v\r\n"));
                    reply.push_str(&format!("VA {length}\r\n{value}\r\n"));
                }
                Self::MetaKey => {
                    request.push_str(&format!("mg {key} v k\r\n"));
                    reply.push_str(&format!("VA {length} k{key}\r\n{value}\r\n"));
                }
            }
        }
        if let Self::GetMany = self {
            request.push_str("\r\n");
            reply.push_str("END\r\n");
        }
        (request.into_bytes(), reply.into_bytes())
    }
}

/// Runs the comparison and prints a table.
pub fn run(rounds: usize) -> Result<()> {
    move_to(SERVER_CORE, Id::try_from(std::process::id())?)?;
    let pairs: Vec<(String, String)> = (0..KEYS)
        .map(|i| {
            (format!("{}", 2_000_000_000 + i * 7919), format!("{:04x}/{:08x}.data", i % 997, i))
        })
        .collect();
    let store = Memcached::start()?;
    store.fill(pairs.iter().map(|(key, path)| (key.clone(), path.as_str())))?;

    println!("| batch | protocol | memcached CPU, µs per lookup | ratio to get | lookups/s |");
    println!("|---|---|---|---|---|");
    for size in [1, 4, 16, 64] {
        let mut samples = vec![Vec::new(); Protocol::ALL.len()];
        for _ in 0..rounds {
            for (protocol, samples) in Protocol::ALL.into_iter().zip(&mut samples) {
                samples.push(measure(protocol, &store, &pairs, size)?);
            }
        }
        let base: Vec<f64> = samples[0].iter().map(|s| s.0).collect();
        for (protocol, samples) in Protocol::ALL.into_iter().zip(&samples) {
            let ratios: Vec<f64> = samples.iter().zip(&base).map(|(s, b)| s.0 / b).collect();
            println!(
                "| {size} | `{}` | {:.2} | {:.2} | {:.0} |",
                protocol.name(),
                median(samples.iter().map(|s| s.0)),
                median(ratios),
                median(samples.iter().map(|s| s.1)),
            );
        }
    }
    Ok(())
}

/// memcached's CPU µs per lookup, and lookups per second.
fn measure(
    protocol: Protocol,
    store: &Memcached,
    pairs: &[(String, String)],
    size: usize,
) -> Result<(f64, f64)> {
    let exchanges: Vec<_> = pairs.chunks_exact(size).map(|c| protocol.exchange(c)).collect();
    let mut stream = TcpStream::connect(store.address())?;
    stream.set_nodelay(true)?;
    let mut reply = Vec::new();
    let passes = if size == 1 { 1 } else { 4 };
    let before = store.cpu_time()?;
    let start = Instant::now();
    for (request, expected) in std::iter::repeat_n(&exchanges, passes).flatten() {
        stream.write_all(request)?;
        reply.resize(expected.len(), 0);
        stream.read_exact(&mut reply)?;
        ensure!(reply == *expected, "{} answered otherwise", protocol.name());
    }
    let lookups = (exchanges.len() * size * passes) as f64;
    let elapsed = start.elapsed().as_secs_f64();
    Ok(((store.cpu_time()? - before) as f64 / 1e3 / lookups, lookups / elapsed))
}
