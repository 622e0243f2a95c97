//! Lines on standard output, for a terminal or for whoever reads them there.

use std::env;
use std::io::{self, IsTerminal, Write};

use crossterm::terminal;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;

/// The columns that a line may have: a terminal's; elsewhere there is no end.
pub fn width() -> usize {
    match terminal::size() {
        Ok((columns, _)) if io::stdout().is_terminal() && columns > 0 => columns.into(),
        _ => usize::MAX,
    }
}

/// Prints the lines, coloured if that is wanted. That nobody reads to the end is no error.
pub fn print(lines: &[Line]) -> io::Result<()> {
    let colour = io::stdout().is_terminal() && is_colour_wanted();
    let mut text = String::new();
    for line in lines {
        text.push_str(&if colour { coloured(line) } else { line.to_string() });
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// As <https://no-color.org> has it.
fn is_colour_wanted() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

fn coloured(line: &Line) -> String {
    let span = |span: &ratatui::text::Span| match codes(span.style) {
        codes if codes.is_empty() => span.content.to_string(),
        codes => format!("\x1b[{}m{}\x1b[0m", codes.join(";"), span.content),
    };
    line.spans.iter().map(span).collect()
}

/// The codes that ECMA-48 gives to those styles that are used.
fn codes(style: Style) -> Vec<&'static str> {
    let mut codes = Vec::new();
    if style.add_modifier.contains(Modifier::BOLD) {
        codes.push("1");
    }
    if style.add_modifier.contains(Modifier::DIM) {
        codes.push("2");
    }
    match style.fg {
        Some(Color::Red) => codes.push("31"),
        Some(Color::Green) => codes.push("32"),
        Some(Color::Yellow) => codes.push("33"),
        Some(Color::Cyan) => codes.push("36"),
        _ => {}
    }
    codes
}
