//! The report of `scripts/bench sendfile`: tables, and each target with what was measured.

use std::fmt::{self, Write};
use std::fs;

use crate::sendfile::{Plan, Results, Sample};
use crate::syscalls;
use crate::variant::Variant;

/// The report as Markdown.
pub fn markdown(results: &Results, plan: &Plan, nginx: &str) -> String {
    let mut text = String::new();
    write_report(&mut text, results, plan, nginx).expect("a string takes what is written");
    text
}

fn write_report(out: &mut String, results: &Results, plan: &Plan, nginx: &str) -> fmt::Result {
    writeln!(out, "# A file for an ID, measured\n")?;
    writeln!(
        out,
        "One worker of nginx {nginx}, one memcached with one thread, wrk with kept connections, {} files \
         of 5 KB on average, random IDs; {} s a run. nginx has a core, client and memcached share \
         another; for one connection all are on one. CPU is scheduler time divided by requests. \
         Ratios are medians of each round's own ratio. Machine: {}.\n",
        thousands(plan.files as f64),
        plan.seconds,
        processor(),
    )?;
    writeln!(out, "![CPU per request](sendfile.svg)\n\n## Targets\n")?;
    targets(out, &list(results, plan))?;
    for &connections in &plan.connections {
        table(out, results, connections)?;
    }
    calls(out, results)
}

fn table(out: &mut String, results: &Results, connections: usize) -> fmt::Result {
    writeln!(out, "\n## {}\n", at_connections(connections))?;
    writeln!(
        out,
        "| | requests/s | to static | nginx CPU µs | **to static** | memcached CPU µs | nginx busy | client busy \
         | p50 µs | p99 µs | rounds |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )?;
    for who in Variant::ALL {
        let median = |figure| results.median(who, connections, figure);
        let ratio = |figure| results.ratio((who, Variant::Static), connections, figure);
        writeln!(
            out,
            "| {} | {} | {:.2} | {:.1} | **{:.2}** | {:.1} | {:.0}% | {:.0}% | {:.0} | {:.0} | {} |",
            who.name(),
            thousands(median(|sample| sample.rate)),
            ratio(|sample| sample.rate),
            median(|sample| sample.cpu),
            ratio(|sample| sample.cpu),
            median(|sample| sample.store_cpu),
            median(|sample| sample.busy) * 100.0,
            median(|sample| sample.client_busy) * 100.0,
            median(|sample| sample.p50),
            median(|sample| sample.p99),
            results.rounds(who, connections),
        )?;
    }
    Ok(())
}

fn calls(out: &mut String, results: &Results) -> fmt::Result {
    writeln!(out, "\n## System calls for a request, {} connections\n", syscalls::CONNECTIONS)?;
    writeln!(out, "| | all | of these |\n|---|--:|---|")?;
    for (who, calls) in &results.calls {
        let mut by_number: Vec<_> = calls.iter().filter(|(_, number)| **number >= 0.005).collect();
        by_number.sort_by(|a, b| b.1.total_cmp(a.1));
        let names: Vec<_> =
            by_number.iter().map(|(name, number)| format!("{name} {number:.2}")).collect();
        let all: f64 = calls.values().sum();
        writeln!(out, "| {} | {all:.2} | {} |", who.name(), names.join(", "))?;
    }
    Ok(())
}

/// One line of the list of targets.
pub struct Target {
    /// What was measured.
    pub what: String,
    /// Whether less is better.
    pub at_most: bool,
    /// What it should be.
    pub limit: f64,
    /// What it is; not a number if it was not measured.
    pub measured: f64,
}

/// Writes the list of targets, of those that were measured.
pub fn targets(out: &mut String, list: &[Target]) -> fmt::Result {
    writeln!(out, "| target | limit | measured | |\n|---|--:|--:|---|")?;
    for target in list.iter().filter(|target| target.measured.is_finite()) {
        let Target { what, at_most, limit, measured } = target;
        let met = if *at_most { measured <= limit } else { measured >= limit };
        let (sign, verdict) =
            (if *at_most { '≤' } else { '≥' }, if met { "met" } else { "missed" });
        // Counts are whole, ratios are not.
        let digits = if *limit < 10.0 { 2 } else { 0 };
        writeln!(out, "| {what} | {sign} {limit:.digits$} | {measured:.digits$} | {verdict} |")?;
    }
    Ok(())
}

fn list(results: &Results, plan: &Plan) -> Vec<Target> {
    use Variant::{MemcachedPass, Ours, OursCached, Redirect, Return, Static};
    let cpu: fn(&Sample) -> f64 = |sample| sample.cpu;
    let rate: fn(&Sample) -> f64 = |sample| sample.rate;
    let store: fn(&Sample) -> f64 = |sample| sample.store_cpu;
    let mut list = Vec::new();
    let mut target = |what: String, at_most, limit, measured| {
        list.push(Target { what, at_most, limit, measured });
    };
    for at in [64, 512] {
        let measured = results.ratio((OursCached, Static), at, cpu);
        target(
            format!("CPU to static, from the cache, {}", at_connections(at)),
            true,
            1.12,
            measured,
        );
    }
    for (at, limit) in [(64, 1.25), (512, 1.25), (1, 1.75), (4, 1.75), (1, 1.6), (4, 1.6)] {
        let stretch = if limit == 1.6 { " (stretch)" } else { "" };
        let what = format!("CPU to static, from memcached, {}{stretch}", at_connections(at));
        target(what, true, limit, results.ratio((Ours, Static), at, cpu));
    }
    let measured = results.ratio((Ours, Static), 64, rate);
    target("requests/s to static, from memcached, 64 connections".into(), false, 0.8, measured);
    for &at in &plan.connections {
        // One after the other, a redirect and memcached_pass without the request they share.
        let measured =
            results.combined([Ours, Redirect, MemcachedPass, Return], at, |[o, r, m, n]| {
                o.rate * (1.0 / r.rate + 1.0 / m.rate - 1.0 / n.rate)
            });
        let what =
            format!("requests/s to `memcached_pass` and redirect in turn, {}", at_connections(at));
        target(what, false, 1.0, measured);
    }
    let all = |who| results.calls.get(&who).map_or(f64::NAN, |calls| calls.values().sum::<f64>());
    let extra = all(Ours) - all(Static);
    target("system calls beyond static's, 64 connections".into(), true, 0.6, extra);
    let measured = results.ratio((Ours, MemcachedPass), 64, store);
    let what = "memcached's CPU to that for `memcached_pass`, 64 connections";
    target(what.into(), true, 0.6, measured);
    list
}

/// The processor's name, and how many there are.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, name)| name.trim())
        .collect();
    format!("{} × {}", names.len(), names.first().unwrap_or(&"unknown processor"))
}

fn at_connections(number: usize) -> String {
    format!("{number} connection{}", if number == 1 { "" } else { "s" })
}

/// A whole number with commas.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
