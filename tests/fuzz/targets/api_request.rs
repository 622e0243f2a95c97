//! Any method, path and query are answered or refused with a reason; and what a client encodes is what is asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::api::{
    decode, Method, Refusal, Removal, Request, Route, Under, TOP_MAX, VALUE_MAX,
};

fuzz_target!(|text: &[u8]| {
    let [kind, rest @ ..] = text else { return };
    let method = [Method::Get, Method::Delete, Method::Other][usize::from(kind % 3)];
    let may_write = kind & 0x80 != 0;
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (prefix, uri, query) = (next(), next(), next());
    let path = match Under::of(prefix, uri) {
        Some(Under::Path(path)) => path,
        // Only the bare name of the location leads to itself.
        Some(Under::Itself) => return assert_eq!(prefix, uri),
        None => uri,
    };
    match (Request { method, path, query, may_write }).route() {
        Ok(route) => is_allowed(method, may_write, path, &route),
        Err(refusal) => is_reasoned(method, may_write, refusal),
    }
    is_decoded_again(query);
});

fn is_allowed(method: Method, may_write: bool, path: &[u8], route: &Route<'_>) {
    let is_removal = matches!(route, Route::Remove(_));
    assert_eq!(method, if is_removal { Method::Delete } else { Method::Get });
    assert!(may_write || !is_removal);
    // A name is a part of the path, and a value as long as a key may be.
    let (prefix, name, value): (&[u8], &[u8], usize) = match route {
        Route::Limit(name) => (b"limits/", name, 0),
        Route::Key { limit, key } => (b"limits/", limit, key.len()),
        Route::Heaviest { limit, most } => {
            assert!((1..=TOP_MAX).contains(most));
            (b"limits/", limit, 0)
        }
        Route::Room(name) | Route::Session { room: name, .. } => (b"rooms/", name, 0),
        Route::Remove(Removal::Key { limit, key }) => (b"limits/", limit, key.len()),
        Route::Remove(Removal::Session { room, .. }) => (b"rooms/", room, 0),
        Route::Remove(Removal::Lookups { cache, key }) => {
            (b"sendfile/cache/", cache, key.as_ref().map_or(0, Vec::len))
        }
        _ => return,
    };
    assert_eq!(path, [prefix, name].concat());
    assert!(!name.is_empty() && value <= VALUE_MAX);
}

fn is_reasoned(method: Method, may_write: bool, refusal: Refusal<'_>) {
    assert!(matches!(refusal.status(), 400 | 403 | 404 | 405));
    assert_eq!(refusal.allow().is_some(), refusal.status() == 405);
    assert!(refusal.status() != 403 || method == Method::Delete && !may_write);
    let own = ["GET", "DELETE", "-"][method as usize];
    assert!(refusal.allow().is_none_or(|allow| allow.split(", ").all(|name| name != own)));
    assert!(!refusal.to_string().is_empty());
}

/// Any bytes, encoded as clients do, are decoded as they were; and are a key.
fn is_decoded_again(bytes: &[u8]) {
    let mut encoded = String::from("key=");
    for byte in bytes {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => encoded.push(char::from(*byte)),
            b' ' => encoded.push('+'),
            other => encoded += &format!("%{other:02X}"),
        }
    }
    let text = encoded.as_bytes();
    assert_eq!(decode(&text[4..]), Ok(Some(bytes.to_vec())));
    let request = Request { method: Method::Get, path: b"limits/a", query: text, may_write: false };
    assert_eq!(request.route(), Ok(Route::Key { limit: b"a", key: bytes.to_vec() }));
}
