//! A report as JSON.

use std::io::{self, Write};

use super::report::Report;

/// The most bytes that `write` writes beside the room's name.
const LENGTH_MAX: usize = 256;

/// The most bytes that one byte of a text becomes: `\u0000`.
const ESCAPE_LENGTH_MAX: usize = 6;

/// The most bytes that the report takes.
pub fn length_max(report: &Report) -> usize {
    report.room.len().saturating_mul(ESCAPE_LENGTH_MAX).saturating_add(LENGTH_MAX)
}

/// Writes the report as one JSON object (RFC 8259). What is not UTF-8 in the room's name becomes U+FFFD.
///
/// # Errors
///
/// Those of `out`.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{\"room\":")?;
    write_text(report.room, out)?;
    write!(out, ",\"status\":\"{}\",\"position\":", report.status.name())?;
    write_number(report.position, out)?;
    write!(
        out,
        ",\"waiting\":{},\"active\":{},\"max_active\":{},\"wait_seconds\":",
        report.waiting, report.active, report.max_active
    )?;
    write_number(report.wait_seconds, out)?;
    write!(out, ",\"refresh_seconds\":{}}}", report.refresh_seconds)
}

fn write_number(number: Option<u64>, out: &mut impl Write) -> io::Result<()> {
    match number {
        Some(number) => write!(out, "{number}"),
        None => out.write_all(b"null"),
    }
}

fn write_text(text: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\"")?;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => write!(out, "\\{character}")?,
                '\0'..='\x1f' => write!(out, "\\u{:04x}", u32::from(character))?,
                _ => write!(out, "{character}")?,
            }
        }
        if !chunk.invalid().is_empty() {
            write!(out, "{}", char::REPLACEMENT_CHARACTER)?;
        }
    }
    out.write_all(b"\"")
}
