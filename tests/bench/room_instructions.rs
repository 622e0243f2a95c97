//! Instructions in user space of what the module does for a request of one who waits, or who has a seat.

use anyhow::{ensure, Result};

use crate::callgrind::Profiled;
use crate::common::Numbers;
use crate::limit::Limiter;
use crate::room_client::{configuration, Form, Pipeline, Visitors, WAIT};
use crate::site::Site;

/// Requests that are counted.
const REQUESTS: usize = 1_000;

/// The most who wait where instructions are counted: under the profiler a million would take an hour to come.
const WAITING_MAX: u64 = 10_000;

/// Instructions of a request.
pub struct Row {
    pub what: &'static str,
    /// How many wait.
    pub waiting: u64,
    pub count: f64,
    /// Where they go, function by function.
    pub functions: Vec<(String, f64)>,
}

/// Counts them, with so many who wait.
pub fn measure(visitors: &Visitors, waiting: &[u64]) -> Result<Vec<Row>> {
    let site = Site::make(0)?;
    let mut rows = Vec::new();
    for &waiting in waiting.iter().filter(|waiting| **waiting <= WAITING_MAX) {
        eprintln!("counting instructions with {waiting} who wait");
        let what = configuration(&format!("profiled-{waiting}"), site.directory())?;
        let handler = format!("--toggle-collect={}", Limiter::SmartLimit.handler());
        let options = ["--instr-atstart=no".to_owned(), handler];
        let mut nginx = Profiled::start(&site, &what, &options)?;
        visitors.join(nginx.port(), waiting)?;
        nginx.instrument()?;
        for (what, form, is_seated) in [
            ("a poll for JSON", Form::Json, false),
            ("a poll for the page", Form::Page, false),
            ("a request with a seat", Form::Page, true),
        ] {
            let mut numbers = Numbers::new(1);
            let mut pipeline = Pipeline::connect(nginx.port())?;
            let mut ask = || {
                let number = if is_seated { 0 } else { 1 + numbers.below(waiting) };
                pipeline.send(&visitors.request(WAIT, number, form))?;
                let status = pipeline.read()?;
                ensure!((status == 200) == is_seated, "{what} is answered with {status}");
                Ok(())
            };
            // The first call also finds the functions of shared objects.
            ask()?;
            let profile = nginx.count(REQUESTS, || (0..REQUESTS).try_for_each(|_| ask()))?;
            let functions = profile.ranking().into_iter();
            let functions = functions.map(|(name, count)| (name.to_owned(), count)).collect();
            rows.push(Row { what, waiting, count: profile.total, functions });
        }
        nginx.end();
    }
    Ok(rows)
}
