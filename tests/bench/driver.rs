//! `scripts/bench`: the module beside its peers, measured on this machine.

// Another part of it is used by the tests.
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;

mod buffers;
mod callgrind;
mod chart;
mod instructions;
mod limit;
mod limit_chart;
mod limit_client;
mod limit_instructions;
mod limit_load;
mod limit_report;
mod limit_table;
mod machine;
mod memcached;
mod memory;
mod nginx;
mod numbers;
mod protocol;
mod report;
mod room;
mod room_chart;
mod room_client;
mod room_crowd;
mod room_experiment;
mod room_instructions;
mod room_load;
mod room_machine;
mod room_report;
mod sendfile;
mod site;
mod status;
mod syscalls;
mod variant;
mod wrk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures the module beside its peers
#[derive(Parser)]
#[command(name = "scripts/bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Given by cargo; without meaning.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// Requests/s, CPU, latency and system calls of lookups, beside nginx's own ways and Lua
    Sendfile {
        /// Rounds; the medians are reported
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// More rounds of what the targets of CPU per request compare
        #[arg(long, default_value_t = 4)]
        more_rounds: usize,
        /// Seconds of each run of the load generator
        #[arg(long, default_value_t = 2)]
        seconds: u64,
        /// Numbers of connections
        #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64, 256, 512])]
        connections: Vec<usize>,
        /// Files served
        #[arg(long, default_value_t = 20_000)]
        files: usize,
        /// Where sendfile.md and sendfile.svg go [default: docs/bench; target/bench if --quick]
        #[arg(long)]
        output: Option<PathBuf>,
        /// A look within a minute: one round at 4 and 64 connections
        #[arg(long, conflicts_with_all = ["rounds", "more_rounds", "seconds", "connections", "files"])]
        quick: bool,
    },
    /// Instructions, keys held, CPU and requests/s of the limiter, beside limit_req and none
    Limit {
        /// Rounds under load; the medians are reported
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Milliseconds of each run under load
        #[arg(long, default_value_t = 700)]
        run: u64,
        /// Numbers of keys among which instructions are counted, beside one alone
        #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
        keys: Vec<u64>,
        /// Where limit.md and limit.svg go [default: docs/bench; target/bench if --quick]
        #[arg(long)]
        output: Option<PathBuf>,
        /// A look within a minute: short rounds, fewer keys
        #[arg(long, conflicts_with_all = ["rounds", "run", "keys"])]
        quick: bool,
    },
    /// Bytes of a cache entry; resident memory after 100,000 and 1,000,000 requests
    Memory,
    /// The waiting room: a crowd before it, its machine alone, instructions and requests/s of polls
    Room {
        /// Rounds under load; the medians are reported
        #[arg(long, default_value_t = 9)]
        rounds: usize,
        /// Milliseconds of each run under load
        #[arg(long, default_value_t = 700)]
        run: u64,
        /// Numbers of those who wait in nginx
        #[arg(long, value_delimiter = ',', default_values_t = [1, 10_000, 1_000_000])]
        waiting: Vec<u64>,
        /// Where room.md and room.svg go [default: docs/bench; target/bench if --quick]
        #[arg(long)]
        output: Option<PathBuf>,
        /// A look within a minute or two: short rounds, few who wait
        #[arg(long, conflicts_with_all = ["rounds", "run", "waiting"])]
        quick: bool,
    },
    /// Instructions that smart_buffers takes for a request
    Buffers {
        /// Where buffers.md goes
        #[arg(long, default_value = "docs/bench")]
        output: PathBuf,
    },
    /// What a reader of the status interface takes of a worker
    Status {
        /// Where status.md goes
        #[arg(long, default_value = "docs/bench")]
        output: PathBuf,
    },
    /// Ten clients and a limit of 10 r/s, with and without a waiting room: a published experiment
    Crowd,
    /// Instructions of a lookup from the cache beyond those of a redirect, and where they go
    Instructions,
    /// memcached's CPU for a lookup, by protocol
    Protocol {
        /// Rounds; the medians are reported
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Sendfile { output, quick: true, .. } => sendfile::run(&sendfile::Plan {
            rounds: 1,
            more_rounds: 0,
            seconds: 1,
            connections: vec![4, 64],
            files: 2_000,
            output: output.unwrap_or_else(|| PathBuf::from("target/bench")),
        }),
        What::Sendfile { rounds, more_rounds, seconds, connections, files, output, .. } => {
            let output = output.unwrap_or_else(|| PathBuf::from("docs/bench"));
            let plan = sendfile::Plan { rounds, more_rounds, seconds, connections, files, output };
            sendfile::run(&plan)
        }
        What::Limit { output, quick: true, .. } => limit::run(&limit::Plan {
            rounds: 3,
            run: Duration::from_millis(200),
            held: vec![10_000],
            output: output.unwrap_or_else(|| PathBuf::from("target/bench")),
        }),
        What::Limit { rounds, run, keys, output, .. } => limit::run(&limit::Plan {
            rounds,
            run: Duration::from_millis(run),
            held: keys,
            output: output.unwrap_or_else(|| PathBuf::from("docs/bench")),
        }),
        What::Room { output, quick: true, .. } => room::run(&room::Plan {
            rounds: 1,
            run: Duration::from_millis(200),
            waiting: vec![1, 2_000],
            people: 4_000,
            output: output.unwrap_or_else(|| PathBuf::from("target/bench")),
        }),
        What::Room { rounds, run, waiting, output, .. } => room::run(&room::Plan {
            rounds,
            run: Duration::from_millis(run),
            waiting,
            people: 20_000,
            output: output.unwrap_or_else(|| PathBuf::from("docs/bench")),
        }),
        What::Buffers { output } => buffers::run(&output),
        What::Status { output } => status::run(&output),
        What::Crowd => room_experiment::run(),
        What::Memory => memory::run(),
        What::Instructions => instructions::run(),
        What::Protocol { rounds } => protocol::run(rounds),
    }
}
