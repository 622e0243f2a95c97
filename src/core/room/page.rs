//! The page that who waits sees: one document that needs nothing else, and asks by itself how it stands.
//!
//! Where scripts run it asks for `accept::ROOM_TYPE` and shows what has changed. Where none runs, also because
//! a site's Content-Security-Policy forbids it, the document refreshes itself. It must do so by its own `meta`,
//! which the script takes away: a `Refresh` field would reload it under the script's hands.

mod words;

use std::io::{self, Write};

use super::accept::Language;
use super::json;
use super::report::{Report, Status};
use super::rules::Order;
use words::Words;

/// The document; what is in braces is filled in.
const ROOM: &str = include_str!("page/room.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");
/// How it refreshes itself: made a comment before it is read where scripts run, and by a browser that is new
/// enough for `SCRIPT`, which all are that have `replaceAll`.
const REFRESH: &str = include_str!("page/refresh.html");

/// The most bytes of a page beside the room's name and the address.
const LENGTH_MAX: usize = 12 * 1024;

/// The most bytes that one byte becomes in the page: `&#39;`.
const ESCAPE_LENGTH_MAX: usize = 5;

/// The progress of who is in.
const PROGRESS_MAX: u64 = 1000;

/// How the page was asked for: whether it may ask again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// GET or HEAD, for this path with its query, as the client wrote them.
    Get(&'a [u8]),
    /// Any other: asking again sends something again, which only the visitor may decide.
    Other,
}

/// The most bytes that the page takes.
pub fn length_max(report: &Report, method: Method) -> usize {
    let uri = match method {
        Method::Get(uri) => uri.len().saturating_mul(ESCAPE_LENGTH_MAX),
        Method::Other => 0,
    };
    json::length_max(report).saturating_add(uri).saturating_add(LENGTH_MAX)
}

/// Writes the page of a report: of a full room, or else of one who waits.
///
/// # Errors
///
/// Those of `out`.
pub fn render(
    report: &Report,
    language: Language,
    method: Method,
    out: &mut impl Write,
) -> io::Result<()> {
    Page { report, method, words: Words::of(language) }.fill(ROOM, out)
}

struct Page<'a> {
    report: &'a Report<'a>,
    method: Method<'a>,
    words: &'static Words,
}

impl Page<'_> {
    /// Writes a template.
    fn fill(&self, template: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or_default();
            out.write_all(before.as_bytes())?;
            self.write(name, out)?;
            rest = after;
        }
        out.write_all(rest.as_bytes())
    }

    /// Writes what has that name.
    fn write(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let Report { position, waiting, refresh_seconds, .. } = *self.report;
        let is_full = self.report.status == Status::Full;
        let is_get = self.method != Method::Other;
        let is_drawn = self.report.order == Order::Random;
        let text = match name {
            "style" => STYLE,
            "script" => return write_script(out),
            "report" => return json::write(self.report, &mut Escaped(out)),
            "phrases" => return self.write_phrases(&mut Escaped(out)),
            "refresh" if is_get => return self.fill(REFRESH, out),
            "refresh" => "",
            "refresh_seconds" => return write!(out, "{refresh_seconds}"),
            "address" => return self.write_address(&mut Escaped(out)),
            "method" => either(is_get, "get", "other"),
            "order" => either(is_drawn, "random", "fifo"),
            "no_place" => either(is_full || is_drawn, " hidden", ""),
            "no_estimate" => either(is_full, " hidden", ""),
            "title" if position.is_some() => return self.write_phrase("title", position, out),
            "title" => self.view_word("heading"),
            "keep" if !is_get && !is_full => self.word("keep_other"),
            "heading" | "lead" | "keep" => self.view_word(name),
            "noscript" if !is_get => self.word("noscript_other"),
            "label" => self.word(either(position.is_some(), "place", "joining")),
            "position" if position.is_none() => "",
            "position" => return write_count(position.unwrap_or_default(), out),
            "value" => return write!(out, "{}", progress(position, waiting)),
            "waiting" => {
                let phrase = either(waiting == 1, "person", "people");
                return self.write_phrase(phrase, Some(waiting), out);
            }
            "wait" => {
                let (phrase, number) = wait(self.report.wait_seconds);
                return self.write_phrase(phrase, number, out);
            }
            _ => self.word(name),
        };
        out.write_all(text.as_bytes())
    }

    /// Writes the page's own address, relative to itself: without one, a page whose address ends in `#part`
    /// would only look for that part of it.
    fn write_address(&self, out: &mut dyn Write) -> io::Result<()> {
        let Method::Get(uri) = self.method else {
            return Ok(());
        };
        let path = uri.split(|byte| *byte == b'?').next().unwrap_or_default();
        let directory =
            path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at.saturating_add(1));
        out.write_all(b"./")?;
        out.write_all(uri.get(directory..).unwrap_or_default())
    }

    /// The text of that name for what there is to see.
    fn view_word(&self, name: &str) -> &'static str {
        let view = match (self.report.status, self.report.order) {
            (Status::Full, _) => "full",
            (_, Order::Random) => "lot",
            (_, Order::Fifo) => "queue",
        };
        self.words.get_for(name, view).unwrap_or_default()
    }

    fn word(&self, name: &str) -> &'static str {
        self.words.get(name).unwrap_or_default()
    }

    /// Writes a phrase, with the number in its place.
    fn write_phrase(&self, name: &str, number: Option<u64>, out: &mut dyn Write) -> io::Result<()> {
        let phrase = self.word(name);
        let Some((before, after)) = phrase.split_once('#') else {
            return out.write_all(phrase.as_bytes());
        };
        out.write_all(before.as_bytes())?;
        write_count(number.unwrap_or_default(), out)?;
        out.write_all(after.as_bytes())
    }

    /// Writes what the script needs of the words, as JSON. None of them has a character that JSON escapes.
    fn write_phrases(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut separator = '{';
        for (name, text) in self.words.phrases {
            write!(out, "{separator}\"{name}\":\"{text}\"")?;
            separator = ',';
        }
        out.write_all(b"}")
    }
}

/// Writes the script without what is only for those who work on it.
fn write_script(out: &mut dyn Write) -> io::Result<()> {
    let lines = SCRIPT.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    for line in lines {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn either(condition: bool, yes: &'static str, no: &'static str) -> &'static str {
    if condition {
        yes
    } else {
        no
    }
}

/// How far he has come, of `PROGRESS_MAX`: as if he had joined behind all who wait. The script knows better.
fn progress(position: Option<u64>, waiting: u64) -> u64 {
    let Some(position) = position else {
        return 0;
    };
    let first = waiting.max(position);
    let passed = first.saturating_sub(position).saturating_add(1);
    let all = first.saturating_add(1);
    passed.saturating_mul(PROGRESS_MAX).checked_div(all).unwrap_or_default()
}

/// The phrase for a time as a person would say it, and its number.
fn wait(seconds: Option<u64>) -> (&'static str, Option<u64>) {
    let Some(seconds) = seconds else {
        return ("unknown", None);
    };
    let minutes = seconds.saturating_add(30) / 60;
    let fives = minutes.saturating_add(2) / 5;
    let half_hours = minutes.saturating_add(15) / 30;
    match (seconds, minutes, fives, half_hours) {
        (0..60, ..) => ("moment", None),
        (_, 1, ..) => ("minute", None),
        (_, 0..10, ..) => ("minutes", Some(minutes)),
        (.., 0..12, _) => ("minutes", Some(fives.saturating_mul(5))),
        (.., 2) => ("hour", None),
        (.., 48..) => ("day", None),
        (.., half_hours) if half_hours % 2 == 0 => ("hours", Some(half_hours / 2)),
        (.., half_hours) => ("half_hours", Some(half_hours / 2)),
    }
}

/// Writes a number with its digits in groups.
fn write_count(number: u64, out: &mut dyn Write) -> io::Result<()> {
    match number {
        0..1000 => write!(out, "{number}"),
        _ => {
            write_count(number / 1000, out)?;
            write!(out, ",{:03}", number % 1000)
        }
    }
}

/// What stands for a byte in the page, if it may not stand there itself.
fn escape(byte: &u8) -> Option<&'static [u8]> {
    match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'\'' => Some(b"&#39;"),
        _ => None,
    }
}

/// What is written to it stands in a text or in an attribute between single quotes.
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| escape(byte).is_some()) {
            match piece.split_last().and_then(|(last, before)| Some((before, escape(last)?))) {
                Some((before, escape)) => {
                    self.0.write_all(before)?;
                    self.0.write_all(escape)?;
                }
                None => self.0.write_all(piece)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
