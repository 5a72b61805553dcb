//! Checks JSON lines against the schema.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// The compiled schema. Compiled once, because that is slow.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema =
        serde_json::from_str(include_str!("../../schema/record.schema.json")).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema of draft 2020-12");
    jsonschema::draft202012::new(&schema).expect("the schema can be compiled")
});

/// Checks that `line` is a valid record.
///
/// # Errors
/// It is not: the reason.
pub(crate) fn check_line(line: &str) -> Result<(), String> {
    let record: Value = serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))?;
    match VALIDATOR.iter_errors(&record).map(|error| format!("{}: {error}", error.instance_path())).next() {
        Some(error) => Err(format!("{error}\nin {line}")),
        None => Ok(()),
    }
}
