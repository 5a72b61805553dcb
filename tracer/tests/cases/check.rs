//! Compares the records of a run with what a case expects.
//!
//! The facts of a record are field names with what is right for each. `path` stands for `url.path`
//! or, without it, `url.original`. Fields that are not named are free. Right is
//!
//! - a number or a text: this one; `null`: the field is absent; a list: one of these
//! - `{"min", "max"}`: a number in this range, or none with `or_absent`
//! - `{"is": value}`, `{"not": [...]}`, `{"match": regex}`: this value, none of these, a match
//!
//! Other names of facts:
//!
//! - `not_confidence`, `not_outcome`: other ones than these
//! - `anomalies`, `absent_anomalies`: words that `http.anomalies` has, and has not
//! - `anomalies_some`: `http.anomalies` has a word about the message
//! - `some_ns`: what is right for one of the times
//! - `any_of`: the facts of one of these are right
//! - `optional`: the record may be absent

use std::collections::{BTreeMap, HashSet};

use fancy_regex::Regex;
use serde_json::{Map, Value, json};

/// The facts about a record, or a record.
pub(crate) type Object = Map<String, Value>;

/// Names that are no fields, or that are compared elsewhere.
const SPECIAL: [&str; 9] = [
    "client.port",
    "nth",
    "optional",
    "any_of",
    "not_confidence",
    "not_outcome",
    "anomalies",
    "absent_anomalies",
    "anomalies_some",
];

/// Counters that are absent from a record when they are zero.
const ABSENT_IS_ZERO: [&str; 6] =
    ["gap_bytes", "retransmits", "keep_alives", "window_probes", "duplicate_acks", "checksum_errors"];

/// Words that are about no message.
const ABOUT_NO_MESSAGE: [&str; 2] = ["missing_host", "response_before_request"];

/// The main facts of a record, in the order in which they are shown.
const MAIN: [&str; 9] = [
    "http.request.method",
    "path",
    "http.response.status_code",
    "http.outcome",
    "http.response.body.size",
    "client.bytes",
    "server.bytes",
    "tcp.conn_state",
    "tcp.close.reason",
];

/// The value of a fact.
fn value<'a>(record: &'a Object, name: &str) -> Option<&'a Value> {
    match name {
        "path" => record.get("url.path").or_else(|| record.get("url.original")),
        _ => record.get(name),
    }
}

fn is_zero_if_absent(name: &str) -> bool {
    let counter = name.strip_prefix("client.").or_else(|| name.strip_prefix("server."));
    name == "events.lost" || counter.is_some_and(|counter| ABSENT_IS_ZERO.contains(&counter))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), Value::to_string)
}

fn list<'a>(facts: &'a Object, name: &str) -> &'a [Value] {
    facts.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn words<'a>(object: &'a Object, name: &str) -> impl Iterator<Item = &'a str> {
    list(object, name).iter().filter_map(Value::as_str)
}

/// Whether `text` matches `pattern`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).expect("a regular expression").is_match(text).expect("a match within the limits")
}

/// Whether `found` is right.
pub(crate) fn fits(right: &Value, found: Option<&Value>) -> bool {
    let conditions = match right {
        Value::Null => return found.is_none(),
        Value::Array(several) => return several.iter().any(|one| fits(one, found)),
        Value::Object(conditions) => conditions,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => return found == Some(right),
    };
    let Some(found) = found else {
        return conditions.contains_key("not") || conditions.get("or_absent") == Some(&json!(true));
    };
    conditions.iter().all(|(condition, operand)| match condition.as_str() {
        "is" => found == operand,
        "not" => !operand.as_array().expect("a list").contains(found),
        "match" => {
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            matches(operand.as_str().expect("a pattern"), &text)
        }
        "min" => found.as_i64().is_some_and(|found| found >= operand.as_i64().expect("a number")),
        "max" => found.as_i64().is_some_and(|found| found <= operand.as_i64().expect("a number")),
        "or_absent" => true,
        _ => panic!("an unknown condition: {condition}"),
    })
}

/// Whether `http.anomalies` has a word about a message.
pub(crate) fn has_word_about_message(record: &Object) -> bool {
    words(record, "http.anomalies").any(|word| !ABOUT_NO_MESSAGE.contains(&word))
}

/// The facts in which `record` is wrong, in words.
pub(crate) fn wrong(facts: &Object, record: &Object) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, right) in facts {
        if name == "some_ns" {
            let mut times = record.iter().filter(|(name, value)| name.ends_with("_ns") && value.is_i64());
            if !times.any(|(_, time)| fits(right, Some(time))) {
                faults.push(format!("no time is in {right}"));
            }
        } else if !SPECIAL.contains(&name.as_str()) {
            let zero = json!(0);
            let found = value(record, name).or(is_zero_if_absent(name).then_some(&zero));
            if !fits(right, found) {
                faults.push(format!("{name} is {}, right is {right}", shown(found)));
            }
        }
    }
    for (name, field) in [("not_confidence", "http.confidence"), ("not_outcome", "http.outcome")] {
        let claimed = list(facts, name).iter().filter(|claim| record.get(field) == Some(claim));
        faults.extend(claimed.map(|claim| format!("{field} is {claim}, which is false")));
    }
    let found: HashSet<_> = words(record, "http.anomalies").collect();
    let missing = words(facts, "anomalies").filter(|word| !found.contains(word));
    faults.extend(missing.map(|word| format!("http.anomalies lacks {word}: {found:?}")));
    let excess = words(facts, "absent_anomalies").filter(|word| found.contains(word));
    faults.extend(excess.map(|word| format!("http.anomalies has {word}, which is false")));
    if facts.get("anomalies_some") == Some(&json!(true)) && !has_word_about_message(record) {
        faults.push(format!("http.anomalies has no word about it: {found:?}"));
    }
    let choices =
        list(facts, "any_of").iter().map(|choice| wrong(choice.as_object().expect("facts"), record));
    let choices: Vec<_> = choices.collect();
    if !choices.is_empty() && choices.iter().all(|faults| !faults.is_empty()) {
        faults.push(choices.iter().map(|faults| faults[0].as_str()).collect::<Vec<_>>().join("; or "));
    }
    faults
}

/// The main facts of a record.
fn brief(record: &Object) -> String {
    let facts = MAIN.iter().filter_map(|name| Some(format!("{name}={}", value(record, name)?)));
    facts.collect::<Vec<_>>().join(" ")
}

/// A comparison of two lists, one of which may lack what is optional.
struct Alignment<'a> {
    expected: &'a [&'a Object],
    found: &'a [&'a Object],
    /// Pairs of positions that have been tried.
    tried: HashSet<(usize, usize)>,
    /// What is wrong at the furthest position, with the fewest faults: the position and the number
    /// of faults.
    furthest: Option<(usize, usize)>,
    faults: Vec<String>,
}

impl Alignment<'_> {
    /// Whether everything from the positions `expected` and `found` on is right.
    fn fits_from(&mut self, expected: usize, found: usize) -> bool {
        if !self.tried.insert((expected, found)) {
            return false;
        }
        let faults = match (self.expected.get(expected), self.found.get(found)) {
            (None, None) => return true,
            (Some(facts), Some(record)) => wrong(facts, record),
            (Some(facts), None) => vec![format!("missing: {}", brief(facts))],
            (None, Some(record)) => vec![format!("one too many: {}", brief(record))],
        };
        if faults.is_empty() {
            if self.fits_from(expected + 1, found + 1) {
                return true;
            }
        } else if self
            .furthest
            .is_none_or(|(at, number)| found > at || (found == at && faults.len() < number))
        {
            self.furthest = Some((found, faults.len()));
            self.faults = faults;
        }
        let is_optional = |facts: &&Object| facts.get("optional") == Some(&json!(true));
        self.expected.get(expected).is_some_and(is_optional) && self.fits_from(expected + 1, found)
    }
}

/// Compares two lists in order: what is wrong with the record at which they differ.
fn align(expected: &[&Object], found: &[&Object], what: &str) -> Vec<String> {
    let mut alignment =
        Alignment { expected, found, tried: HashSet::new(), furthest: None, faults: Vec::new() };
    if alignment.fits_from(0, 0) {
        return Vec::new();
    }
    let number = alignment.furthest.map_or(0, |(at, _)| at + 1);
    alignment.faults.iter().map(|fault| format!("{what} {number}: {fault}")).collect()
}

/// Compares the records of each client port in order: as many as expected.
pub(crate) fn compare_by_port(expected: &[Value], found: &[&Object], what: &str) -> Vec<String> {
    let mut ports: BTreeMap<u64, (Vec<&Object>, Vec<&Object>)> = BTreeMap::new();
    let port = |object: &Object| object["client.port"].as_u64().expect("a port");
    for facts in expected.iter().map(|facts| facts.as_object().expect("facts")) {
        ports.entry(port(facts)).or_default().0.push(facts);
    }
    for record in found {
        ports.entry(port(record)).or_default().1.push(record);
    }
    let compared = ports
        .iter()
        .flat_map(|(port, (expected, found))| align(expected, found, &format!("client port {port}: {what}")));
    compared.collect()
}
