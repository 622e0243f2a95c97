//! The status as Prometheus reads it: its text format, version 0.0.4.

use std::io::{self, Write};

use super::Status;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `metrics`.
///
/// # Errors
///
/// Those of `out`.
pub fn metrics(_status: &Status, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"")
}
