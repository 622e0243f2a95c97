use proptest::prelude::*;

use super::*;

fn get<'a>(path: &'a str, query: &'a str) -> Result<Route<'a>, Refusal<'a>> {
    ask(Method::Get, path, query, false)
}

fn delete<'a>(path: &'a str, query: &'a str) -> Result<Route<'a>, Refusal<'a>> {
    ask(Method::Delete, path, query, true)
}

fn ask<'a>(
    method: Method,
    path: &'a str,
    query: &'a str,
    may_write: bool,
) -> Result<Route<'a>, Refusal<'a>> {
    Request { method, path: path.as_bytes(), query: query.as_bytes(), may_write }.route()
}

fn key(text: &[u8]) -> Result<Route<'static>, Refusal<'static>> {
    Ok(Route::Key { limit: b"one", key: text.to_vec() })
}

#[test]
fn a_path_is_what_follows_the_location() {
    let under = |prefix: &str, uri| Under::of(prefix.as_bytes(), uri);
    assert_eq!(under("/smart/", b"/smart/"), Some(Under::Path(b"")));
    assert_eq!(under("/smart/", b"/smart/limits/a/b"), Some(Under::Path(b"limits/a/b")));
    assert_eq!(under("/", b"/metrics"), Some(Under::Path(b"metrics")));
    assert_eq!(under("/smart", b"/smart"), Some(Under::Itself));
    assert_eq!(under("/smart", b"/smart/"), Some(Under::Path(b"")));
    assert_eq!(under("/smart", b"/smart/metrics"), Some(Under::Path(b"metrics")));
    assert_eq!(under("/smart", b"/smarter"), None);
    assert_eq!(under("/smart/", b"/rewritten"), None);
}

#[test]
fn paths_name_what_is_told() {
    assert_eq!(get("", ""), Ok(Route::Page));
    assert_eq!(get("status.json", ""), Ok(Route::Status));
    assert_eq!(get("metrics", ""), Ok(Route::Metrics));
    assert_eq!(get("history.json", ""), Ok(Route::History));
    assert_eq!(get("limits/one", ""), Ok(Route::Limit(b"one")));
    assert_eq!(get("limits/one/two", ""), Ok(Route::Limit(b"one/two")), "a name may have a slash");
    assert_eq!(get("rooms/shop", ""), Ok(Route::Room(b"shop")));
    assert_eq!(get("buffers", ""), Ok(Route::Buffers(Filter::default())));
    assert_eq!(get("buffers.conf", ""), Ok(Route::Snippet(Filter::default())));
    for path in ["/", "status", "Status.json", "limits", "limits/", "rooms/", "sendfile/cache/"] {
        assert_eq!(get(path, ""), Err(Refusal::NoSuchPath), "{path}");
    }
}

#[test]
fn arguments_say_more_precisely_what() {
    assert_eq!(get("limits/one", "key=%31%2B2"), key(b"1+2"));
    assert_eq!(get("limits/one", "&key=&"), key(b""));
    assert_eq!(get("limits/one", "key=a=b"), key(b"a=b"));
    assert_eq!(get("limits/one", "key=%00%ff%FF"), key(b"\0\xff\xff"));
    let heaviest = |most| Ok(Route::Heaviest { limit: b"one", most });
    assert_eq!(get("limits/one", "top=1"), heaviest(1));
    assert_eq!(get("limits/one", "top=%32%35%36"), heaviest(256));
    let session = Ok(Route::Session { room: b"shop", session: 0x0123_4567_89ab_cdef });
    assert_eq!(get("rooms/shop", "session=0123456789abcDEF"), session);
    let filter = Filter { server: Some(b"a".to_vec()), location: Some(b"= /x".to_vec()) };
    assert_eq!(get("buffers", "server=a&location=%3D%20/x"), Ok(Route::Buffers(filter.clone())));
    assert_eq!(get("buffers.conf", "location== /x&server=a"), Ok(Route::Snippet(filter)));
}

#[test]
fn removals_name_what_is_removed() {
    assert_eq!(
        delete("limits/one", "key=a%20b"),
        Ok(Route::Remove(Removal::Key { limit: b"one", key: b"a b".to_vec() }))
    );
    assert_eq!(
        delete("rooms/shop", "session=00000000000000ff"),
        Ok(Route::Remove(Removal::Session { room: b"shop", session: 255 }))
    );
    let lookups = |key: Option<&[u8]>| {
        Ok(Route::Remove(Removal::Lookups { cache: b"files", key: key.map(<[u8]>::to_vec) }))
    };
    assert_eq!(delete("sendfile/cache/files", ""), lookups(None));
    assert_eq!(delete("sendfile/cache/files", "key=1"), lookups(Some(b"1")));
    // Whoever forgets the argument has not asked to remove everything.
    assert_eq!(delete("limits/one", ""), Err(Refusal::Missing("key")));
    assert_eq!(delete("rooms/shop", ""), Err(Refusal::Missing("session")));
    assert_eq!(delete("limits/one", "top=3"), Err(Refusal::Unknown(b"top")));
}

#[test]
fn wrong_arguments_are_named() {
    let refused = |path, query, refusal: Refusal<'static>| {
        assert_eq!(get(path, query), Err(refusal), "{path}?{query}");
        assert_eq!(refusal.status(), 400);
    };
    refused("", "x", Refusal::Unknown(b"x"));
    refused("metrics", "key=1", Refusal::Unknown(b"key"));
    refused("limits/one", "KEY=1", Refusal::Unknown(b"KEY"));
    refused("limits/one", "=1", Refusal::Unknown(b""));
    refused("limits/one", "key", Refusal::Malformed("key"));
    refused("limits/one", "key=1&key=1", Refusal::Repeated("key"));
    refused("limits/one", "key=1&top=1", Refusal::Together("key", "top"));
    for key in ["key=%", "key=%1", "key=%1g", "key=%%31", "key=a%+1"] {
        refused("limits/one", key, Refusal::Malformed("key"));
    }
    for top in
        ["top=", "top=0", "top=257", "top=-1", "top=+1", "top=1.0", "top=99999999999999999999"]
    {
        refused("limits/one", top, Refusal::NotACount);
    }
    for session in ["session=", "session=1", "session=00000000000000zz", "session=+000000000000001"]
    {
        refused("rooms/shop", session, Refusal::NotASession);
    }
}

#[test]
fn a_key_is_as_long_as_a_limiter_takes_it() {
    let longest = format!("key={}", "%41".repeat(VALUE_MAX));
    assert_eq!(get("limits/one", &longest), key(&[b'A'; VALUE_MAX]));
    let longer = longest + "A";
    assert_eq!(get("limits/one", &longer), Err(Refusal::TooLong("key")));
}

#[test]
fn other_methods_are_told_what_there_is() {
    for (path, allow) in [
        ("", "GET, HEAD"),
        ("status.json", "GET, HEAD"),
        ("buffers.conf", "GET, HEAD"),
        ("limits/one", "GET, HEAD, DELETE"),
        ("rooms/shop", "GET, HEAD, DELETE"),
        ("sendfile/cache/files", "DELETE"),
    ] {
        for may_write in [false, true] {
            let refused = ask(Method::Other, path, "", may_write);
            assert_eq!(refused, Err(Refusal::Method { allow }), "{path}");
        }
    }
    assert_eq!(delete("metrics", ""), Err(Refusal::Method { allow: "GET, HEAD" }));
    assert_eq!(get("sendfile/cache/files", ""), Err(Refusal::Method { allow: "DELETE" }));
    assert_eq!(ask(Method::Other, "nothing", "", true), Err(Refusal::NoSuchPath));
}

#[test]
fn nothing_is_removed_without_leave() {
    for path in ["limits/one", "rooms/shop", "sendfile/cache/files"] {
        for query in ["", "key=1", "session=00000000000000ff", "x"] {
            assert_eq!(ask(Method::Delete, path, query, false), Err(Refusal::ReadOnly), "{path}");
        }
    }
}

#[test]
fn refusals_are_sentences() {
    let said = |refusal: Refusal<'_>| refusal.to_string();
    assert_eq!(said(Refusal::Unknown(b"a\xffb\"")), "unknown argument \"a\u{fffd}b\"\"");
    assert_eq!(said(Refusal::NoZone("limit", b"x")), "no limit \"x\"");
    assert_eq!(said(Refusal::Method { allow: "DELETE" }), "the method must be one of DELETE");
}

/// Percent-encodes the bytes for which `escapes` is true, and those that an argument cannot have as they are.
fn encode(bytes: &[u8], escapes: impl Fn(u8) -> bool) -> String {
    let encode = |byte: &u8| match *byte {
        plain @ b'!'..=b'~' if !matches!(plain, b'%' | b'&' | b'+') && !escapes(plain) => {
            char::from(plain).to_string()
        }
        b' ' if !escapes(b' ') => "+".to_owned(),
        byte => format!("%{byte:02x}"),
    };
    bytes.iter().map(encode).collect()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(bytes: Vec<u8>, escaped: [u8; 8]) {
        let text = encode(&bytes, |byte| escaped.contains(&byte));
        prop_assert_eq!(decode(text.as_bytes()), Ok(Some(bytes.clone())));
        let query = format!("key={text}");
        prop_assert_eq!(get("limits/one", &query), key(&bytes));
    }

    #[test]
    fn anything_is_answered_or_refused_with_a_reason(
        path in "(limits/|rooms/|sendfile/cache/|buffers|status.json|)[a-z%/]{0,5}",
        query in "((key|top|session|server|)=?[%0-9a-z]{0,17}&?){0,3}",
        method in prop::sample::select(vec![Method::Get, Method::Delete, Method::Other]),
        may_write: bool,
    ) {
        match ask(method, &path, &query, may_write) {
            Ok(_) => prop_assert!(method != Method::Other),
            Err(refusal) => {
                prop_assert!(matches!(refusal.status(), 400 | 403 | 404 | 405));
                prop_assert_eq!(refusal.allow().is_some(), refusal.status() == 405);
                prop_assert!(!refusal.to_string().is_empty());
            }
        }
    }
}
