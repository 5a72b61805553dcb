//! Runs `score.py`, which compares replays with the ground truth.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Figure, Measured, Subject};
use crate::files::read;

/// Compares all captures.
pub(super) fn measure(subject: &Subject) -> Result<Measured> {
    let json = subject.target_dir.join("corpus-score.json");
    let mut score = Command::new("python3");
    score
        .arg(subject.corpus.join("score.py"))
        .arg(&subject.tracer)
        .args(["--failures", "0", "--json"])
        .arg(&json);
    // The JSON file contains everything that it prints.
    let status = score.stdout(Stdio::null()).status().context("python3 cannot be started")?;
    let scores: Value = serde_json::from_str(&read(&json)?).context("score.py wrote no JSON")?;
    let broken = list(&scores["broken"]);
    // It fails if tracer failed, and lists those captures.
    if !status.success() || !broken.is_empty() {
        let broken: Vec<_> = broken.iter().map(line).collect();
        bail!("score.py ended with {status}; tracer failed on {}", broken.join("; "));
    }
    let failures = list(&scores["failures"]).iter().map(line).collect();
    Ok(Measured { figures: figures(&scores)?, failures })
}

/// The figures, in the order of the file.
fn figures(scores: &Value) -> Result<Vec<Figure>> {
    let scores = scores["scores"].as_object().context("score.py wrote no scores")?;
    let figure = |(name, counts): (&String, &Value)| {
        let count = |index: usize| counts[index].as_u64();
        let (right, expected) = count(0).zip(count(1)).with_context(|| format!("{name} is {counts}"))?;
        Ok(Figure { name: name.clone(), right, expected })
    };
    scores.iter().map(figure).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A row of strings as one line.
fn line(row: &Value) -> String {
    let words: Vec<_> = list(row).iter().filter_map(Value::as_str).collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scores_become_figures() {
        let scores = json!({"scores": {"close": [7, 8], "bytes": [0, 0]}});
        let mut figures = figures(&scores).expect("scores");
        figures.sort_by_key(|figure| figure.expected);
        let close = Figure { name: "close".into(), right: 7, expected: 8 };
        assert_eq!(figures, [Figure { name: "bytes".into(), right: 0, expected: 0 }, close]);
    }

    #[test]
    fn scores_of_any_other_shape_are_an_error() {
        for scores in [json!({}), json!({"scores": []}), json!({"scores": {"close": [1]}})] {
            assert!(figures(&scores).is_err(), "{scores}");
        }
    }

    #[test]
    fn a_failure_is_one_line() {
        assert_eq!(
            line(&json!(["close", "a.pcap 10.0.0.1:1 > 10.0.0.2:80", "fin want rst"])),
            "close: a.pcap 10.0.0.1:1 > 10.0.0.2:80: fin want rst"
        );
        assert_eq!(line(&json!(["close", "a.pcap", null])), "close: a.pcap");
    }
}
