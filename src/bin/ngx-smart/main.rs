//! The operator's tool: fills memcached with what the module looks up.

mod journal;
mod load;
mod report;
mod source;
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
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Load(arguments) => load::run(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ngx-smart: {error:#}");
            ExitCode::FAILURE
        }
    }
}
