//! The advice as directives of nginx, to be included.

use std::fmt;
use std::io::{self, Write};

use super::size::{About, Grouped, Percent};
use super::{of_location, of_server, Advice, Directive, Effect, State};
use crate::core::report::buffers::Buffers;

/// The most characters of a comment's line.
const LINE: usize = 96;

/// Writes the advice: directives, under comments that say where they belong, what is set now, and why. Of one location
/// it is a file to `include` there.
///
/// # Errors
///
/// Those of `out`.
pub fn write_snippet(buffers: &Buffers, out: &mut impl Write) -> io::Result<()> {
    comment(
        out,
        "Buffers as ngx-smart advises them, from what it has measured. Each section belongs in the block that it \
         names, in the place of the same directives there.",
    )?;
    for location in &buffers.locations {
        let place = format!(
            "server \"{}\", location \"{}\"",
            Name(&location.server),
            Name(&location.location)
        );
        section(out, &place, &of_location(location, &buffers.host))?;
    }
    for server in &buffers.servers {
        let place = format!("server \"{}\"", Name(&server.server));
        section(out, &place, &of_server(server))?;
    }
    Ok(())
}

fn section(out: &mut impl Write, place: &str, advice: &Advice) -> io::Result<()> {
    writeln!(out)?;
    comment(out, place)?;
    let state = match advice.state {
        State::TooFewSamples => "too few of them",
        State::Fine => "nothing to change",
        State::Change => "to be changed",
    };
    comment(out, &format!("{} samples: {state}", Grouped(advice.samples)))?;
    if let Some(effect) = &advice.effect {
        comment(out, &told(effect))?;
    }
    for remark in &advice.remarks {
        comment(out, &format!("Remark: {remark}."))?;
    }
    for Directive { name, current, advised, reason } in &advice.directives {
        let current = current.as_deref().unwrap_or("not known");
        comment(out, &format!("Now {current}: {reason}."))?;
        writeln!(out, "{name} {advised};")?;
    }
    Ok(())
}

/// A name as it is written, but for what could end a comment or disturb a terminal.
struct Name<'a>(&'a [u8]);

impl fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|byte| match byte {
            b' '..=b'~' => write!(formatter, "{}", char::from(*byte)),
            _ => write!(formatter, "\\x{byte:02x}"),
        })
    }
}

fn told(effect: &Effect) -> String {
    let change = |before: Option<String>, after: String| match before {
        Some(before) => format!("{before}, then {after}"),
        None => format!("not known, then {after}"),
    };
    format!(
        "Memory of a typical request: now {}. Responses that fit one buffer: now {}. Responses longer than all \
         buffers: now {}.",
        change(
            effect.memory_before.map(|size| About(size).to_string()),
            About(effect.memory_after).to_string()
        ),
        change(
            effect.one_buffer_before.map(|share| Percent(share).to_string()),
            Percent(effect.one_buffer_after).to_string()
        ),
        change(
            effect.spilled_before.map(|share| Percent(share).to_string()),
            Percent(effect.spilled_after).to_string()
        ),
    )
}

/// Writes a text without line breaks as a comment, in lines: nginx refuses lines that are longer than its buffer,
/// which one with the name of a location may be.
fn comment(out: &mut impl Write, text: &str) -> io::Result<()> {
    let mut rest = text;
    while !rest.is_empty() {
        let (line, next) = split(rest);
        writeln!(out, "# {line}")?;
        rest = next;
    }
    Ok(())
}

/// The first line of a text, and the rest.
fn split(text: &str) -> (&str, &str) {
    let Some((end, _)) = text.char_indices().nth(LINE) else { return (text, "") };
    let (line, rest) = text.split_at(end);
    match line.rsplit_once(' ') {
        Some((start, _)) => (start, text.get(start.len()..).unwrap_or("").trim_start()),
        None => (line, rest),
    }
}
