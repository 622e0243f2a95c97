//! `scripts/bench sendfile`: the module beside its peers, interleaved, round by round.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::machine::{CLIENT_CORE, SERVER_CORE};
use crate::memcached::Memcached;
use crate::nginx::{version, Nginx};
use crate::numbers::median;
use crate::site::Site;
use crate::syscalls;
use crate::variant::Variant;
use crate::wrk::{again, Load};
use crate::{chart, report};

/// How much is measured.
pub struct Plan {
    /// Rounds of everything.
    pub rounds: usize,
    /// More rounds of what the targets of CPU per request compare.
    pub more_rounds: usize,
    /// Seconds of each run of the load generator.
    pub seconds: u64,
    /// Numbers of connections.
    pub connections: Vec<usize>,
    /// Files served.
    pub files: usize,
    /// Where the table and the chart go.
    pub output: PathBuf,
}

/// The variants that the targets of CPU per request compare, and at which numbers of connections.
const FIRST: [Variant; 3] = [Variant::Static, Variant::Ours, Variant::OursCached];
const FIRST_CONNECTIONS: [usize; 4] = [1, 4, 64, 512];

/// One run: one variant, one number of connections, one round.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Requests per second.
    pub rate: f64,
    /// CPU time of nginx for a request, in microseconds.
    pub cpu: f64,
    /// CPU time of memcached for a request, in microseconds.
    pub store_cpu: f64,
    /// Median latency in microseconds.
    pub p50: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99: f64,
    /// The share of its core that nginx used.
    pub busy: f64,
    /// The share of its core that the load generator used.
    pub client_busy: f64,
}

/// All samples, and the system calls.
#[derive(Default)]
pub struct Results {
    samples: HashMap<(Variant, usize), Vec<Sample>>,
    /// System calls for a request, by name, at [`syscalls::CONNECTIONS`].
    pub calls: BTreeMap<Variant, syscalls::Calls>,
}

impl Results {
    /// The median of a figure over the rounds.
    pub fn median(&self, who: Variant, connections: usize, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples(who, connections).iter().map(figure))
    }

    /// The median over the rounds of a figure's ratio to that of another in the same round.
    pub fn ratio(
        &self,
        (who, base): (Variant, Variant),
        connections: usize,
        figure: fn(&Sample) -> f64,
    ) -> f64 {
        let pairs = self.samples(who, connections).iter().zip(self.samples(base, connections));
        median(pairs.map(|(sample, base)| figure(sample) / figure(base)))
    }

    /// The median over the rounds of any figure of several variants of the same round.
    pub fn combined<const N: usize>(
        &self,
        who: [Variant; N],
        connections: usize,
        figure: impl Fn([&Sample; N]) -> f64,
    ) -> f64 {
        let rounds = who.map(|who| self.samples(who, connections));
        let common = rounds.iter().map(|rounds| rounds.len()).min().unwrap_or(0);
        median((0..common).map(|round| figure(rounds.map(|rounds| &rounds[round]))))
    }

    /// The rounds of a cell.
    pub fn rounds(&self, who: Variant, connections: usize) -> usize {
        self.samples(who, connections).len()
    }

    fn samples(&self, who: Variant, connections: usize) -> &[Sample] {
        self.samples.get(&(who, connections)).map_or(&[], Vec::as_slice)
    }
}

/// The servers that are measured and what measures them.
pub struct Bench {
    store: Memcached,
    servers: BTreeMap<Variant, (Nginx, PathBuf)>,
    script: PathBuf,
    seconds: u64,
}

/// Measures, writes table and chart, and prints the targets.
pub fn run(plan: &Plan) -> Result<()> {
    eprintln!("making {} files, starting {} servers", plan.files, Variant::ALL.len() + 1);
    let site = Site::make(plan.files)?;
    let bench = Bench::start(&site, plan.seconds)?;
    let mut results = Results::default();
    for &connections in &plan.connections {
        for round in 0..plan.rounds + plan.more_rounds {
            eprint!("\r{connections} connections, round {} ", round + 1);
            bench.round(&mut results, connections, round, plan)?;
        }
        eprintln!();
    }
    for variant in Variant::ALL {
        results.calls.insert(variant, again(|| syscalls::count(&bench, variant))?);
    }
    fs::create_dir_all(&plan.output)?;
    let report = report::markdown(&results, plan, &version()?);
    fs::write(plan.output.join("sendfile.md"), &report)?;
    chart::draw(&results, &plan.connections, &plan.output.join("sendfile.svg"))?;
    println!("{report}");
    eprintln!("written: sendfile.md and sendfile.svg in {}", plan.output.display());
    Ok(())
}

impl Bench {
    fn start(site: &Site, seconds: u64) -> Result<Self> {
        let store = Memcached::start()?;
        site.fill(&store)?;
        let script = site.write("wrk.lua", include_str!("wrk.lua"))?;
        let mut servers = BTreeMap::new();
        for variant in Variant::ALL {
            let nginx = Nginx::start(site, &variant.configuration(site, &store)?)?;
            variant.check(site, nginx.port())?;
            let paths = site.entries().iter().map(|entry| variant.request(entry) + "\n");
            let paths = site.write(&format!("{variant:?}.paths"), paths.collect::<String>())?;
            servers.insert(variant, (nginx, paths));
        }
        Ok(Self { store, servers, script, seconds })
    }

    /// Measures each variant once; who is first changes from round to round.
    fn round(&self, to: &mut Results, connections: usize, round: usize, plan: &Plan) -> Result<()> {
        let mut variants = match round < plan.rounds {
            true => Variant::ALL.to_vec(),
            false if FIRST_CONNECTIONS.contains(&connections) => FIRST.to_vec(),
            false => return Ok(()),
        };
        let first = round % variants.len();
        variants.rotate_left(first);
        // Waking the other core costs more than a single request: for one connection all is on one.
        let core = if connections == 1 { SERVER_CORE } else { CLIENT_CORE };
        self.store.move_to(core)?;
        for variant in variants {
            let sample = again(|| self.measure(variant, connections, round, core))?;
            to.samples.entry((variant, connections)).or_default().push(sample);
        }
        Ok(())
    }

    fn measure(
        &self,
        variant: Variant,
        connections: usize,
        seed: usize,
        core: usize,
    ) -> Result<Sample> {
        let (nginx, _) = &self.servers[&variant];
        let before = (nginx.cpu_time()?, self.store.cpu_time()?);
        let figures =
            self.load(variant, connections, seed, core).run().with_context(|| nginx.error_log())?;
        let used = (nginx.cpu_time()? - before.0, self.store.cpu_time()? - before.1);
        let micros = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        Ok(Sample {
            rate: figures.requests / figures.seconds,
            cpu: micros(used.0) / figures.requests,
            store_cpu: micros(used.1) / figures.requests,
            p50: figures.p50,
            p99: figures.p99,
            busy: micros(used.0) / 1e6 / figures.seconds,
            client_busy: figures.cpu / figures.seconds,
        })
    }

    /// The load on a variant.
    pub fn load(&self, variant: Variant, connections: usize, seed: usize, core: usize) -> Load<'_> {
        let (nginx, paths) = &self.servers[&variant];
        Load {
            script: self.script.as_path(),
            paths: Path::new(paths),
            port: nginx.port(),
            connections,
            seconds: self.seconds,
            seed,
            core,
        }
    }

    /// The nginx of a variant.
    pub fn server(&self, variant: Variant) -> &Nginx {
        &self.servers[&variant].0
    }
}
