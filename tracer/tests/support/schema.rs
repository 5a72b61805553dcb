//! The contract of the JSON lines, as a check for a line.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// Compiled once: this is what takes time.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema =
        serde_json::from_str(include_str!("../../schema/record.schema.json")).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema of draft 2020-12");
    jsonschema::draft202012::new(&schema).expect("the schema can be compiled")
});

/// Whether `line` is one record as the schema wants it; else what is wrong.
pub(crate) fn check_line(line: &str) -> Result<(), String> {
    let record: Value = serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))?;
    match VALIDATOR.iter_errors(&record).map(|error| format!("{}: {error}", error.instance_path())).next() {
        Some(error) => Err(format!("{error}\nin {line}")),
        None => Ok(()),
    }
}
