//! The operator's tool: fills memcached with what the module looks up, and shows how the module fares.

mod journal;
mod load;
mod report;
mod source;
mod status;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The operator's tool of ngx-smart, the nginx module
#[derive(Parser)]
#[command(name = "ngx-smart", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Load(load::Arguments),
    Status(status::Arguments),
}

fn main() -> ExitCode {
    // For a status, that something is wrong is one thing, and that nothing is known another.
    let (outcome, failed) = match Arguments::parse().command {
        Command::Load(arguments) => (load::run(&arguments), 1),
        Command::Status(arguments) => (status::run(&arguments), 2),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ngx-smart: {error:#}");
            ExitCode::from(failed)
        }
    }
}
