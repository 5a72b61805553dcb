//! Replays difficult captures and compares the records with what is right about them.
//!
//! `cases.json` has, for each of `captures/`, the traced ports, more events to report where they
//! are needed, the rule, why it applies, with packet numbers, and what is expected, all of it
//! optional:
//!
//! - `opened`: the number of `connection.opened`
//! - `exchanges`, `closed`: the records `http.exchange` and `connection.closed`, for each client
//!   port in order and complete
//! - `segments`: the `nth` `tcp.segment` of a client port
//! - `listener`: the last `tcp.listener` of a server port
//! - `summary`: the `tracer.summary`
//! - `anomalies_somewhere`: some exchange has a word in `http.anomalies`
//! - `text_must_not`, `explain_must_not`: regular expressions that these formats must not match;
//!   white space of `explain` is reduced to single spaces
//! - `reported_somewhere`: regular expressions that one of json, text and explain matches
//!
//! [`check`] says what the facts of a record are. The captures were made byte by byte or, those
//! that end in `-recorded`, recorded between network namespaces.
#![forbid(unsafe_code)]

mod check;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use check::{Object, compare_by_port, fits, has_word_about_message, matches, wrong};
use serde_json::{Value, json};

/// Cases that are not right yet. The test fails when one of them becomes right: remove it then.
const EXPECTED_FAILURES: &[&str] = &[];

/// The longest a run may take.
const LONGEST: Duration = Duration::from_secs(10);

/// What is always reported.
const EVENTS: &str = "connection,exchange";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// A case, and its output in each format.
struct Case<'a> {
    case: &'a Value,
    file: &'a str,
}

impl Case<'_> {
    /// The output of a replay, without the name of the capture, which has words in it.
    fn replay(&self, format: &str, events: &str) -> Result<String, String> {
        let capture = folder().join("captures").join(self.file);
        let ports = self.case["ports"].as_str().expect("ports");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        command.arg("replay").arg(&capture).args(["-p", ports, "-o", format, "--events", events]);
        let start = Instant::now();
        let done = command.env_remove("RUST_LOG").output().expect("tracer runs");
        let errors = String::from_utf8_lossy(&done.stderr);
        if done.status.code() != Some(0) || errors.contains("panicked") {
            return Err(format!("-o {format}: {}: {errors}", done.status));
        }
        if start.elapsed() > LONGEST {
            return Err(format!("-o {format}: it took {:?}", start.elapsed()));
        }
        let output = String::from_utf8(done.stdout).map_err(|error| error.to_string())?;
        Ok(output.replace(capture.to_str().expect("UTF-8"), "FILE").replace(self.file, "FILE"))
    }

    /// The expectations with this name.
    fn expected(&self, name: &str) -> &[Value] {
        self.case["expect"].get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The patterns with this name.
    fn patterns(&self, name: &str) -> impl Iterator<Item = &str> {
        self.expected(name).iter().map(|pattern| pattern.as_str().expect("a pattern"))
    }

    /// What is wrong, in words.
    fn faults(&self) -> Result<Vec<String>, String> {
        let events =
            self.case.get("events").map(|more| format!("{EVENTS},{}", more.as_str().expect("events")));
        let json = self.replay("json", events.as_deref().unwrap_or(EVENTS))?;
        let records = json.lines().map(|line| match serde_json::from_str(line) {
            Ok(Value::Object(record)) if record.contains_key("event.name") => Ok(record),
            _ => Err(format!("no record: {line}")),
        });
        let records: Vec<Object> = records.collect::<Result<_, _>>()?;
        let mut faults = self.record_faults(&records);
        // As text, each line counts for itself.
        let text = self.replay("text", EVENTS)?;
        let said = |pattern: &&str| matches(&format!("(?m){pattern}"), &text);
        faults.extend(self.patterns("text_must_not").filter(said).map(|it| format!("text matches {it}")));
        let explain = self.replay("explain", EVENTS)?;
        let explain = explain.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = |pattern: &&str| matches(pattern, &explain);
        faults
            .extend(self.patterns("explain_must_not").filter(said).map(|it| format!("explain matches {it}")));
        let is_unreported =
            |pattern: &&str| ![&json, &text, &explain].iter().any(|output| matches(pattern, output));
        let unreported = self.patterns("reported_somewhere").filter(is_unreported);
        faults.extend(unreported.map(|pattern| format!("nothing matches {pattern}")));
        Ok(faults)
    }

    /// What is wrong with the records.
    fn record_faults(&self, records: &[Object]) -> Vec<String> {
        let expect = self.case["expect"].as_object().expect("expectations");
        let all =
            |event: &str| records.iter().filter(|record| record["event.name"] == event).collect::<Vec<_>>();
        let mut faults = Vec::new();
        if let Some(right) = expect.get("opened") {
            let opened = json!(all("connection.opened").len());
            if !fits(right, Some(&opened)) {
                faults.push(format!("{opened} connections opened, right is {right}"));
            }
        }
        let exchanges = all("http.exchange");
        if expect.contains_key("exchanges") {
            faults.extend(compare_by_port(self.expected("exchanges"), &exchanges, "exchange"));
        }
        if expect.contains_key("closed") {
            let closed = all("connection.closed");
            faults.extend(compare_by_port(self.expected("closed"), &closed, "closed connection"));
        }
        if expect.get("anomalies_somewhere") == Some(&json!(true))
            && !exchanges.iter().any(|exchange| has_word_about_message(exchange))
        {
            faults.push("no exchange has a word about it in http.anomalies".into());
        }
        let mut compare = |what: String, facts: &Value, found: Option<&&Object>| match found {
            None => faults.push(format!("{what} is missing")),
            Some(record) => {
                let facts = facts.as_object().expect("facts");
                faults.extend(wrong(facts, record).iter().map(|fault| format!("{what}: {fault}")));
            }
        };
        let of_port = |event: &str, field: &str, facts: &Value| {
            let all = all(event).into_iter();
            all.filter(|record| record.get(field) == facts.get(field)).collect::<Vec<_>>()
        };
        for facts in self.expected("segments") {
            let nth = usize::try_from(facts["nth"].as_u64().expect("a number")).expect("a small number");
            let segments = of_port("tcp.segment", "client.port", facts);
            let what = format!("client port {}: segment {nth}", facts["client.port"]);
            compare(what, facts, segments.get(nth - 1));
        }
        for facts in self.expected("listener") {
            let listeners = of_port("tcp.listener", "server.port", facts);
            compare(format!("server port {}", facts["server.port"]), facts, listeners.last());
        }
        if let Some(facts) = expect.get("summary") {
            compare("the summary".into(), facts, all("tracer.summary").last());
        }
        faults
    }
}

#[test]
fn the_records_of_difficult_captures_are_right() {
    let cases = fs::read_to_string(folder().join("cases.json")).expect("cases.json");
    let cases: Vec<Value> = serde_json::from_str(&cases).expect("a list of cases");
    let mut listed: BTreeSet<&str> = EXPECTED_FAILURES.iter().copied().collect();
    let mut report = Vec::new();
    for case in &cases {
        let file = case["file"].as_str().expect("a file");
        let faults = Case { case, file }.faults().unwrap_or_else(|fault| vec![fault]);
        match (faults.is_empty(), listed.remove(file)) {
            (true, false) | (false, true) => {}
            (true, true) => report.push(format!("{file} is right now: remove it from EXPECTED_FAILURES")),
            (false, false) => {
                let text = |name: &str| case[name].as_str().expect("a text");
                let faults = faults.join("\n    ");
                report.push(format!(
                    "{file}:\n    {faults}\n    rule: {}\n    why:  {}",
                    text("rule"),
                    text("why")
                ));
            }
        }
    }
    assert!(listed.is_empty(), "no such cases: {listed:?}");
    assert!(report.is_empty(), "{} of {} cases:\n{}", report.len(), cases.len(), report.join("\n"));
}

#[test]
fn each_capture_has_a_case() {
    let cases = fs::read_to_string(folder().join("cases.json")).expect("cases.json");
    let cases: Vec<Value> = serde_json::from_str(&cases).expect("a list of cases");
    let named: BTreeSet<_> =
        cases.iter().filter_map(|case| case["file"].as_str().map(str::to_owned)).collect();
    let files = fs::read_dir(folder().join("captures")).expect("the captures").flatten();
    let files: BTreeSet<_> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    assert_eq!((named.len(), named), (cases.len(), files));
}
