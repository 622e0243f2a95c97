//! The answers of the status interface: JSON by its schema, and numbers that no format rounds.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::{assert_conforms, schema};
use crate::statuses::{empty, full, history, hostile, limit, room, HOSTILE_NAMES};
use ngx_http_smart_module::core::policy::Outcome;
use ngx_http_smart_module::core::report::buffers::{Buffers, Filter};
use ngx_http_smart_module::core::report::{
    json, History, KeyState, Kind, Series, SessionState, Status,
};
use serde_json::{json, Value};

/// What a room can know of a session.
const SESSIONS: [SessionState; 3] = [
    SessionState::Active { left: 1, is_provisional: false },
    SessionState::Active { left: u64::MAX, is_provisional: true },
    SessionState::Waiting { position: 1, wait: Some(0), waited: 12_345 },
];

/// A key that is held, and one that is not.
fn keys(name: &[u8]) -> [KeyState; 2] {
    let held =
        KeyState { key: name.to_vec(), excess: Some(1234), idle: Some(500), heavy: Some(12) };
    [held, KeyState { key: name.to_vec(), ..KeyState::default() }]
}

/// An answer, by the name of its schema.
type Answer = (&'static str, Vec<u8>);

/// What `write` writes.
fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    out
}

/// All answers about what is called `name`.
fn answers(name: &[u8]) -> Vec<Answer> {
    let status = full(name);
    let keys = keys(name);
    let mut answers = vec![
        ("status", written(|out| json::status(&status, out))),
        ("limit", written(|out| json::limit(&limit(name), out))),
        ("key", written(|out| json::key(name, &keys[0], out))),
        ("key", written(|out| json::key(name, &keys[1], out))),
        ("top", written(|out| json::top(name, &keys, out))),
        ("top", written(|out| json::top(name, &[], out))),
        ("room", written(|out| json::room(&room(name), &history(name), out))),
        ("room", written(|out| json::room(&room(name), &History::default(), out))),
        ("history", written(|out| json::history(&history(name), out))),
        ("error", written(|out| json::error(404, &String::from_utf8_lossy(name), out))),
    ];
    for state in SESSIONS {
        let session = b"0123456789abcdef";
        answers.push(("session", written(|out| json::session(name, session, state, out))));
    }
    let buffers = status.buffers.unwrap();
    for buffers in [buffers, Buffers::default()] {
        answers.push(("buffers", written(|out| json::buffers(&buffers, out))));
    }
    answers
}

fn status_of(status: &Status) -> Value {
    let text = written(|out| json::status(status, out));
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn the_schema_is_one() {
    let schema = serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
}

#[test]
fn every_answer_conforms_to_its_schema() {
    let mut all: Vec<_> =
        [&b"front"[..]].iter().chain(&HOSTILE_NAMES).flat_map(|name| answers(name)).collect();
    for status in [empty(), hostile()] {
        all.push(("status", written(|out| json::status(&status, out))));
    }
    let schemas: BTreeMap<_, _> = all
        .iter()
        .map(|(name, _)| *name)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|name| (name, schema(name)))
        .collect();
    assert_eq!(schemas.len(), 9);
    for (name, answer) in all {
        assert_conforms(name, &schemas[name], &answer);
    }
}

#[test]
fn what_does_not_conform_is_refused() {
    type Change = fn(&mut Value);
    let wrong: [(&str, Change); 9] = [
        ("a member is missing", |it| drop(it.as_object_mut().unwrap().remove("panics"))),
        ("a member is not documented", |it| it["more"] = json!(1)),
        ("another version", |it| it["version"] = json!(2)),
        ("a negative count", |it| it["panics"] = json!(-1)),
        ("a count in a text", |it| it["limits"]["front"]["passed"] = json!("1")),
        ("a count with a fraction", |it| it["limits"]["front"]["passed"] = json!(1.5)),
        ("a limit with more", |it| it["limits"]["front"]["more"] = json!(1)),
        ("lookups without an outcome", |it| {
            drop(it["sendfile"]["lookups"].as_object_mut().unwrap().remove("stale"));
        }),
        ("a setting that does not exist", |it| {
            it["buffers"]["locations"][0]["settings"]["grpc_buffers"] = json!(null);
        }),
    ];
    let good = status_of(&full(b"front"));
    let schema = schema("status");
    assert!(schema.is_valid(&good));
    let advice = |place: usize| &good["buffers"]["locations"][place]["advice"]["state"];
    assert_eq!((advice(0), advice(5)), (&json!("change"), &json!("too_few_samples")));
    for (what, change) in wrong {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(!schema.is_valid(&changed), "{what}");
    }
}

#[test]
fn names_are_told_as_they_are_and_cannot_be_taken_for_anything_else() {
    for name in HOSTILE_NAMES {
        let told = String::from_utf8_lossy(name);
        for (_, answer) in answers(name) {
            let text = std::str::from_utf8(&answer).unwrap();
            assert!(!text.contains(|it: char| it.is_ascii_control() || it == '<'), "{text}");
        }
        let status = status_of(&full(name));
        assert_eq!(status["panics"], 1);
        assert_eq!(status["limits"][&*told]["key"], *told);
        assert_eq!(status["rooms"][&*told]["rebuilt"], 15);
        assert_eq!(status["sendfile"]["servers"][0]["address"], *told);
        assert_eq!(status["sendfile"]["caches"][&*told]["evicted"], 3);
        assert_eq!(status["buffers"]["locations"][0]["server"], *told);
    }
}

#[test]
fn nothing_is_rounded() {
    let mut status = full(b"front");
    status.rooms[0].estimated_wait = Some(1);
    let sendfile = status.sendfile.as_mut().unwrap();
    sendfile.outcomes[0].time = 1;
    sendfile.outcomes[1].time = u64::MAX;
    let text = String::from_utf8(written(|out| json::status(&status, out))).unwrap();
    for exact in [
        r#""hit":{"count":1,"seconds":0.000001}"#,
        r#""found":{"count":2,"seconds":18446744073709.551615}"#,
        r#""miss":{"count":3,"seconds":3.000003}"#,
        r#""passed":18446744073709551615"#,
        r#""estimated_wait_seconds":0.001"#,
        r#""le_seconds":0.0001,"count":2000}"#,
        r#""le_seconds":10.0,"count":3000},{"le_seconds":null,"count":4000}]"#,
        r#""gzip_ratio":{"count":1000,"mean":3.4,"#,
    ] {
        assert!(text.contains(exact), "{exact} is not in {text}");
    }
}

#[test]
fn no_number_has_an_exponent() {
    for (_, answer) in answers(b"name") {
        let text = String::from_utf8(answer).unwrap();
        // Every second piece between quotes is a string; no string here has a quote in it.
        for number in text.split('"').step_by(2) {
            let words = number.replace("null", "").replace("true", "").replace("false", "");
            assert!(!words.contains(char::is_alphabetic), "{number}");
        }
    }
}

#[test]
fn the_version_comes_first() {
    for (name, answer) in answers(b"front") {
        assert!(answer.starts_with(b"{\"version\":1,"), "{name}");
    }
}

#[test]
fn of_an_unknown_protocol_and_of_no_samples_null_is_told() {
    let status = status_of(&full(b"front"));
    let unknown = &status["buffers"]["locations"][5];
    assert_eq!(unknown["measured"]["upstream"]["protocol"], json!(null));
    assert_eq!(unknown["measured"]["response"]["p50"], json!(null));
    assert_eq!(unknown["settings"]["gzip_buffers"], json!(null));
    let grpc = &status["buffers"]["locations"][4];
    assert_eq!(grpc["measured"]["upstream"]["protocol"], "grpc");
    assert_eq!(grpc["settings"]["grpc_buffer_size"], 4096);
    let proxy = &status["buffers"]["locations"][0]["settings"];
    assert_eq!(proxy["proxy_buffers"], json!({"number": 8, "size": 4096}));
    assert_eq!(status_of(&empty())["sendfile"], json!(null));
}

#[test]
fn a_filter_takes_one_location_and_no_server() {
    let buffers = full(b"front").buffers.unwrap();
    let filter = Filter { server: Some(b"front".into()), location: Some(b"scgi front".into()) };
    let buffers = buffers.only(&filter).unwrap();
    let text = written(|out| json::buffers(&buffers, out));
    let told: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(told["locations"].as_array().unwrap().len(), 1);
    assert_eq!(told["locations"][0]["location"], "scgi front");
    assert_eq!(told["servers"], json!([]));
}

#[test]
fn a_room_is_told_with_what_it_has_done_in_the_last_minute() {
    let sample = |entered| Some(vec![9, 9, entered, 5, 0, 0, 0]);
    let mut samples = vec![sample(1); 30];
    // Seven steps of five seconds are known of the last twelve: not those to and from what is missing, nor a beginning
    // anew. So twelve have come in 35 seconds.
    samples.extend([1000, 1000].map(sample));
    samples.extend([None, None, None]);
    samples.extend([1000, 1002, 1004, 4, 6, 8, 10, 12].map(sample));
    let series = Series { kind: Kind::Room, name: b"front".to_vec(), samples };
    let history = History { interval: 5000, time: 0, series: vec![series] };
    let of = |name: &[u8]| -> Value {
        let text = written(|out| json::room(&room(name), &history, out));
        serde_json::from_slice::<Value>(&text).unwrap()["per_minute"].take()
    };
    let rates = json!({"entered": 20.571, "admitted": 0.0, "absent": 0.0, "refused": 0.0});
    assert_eq!(of(b"front"), rates);
    let unknown = json!({"entered": null, "admitted": null, "absent": null, "refused": null});
    assert_eq!(of(b"other"), unknown);
}

#[test]
fn outcomes_are_called_as_the_variable_calls_them() {
    for (outcome, column) in Outcome::ALL.into_iter().zip(Kind::Sendfile.columns()) {
        assert_eq!(outcome.name().to_ascii_lowercase(), *column);
    }
}

#[test]
fn a_value_of_the_history_is_called_as_the_status_calls_it() {
    let status = status_of(&full(b"front"));
    let assert_named = |kind: Kind, values: &[u64], of: &Value| {
        let named = kind.columns().iter().map(|column| of[column].as_u64().unwrap());
        assert!(named.eq(values.iter().copied()), "{kind:?}");
    };
    assert_named(Kind::Limit, &limit(b"front").values(), &status["limits"]["front"]);
    assert_named(Kind::Room, &room(b"front").values(), &status["rooms"]["front"]);
    let sendfile = full(b"front").sendfile.unwrap();
    let values: BTreeMap<_, _> =
        Kind::Sendfile.columns().iter().copied().zip(sendfile.values()).collect();
    for (outcome, count, time) in sendfile.by_outcome() {
        let microseconds = &*format!("{outcome}_microseconds");
        assert_eq!((values[outcome], values[microseconds]), (count, time), "{outcome}");
    }
}

/// The names of all members that a part of the schema has.
fn members<'a>(schema: &'a Value, names: &mut Vec<&'a str>) {
    match schema {
        Value::Object(object) => {
            let properties = object.get("properties").and_then(Value::as_object);
            names.extend(properties.iter().flat_map(|it| it.keys()).map(String::as_str));
            object.values().for_each(|part| members(part, names));
        }
        Value::Array(parts) => parts.iter().for_each(|part| members(part, names)),
        _ => {}
    }
}

#[test]
fn the_documentation_tells_of_every_member_and_its_examples_conform() {
    let text = include_str!("../../docs/status.md");
    let schema = serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    let mut names = Vec::new();
    members(&schema, &mut names);
    assert!(names.len() > 100);
    for name in names {
        let is_told =
            [format!("`{name}`"), format!("\"{name}\"")].iter().any(|it| text.contains(it));
        assert!(is_told, "docs/status.md does not tell of {name}");
    }
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let examples: Vec<_> = text.split("```json\n").skip(1).collect();
    assert_eq!(examples.len(), 9);
    for example in examples {
        let example = example.split_once("```").unwrap().0;
        let value: Value = serde_json::from_str(example).unwrap();
        assert!(validator.is_valid(&value), "{example}");
    }
}
