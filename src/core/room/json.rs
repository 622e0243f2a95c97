//! A report as JSON.

use std::io::{self, Write};

use super::report::Report;
use crate::core::json::{object, ESCAPE_LENGTH_MAX};

/// The most bytes that `write` writes beside the room's name.
const LENGTH_MAX: usize = 256;

/// The most bytes that the report takes.
pub fn length_max(report: &Report) -> usize {
    report.room.len().saturating_mul(ESCAPE_LENGTH_MAX).saturating_add(LENGTH_MAX)
}

/// Writes the report as one JSON object.
///
/// # Errors
///
/// Those of `out`.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    object(out, |object| {
        object
            .member("room", report.room)?
            .member("status", report.status.name())?
            .member("position", &report.position)?
            .member("waiting", &report.waiting)?
            .member("active", &report.active)?
            .member("max_active", &report.max_active)?
            .member("wait_seconds", &report.wait_seconds)?
            .member("refresh_seconds", &report.refresh_seconds)?;
        Ok(())
    })
}
