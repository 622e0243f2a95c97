//! The report of `scripts/bench room`: tables, and each target with what was measured.

use std::fmt::{self, Write};

use crate::report::{processor, targets, thousands, Target};
use crate::room::{Plan, Results};
use crate::room_client::Form;
use crate::room_crowd::{Story, HOARDERS};
use crate::room_load::{Cell, Who, DEPTHS};
use crate::room_machine::MANY;

/// Functions listed for a kind of request.
const LISTED: usize = 8;

/// The report as Markdown.
pub fn markdown(results: &Results, plan: &Plan, nginx: &str) -> String {
    let mut text = String::new();
    write_report(&mut text, results, plan, nginx).expect("a string takes what is written");
    text
}

fn write_report(out: &mut String, results: &Results, plan: &Plan, nginx: &str) -> fmt::Result {
    writeln!(out, "# The waiting room, measured\n")?;
    writeln!(
        out,
        "nginx {nginx}, built with `-O2`, with one worker on a core of its own. Of those who wait each has a \
         limit key and a network of his own. Machine: {}.\n\n## Targets\n",
        processor(),
    )?;
    targets(out, &list(results))?;
    crowds(out, results)?;
    machine(out, results)?;
    instructions(out, results)?;
    load(out, results, plan)
}

fn list(results: &Results) -> Vec<Target> {
    let [(_, fifo), _] = &results.crowds;
    let machine = &results.machine;
    let mut list = Vec::new();
    let mut target = |what: &str, at_most, limit, measured| {
        list.push(Target { what: what.to_owned(), at_most, limit, measured });
    };
    target("order inversions, `order=fifo`", true, 0.0, fifo.inversions as f64);
    target("places lost by those who came back in time", true, 0.0, fifo.lost as f64);
    target("places of a room of 64 MB", false, MANY as f64, machine.capacity as f64);
    let rebuild = machine.rebuild().as_secs_f64() * 1e3;
    target("milliseconds to mend a room of a million places", true, 100.0, rebuild);
    list
}

fn crowds(out: &mut String, results: &Results) -> fmt::Result {
    let [(crowd, fifo), (_, random)] = &results.crowds;
    writeln!(
        out,
        "\n## A crowd\n\nThe machine in virtual time. {} people come within ten minutes; a tenth has three tabs, a \
         third has the page in the background, and each gives up after a time of his own, of up to four hours. \
         There are {} seats, for five minutes each. Besides, bots that keep no cookie ask, and {HOARDERS} networks of \
         bots have {} tokens, of which a network may have 100 places. Then nobody comes any more.\n\n\
         ![People, seats and requests, minute by minute](room.svg)\n",
        thousands(crowd.people as f64),
        thousands(crowd.seats.into()),
        thousands(fifo.tokens as f64),
    )?;
    writeln!(out, "| | `order=fifo` | `order=random` |\n|---|--:|--:|")?;
    let whole = |number: u64| thousands(number as f64);
    let mut row = |what: &str, tell: &dyn Fn(&Story) -> String| {
        writeln!(out, "| {what} | {} | {} |", tell(fifo), tell(random))
    };
    row("people admitted", &|story| whole(story.admitted))?;
    row("people who gave up before", &|story| whole(story.impatient))?;
    row("told to wait though who came later was in", &|story| whole(story.inversions))?;
    row("came back in time and had no place any more", &|story| whole(story.lost))?;
    row("wait of those admitted, p50", &|story| minutes(story.wait(0.5) / 60.0))?;
    row("wait of those admitted, p99", &|story| minutes(story.wait(0.99) / 60.0))?;
    row("seats held while people waited", &|story| format!("{:.1}%", story.used * 100.0))?;
    row("requests per second, at most", &|story| whole(story.polls_most))?;
    row("requests by bots without a cookie, and their places", &|story| {
        format!("{}, 0", whole(story.forgotten))
    })?;
    row("places of the bots with many tokens, at most", &|story| whole(story.hoarded_most))?;
    row("seats that these got", &|story| whole(story.hoarded_seats))?;
    row("nobody waits any more after", &|story| minutes(story.emptied))?;
    row("the room is closed after", &|story| minutes(story.closed))
}

fn machine(out: &mut String, results: &Results) -> fmt::Result {
    let machine = &results.machine;
    writeln!(
        out,
        "\n## The machine alone\n\nA room of 64 MB has {} places and {} seats. A poll takes, without nginx, of the \
         processor:\n\n| waiting | ns |\n|--:|--:|",
        thousands(machine.capacity as f64),
        thousands(machine.seats as f64),
    )?;
    for (waiting, nanoseconds) in &machine.polls {
        writeln!(out, "| {} | {nanoseconds:.0} |", thousands(*waiting as f64))?;
    }
    writeln!(
        out,
        "\nWhat holds the lock for long, with a million who wait; milliseconds:\n\n\
         | | longest section | all | sections |\n|---|--:|--:|--:|"
    )?;
    for deed in &machine.deeds {
        writeln!(
            out,
            "| {} | {:.2} | {:.1} | {} |",
            deed.what,
            deed.longest.as_secs_f64() * 1e3,
            deed.all.as_secs_f64() * 1e3,
            thousands(deed.sections as f64),
        )?;
    }
    Ok(())
}

fn instructions(out: &mut String, results: &Results) -> fmt::Result {
    writeln!(
        out,
        "\n## Instructions\n\nIn user space, of a call of the handler with all that it calls, the answer \
         included.\n\n| | waiting | instructions |\n|---|--:|--:|"
    )?;
    for row in &results.instructions {
        let waiting = thousands(row.waiting as f64);
        writeln!(out, "| {} | {waiting} | {} |", row.what, thousands(row.count))?;
    }
    let most = results.instructions.iter().map(|row| row.waiting).max();
    for row in results.instructions.iter().filter(|row| Some(row.waiting) == most) {
        let among = thousands(row.waiting as f64);
        writeln!(out, "\nWhere those of {} go, among {among}:\n", row.what)?;
        writeln!(out, "| function | instructions |\n|---|--:|")?;
        for (name, count) in row.functions.iter().take(LISTED) {
            writeln!(out, "| `{name}` | {} |", thousands(*count))?;
        }
    }
    Ok(())
}

fn load(out: &mut String, results: &Results, plan: &Plan) -> fmt::Result {
    let load = &results.load;
    writeln!(
        out,
        "\n## Requests\n\nThose who wait poll at random, beside `return 200` with a body of the same size. Medians of \
         {} rounds of {:.1} s, in which the servers take turns; ratios are of each round's own.",
        plan.rounds,
        plan.run.as_secs_f64(),
    )?;
    for form in [Form::Json, Form::Page] {
        let name = match form {
            Form::Json => "JSON, as the page's script asks",
            Form::Page => "The page",
        };
        writeln!(out, "\n### {name}: {} bytes\n", thousands(load.sizes[&form] as f64))?;
        writeln!(
            out,
            "| under way on a connection | | requests/s | **to `return`** | nginx CPU µs | to `return` |\n\
             |--:|---|--:|--:|--:|--:|"
        )?;
        for depth in DEPTHS {
            let rooms = load.waiting.iter().map(|waiting| Who::Room(*waiting));
            for who in std::iter::once(Who::Return).chain(rooms) {
                let cell = Cell { who, form, depth };
                let name = match who {
                    Who::Return => "`return`".to_owned(),
                    Who::Room(waiting) => format!("{} wait", thousands(waiting as f64)),
                };
                writeln!(
                    out,
                    "| {depth} | {name} | {} | **{:.2}** | {:.2} | {:.2} |",
                    thousands(load.median(cell, |figures| figures.rate)),
                    load.ratio(cell, |figures| figures.rate),
                    load.median(cell, |figures| figures.cpu) / 1e3,
                    load.ratio(cell, |figures| figures.cpu),
                )?;
            }
        }
    }
    Ok(())
}

fn minutes(minutes: f64) -> String {
    format!("{minutes:.1} min")
}
