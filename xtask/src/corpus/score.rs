//! The captures' own program of comparison, `score.py`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Figure, Measured, Subject, read};

/// Lets the program compare all captures.
pub(super) fn measure(subject: &Subject) -> Result<Measured> {
    let json = subject.target_dir.join("corpus-score.json");
    let mut score = Command::new("python3");
    score
        .arg(subject.corpus.join("score.py"))
        .arg(&subject.tracer)
        .args(["--failures", "0", "--json"])
        .arg(&json);
    // What it prints is in the file too.
    let status = score.stdout(Stdio::null()).status().context("python3 cannot be started")?;
    let told: Value = serde_json::from_str(&read(&json)?).context("score.py wrote no JSON")?;
    let broken = list(&told["broken"]);
    // It fails when tracer did, and says so.
    if !status.success() || !broken.is_empty() {
        let broken: Vec<_> = broken.iter().map(words).collect();
        bail!("score.py ended with {status}; tracer failed on {}", broken.join("; "));
    }
    let failures = list(&told["failures"]).iter().map(words).collect();
    Ok(Measured { figures: figures(&told)?, failures })
}

/// In the order of the file.
fn figures(told: &Value) -> Result<Vec<Figure>> {
    let scores = told["scores"].as_object().context("score.py wrote no scores")?;
    let figure = |(name, counts): (&String, &Value)| {
        let count = |index: usize| counts[index].as_u64();
        let (right, wanted) = count(0).zip(count(1)).with_context(|| format!("{name} is {counts}"))?;
        Ok(Figure { name: name.clone(), right, wanted })
    };
    scores.iter().map(figure).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A row of texts in one line.
fn words(row: &Value) -> String {
    let words: Vec<_> = list(row).iter().filter_map(Value::as_str).collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_scores_become_figures() {
        let told = json!({"scores": {"close": [7, 8], "bytes": [0, 0]}});
        let mut figures = figures(&told).expect("scores");
        figures.sort_by_key(|figure| figure.wanted);
        let close = Figure { name: "close".into(), right: 7, wanted: 8 };
        assert_eq!(figures, [Figure { name: "bytes".into(), right: 0, wanted: 0 }, close]);
    }

    #[test]
    fn scores_of_another_shape_are_an_error() {
        for told in [json!({}), json!({"scores": []}), json!({"scores": {"close": [1]}})] {
            assert!(figures(&told).is_err(), "{told}");
        }
    }

    #[test]
    fn a_failure_is_one_line() {
        assert_eq!(
            words(&json!(["close", "a.pcap 10.0.0.1:1 > 10.0.0.2:80", "fin want rst"])),
            "close: a.pcap 10.0.0.1:1 > 10.0.0.2:80: fin want rst"
        );
        assert_eq!(words(&json!(["close", "a.pcap", null])), "close: a.pcap");
    }
}
