//! The limiter under load: nginx's CPU for a request, and requests/s.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context, Result};

use crate::common::process::Id;
use crate::limit::{Key, Limiter, Plan};
use crate::limit_client::{ask_each, Figures, Load};
use crate::machine::{move_to, CLIENT_CORE, SERVER_CORE};
use crate::nginx::Nginx;
use crate::numbers::median;
use crate::site::Site;
use crate::wrk::again;

/// Connections kept open.
pub const CONNECTIONS: usize = 32;

/// A zone, and how many keys are asked for: their sizes, for limit_req and for this module, are
/// such that each holds them all.
const ZONES: [(u64, &str, &str); 4] =
    [(1, "1m", "1m"), (10_000, "2m", "1m"), (100_000, "16m", "2m"), (1_000_000, "160m", "20m")];

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cell {
    /// How many workers.
    pub workers: usize,
    /// Among how many keys.
    pub keys: u64,
    /// Requests under way on each connection.
    pub depth: usize,
}

impl Cell {
    /// With many requests under way, nginx spends the least on everything but the limiter: here its
    /// time can be seen.
    pub const PIPELINED: [Self; 4] = [
        Self { workers: 1, keys: 1, depth: 32 },
        Self { workers: 1, keys: 10_000, depth: 32 },
        Self { workers: 1, keys: 100_000, depth: 32 },
        Self { workers: 1, keys: 1_000_000, depth: 32 },
    ];
    /// A request at a time, as clients ask.
    pub const PLAIN: [Self; 4] = [
        Self { workers: 1, keys: 1, depth: 1 },
        Self { workers: 1, keys: 100_000, depth: 1 },
        Self { workers: 2, keys: 1, depth: 1 },
        Self { workers: 2, keys: 100_000, depth: 1 },
    ];
    /// Two workers that have to share a key as often as they can.
    pub const CONTENDED: [Self; 2] =
        [Self { workers: 2, keys: 1, depth: 32 }, Self { workers: 2, keys: 100_000, depth: 32 }];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::PIPELINED.as_slice(), &Self::PLAIN, &Self::CONTENDED].concat().into_iter()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, keys, depth } = self;
        write!(f, "workers: {workers}, keys: {keys}, under way on a connection: {depth}")
    }
}

/// The figures of all runs.
pub struct Loads(HashMap<(Cell, Limiter), Vec<Figures>>);

impl Loads {
    /// The median of a figure over the rounds.
    pub fn median(&self, cell: Cell, who: Limiter, figure: fn(&Figures) -> f64) -> f64 {
        median(self.figures(cell, who).iter().map(figure))
    }

    /// The median over the rounds of what two limiters' figures of the same round give.
    pub fn combined(
        &self,
        cell: Cell,
        (who, base): (Limiter, Limiter),
        figure: fn(&Figures) -> f64,
        combine: fn(f64, f64) -> f64,
    ) -> f64 {
        let pairs = self.figures(cell, who).iter().zip(self.figures(cell, base));
        median(pairs.map(|(figures, base)| combine(figure(figures), figure(base))))
    }

    fn figures(&self, cell: Cell, who: Limiter) -> &[Figures] {
        self.0.get(&(cell, who)).map_or(&[], Vec::as_slice)
    }
}

/// Runs everything, round by round.
pub fn measure(plan: &Plan) -> Result<Loads> {
    let site = Site::make(0)?;
    eprintln!("starting servers and filling their zones");
    let servers = servers(&site)?;
    let own = Id::try_from(std::process::id())?;
    let mut loads = Loads(HashMap::new());
    for cell in Cell::all() {
        match cell.workers {
            1 => move_to(CLIENT_CORE, own)?,
            _ => move_to(format!("{SERVER_CORE},{CLIENT_CORE}"), own)?,
        }
        for round in 0..plan.rounds {
            eprint!("\r{cell}, round {} ", round + 1);
            // Who is first changes from round to round.
            let mut limiters = Limiter::ALL;
            limiters.rotate_left(round % Limiter::ALL.len());
            for limiter in limiters {
                let load = Load {
                    nginx: &servers[&(limiter, cell.workers)],
                    location: &location(cell.keys),
                    keys: cell.keys,
                    connections: CONNECTIONS,
                    depth: cell.depth,
                    run: plan.run,
                    seed: round as u64,
                };
                let figures = again(|| load.run().with_context(|| load.nginx.error_log()))?;
                loads.0.entry((cell, limiter)).or_default().push(figures);
            }
        }
        eprintln!();
    }
    Ok(loads)
}

/// An nginx for each limiter and each number of workers, in which all keys are known already.
fn servers(site: &Site) -> Result<HashMap<(Limiter, usize), Nginx>> {
    let mut servers = HashMap::new();
    for limiter in Limiter::ALL {
        for workers in [1, 2] {
            let used = |keys| Cell::all().any(|c| c.workers == workers && c.keys == keys);
            let zones: Vec<_> = ZONES.into_iter().filter(|zone| used(zone.0)).collect();
            let nginx = start(site, limiter, workers, &zones)?;
            for (keys, ..) in zones {
                let all: Vec<u64> = (0..keys).collect();
                ask_each(nginx.port(), &location(keys), Key::Argument, &all)?;
            }
            servers.insert((limiter, workers), nginx);
        }
    }
    Ok(servers)
}

fn start(
    site: &Site,
    limiter: Limiter,
    workers: usize,
    zones: &[(u64, &str, &str)],
) -> Result<Nginx> {
    let (mut http, mut server) = (String::new(), String::new());
    for (keys, theirs, ours) in zones {
        let size = if limiter == Limiter::SmartLimit { ours } else { theirs };
        http += &format!("limit_req_zone $arg_k zone=k{keys}:{size} rate=1000000r/s;\n");
        server += &format!(
            "location = {} {{\nlimit_req zone=k{keys} burst=1000000 nodelay;\nempty_gif;\n}}\n",
            location(*keys)
        );
    }
    Nginx::start(site, &limiter.configuration("load", workers, &http, &server)?)
}

fn location(keys: u64) -> String {
    format!("/k{keys}")
}
