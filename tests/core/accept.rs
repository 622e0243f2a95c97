//! In what form, and in which language, a client of the waiting room wants its answer.

use ngx_http_smart_module::core::room::accept::{Language, Wanted, ROOM_TYPE};
use proptest::prelude::*;

fn wanted(values: &[&str]) -> Wanted {
    Wanted::from_accept(values.iter().map(|value| value.as_bytes()))
}

#[test]
fn people_get_the_page_and_programs_what_they_prefer() {
    let page = [
        "",
        "*/*",
        ",",
        "text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "text/html, application/json",
        "application/json, text/html",
        "application/json;q=0.9, text/html",
        "application/json;q=0.5, */*",
        "application/json;q=0, */*",
        "application/json;q=0",
        "application/json;q=1.5",
        "application/json;q=0.0004",
        "application/json;q=-1",
        "application/jsonp",
        "application/problem+jsonx",
        "json",
        "text/plain",
        "text/*, application/json;q=0.9",
        "application/*, text/html",
        "application/vnd.ngx-smart.room+json;q=0",
        "application/vnd.ngx-smart.room+json;q=0;hidden=1, text/html",
        "text/html;x=\", application/json\"",
        "text/html;q=0.5;x=\"\\\", application/json",
    ];
    for accept in page {
        assert_eq!(wanted(&[accept]), Wanted::Page, "{accept:?}");
    }
    assert_eq!(wanted(&[]), Wanted::Page);
    let json = [
        "application/json",
        "Application/JSON",
        " application/json ; q=0.1 ",
        "application/json; charset=utf-8",
        "application/json, text/plain, */*",
        "application/json, text/javascript, */*; q=0.01",
        "application/json, text/html;q=0.9",
        "text/html;q=0.899,application/json;q=0.9",
        "text/html;q=0.5,application/json;Q=1.000",
        "application/json;q=0.001",
        "text/html;q=0, */*",
        "text/*;q=0.3, */*;q=0.4",
        "application/*",
        "application/problem+json",
        "application/vnd.github+json, */*;q=0.5",
        "application/json;profile=\"a,b;q=0\"",
        "text/html;q=nonsense, application/json;q=0.1",
    ];
    for accept in json {
        assert_eq!(wanted(&[accept]), Wanted::Json, "{accept:?}");
    }
    assert_eq!(wanted(&["text/html;q=0.5", "application/json"]), Wanted::Json);
    assert_eq!(wanted(&["application/json;q=0.5", "text/html"]), Wanted::Page);
}

#[test]
fn the_rooms_own_type_goes_before_all() {
    let shown = [
        "application/vnd.ngx-smart.room+json",
        "text/html, application/vnd.ngx-smart.room+json;q=0.001",
        "APPLICATION/vnd.NGX-smart.room+json; hidden=0",
        "application/vnd.ngx-smart.room+json;hidden",
        "application/vnd.ngx-smart.room+json;hidden=11",
        "application/vnd.ngx-smart.room+json, text/html;hidden=1",
    ];
    for accept in shown {
        assert_eq!(wanted(&[accept]), Wanted::Room { is_hidden: false }, "{accept:?}");
    }
    let hidden = [
        "application/vnd.ngx-smart.room+json;hidden=1",
        "application/vnd.ngx-smart.room+json ; Hidden=\"1\" ;q=0.5",
        "application/json, application/vnd.ngx-smart.room+json;q=1;hidden=1",
    ];
    for accept in hidden {
        assert_eq!(wanted(&[accept]), Wanted::Room { is_hidden: true }, "{accept:?}");
    }
    assert_eq!(ROOM_TYPE, "application/vnd.ngx-smart.room+json");
}

#[test]
fn the_language_is_the_one_preferred() {
    let table = [
        ("", Language::English),
        ("*", Language::English),
        ("fr", Language::English),
        ("en", Language::English),
        ("ja", Language::Japanese),
        ("JA-jp", Language::Japanese),
        ("ja-JP-u-ca-japanese", Language::Japanese),
        ("jam", Language::English),
        ("ja,en-US;q=0.9,en;q=0.8", Language::Japanese),
        ("en-US,en;q=0.9,ja;q=0.8", Language::English),
        ("en;q=0.8, ja;q=0.9", Language::Japanese),
        ("ja, en", Language::Japanese),
        ("en, ja", Language::English),
        ("fr, de;q=0.9, ja;q=0.1", Language::Japanese),
        ("fr, *;q=0.5", Language::English),
        ("*, en;q=0.5", Language::Japanese),
        ("*;q=0.5, ja", Language::Japanese),
        ("ja, *", Language::Japanese),
        ("ja;q=0, *", Language::English),
        ("en;q=0, *", Language::Japanese),
        ("ja;q=0", Language::English),
        ("fr, en;q=0", Language::English),
        ("ja;q=2", Language::English),
    ];
    for (accept, language) in table {
        assert_eq!(Language::from_accept([accept.as_bytes()]), language, "{accept:?}");
    }
    assert_eq!(Language::from_accept([]), Language::English);
    let lines = [&b"en;q=0.5"[..], b"ja"];
    assert_eq!(Language::from_accept(lines), Language::Japanese);
}

/// The same, behind everything that a hostile client can put before it.
#[test]
fn no_value_is_too_much() {
    let padding = [
        ",".repeat(10_000),
        ";".repeat(10_000) + ",",
        "a/b,".repeat(10_000),
        ";q=".repeat(10_000) + ",",
        "\"\",".repeat(10_000),
        "\"".repeat(10_000) + ",",
        format!("x;y=\"{}\",", "\\\"".repeat(10_000)),
        "\u{fffd},".repeat(10_000),
        "*/".repeat(10_000) + ",",
    ];
    for padding in padding {
        assert_eq!(wanted(&[&format!("{padding}application/json")]), Wanted::Json);
        let japanese = format!("{padding}ja");
        assert_eq!(Language::from_accept([japanese.as_bytes()]), Language::Japanese);
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for end in (0..1024).chain([bytes.len()]) {
        assert_eq!(Wanted::from_accept([&bytes[..end]]), Wanted::Page);
        assert_eq!(Language::from_accept([&bytes[..end]]), Language::English);
    }
}

/// No value, and no way to cut it into lines, is answered by a panic; cut where it may be cut, between two
/// elements, it means the same.
#[test]
fn any_text_is_an_answer() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let element =
        r#"(application/json|text/html|\*/\*|ja|en|\*)(;q=[01](\.[0-9]{0,3})?|;hidden=1)?"#;
    proptest!(config, |(first in element, second in element, noise in ".{0,40}")| {
        let joined = format!("{first},{second}");
        let (halves, whole) = ([first.as_bytes(), second.as_bytes()], [joined.as_bytes()]);
        prop_assert_eq!(Wanted::from_accept(halves), Wanted::from_accept(whole));
        prop_assert_eq!(Language::from_accept(halves), Language::from_accept(whole));
        Wanted::from_accept([noise.as_bytes(), first.as_bytes()]);
        Language::from_accept([noise.as_bytes(), first.as_bytes()]);
    });
}
