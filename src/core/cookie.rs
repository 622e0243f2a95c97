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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[&'static str]) -> Found<'static> {
        find(b"room_a", headers.iter().map(|header| header.as_bytes()))
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        for header in [
            "room_a=x-_9",
            "room_a=x-_9;",
            ";;; ;room_a=x-_9",
            "b=1; room_a=x-_9; c=2",
            "b=1;room_a=x-_9;c=2",
            " \troom_a=x-_9\t ",
            "b=1; room_a = x-_9 ; c=2",
            "room_a; room_a=x-_9; room_a",
            "room_ab=1; xroom_a=2; Room_a=3; ROOM_A=4; $room_a=5; room_a=x-_9; room-a=6",
            "=room_a=1; room_a=x-_9; b=room_a=2; \"room_a\"=3; room_a x=4; room a=5",
        ] {
            assert_eq!(found(&[header]), Found::One(b"x-_9"), "{header}");
            assert_eq!(found(&["", header, "b=1; c"]), Found::One(b"x-_9"), "{header}");
        }
    }

    #[test]
    fn a_value_is_taken_as_it_is() {
        for (header, value) in [
            ("room_a=", ""),
            ("room_a=; b=1", ""),
            ("room_a= ", ""),
            ("room_a==", "="),
            ("room_a=x=y=", "x=y="),
            ("room_a=x y", "x y"),
            ("room_a=x,b=1", "x,b=1"),
            ("room_a=\"x\"", "\"x\""),
            ("room_a=\"x; b=1\"", "\"x"),
            ("room_a=%20", "%20"),
        ] {
            assert_eq!(found(&[header]), Found::One(value.as_bytes()), "{header}");
        }
        let bytes = &b"room_a=\x80\0\xff"[..];
        assert_eq!(find(b"room_a", [bytes]), Found::One(b"\x80\0\xff"));
    }

    #[test]
    fn a_cookie_that_is_not_there_is_not_found() {
        assert_eq!(found(&[]), Found::None);
        for header in
            ["", " ", ";", "=", "room_a", "room_", "oom_a=1", "room_a;=1", "room_a b=1", "=room_a"]
        {
            assert_eq!(found(&[header]), Found::None, "{header}");
            assert_eq!(found(&[header, header]), Found::None, "{header}");
        }
        // Not put together from two headers.
        assert_eq!(found(&["room_a", "=1"]), Found::None);
        assert_eq!(found(&["room", "_a=1"]), Found::None);
    }

    #[test]
    fn two_of_a_name_are_several() {
        for headers in [
            &["room_a=1; room_a=2"][..],
            &["room_a=1; room_a=1"],
            &["room_a=1;room_a="],
            &["room_a=1", "room_a=1"],
            &["room_a=1; b=2", "c=3", "d=4; room_a=5"],
            &["room_a=1; room_a=2; room_a=3"],
        ] {
            assert_eq!(found(headers), Found::Several, "{headers:?}");
        }
    }

    #[test]
    fn every_beginning_of_a_header() {
        let header = "b=1; room_a = xyz ; c=2";
        for length in 0..=header.len() {
            let expected = match length {
                0..13 => Found::None,
                13..14 => Found::One(&b""[..]),
                14..17 => Found::One(&b"xyz"[..length - 14]),
                _ => Found::One(b"xyz"),
            };
            assert_eq!(found(&[&header[..length]]), expected, "{length}");
        }
    }

    const COOKIE: Cookie<'static> = Cookie {
        name: b"room_a",
        path: b"/",
        domain: None,
        same_site: SameSite::Lax,
        is_secure: false,
    };

    fn written(cookie: &Cookie<'_>, value: &[u8], max_age: u64) -> String {
        let mut text = Vec::new();
        cookie.write(&mut text, value, max_age).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_cookie_is_set_with_its_attributes() {
        let all = Cookie {
            path: b"/shop/",
            domain: Some(b"example.com"),
            same_site: SameSite::None,
            is_secure: true,
            ..COOKIE
        };
        assert_eq!(
            written(&COOKIE, b"x-_9", 86_400),
            "room_a=x-_9; Max-Age=86400; Path=/; SameSite=Lax; HttpOnly"
        );
        assert_eq!(
            written(&Cookie { same_site: SameSite::Strict, ..COOKIE }, b"", 0),
            "room_a=; Max-Age=0; Path=/; SameSite=Strict; HttpOnly"
        );
        assert_eq!(
            written(&all, b"x", 1),
            "room_a=x; Max-Age=1; Path=/shop/; Domain=example.com; SameSite=None; Secure; HttpOnly"
        );
    }

    #[test]
    fn what_is_set_is_found_when_it_is_sent_back() {
        let set = written(&COOKIE, b"x-_9", 1);
        let (sent, _) = set.split_once(';').unwrap();
        assert_eq!(find(b"room_a", [sent.as_bytes()]), Found::One(b"x-_9"));
    }

    #[test]
    fn a_buffer_of_the_length_that_is_told_is_enough_and_one_too_short_is_an_error() {
        let longest = Cookie {
            domain: Some(b"example.com"),
            same_site: SameSite::Strict,
            is_secure: true,
            ..COOKIE
        };
        assert_eq!(written(&longest, b"x-_9", u64::MAX).len(), longest.length_max(4));
        for cookie in [COOKIE, longest] {
            let text = written(&cookie, b"x-_9", 86_400);
            assert!(text.len() <= cookie.length_max(4));
            let mut buffer = vec![0; text.len()];
            for length in 0..text.len() {
                assert!(
                    cookie.write(&mut &mut buffer[..length], b"x-_9", 86_400).is_err(),
                    "{length}"
                );
            }
            cookie.write(&mut &mut buffer[..], b"x-_9", 86_400).unwrap();
            assert_eq!(buffer, text.as_bytes());
        }
    }

    #[test]
    fn names_are_tokens() {
        let separators = b"()<>@,;:\\\"/[]?={} \t";
        for byte in 0..=255 {
            let expected = (0x21..0x7f).contains(&byte) && !separators.contains(&byte);
            assert_eq!(is_name(&[byte]), expected, "{byte}");
            assert_eq!(is_name(&[b'a', byte, b'a']), expected, "{byte}");
        }
        assert!(!is_name(b"") && is_name(b"smart_limit_shop.1"));
    }

    #[test]
    fn paths_begin_with_a_slash_and_end_before_the_next_attribute() {
        assert!(is_path(b"/") && is_path(b"/shop/a b,c=%20"));
        assert!(!is_path(b"") && !is_path(b"shop") && !is_path(b" /") && !is_path("/é".as_bytes()));
        for byte in 0..=255 {
            let expected = (0x20..0x7f).contains(&byte) && byte != b';';
            assert_eq!(is_path(&[b'/', byte]), expected, "{byte}");
        }
    }

    #[test]
    fn domains_are_names_of_hosts() {
        for domain in
            ["example.com", ".example.com", "localhost", "192.0.2.1", "xn--r8jz45g.JP", "a_b.c"]
        {
            assert!(is_domain(domain.as_bytes()), "{domain}");
        }
        for domain in [
            "", ".", "..", "..a", "a..b", "a.", "a b", "a;b", "a=b", "a\r\nb", "a\0", "é.com",
            "a,b", "a:80", "*.a",
        ] {
            assert!(!is_domain(domain.as_bytes()), "{domain:?}");
        }
    }
}
