//! JSON (RFC 8259), written to a stream in the order in which it is told.
//!
//! Not a library's: names here are bytes that need not be UTF-8, numbers are exact decimals that no floating point
//! rounds, and a worker allocates nothing for either. To teach serde_json that takes as much code as this.

use std::io::{self, Write};

use super::decimal::Decimal;

/// What can be written as JSON.
pub trait Value {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// What is an object in JSON.
pub trait Members {
    /// Writes its members.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    fn write_members(&self, object: &mut Object) -> io::Result<()>;
}

/// An object that is being written. The errors of its methods are those of the stream.
pub struct Object<'a> {
    out: &'a mut dyn Write,
    is_empty: bool,
}

/// Writes an object, of which `members` writes the members.
///
/// # Errors
///
/// Those of `out`.
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
    pub fn member(
        &mut self,
        name: impl AsRef<[u8]>,
        value: &(impl Value + ?Sized),
    ) -> io::Result<&mut Self> {
        value.write(self.named(&[name.as_ref()])?)?;
        Ok(self)
    }

    /// Writes the member `first_second`.
    pub fn joined(
        &mut self,
        first: &str,
        second: &str,
        value: &(impl Value + ?Sized),
    ) -> io::Result<&mut Self> {
        value.write(self.named(&[first.as_bytes(), b"_", second.as_bytes()])?)?;
        Ok(self)
    }

    /// Writes a member that is an object, of which `members` writes the members.
    pub fn object(
        &mut self,
        name: impl AsRef<[u8]>,
        members: impl FnOnce(&mut Object) -> io::Result<()>,
    ) -> io::Result<&mut Self> {
        object(self.named(&[name.as_ref()])?, members)?;
        Ok(self)
    }

    /// Writes a member that is an array of objects, one for each of `items`, of which `members` writes the members.
    pub fn objects<T>(
        &mut self,
        name: impl AsRef<[u8]>,
        items: impl IntoIterator<Item = T>,
        mut members: impl FnMut(T, &mut Object) -> io::Result<()>,
    ) -> io::Result<&mut Self> {
        let write = |item, out: &mut dyn Write| object(out, |object| members(item, object));
        array(self.named(&[name.as_ref()])?, items, write)?;
        Ok(self)
    }

    /// Writes a member's name, and gives the stream for its value.
    fn named(&mut self, name: &[&[u8]]) -> io::Result<&mut dyn Write> {
        self.out.write_all(if self.is_empty { b"\"" } else { b",\"" })?;
        self.is_empty = false;
        for part in name {
            escape(part, self.out)?;
        }
        self.out.write_all(b"\":")?;
        Ok(self.out)
    }
}

/// Writes an array, of which `write` writes each item.
fn array<T>(
    out: &mut dyn Write,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut dyn Write) -> io::Result<()>,
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
/// nobody can take the text for HTML.
fn escape(text: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let is_special =
        |character: char| matches!(character, '"' | '\\' | '<' | '\x7f' | '\0'..='\x1f');
    for chunk in text.utf8_chunks() {
        for piece in chunk.valid().split_inclusive(is_special) {
            let plain = piece.strip_suffix(is_special).unwrap_or(piece);
            out.write_all(plain.as_bytes())?;
            match piece.chars().next_back().filter(|last| is_special(*last)) {
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

impl<T: Members> Value for T {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        object(out, |object| self.write_members(object))
    }
}

/// A text.
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

impl Value for &str {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.as_bytes().write(out)
    }
}

impl Value for String {
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

impl Value for Decimal {
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

/// An array.
impl<T: Value> Value for [T] {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        array(out, self, |item, out| item.write(out))
    }
}

impl<T> Value for Vec<T>
where
    [T]: Value,
{
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.as_slice().write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &(impl Value + ?Sized)) -> String {
        let mut out = Vec::new();
        value.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_escaped() {
        for (text, json) in [
            (&b""[..], r#""""#),
            (b"plain", r#""plain""#),
            (br#"a"b\c"#, r#""a\"b\\c""#),
            (b"\"\"", r#""\"\"""#),
            (b"\0\n\x1f\x7f", "\"\\u0000\\u000a\\u001f\\u007f\""),
            (b"</script>&", "\"\\u003c/script>&\""),
            ("é\u{10ffff}".as_bytes(), "\"é\u{10ffff}\""),
            (b"\xff\xfe", "\"\u{fffd}\u{fffd}\""),
            // A truncated sequence is one error, a surrogate is three.
            (b"\xe2\x82x", "\"\u{fffd}x\""),
            (b"\xed\xa0\x80", "\"\u{fffd}\u{fffd}\u{fffd}\""),
        ] {
            assert_eq!(written(text), json);
            let longest = text.len() * ESCAPE_LENGTH_MAX + 2;
            assert!(written(text).len() <= longest, "{json}");
        }
    }

    #[test]
    fn values_are_what_json_has() {
        assert_eq!(written(&u64::MAX), "18446744073709551615");
        assert_eq!(written(&Some(Decimal::of_hundredths(150))), "1.5");
        assert_eq!(written(&vec![Some(vec![1_u64, 2]), None]), "[[1,2],null]");
        assert_eq!(written(&[true, false][..]), "[true,false]");
        assert_eq!(written(&Vec::<u64>::new()), "[]");
    }

    #[test]
    fn members_follow_in_the_order_in_which_they_are_written() {
        let mut out = Vec::new();
        object(&mut out, |object| {
            object.member("b", &1)?.member(b"a\"", "x")?.joined("p50", "seconds", &None::<u64>)?;
            object.object("none", |_| Ok(()))?;
            object.objects("items", [3, 4], |item, object| object.member("n", &item).map(drop))?;
            Ok(())
        })
        .unwrap();
        let expected =
            r#"{"b":1,"a\"":"x","p50_seconds":null,"none":{},"items":[{"n":3},{"n":4}]}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
