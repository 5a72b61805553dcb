//! Selected records, compared with what a filter leaves of all records.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use crate::{captures, golden::normalised, replay, schema::check_line};

/// Every kind of record of a connection.
const EVENTS: &str = "connection,exchange,request,response,state,segment,half-open,icmp";

/// The paths of the captures of this test and of the difficult ones.
fn all_captures() -> Vec<String> {
    let folders = [captures(), captures().join("../cases/captures")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("captures").flatten());
    let paths = files.map(|file| file.path().to_str().expect("a plain path").to_owned());
    let mut paths: Vec<String> = paths.filter(|path| path.contains(".pcap")).collect();
    paths.sort();
    assert!(paths.len() > 100, "{}", paths.len());
    paths
}

/// The records of all captures with these options, without the summary, and the summary.
fn records(options: &[&str]) -> (Vec<Value>, Value) {
    let paths = all_captures();
    let mut arguments: Vec<&str> = paths.iter().map(String::as_str).collect();
    arguments.extend(["-o", "json", "-p", "1-65535", "--events", EVENTS]);
    arguments.extend(options);
    let replayed = replay(&arguments, b"");
    for line in replayed.output.lines() {
        check_line(line).unwrap_or_else(|error| panic!("{error}"));
    }
    let output = normalised(&replayed.output);
    let parsed = output.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let mut records: Vec<Value> = parsed.collect();
    let summary = records.pop().expect("the summary");
    assert_eq!(summary["event.name"], "tracer.summary");
    (records, summary)
}

fn name(record: &Value) -> &str {
    record["event.name"].as_str().expect("a name")
}

fn id(record: &Value) -> &str {
    record["connection.id"].as_str().expect("records of connections only")
}

fn index(record: &Value) -> Option<u64> {
    record["http.exchange.index"].as_u64()
}

/// What is right about a selection.
struct Rule {
    options: &'static [&'static str],
    connection: fn(&Value) -> bool,
    /// None if the options are about connections only.
    exchange: Option<fn(&Value) -> bool>,
    /// Connections that match without an exchange.
    closed: fn(&Value) -> bool,
}

impl Rule {
    const fn of_connections(options: &'static [&'static str], connection: fn(&Value) -> bool) -> Self {
        Self { options, connection, exchange: None, closed: |_| false }
    }

    const fn of_exchanges(options: &'static [&'static str], exchange: fn(&Value) -> bool) -> Self {
        Self { options, connection: |_| true, exchange: Some(exchange), closed: |_| false }
    }

    /// The identifiers of the connections that match.
    fn matching<'a>(&self, all: &'a [Value]) -> BTreeSet<&'a str> {
        let is_match = |record: &&Value| match (name(record), self.exchange) {
            _ if !(self.connection)(record) => false,
            (_, None) => true,
            ("http.exchange", Some(exchange)) => exchange(record),
            ("connection.closed", Some(_)) => (self.closed)(record),
            _ => false,
        };
        all.iter().filter(is_match).map(id).collect()
    }

    /// What the selection leaves of all records.
    fn filtered<'a>(&self, all: &'a [Value]) -> Vec<&'a Value> {
        let connections = self.matching(all);
        let Some(exchange) = self.exchange else {
            return all.iter().filter(|record| connections.contains(id(record))).collect();
        };
        let matching = all.iter().filter(|record| name(record) == "http.exchange" && exchange(record));
        let exchanges: BTreeSet<_> = matching.map(|record| (id(record), index(record))).collect();
        let is_left = |record: &&Value| {
            connections.contains(id(record))
                && (index(record).is_none() || exchanges.contains(&(id(record), index(record))))
        };
        all.iter().filter(is_left).collect()
    }
}

fn status(record: &Value) -> u64 {
    record["http.response.status_code"].as_u64().unwrap_or(0)
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

fn has_failed(record: &Value) -> bool {
    text(record, "http.outcome") != "complete" || status(record) >= 500
}

fn failed_to_open(record: &Value) -> bool {
    let by_client = text(record, "tcp.close.initiator") == "client";
    match text(record, "tcp.close.reason") {
        "refused" | "unanswered" | "half_open_timeout" => true,
        "reset" => {
            record["http.exchanges"] == 0
                && record["tcp.midstream"] == false
                && (!by_client || record["tcp.conn_state"] == "RSTOS0")
        }
        _ => false,
    }
}

const FAILED: Rule =
    Rule { options: &["--failed"], connection: |_| true, exchange: Some(has_failed), closed: failed_to_open };

const RULES: &[Rule] = &[
    Rule::of_connections(&["--client", "10.77.0.0/24"], |record| {
        text(record, "client.address").starts_with("10.77.0.")
    }),
    Rule::of_connections(&["--server", "10.77.0.9", "--server", "fd00::/8,192.0.2.1"], |record| {
        let address = text(record, "server.address");
        address == "10.77.0.9" || address.starts_with("fd") || address == "192.0.2.1"
    }),
    Rule::of_exchanges(&["--method", "post,PUT", "--method", "CONNECT"], |record| {
        ["POST", "PUT", "CONNECT"].contains(&text(record, "http.request.method"))
    }),
    Rule::of_exchanges(
        &["--status", "4xx,304,500-599"],
        |record| matches!(status(record), 304 | 400..=499 | 500..=599),
    ),
    Rule::of_exchanges(&["--path", "/*[a-m]", "--path", "/"], |record| {
        let path = text(record, "url.path");
        path == "/"
            || path.len() > 1 && path.starts_with('/') && path.ends_with(|one| ('a'..='m').contains(&one))
    }),
    Rule::of_exchanges(&["--domain", "*.?"], |record| {
        text(record, "url.domain").bytes().rev().nth(1) == Some(b'.')
    }),
    Rule::of_exchanges(&["--slower-than", "20ms"], |record| {
        record["http.duration_ns"].as_u64().is_some_and(|ns| ns > 20_000_000)
    }),
    FAILED,
    Rule {
        options: &["--failed", "--method", "GET", "--client", "10.0.0.0/8"],
        connection: |record| text(record, "client.address").starts_with("10."),
        exchange: Some(|record| has_failed(record) && text(record, "http.request.method") == "GET"),
        closed: |_| false,
    },
];

#[test]
fn each_option_leaves_what_a_filter_of_all_records_leaves() {
    let (all, _) = records(&[]);
    for rule in RULES {
        let expected = rule.filtered(&all);
        let (selected, summary) = records(rule.options);
        let options = rule.options;
        assert!(
            !expected.is_empty() && expected.len() < all.len(),
            "{options:?} selects something, and not all"
        );
        // Records of a connection that waited come later, but in their order.
        let by_connection = |records: Vec<Value>| {
            let mut connections = BTreeMap::<String, Vec<String>>::new();
            for record in records {
                connections.entry(id(&record).to_owned()).or_default().push(record.to_string());
            }
            connections
        };
        let expected_count = expected.len();
        let expected = by_connection(expected.into_iter().cloned().collect());
        let selected = by_connection(selected);
        for (connection, records) in &selected {
            let mut expected = expected.get(connection).cloned().unwrap_or_default();
            let mut records = records.clone();
            if rule.exchange.is_some() {
                // Those about an exchange wait for its end, while others of the connection do not.
                expected.sort();
                records.sort();
            }
            assert_eq!(records, expected, "{options:?}: {connection}");
        }
        assert_eq!(selected.len(), expected.len(), "{options:?}");
        assert_eq!(summary["tracer.records.filtered"], all.len() - expected_count, "{options:?}");
        assert_eq!(summary["tracer.records.unheld"], Value::Null, "{options:?}");
    }
}

#[test]
fn a_sample_is_the_same_in_every_run_and_the_summary_says_so() {
    let (all, _) = records(&[]);
    let (half, summary) = records(&["--sample", "1/2"]);
    assert_eq!(summary["tracer.sample.one_of"], 2);
    assert_eq!(half, records(&["--sample", "1/2"]).0);
    let ids = |records: &[Value]| records.iter().map(id).map(str::to_owned).collect::<BTreeSet<_>>();
    let taken = ids(&half);
    assert!(taken.len() > ids(&all).len() / 4 && taken.len() < ids(&all).len() * 3 / 4, "{}", taken.len());
    let whole: Vec<_> = all.into_iter().filter(|record| taken.contains(id(record))).collect();
    assert_eq!(half, whole, "connections are taken as a whole");
    let text = replay(&["chunked.pcap", "--sample", "1/4000000000"], b"");
    assert!(
        text.errors.contains("selection    1 of 4000000000 connections, 3 records filtered"),
        "{}",
        text.errors
    );
}

/// The explanations of each connection, without their numbers, by number.
fn explained(options: &[&str]) -> BTreeMap<usize, String> {
    let paths = all_captures();
    let mut arguments: Vec<&str> = paths.iter().map(String::as_str).collect();
    arguments.extend(["-o", "explain", "-p", "1-65535"]);
    arguments.extend(options);
    let output = replay(&arguments, b"").output;
    let (mut connections, mut current) = (BTreeMap::<usize, String>::new(), None);
    for line in output.lines().filter(|line| !line.is_empty()) {
        let numbered = line.strip_prefix('#').and_then(|line| line.split_once(' '));
        let (number, words) = numbered.map_or((None, line), |(number, words)| (number.parse().ok(), words));
        current = number.or(current);
        if let Some(current) = current {
            let text = connections.entry(current).or_default();
            *text += words.trim();
            text.push('\n');
        }
    }
    connections
}

#[test]
fn explain_shows_exactly_the_connections_that_failed_and_each_as_a_whole() {
    let (all, _) = records(&[]);
    let mut order: Vec<&str> = Vec::new();
    for record in all.iter().filter(|record| name(record) != "connection.state") {
        if !order.contains(&id(record)) {
            order.push(id(record));
        }
    }
    let failed = FAILED.matching(&all);
    let numbers = (1..).zip(&order).filter(|(_, id)| failed.contains(*id)).map(|(number, _)| number);
    let whole = explained(&[]);
    let mut expected: Vec<String> = numbers.map(|number: usize| whole[&number].clone()).collect();
    let mut selected: Vec<String> = explained(&["--failed"]).into_values().collect();
    expected.sort();
    selected.sort();
    assert!(
        expected.len() > 20 && expected.len() < whole.len() - 20,
        "{} of {}",
        expected.len(),
        whole.len()
    );
    assert_eq!(selected, expected);
}

#[test]
fn other_outputs_beside_explain_get_what_matches_only() {
    let file = crate::Temporary::new(b"");
    let path = file.0.to_str().expect("a plain path");
    let json = format!("json={path}");
    let capture = "not_found_on_a_reused_connection.pcap";
    let replayed = replay(&[capture, "-o", "explain", "-o", &json, "--status", "404"], b"");
    assert_eq!(replayed.code, Some(0), "{}", replayed.errors);
    let written = fs::read_to_string(path).expect("the file");
    assert_eq!(written.matches("\"http.exchange\"").count(), 1, "{written}");
    assert!(written.contains("\"http.response.status_code\":404"), "{written}");
    assert!(replayed.output.contains("= GET /small: answered with 200"), "{}", replayed.output);
}

#[test]
fn the_count_is_that_of_written_records() {
    let options = ["-o", "json", "--status", "404,5xx", "--count", "1"];
    let replayed =
        replay(&[&["not_found_on_a_reused_connection.pcap", "pipelined.pcap"], &options[..]].concat(), b"");
    assert_eq!(replayed.output.lines().count(), 2, "{}", replayed.output);
    assert_eq!(replayed.summary("tracer.records.filtered"), Some(1));
}

#[test]
fn what_captures_cannot_know_is_refused() {
    for (options, expected) in [
        (&["--process", "nginx"][..], "type --process and --container with tracer trace"),
        (&["--container", "3f0c9a1b"], "type --process and --container with tracer trace"),
        (&["--path", "/*", "--redact", "path"], "type --redact query, or no --path"),
    ] {
        let replayed = replay(&[&["chunked.pcap"], options].concat(), b"");
        assert_eq!(replayed.code, Some(2), "{options:?}");
        assert!(replayed.errors.contains(expected), "{}", replayed.errors);
    }
}
