//! The schema of the status interface's answers.

use jsonschema::Validator;
use serde_json::{json, Value};

/// A definition of `docs/status.schema.json`.
pub fn schema(name: &str) -> Validator {
    let mut schema: Value =
        serde_json::from_str(include_str!("../../docs/status.schema.json")).unwrap();
    assert!(schema["$defs"][name].is_object(), "no schema of {name}");
    // In place of "any of all", so that what is wrong is told by its place.
    schema.as_object_mut().unwrap().remove("anyOf");
    schema["$ref"] = json!(format!("#/$defs/{name}"));
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Asserts that an answer is what the schema says of answers of this name.
#[track_caller]
pub fn assert_conforms(name: &str, schema: &Validator, answer: &[u8]) {
    let value = serde_json::from_slice(answer)
        .unwrap_or_else(|error| panic!("{name}: {error}: {}", String::from_utf8_lossy(answer)));
    let errors: Vec<_> = schema
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}
