//! What is found of a cookie in any headers, against one who looks in another way; and that what is set is
//! found when it is sent back. The first line is the name, the others are headers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::cookie::{find, is_domain, is_name, is_path};
use ngx_http_smart_module::core::cookie::{Cookie, Found, SameSite};

fuzz_target!(|text: &[u8]| {
    let mut lines = text.split(|byte| *byte == b'\n');
    let name = lines.next().unwrap_or_default();
    let found = find(name, lines.clone());
    if !is_name(name) {
        return;
    }
    let values: Vec<&[u8]> = lines.clone().flat_map(|header| values_of(name, header)).collect();
    match found {
        Found::None => assert!(values.is_empty()),
        Found::One(value) => {
            // The same bytes, not only equal ones: what follows `name=`.
            assert_eq!(values.len(), 1);
            assert_eq!(value.as_ptr_range(), values[0].as_ptr_range());
            is_found_again(name, value, lines.next().unwrap_or_default());
        }
        Found::Several => assert!(values.len() > 1),
    }
});

/// The values that stand after a name, for each place of the name in a header.
fn values_of<'a>(name: &[u8], header: &'a [u8]) -> Vec<&'a [u8]> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    let value_at = |start: usize| {
        let after = header[start..].strip_prefix(name)?;
        let before = header[..start].iter().rev().find(|byte| !is_blank(byte));
        let sign = after.iter().position(|byte| !is_blank(byte))?;
        let value = &after[sign + 1..];
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        let is_pair = matches!(before, None | Some(b';')) && after[sign] == b'=';
        is_pair.then(|| value[..end].trim_ascii())
    };
    (0..header.len()).filter_map(value_at).collect()
}

/// A cookie of this name and value is set with attributes that may be any bytes, and sent back.
fn is_found_again(name: &[u8], value: &[u8], attribute: &[u8]) {
    let cookie = Cookie {
        name,
        path: if is_path(attribute) { attribute } else { b"/" },
        domain: Some(attribute).filter(|domain| is_domain(domain)),
        same_site: SameSite::Lax,
        is_secure: true,
    };
    let mut buffer = vec![0; cookie.length_max(value.len())];
    let mut rest = &mut buffer[..];
    cookie.write(&mut rest, value, 86_400).expect("the length that it said");
    let unused = rest.len();
    let set = &buffer[..buffer.len() - unused];

    // A browser reads up to the first `;`, and all behind it as attributes.
    let parts: Vec<&[u8]> = set.split(|byte| *byte == b';').collect();
    assert_eq!(find(name, [parts[0]]), Found::One(value));
    assert_eq!(parts.len(), 6 + usize::from(cookie.domain.is_some()));
    assert!(parts[1..].iter().all(|part| part.is_ascii() && part.starts_with(b" ")));
    assert_eq!(parts[parts.len() - 1], b" HttpOnly");
}
