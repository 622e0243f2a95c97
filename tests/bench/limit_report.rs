//! The report of `scripts/bench limit`: tables, and each target with what was measured.

use std::fmt::{self, Write};

use crate::limit::{Limiter, Plan, Results};
use crate::limit_client::Figures;
use crate::limit_instructions::{Case, Row};
use crate::limit_load::{Cell, CONNECTIONS};
use crate::limit_table::{KEYS, KNOWN_MIN, SAMPLE};
use crate::report::{processor, targets, thousands, Target};

/// As many requests/s as without a limiter, as far as this can be told apart.
const NOISE: f64 = 0.95;
/// Functions listed for a kind of call.
const LISTED: usize = 8;

/// The report as Markdown.
pub fn markdown(results: &Results, plan: &Plan, nginx: &str) -> String {
    let mut text = String::new();
    write_report(&mut text, results, plan, nginx).expect("a string takes what is written");
    text
}

fn write_report(out: &mut String, results: &Results, plan: &Plan, nginx: &str) -> fmt::Result {
    writeln!(out, "# `smart_limit` beside `limit_req`, measured\n")?;
    writeln!(
        out,
        "nginx {nginx}, built with `-O2`, which serves `empty_gif`. CPU is scheduler time divided \
         by requests; {} rounds of {:.1} s, in which the limiters take turns; ratios and differences \
         are medians of each round's own. Machine: {}.\n",
        plan.rounds,
        plan.run.as_secs_f64(),
        processor(),
    )?;
    writeln!(out, "![Instructions of a call](limit.svg)\n\n## Targets\n")?;
    targets(out, &list(results))?;
    instructions(out, results)?;
    functions(out, results)?;
    tables(out, results)?;
    pipelined(out, results)?;
    plain(out, results)
}

fn list(results: &Results) -> Vec<Target> {
    let mut list = Vec::new();
    let mut target = |what: String, at_most, limit, measured| {
        list.push(Target { what, at_most, limit, measured });
    };
    let counted = &results.instructions;
    for row in &counted.0 {
        if let Some(limit) = counted.target(row) {
            let (case, key, among) = (row.case.name(), row.key.name(), row.among());
            let what = format!("instructions: {case}, {key}, keys in the zone: {among}");
            target(what, true, limit.round(), row.smart_limit.round());
        }
    }
    for table in &results.tables {
        let what = format!("share of {} keys known, {}", thousands(KEYS as f64), table.key.name());
        target(what, false, KNOWN_MIN, table.smart_limit);
    }
    let [.., many] = Cell::PIPELINED;
    let both = (Limiter::SmartLimit, Limiter::LimitReq);
    let what = format!("CPU to that with `limit_req`, {} keys", thousands(many.keys as f64));
    target(what, true, 1.0, ratio(results, many, both, |figures| figures.cpu));
    for cell in [Cell::PLAIN[2], Cell::CONTENDED[0]] {
        let what = format!(
            "requests/s to none, two workers, one key, {} under way on a connection",
            cell.depth
        );
        let measured = ratio(results, cell, (Limiter::SmartLimit, Limiter::None), |f| f.rate);
        target(what, false, NOISE, measured);
    }
    list
}

fn instructions(out: &mut String, results: &Results) -> fmt::Result {
    let counted = &results.instructions;
    writeln!(out, "\n## Instructions of a call\n")?;
    writeln!(
        out,
        "In user space, of the handler and all that it calls (callgrind; the mean of 1,000 calls). \
         The floor is a request that its own key lets bypass this module's limit: the guard against \
         panics, the mark that a request is limited once, the key's evaluation, and nothing else. A full \
         zone has 1 MB, and every new key evicts another.\n"
    )?;
    writeln!(
        out,
        "| | key | keys in the zone | `limit_req` | **`smart_limit`** | beyond the floor | ratio |\n\
         |---|---|--:|--:|--:|--:|--:|"
    )?;
    for row in &counted.0 {
        writeln!(
            out,
            "| {} | {} | {} | {} | **{:.0}** | {:+.0} | {} |",
            row.case.name(),
            row.key.name(),
            row.among(),
            known(row.limit_req, 0),
            row.smart_limit,
            row.smart_limit - counted.floor(row.key),
            known(row.smart_limit / row.limit_req, 2),
        )?;
    }
    Ok(())
}

/// Where the instructions go, for the kinds of calls that occur most.
fn functions(out: &mut String, results: &Results) -> fmt::Result {
    writeln!(out, "\nWhere this module's go:\n\n| | key | keys in the zone | function by function |\n|---|---|--:|---|")?;
    let rows = &results.instructions.0;
    let most = rows.iter().filter_map(|row| row.held).max();
    let is_listed = |row: &&Row| {
        let everywhere = matches!(row.case, Case::Floor);
        let at_most_keys = matches!(row.case, Case::Pass | Case::Refuse | Case::New);
        everywhere || (at_most_keys && row.held == most)
    };
    for row in rows.iter().filter(is_listed) {
        let functions: Vec<String> = row
            .functions
            .iter()
            .take(LISTED)
            .filter(|(_, count)| *count >= 1.0)
            .map(|(name, count)| format!("`{}` {count:.0}", short(name)))
            .collect();
        let (case, key, among) = (row.case.name(), row.key.name(), row.among());
        writeln!(out, "| {case} | {key} | {among} | {} |", functions.join(", "))?;
    }
    Ok(())
}

fn tables(out: &mut String, results: &Results) -> fmt::Result {
    writeln!(out, "\n## Keys in 1 MB\n")?;
    writeln!(
        out,
        "{} different keys put in, each once. `limit_req` knows the newest; of this module a random \
         sample of {} is asked for.\n",
        thousands(KEYS as f64),
        thousands(SAMPLE as f64),
    )?;
    writeln!(
        out,
        "| key | `limit_req` knows | **`smart_limit` knows** | times as many |\n\
         |---|--:|--:|--:|"
    )?;
    for table in &results.tables {
        let (theirs, share) = (table.limit_req as f64, table.smart_limit);
        writeln!(
            out,
            "| {} | {} ({:.1}%) | **{:.1}%** | {:.1} |",
            table.key.name(),
            thousands(theirs),
            theirs / KEYS as f64 * 100.0,
            share * 100.0,
            share * KEYS as f64 / theirs,
        )?;
    }
    Ok(())
}

fn pipelined(out: &mut String, results: &Results) -> fmt::Result {
    writeln!(out, "\n## Time of a call\n")?;
    writeln!(
        out,
        "One worker with a core of its own, {CONNECTIONS} connections with {} requests under way on \
         each, the key `$arg_k`, all keys known and let through. A limiter's own time is the worker's \
         CPU for a request less that of the worker without a limiter in the same round. Among many keys \
         it is mostly that of cache misses.\n",
        Cell::PIPELINED[0].depth,
    )?;
    writeln!(
        out,
        "| keys | nginx CPU without, ns | with `limit_req` | with `smart_limit` | `limit_req` itself, ns \
         | **`smart_limit` itself, ns** | CPU, `smart_limit` to `limit_req` |\n\
         |--:|--:|--:|--:|--:|--:|--:|"
    )?;
    for cell in Cell::PIPELINED {
        let cpu = |who| results.load.median(cell, who, |figures| figures.cpu);
        let own = |who| {
            let pair = (who, Limiter::None);
            results.load.combined(cell, pair, |figures| figures.cpu, |with, without| with - without)
        };
        let ratio = ratio(results, cell, (Limiter::SmartLimit, Limiter::LimitReq), |f| f.cpu);
        writeln!(
            out,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | **{:.0}** | {ratio:.2} |",
            thousands(cell.keys as f64),
            cpu(Limiter::None),
            cpu(Limiter::LimitReq),
            cpu(Limiter::SmartLimit),
            own(Limiter::LimitReq),
            own(Limiter::SmartLimit),
        )?;
    }
    Ok(())
}

fn plain(out: &mut String, results: &Results) -> fmt::Result {
    writeln!(out, "\n## Requests/s\n")?;
    writeln!(
        out,
        "{CONNECTIONS} connections, the key `$arg_k`, all let through. One worker has a core and the \
         client the other; two workers have a core each and share them with the client.\n"
    )?;
    writeln!(
        out,
        "| workers | keys | under way on a connection | | requests/s | **to none** | CPU, ns | **to none** | nginx busy, cores |\n\
         |--:|--:|--:|---|--:|--:|--:|--:|--:|"
    )?;
    for cell in Cell::PLAIN.into_iter().chain(Cell::CONTENDED) {
        for who in Limiter::ALL {
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | **{:.2}** | {:.0} | **{:.2}** | {:.2} |",
                cell.workers,
                thousands(cell.keys as f64),
                cell.depth,
                who.name(),
                thousands(results.load.median(cell, who, |figures| figures.rate)),
                ratio(results, cell, (who, Limiter::None), |figures| figures.rate),
                results.load.median(cell, who, |figures| figures.cpu),
                ratio(results, cell, (who, Limiter::None), |figures| figures.cpu),
                results.load.median(cell, who, |figures| figures.busy),
            )?;
        }
    }
    Ok(())
}

fn ratio(
    results: &Results,
    cell: Cell,
    pair: (Limiter, Limiter),
    figure: fn(&Figures) -> f64,
) -> f64 {
    results.load.combined(cell, pair, figure, |who, base| who / base)
}

/// A number, or a dash where there is none.
fn known(number: f64, digits: usize) -> String {
    if number.is_finite() {
        format!("{number:.digits$}")
    } else {
        "–".to_owned()
    }
}

/// A function's name without what all of this module's have.
fn short(name: &str) -> String {
    name.replace("ngx_http_smart_module::", "")
}
