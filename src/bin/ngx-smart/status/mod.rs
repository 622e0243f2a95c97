//! `ngx-smart status`: what the page of the status interface shows, in a terminal.

mod clean;
mod client;
mod format;
mod model;
mod rates;
mod table;
mod text;
mod verdict;
mod view;
mod watch;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, Result};
use clap::Args;

use clean::Text;
use client::Client;
use rates::Past;

/// Show what a running nginx tells of itself
///
/// First the problems, if there are any: "!" marks what needs somebody at once, "-" what is worth a look. Then lookups,
/// limits, rooms, and what is advised about buffers. Rates are those of the last minute, as far as it is known.
///
/// Ends with status 0 when nothing needs somebody at once, 1 when something does, 2 when there is no answer, what answers is
/// not the status interface, or the arguments are wrong. With --watch: with 0 when it is told to quit.
#[derive(Args)]
pub struct Arguments {
    /// The location with smart_api, such as http://127.0.0.1/smart/ ("http://" may be left out).
    /// A proxy that the environment names is not used
    url: String,

    /// Stay, fill the terminal, ask again every SECONDS (0.2 to 10; 2 if it is left out), and show the
    /// last 15 minutes as charts. Keys: q, Esc or Ctrl-C to quit; j and k, arrows, page keys, g and G to scroll
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = interval
    )]
    watch: Option<Duration>,
}

fn interval(seconds: &str) -> Result<Duration, String> {
    match seconds.parse() {
        Ok(seconds) if (0.2..=10.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number from 0.2 to 10 is wanted".to_owned()),
    }
}

/// Shows it. Whether nothing is bad.
pub fn run(arguments: &Arguments) -> Result<bool> {
    // An error may have words of the server's in it.
    show(arguments).map_err(|error| anyhow!("{}", Text::new(&format!("{error:#}"))))
}

fn show(arguments: &Arguments) -> Result<bool> {
    let client = Client::new(&arguments.url)?;
    match arguments.watch {
        Some(interval) => watch::run(client, interval).map(|()| true),
        None => snapshot(&client),
    }
}

/// Asks twice: what the module keeps of the past is not all that there is to know the growth of.
fn snapshot(client: &Client) -> Result<bool> {
    const BETWEEN: Duration = Duration::from_secs(1);
    let clock = Instant::now();
    let mut past = Past::default();
    // What does not keep the past shows what grows within the second.
    let history = client.history().ok();
    let status = client.status()?;
    if let Some(history) = history {
        past.seed(&history, status.time, clock.elapsed().as_secs_f64());
    }
    past.add(&status, clock.elapsed().as_secs_f64());
    thread::sleep(BETWEEN);
    let status = client.status()?;
    let now = clock.elapsed().as_secs_f64();
    past.add(&status, now);

    let heaviest = client.heaviest(&status);
    let problems = verdict::problems(&status, &past, now);
    let width = text::width();
    let mut lines = vec![view::headline(&problems)];
    lines.extend(view::lines(&view::View {
        status: &status,
        past: &past,
        heaviest: &heaviest,
        problems: &problems,
        now,
        width,
        charts: false,
    }));
    text::print(&lines)?;
    Ok(!problems.iter().any(|problem| problem.is_bad))
}
