//! `tcp.completeness` against tshark in two passes.
//!
//! In one pass tshark tells of each segment what was known before it, so that the last one of a connection is missing
//! from the truth, which was made so. In two passes it tells what its window shows.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    net::IpAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Figure, Measured, Subject, read};

/// The name of the figure.
pub(super) const NAME: &str = "completeness (two passes)";

/// Client and server: addresses and ports.
type Key = [String; 4];

/// Compares all connections that the truth is sure of.
pub(super) fn measure(subject: &Subject) -> Result<Measured> {
    let cache = subject.target_dir.join("corpus-tshark");
    fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let mut figure = Figure { name: NAME.into(), right: 0, wanted: 0 };
    let mut failures = Vec::new();
    for name in captures(&subject.corpus)? {
        let truth = read(&subject.corpus.join("truth").join(format!("{name}.json")))?;
        let truth: Value = serde_json::from_str(&truth).with_context(|| format!("the truth of {name}"))?;
        let capture = subject.corpus.join("captures").join(&name);
        let shark = by_stream(&tshark(&capture, &cache.join(format!("{name}.tsv")))?);
        let ours = by_connection(&replay(&subject.tracer, &capture)?);
        for (key, ours, theirs) in compare(&truth, ours, &shark) {
            figure.wanted += 1;
            figure.right += u64::from(ours == theirs);
            if ours != theirs {
                let [client, client_port, server, server_port] = key;
                failures.push(format!(
                    "{NAME}: {name} {client}:{client_port} > {server}:{server_port}: {ours} want {theirs}"
                ));
            }
        }
    }
    Ok(Measured { figures: vec![figure], failures })
}

/// The captures whose truth is known.
fn captures(corpus: &Path) -> Result<Vec<String>> {
    let folder = corpus.join("truth");
    let entries = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

/// What tshark says of each segment: the number of its connection, and its completeness. It is asked once for each
/// capture, because that takes minutes for all of them.
fn tshark(capture: &Path, cached: &Path) -> Result<String> {
    if let Ok(text) = fs::read_to_string(cached) {
        return Ok(text);
    }
    let mut command = Command::new("tshark");
    command.args(["-2", "-n", "-Y", "tcp", "-T", "fields", "-E", "occurrence=l"]);
    command.args(["-e", "tcp.stream", "-e", "tcp.completeness", "-r"]).arg(capture);
    // It fails on a damaged capture, after what could be read.
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::null()).output().context("tshark cannot be started")?;
    fs::write(cached, &output.stdout).with_context(|| format!("{} cannot be written", cached.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last that tshark says of each connection.
fn by_stream(text: &str) -> BTreeMap<u64, u64> {
    let numbers = |line: &str| {
        let (stream, completeness) = line.split_once('\t')?;
        Some((stream.parse().ok()?, completeness.trim_end().parse().ok()?))
    };
    text.lines().filter_map(numbers).collect()
}

fn replay(tracer: &Path, capture: &Path) -> Result<String> {
    let mut command = Command::new(tracer);
    command.arg("replay").arg(capture).args(["-p", "1-65535", "-o", "json", "--events", "connection"]);
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::null()).output().context("tracer cannot be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The completeness of each connection in our records, in the order in which the connections were first told.
fn by_connection(lines: &str) -> BTreeMap<Key, VecDeque<u64>> {
    let mut order = Vec::new();
    let mut closed = BTreeMap::new();
    for record in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let Some(id) = record["connection.id"].as_str().map(str::to_owned) else { continue };
        if !order.contains(&id) {
            order.push(id.clone());
        }
        if let Some(completeness) = record["tcp.completeness"].as_u64() {
            let names = ["client.address", "client.port", "server.address", "server.port"];
            closed.insert(id, (names.map(|name| plain(&record[name])), completeness));
        }
    }
    let mut connections = BTreeMap::<_, VecDeque<_>>::new();
    for (key, completeness) in order.iter().filter_map(|id| closed.remove(id)) {
        connections.entry(key).or_default().push_back(completeness);
    }
    connections
}

/// A text or a number; addresses in their one canonical form.
fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse::<IpAddr>().map_or(text, |address| address.to_string())
}

/// What we and tshark say of each connection that the truth is sure of and that both know.
fn compare(
    truth: &Value,
    mut ours: BTreeMap<Key, VecDeque<u64>>,
    shark: &BTreeMap<u64, u64>,
) -> Vec<(Key, u64, u64)> {
    let mut compared = Vec::new();
    for stream in truth["streams"].as_array().into_iter().flatten() {
        let key = ["client", "client_port", "server", "server_port"].map(|name| plain(&stream[name]));
        // A connection that we lack is the business of another figure.
        let Some(found) = ours.get_mut(&key).and_then(VecDeque::pop_front) else { continue };
        let sure = stream["ambiguous_tcp"].as_array().is_none_or(Vec::is_empty);
        let theirs = stream["stream"].as_u64().and_then(|number| shark.get(&number));
        if let Some(&theirs) = theirs.filter(|_| sure) {
            compared.push((key, found, theirs));
        }
    }
    compared
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RECORDS: &str = r#"
        {"event.name": "connection.opened", "connection.id": "1"}
        {"event.name": "connection.opened", "connection.id": "2"}
        {"event.name": "connection.closed", "connection.id": "2", "tcp.completeness": 2,
         "client.address": "::1", "client.port": 9, "server.address": "::2", "server.port": 80}
        {"event.name": "connection.closed", "connection.id": "1", "tcp.completeness": 1,
         "client.address": "::1", "client.port": 9, "server.address": "::2", "server.port": 80}
        {"event.name": "tracer.summary"}"#;

    fn records() -> String {
        RECORDS.replace(",\n", ",")
    }

    #[test]
    fn the_last_word_of_tshark_counts() {
        let said = by_stream("0\t1\n0\t3\n1\t0\n0\t7\n\n2\t\nx\t1\n");
        assert_eq!(said, BTreeMap::from([(0, 7), (1, 0)]));
    }

    #[test]
    fn connections_of_the_same_ports_are_told_apart_by_the_order_of_their_beginning() {
        let connections = by_connection(&records());
        let key = ["::1", "9", "::2", "80"].map(str::to_owned);
        assert_eq!(connections, BTreeMap::from([(key, VecDeque::from([1, 2]))]));
    }

    #[test]
    fn only_connections_that_everybody_is_sure_of_are_compared() {
        let stream = |number: u64, client: &str, ambiguous: &[&str]| {
            json!({"stream": number, "client": client, "client_port": 9, "server": "0::2", "server_port": 80,
                   "ambiguous_tcp": ambiguous})
        };
        let truth = json!({"streams": [
            stream(0, "0:0::1", &["its start is missing"]), stream(1, "::1", &[]), stream(2, "::3", &[])]});
        let compared = compare(&truth, by_connection(&records()), &BTreeMap::from([(0, 1), (1, 3), (2, 3)]));
        let key = ["::1", "9", "::2", "80"].map(str::to_owned);
        assert_eq!(compared, [(key, 2, 3)]);
    }
}
