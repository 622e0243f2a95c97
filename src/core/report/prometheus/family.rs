//! Families of metrics in the text format.

use std::fmt::Display;
use std::io::{self, Write};

use crate::core::decimal::Decimal;
use crate::core::histogram::Histogram;

/// What is said of a family before its samples.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

/// Totals, which grow as long as the zone lives that holds them.
pub const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: "counter", help }
}

/// How much there is now.
pub const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: "gauge", help }
}

/// Totals by size.
pub const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: "histogram", help }
}

/// The names and values of a sample's labels.
pub type Labels<'a, const COUNT: usize> = [(&'static str, &'a [u8]); COUNT];

/// A family of which each `T` gives a number.
pub type Number<T> = (Family, fn(&T) -> u64);

/// Writes a family; nothing if it has no sample.
///
/// # Errors
///
/// Those of `out`.
pub fn samples<'a, const COUNT: usize>(
    family: Family,
    samples: impl IntoIterator<Item = (Labels<'a, COUNT>, impl Display)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_some() {
        head(family, out)?;
    }
    samples.try_for_each(|(labels, number)| sample(family, "", &labels, None, &number, out))
}

/// Writes families of which each item has a sample in each.
///
/// # Errors
///
/// Those of `out`.
pub fn numbers<'a, T: 'a, const COUNT: usize>(
    numbers: &[Number<T>],
    items: impl Iterator<Item = (Labels<'a, COUNT>, &'a T)> + Clone,
    out: &mut dyn Write,
) -> io::Result<()> {
    numbers.iter().try_for_each(|(family, number)| {
        samples(*family, items.clone().map(|(labels, item)| (labels, number(item))), out)
    })
}

/// Writes a family of histograms; nothing if it has none. `seconds` makes seconds of their values and of the bounds
/// of the buckets.
///
/// # Errors
///
/// Those of `out`.
pub fn histograms<'a, const COUNT: usize>(
    family: Family,
    bounds: &[u64],
    seconds: fn(u64) -> Decimal,
    histograms: impl Iterator<Item = (Labels<'a, COUNT>, &'a Histogram)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut histograms = histograms.peekable();
    if histograms.peek().is_some() {
        head(family, out)?;
    }
    histograms.try_for_each(|(labels, histogram)| {
        for (bound, count) in histogram.cumulative(bounds) {
            let bound = bound.map(seconds);
            let text: &dyn Display = bound.as_ref().map_or(&"+Inf", |bound| bound);
            sample(family, "_bucket", &labels, Some(text), &count, out)?;
        }
        sample(family, "_sum", &labels, None, &seconds(histogram.sum()), out)?;
        sample(family, "_count", &labels, None, &histogram.count(), out)
    })
}

fn head(Family { name, kind, help }: Family, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

/// Writes a sample, if it is one of a histogram's buckets with its upper bound.
fn sample(
    family: Family,
    suffix: &str,
    labels: &[(&str, &[u8])],
    bound: Option<&dyn Display>,
    number: &dyn Display,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "{}{suffix}", family.name)?;
    let mut before = "{";
    for (label, value) in labels {
        write!(out, "{before}{label}=\"")?;
        escape(value, out)?;
        out.write_all(b"\"")?;
        before = ",";
    }
    if let Some(bound) = bound {
        write!(out, "{before}le=\"{bound}\"")?;
        before = ",";
    }
    let end = if before == "," { "}" } else { "" };
    writeln!(out, "{end} {number}")
}

/// Writes a label's value. What is not UTF-8 becomes U+FFFD.
fn escape(value: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let is_special = |character: char| matches!(character, '\\' | '"' | '\n');
    for chunk in value.utf8_chunks() {
        for piece in chunk.valid().split_inclusive(is_special) {
            let plain = piece.strip_suffix(is_special).unwrap_or(piece);
            out.write_all(plain.as_bytes())?;
            out.write_all(match piece.as_bytes().last() {
                Some(b'\\') => b"\\\\",
                Some(b'"') => b"\\\"",
                Some(b'\n') => b"\\n",
                _ => b"",
            })?;
        }
        if !chunk.invalid().is_empty() {
            write!(out, "{}", char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}
