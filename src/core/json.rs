//! JSON (RFC 8259), written to a stream, in the order in which it is told.
//!
//! Not a library's: names here are bytes that need not be UTF-8, numbers are exact decimals that no floating point
//! may round, and nothing may be allocated in a worker. What serde_json has for these takes more code than this.

use std::fmt;
use std::io::{self, Write};
use std::num::NonZero;

/// What can be written as JSON.
pub trait Value {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// An object that is being written.
pub struct Object<'a> {
    out: &'a mut dyn Write,
    is_empty: bool,
}

/// Writes an object, whose members `members` writes.
///
/// # Errors
///
/// Those of `out` and of `members`.
pub fn object(
    out: &mut dyn Write,
    members: impl FnOnce(&mut Object) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"{")?;
    members(&mut Object { out, is_empty: true })?;
    out.write_all(b"}")
}

impl Object<'_> {
    /// Writes a member.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn member(&mut self, name: impl AsRef<[u8]>, value: impl Value) -> io::Result<&mut Self> {
        self.name(&[name.as_ref()])?;
        value.write(self.out)?;
        Ok(self)
    }

    /// Writes a member whose name is `prefix_name`.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn prefixed(
        &mut self,
        prefix: &str,
        name: &str,
        value: impl Value,
    ) -> io::Result<&mut Self> {
        self.name(&[prefix.as_bytes(), b"_", name.as_bytes()])?;
        value.write(self.out)?;
        Ok(self)
    }

    /// Writes a member that is an object.
    ///
    /// # Errors
    ///
    /// Those of the stream and of `members`.
    pub fn object(
        &mut self,
        name: impl AsRef<[u8]>,
        members: impl FnOnce(&mut Object) -> io::Result<()>,
    ) -> io::Result<&mut Self> {
        self.name(&[name.as_ref()])?;
        object(self.out, members)?;
        Ok(self)
    }

    /// Writes a member that is an array of objects, whose members `members` writes.
    ///
    /// # Errors
    ///
    /// Those of the stream and of `members`.
    pub fn objects<T>(
        &mut self,
        name: impl AsRef<[u8]>,
        items: impl IntoIterator<Item = T>,
        members: impl Fn(T, &mut Object) -> io::Result<()>,
    ) -> io::Result<&mut Self> {
        self.name(&[name.as_ref()])?;
        array(self.out, items, |item, out| object(out, |object| members(item, object)))?;
        Ok(self)
    }

    /// Writes a member that is an array.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn values(
        &mut self,
        name: impl AsRef<[u8]>,
        items: impl IntoIterator<Item = impl Value>,
    ) -> io::Result<&mut Self> {
        self.name(&[name.as_ref()])?;
        array(self.out, items, |item, out| item.write(out))?;
        Ok(self)
    }

    fn name(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.out.write_all(if self.is_empty { b"\"" } else { b",\"" })?;
        self.is_empty = false;
        for part in parts {
            escape(part, self.out)?;
        }
        self.out.write_all(b"\":")
    }
}

/// Writes an array, of which `write` writes each item.
fn array<T>(
    out: &mut dyn Write,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        write(item, out)?;
    }
    out.write_all(b"]")
}

/// The most bytes that one byte of a text becomes: `\u0000`.
pub const ESCAPE_LENGTH_MAX: usize = 6;

/// Writes what stands between the quotes of a string. What is not UTF-8 becomes U+FFFD, and `<` is escaped, so that
/// no reader can take it for HTML.
fn escape(text: &[u8], out: &mut dyn Write) -> io::Result<()> {
    for chunk in text.utf8_chunks() {
        for piece in chunk.valid().split_inclusive(is_escaped) {
            let plain = piece.strip_suffix(is_escaped).unwrap_or(piece);
            out.write_all(plain.as_bytes())?;
            match piece.chars().next_back().filter(|last| is_escaped(*last)) {
                Some(last @ ('"' | '\\')) => write!(out, "\\{last}")?,
                Some(last) => write!(out, "\\u{:04x}", u32::from(last))?,
                None => {}
            }
        }
        if !chunk.invalid().is_empty() {
            write!(out, "{}", char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

fn is_escaped(character: char) -> bool {
    matches!(character, '"' | '\\' | '<' | '\0'..='\x1f')
}

impl Value for [u8] {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\"")?;
        escape(self, out)?;
        out.write_all(b"\"")
    }
}

impl Value for str {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.as_bytes().write(out)
    }
}

impl Value for bool {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{self}")
    }
}

impl Value for u64 {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{self}")
    }
}

impl<T: Value> Value for Option<T> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Some(value) => value.write(out),
            None => out.write_all(b"null"),
        }
    }
}

impl<T: Value + ?Sized> Value for &T {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        (**self).write(out)
    }
}

impl Value for Vec<u8> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.as_slice().write(out)
    }
}

impl Value for String {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.as_str().write(out)
    }
}

/// A whole number of hundredths, thousandths and so on: written without exponent and exactly, which floating point
/// could not promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    parts: u64,
    parts_of_one: NonZero<u64>,
}

const TEN: NonZero<u64> = NonZero::<u64>::MIN.saturating_add(9);
const HUNDRED: NonZero<u64> = TEN.saturating_pow(2);
const THOUSAND: NonZero<u64> = TEN.saturating_pow(3);
const MILLION: NonZero<u64> = TEN.saturating_pow(6);

impl Decimal {
    /// Hundredths.
    pub fn of_hundredths(parts: u64) -> Self {
        Self { parts, parts_of_one: HUNDRED }
    }

    /// Thousandths, such as milliseconds of seconds.
    pub fn of_thousandths(parts: u64) -> Self {
        Self { parts, parts_of_one: THOUSAND }
    }

    /// Millionths, such as microseconds of seconds.
    pub fn of_millionths(parts: u64) -> Self {
        Self { parts, parts_of_one: MILLION }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut rest = self.parts % self.parts_of_one;
        let mut places = self.parts_of_one.ilog10() as usize;
        // Zeros at the end say nothing, but for the one behind the point.
        while places > 1 && rest % 10 == 0 {
            rest /= 10;
            places = places.saturating_sub(1);
        }
        write!(formatter, "{}.{rest:0places$}", self.parts / self.parts_of_one)
    }
}

impl Value for Decimal {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{self}")
    }
}
