//! `scripts/bench crowd`: a published experiment with a limiter, and with a waiting room behind it.

use std::fmt::Write;
use std::thread;
use std::time::Instant;

use anyhow::{anyhow, Result};

use crate::common::room::Visitor;
use crate::nginx::{our_module, Configuration, Nginx};
use crate::report::thousands;
use crate::site::Site;

/// Clients with a cookie jar, all of one address, and the requests that each sends, one after the other. Who is
/// answered by an error asks again at once.
const CLIENTS: usize = 10;
const REQUESTS: usize = 1_000;

/// Requests per second that the limit lets through.
const RATE: f64 = 10.0;

/// Seats of the room.
const SEATS: usize = 5;

/// The good answers that were published: of a limiter alone, and with the room.
const PUBLISHED: [u64; 2] = [55, 5_090];

/// What was seen.
struct Outcome {
    /// Good answers to each client, in order.
    good: Vec<usize>,
    seconds: f64,
}

impl Outcome {
    fn sum(&self) -> usize {
        self.good.iter().sum()
    }
}

/// Makes both experiments and prints what came of them, beside what was published.
pub fn run() -> Result<()> {
    let site = Site::make(0)?;
    let alone = experiment(&site, "alone", "")?;
    let room = experiment(&site, "room", "room=crowd")?;
    println!("{}", table(&alone, &room)?);
    Ok(())
}

fn experiment(site: &Site, name: &str, room: &str) -> Result<Outcome> {
    let nginx = Nginx::start(
        site,
        &Configuration {
            name: format!("crowd-{name}"),
            workers: 2,
            modules: our_module()?,
            http: format!(
                "smart_limit_zone $binary_remote_addr zone=address:1m rate={RATE}r/s;
                smart_limit_room crowd 1m max_active={SEATS};\n"
            ),
            server: format!("location / {{\nsmart_limit zone=address {room};\nempty_gif;\n}}\n"),
        },
    )?;
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut visitor = Visitor::at(nginx.port());
            thread::spawn(move || (0..REQUESTS).filter(|_| visitor.get("/").status == 200).count())
        })
        .collect();
    let good = clients.into_iter().map(|client| client.join());
    let mut good: Vec<usize> =
        good.collect::<Result<_, _>>().map_err(|_| anyhow!("a client fails"))?;
    good.sort_unstable();
    good.reverse();
    Ok(Outcome { good, seconds: started.elapsed().as_secs_f64() })
}

fn table(alone: &Outcome, room: &Outcome) -> Result<String> {
    let mut out = String::new();
    writeln!(
        out,
        "{CLIENTS} clients with a cookie jar and {REQUESTS} requests each, one after the other; \
         {RATE} r/s by address.\n"
    )?;
    writeln!(out, "| | published | good answers | in | of each client |\n|---|--:|--:|--:|---|")?;
    let names = ["the limiter alone".to_owned(), format!("a room of {SEATS} seats")];
    for ((name, published), outcome) in names.iter().zip(PUBLISHED).zip([alone, room]) {
        let each: Vec<String> = outcome.good.iter().map(usize::to_string).collect();
        writeln!(
            out,
            "| {name} | {} | {} | {:.1} s | {} |",
            thousands(published as f64),
            thousands(outcome.sum() as f64),
            outcome.seconds,
            each.join(", "),
        )?;
    }
    let most = 1.0 + RATE * (alone.seconds + 1.0);
    let least = SEATS * (REQUESTS - 10);
    writeln!(
        out,
        "\nThe limiter can let {most:.0} through in that time: {}. {SEATS} clients with a seat get at least {} \
         of theirs: {}.",
        verdict((alone.sum() as f64) <= most),
        thousands(least as f64),
        verdict(room.sum() >= least),
    )?;
    Ok(out)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met {
        "met"
    } else {
        "missed"
    }
}
