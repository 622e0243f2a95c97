//! What nginx's buffers should be set to, from what was measured of them.
//!
//! Everything is a pure function of the histograms, the current settings and the host. What is advised passes
//! `nginx -t` as it is, is a multiple of 4k, takes no more memory per request than the budget, and advising again once
//! it is set finds nothing to change.

mod body;
mod chain;
mod client;
mod compression;
mod draft;
mod effect;
mod output;
mod size;
mod snippet;
mod upstream;

use super::report::buffers::{Host, Location, Server};
use draft::{Draft, Sheet};
pub use snippet::write_snippet;

/// Below so many samples of a figure nothing is advised from it.
pub const SAMPLES_MIN: u64 = 1000;

/// What is advised for a location or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Whether there is anything to change.
    pub state: State,
    /// The samples of the figure that has the most.
    pub samples: u64,
    /// What should be set: all that one change makes necessary, so that it passes `nginx -t` as it is.
    pub directives: Vec<Directive>,
    /// What else should be known, in English: what there were too few samples of, and what no directive changes.
    pub remarks: Vec<String>,
    /// What that would change. `None`: nothing is advised, or it does not concern the answers.
    pub effect: Option<Effect>,
}

/// Whether there is anything to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing was measured often enough.
    #[default]
    TooFewSamples,
    /// What was measured often enough is served well.
    Fine,
    /// There are directives to set.
    Change,
}

/// A directive that should be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name: `proxy_buffers`.
    pub name: String,
    /// Its arguments now: `8 4k`. `None`: they are not known.
    pub current: Option<String>,
    /// What they should be: `8 12k`.
    pub advised: String,
    /// Why, in English, with the numbers that it follows from.
    pub reason: String,
}

/// What the advice of a location would change: of a request whose answer, and whose body, are as long as the p90 of
/// all, the memory that nginx takes for buffers, in bytes; of all answers the shares, in thousandths. `None`: the
/// current settings are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Memory of a typical request now.
    pub memory_before: Option<u64>,
    /// Memory of a typical request then.
    pub memory_after: u64,
    /// Share of responses that fit one buffer now.
    pub one_buffer_before: Option<u64>,
    /// Share of responses that would fit one buffer.
    pub one_buffer_after: u64,
    /// Share that exceeds the buffers now, and so goes to disk where the client is slower than the upstream.
    pub spilled_before: Option<u64>,
    /// Share that would exceed them.
    pub spilled_after: u64,
}

/// What is advised for a location.
pub fn of_location(location: &Location, host: &Host) -> Advice {
    let mut draft = Draft::new(location, host);
    draft.sheet.remark_others(location.set_otherwise, "location");
    body::advise(&mut draft);
    upstream::advise(&mut draft);
    output::advise(&mut draft);
    compression::advise(&mut draft);
    let after = effect::of(&draft);
    draft.sheet.finish(location.measured.requests, after)
}

/// What is advised for a server that listens.
pub fn of_server(server: &Server) -> Advice {
    let mut sheet = Sheet::default();
    sheet.remark_others(server.set_otherwise, "server");
    client::advise(server, &mut sheet);
    sheet.finish(server.header.count(), None)
}
