//! nginx under the polls of those who wait, beside answers of the same size that cost nothing.

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::common::process::Id;
use crate::limit_client::Figures;
use crate::machine::{move_to, CLIENT_CORE};
use crate::nginx::{Configuration, Nginx};
use crate::numbers::median;
use crate::room::Plan;
use crate::room_client::{configuration, Form, Load, Pipeline, Visitors, WAIT};
use crate::site::Site;
use crate::wrk::again;

/// Connections kept open, and requests under way on each: as clients ask, and so many that nginx spends the
/// least on everything but the room.
const CONNECTIONS: usize = 32;
pub const DEPTHS: [usize; 2] = [1, 16];

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Who {
    /// `return 200` with a body of the same size.
    Return,
    /// A room in which so many wait.
    Room(u64),
}

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cell {
    pub who: Who,
    pub form: Form,
    pub depth: usize,
}

/// The figures of all runs.
pub struct Loads {
    runs: HashMap<Cell, Vec<Figures>>,
    /// The numbers of those who wait.
    pub waiting: Vec<u64>,
    /// Bytes of a body.
    pub sizes: HashMap<Form, usize>,
}

impl Loads {
    /// The median of a figure over the rounds.
    pub fn median(&self, cell: Cell, figure: fn(&Figures) -> f64) -> f64 {
        median(self.runs[&cell].iter().map(figure))
    }

    /// The median over the rounds of the ratio to `return`.
    pub fn ratio(&self, cell: Cell, figure: fn(&Figures) -> f64) -> f64 {
        let base = &self.runs[&Cell { who: Who::Return, ..cell }];
        median(self.runs[&cell].iter().zip(base).map(|(one, base)| figure(one) / figure(base)))
    }
}

/// Runs everything, round by round.
pub fn measure(visitors: &Visitors, plan: &Plan) -> Result<Loads> {
    let waiting = &plan.waiting;
    let site = Site::make(0)?;
    let mut servers = HashMap::new();
    for waiting in waiting.iter().copied() {
        eprintln!("{waiting} come and wait");
        let nginx =
            Nginx::start(&site, &configuration(&format!("room-{waiting}"), site.directory())?)?;
        visitors.join(nginx.port(), waiting).with_context(|| nginx.error_log())?;
        servers.insert(Who::Room(waiting), nginx);
    }
    let last = Who::Room(*waiting.last().context("nobody waits")?);
    let mut sizes = HashMap::new();
    for form in [Form::Json, Form::Page] {
        let mut pipeline = Pipeline::connect(servers[&last].port())?;
        pipeline.send(&visitors.request(WAIT, 1, form))?;
        pipeline.read()?;
        sizes.insert(form, pipeline.body);
    }
    servers.insert(Who::Return, Nginx::start(&site, &plain(&sizes))?);
    let mut loads = Loads { runs: HashMap::new(), waiting: waiting.clone(), sizes };
    move_to(CLIENT_CORE, Id::try_from(std::process::id())?)?;
    let mut all: Vec<Who> = waiting.iter().map(|waiting| Who::Room(*waiting)).collect();
    all.push(Who::Return);
    for (form, depth) in
        [Form::Json, Form::Page].into_iter().flat_map(|form| DEPTHS.map(|depth| (form, depth)))
    {
        for round in 0..plan.rounds {
            eprint!("\r{form:?}, {depth} under way on a connection, round {} ", round + 1);
            // Who is first changes from round to round.
            all.rotate_left(1);
            for &who in &all {
                let (location, status, waiting) = match who {
                    Who::Return => (location(form), 200, visitors.count() - 1),
                    Who::Room(waiting) => (WAIT, 503, waiting),
                };
                let load = Load {
                    nginx: &servers[&who],
                    visitors,
                    location,
                    form,
                    status,
                    waiting,
                    connections: CONNECTIONS,
                    depth,
                    run: plan.run,
                    seed: round as u64,
                };
                let figures = again(|| load.run().with_context(|| load.nginx.error_log()))?;
                loads.runs.entry(Cell { who, form, depth }).or_default().push(figures);
            }
        }
        eprintln!();
    }
    Ok(loads)
}

fn location(form: Form) -> &'static str {
    match form {
        Form::Json => "/json",
        Form::Page => "/page",
    }
}

/// Answers of these sizes. A parameter has less than 4 KB, a variable any.
fn plain(sizes: &HashMap<Form, usize>) -> Configuration {
    const PIECE: usize = 2_000;
    let location = |(form, size): (&Form, &usize)| {
        let pieces = "x".repeat(size % PIECE) + &"$piece".repeat(size / PIECE);
        format!(
            "location = {} {{ set $piece {}; return 200 \"{pieces}\"; }}\n",
            location(*form),
            "x".repeat(PIECE)
        )
    };
    Configuration {
        name: "return".to_owned(),
        workers: 1,
        modules: vec![],
        http: String::new(),
        server: sizes.iter().map(location).collect(),
    }
}
