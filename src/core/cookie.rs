//! Cookies as RFC 6265 has them: found in what browsers send, written as they want them.

use std::io::{self, Write};

/// What a request says of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// It was not sent.
    None,
    /// Its value.
    One(&'a [u8]),
    /// It was sent more than once. Which of them is whose cannot be told: a neighbouring host may have set a
    /// cookie of this name for the whole domain.
    Several,
}

/// Looks for a cookie in the values of a request's `Cookie` headers.
///
/// The pairs are separated by `;`. Blanks around a name or a value are none of it, a quote is a byte as any
/// other (RFC 6265, section 5.2), and a pair without `=` has no name. Names are compared exactly.
pub fn find<'a>(name: &[u8], headers: impl IntoIterator<Item = &'a [u8]>) -> Found<'a> {
    let pairs = headers.into_iter().flat_map(|header| header.split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| value_of(pair, name));
    match (values.next(), values.next()) {
        (None, _) => Found::None,
        (Some(value), None) => Found::One(value),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// The value of a pair that has this name.
fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = pair.trim_ascii_start().strip_prefix(name)?;
    let value = rest.trim_ascii_start().strip_prefix(b"=")?;
    Some(value.trim_ascii())
}

/// To which requests that another site has caused a browser adds the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// To those that navigate by GET.
    Lax,
    /// To none.
    Strict,
    /// To all. Browsers take it only with `Secure`.
    None,
}

/// A cookie as it is set, but for its value. Always `HttpOnly`.
#[derive(Clone, Copy, Debug)]
pub struct Cookie<'a> {
    /// The name, for which `is_name` holds.
    pub name: &'a [u8],
    /// `Path`, for which `is_path` holds.
    pub path: &'a [u8],
    /// `Domain`, for which `is_domain` holds. `None`: the host alone that sets it.
    pub domain: Option<&'a [u8]>,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Secure`: to be sent over TLS only.
    pub is_secure: bool,
}

impl Cookie<'_> {
    /// The most bytes that `write` writes for a value of so many bytes.
    pub fn length_max(&self, value: usize) -> usize {
        const ATTRIBUTES: &str =
            "=; Max-Age=18446744073709551615; Path=; Domain=; SameSite=Strict; Secure; HttpOnly";
        [self.name.len(), value, self.path.len(), self.domain.map_or(0, <[u8]>::len)]
            .into_iter()
            .fold(ATTRIBUTES.len(), usize::saturating_add)
    }

    /// Writes the value of a `Set-Cookie` header: the cookie has `value`, and lives for `max_age` seconds.
    pub fn write(&self, to: &mut impl Write, value: &[u8], max_age: u64) -> io::Result<()> {
        to.write_all(self.name)?;
        to.write_all(b"=")?;
        to.write_all(value)?;
        write!(to, "; Max-Age={max_age}; Path=")?;
        to.write_all(self.path)?;
        if let Some(domain) = self.domain {
            to.write_all(b"; Domain=")?;
            to.write_all(domain)?;
        }
        to.write_all(match self.same_site {
            SameSite::Lax => b"; SameSite=Lax",
            SameSite::Strict => b"; SameSite=Strict",
            SameSite::None => b"; SameSite=None",
        })?;
        if self.is_secure {
            to.write_all(b"; Secure")?;
        }
        to.write_all(b"; HttpOnly")
    }
}

/// Whether these bytes can be the name of a cookie: a token of RFC 6265.
pub fn is_name(bytes: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_of_token)
}

/// Whether a browser takes these bytes as `Path`, and as nothing else: ASCII without control bytes and `;`, that
/// begins with `/`.
pub fn is_path(bytes: &[u8]) -> bool {
    let is_of_path = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b';';
    bytes.starts_with(b"/") && bytes.iter().all(is_of_path)
}

/// Whether these bytes can be a `Domain`: labels of letters, digits, `-` and `_` with a dot between them, and
/// perhaps one before them, which browsers leave out.
pub fn is_domain(bytes: &[u8]) -> bool {
    let is_of_label = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let labels = bytes.strip_prefix(b".").unwrap_or(bytes);
    labels
        .split(|byte| *byte == b'.')
        .all(|label| !label.is_empty() && label.iter().all(is_of_label))
}
