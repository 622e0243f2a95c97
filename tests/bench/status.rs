//! `scripts/bench status`: what a reader of the status interface takes of a worker.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{ensure, Context, Result};

use crate::common::client::Client;
use crate::nginx::{our_module, version, Configuration, Nginx};
use crate::numbers::median;
use crate::site::Site;

/// Numbers of locations that are measured.
const LOCATIONS: [usize; 2] = [8, 72];

/// Requests to each location: as many as advice needs.
const REQUESTS: usize = 1_000;

/// Addresses that the limiter holds.
const ADDRESSES: usize = 5_000;

/// Rounds, and reads of each path in a round; the medians are reported.
const ROUNDS: usize = 15;
const READS: usize = 40;

const PATHS: [&str; 6] =
    ["", "status.json", "history.json", "metrics", "buffers.conf", "limits/address?top=256"];

/// Reads in a second: a page that is open asks for all each two seconds, Prometheus each fifteen.
const RATES: [(&str, f64); 2] = [("status.json", 1.0 / 2.0), ("metrics", 1.0 / 15.0)];

/// An answer of the interface, with so many locations.
struct Read {
    bytes: usize,
    /// CPU of the worker, in seconds.
    cpu: f64,
}

/// Measures, prints a table and writes it to `output`.
pub fn run(output: &PathBuf) -> Result<()> {
    let site = Site::make(0)?;
    let columns = LOCATIONS
        .iter()
        .map(|locations| column(&site, *locations))
        .collect::<Result<Vec<Vec<Read>>>>()?;
    let table = table(&columns)?;
    println!("{table}");
    fs::create_dir_all(output)?;
    let file = output.join("status.md");
    fs::write(&file, table).with_context(|| file.display().to_string())
}

fn configuration(locations: usize) -> Result<Configuration> {
    let mut server = String::from(
        "set_real_ip_from 127.0.0.1;\n\
         location /smart/ { smart_api; smart_buffers off; }\n\
         location /limited { smart_limit zone=address burst=2 nodelay; empty_gif; }\n",
    );
    for number in 0..locations {
        writeln!(server, "location /page{number}/ {{ proxy_pass http://backend; }}")?;
    }
    Ok(Configuration {
        name: format!("status-{locations}"),
        workers: 1,
        modules: our_module()?,
        http: "smart_buffers_zone 2m;\nsmart_buffers on;\n\
               smart_limit_zone $binary_remote_addr zone=address:4m rate=10r/s;\n\
               smart_limit_room crowd 4m max_active=100;\n\
               http_sendfile_cache_zone lookups:4m;\n"
            .to_owned(),
        server,
    })
}

fn backend() -> Configuration {
    Configuration {
        name: "backend".to_owned(),
        workers: 1,
        modules: Vec::new(),
        http: String::new(),
        server: "location / { return 200 'a short answer'; }\n".to_owned(),
    }
}

/// All paths, with so many locations.
fn column(site: &Site, locations: usize) -> Result<Vec<Read>> {
    let backend = Nginx::start(site, &backend())?;
    let mut front = configuration(locations)?;
    write!(front.http, "upstream backend {{ server 127.0.0.1:{}; keepalive 4; }}", backend.port())?;
    front.http += "proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n";
    let nginx = Nginx::start(site, &front)?;
    let mut client = Client::connect(nginx.port());
    fill(&mut client, locations)?;
    let mut rounds: Vec<Vec<f64>> = PATHS.iter().map(|_| Vec::new()).collect();
    let mut bytes = [0; PATHS.len()];
    for _ in 0..ROUNDS {
        for ((path, costs), bytes) in PATHS.iter().zip(&mut rounds).zip(&mut bytes) {
            let before = nginx.cpu_time()?;
            for _ in 0..READS {
                *bytes = read(&mut client, path)?;
            }
            costs.push((nginx.cpu_time()? - before) as f64 / READS as f64 / 1e9);
        }
    }
    nginx.end();
    backend.end();
    let reads = rounds.into_iter().zip(bytes);
    Ok(reads.map(|(costs, bytes)| Read { bytes, cpu: median(costs) }).collect())
}

/// Gives the interface something to tell.
fn fill(client: &mut Client, locations: usize) -> Result<()> {
    for number in 0..locations {
        for _ in 0..REQUESTS {
            let status = client.get(&format!("/page{number}/")).status;
            ensure!(status == 200, "a page is answered with status {status}");
        }
    }
    for number in 0..ADDRESSES {
        let address = format!("10.0.{}.{}", number / 250, 1 + number % 250);
        // Some ask for more than they may, and are told among the heaviest.
        let times = if number % 10 == 0 { 6 } else { 1 };
        for _ in 0..times {
            client.get_with("/limited", &[("X-Real-IP", &address)]);
        }
    }
    Ok(())
}

fn read(client: &mut Client, path: &str) -> Result<usize> {
    let answer = client.get(&format!("/smart/{path}"));
    ensure!(answer.status == 200, "{path} is answered with status {}", answer.status);
    Ok(answer.body.len())
}

fn table(columns: &[Vec<Read>]) -> Result<String> {
    let mut out = format!(
        "# What a reader of the status interface takes\n\n\
         CPU of the worker that answers, in user space and in the kernel, and bytes: medians of {ROUNDS} rounds of \
         {READS} reads, nginx {}, a limit that holds {ADDRESSES} addresses. Meanwhile that worker does nothing else. \
         Written by `scripts/bench status`.\n\n| path |",
        version()?
    );
    for locations in LOCATIONS {
        write!(out, " {locations} measured locations | bytes |")?;
    }
    writeln!(out, "\n|---|{}", "---:|---:|".repeat(LOCATIONS.len()))?;
    for (number, path) in PATHS.iter().enumerate() {
        write!(out, "| `/smart/{path}` |")?;
        for Read { bytes, cpu } in columns.iter().map(|column| &column[number]) {
            write!(out, " {:.2} ms | {bytes} |", cpu * 1e3)?;
        }
        writeln!(out)?;
    }
    write!(out, "| a page open, and a Prometheus: of one worker |")?;
    for column in columns {
        let cost = |(path, rate): &(&str, f64)| {
            let number = PATHS.iter().position(|known| known == path);
            number.map_or(f64::NAN, |number| column[number].cpu * rate)
        };
        write!(out, " {:.3} % | |", 100.0 * RATES.iter().map(cost).sum::<f64>())?;
    }
    writeln!(out)?;
    Ok(out)
}
