//! Live tracing of the captures' frames, compared with their replay: a test of tracer that needs root and does the work.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use super::{Figure, Measured, Subject};
use crate::process::{cargo, is_root};

/// The figure: captures whose exchanges are told alike.
const NAME: &str = "live as replayed";

/// The test that sends the frames.
const TEST: &str = "agreement::the_share_of_foreign_captures_that_live_tracing_and_replay_agree_on";

/// Runs the test, and reads what it says.
pub(super) fn measure(subject: &Subject) -> Result<Measured> {
    if !is_root() {
        bail!("sending frames needs root: type `sudo -E cargo xtask corpus --live`");
    }
    let mut test = cargo("test");
    test.args([
        "--package",
        "tracer",
        "--test",
        "namespaces",
        "--",
        "--ignored",
        "--nocapture",
        "--exact",
        TEST,
    ]);
    let corpus = subject.corpus.canonicalize().context("the folder of captures is gone")?;
    let output = test.env("TRACER_CORPUS", corpus).stderr(Stdio::inherit()).output();
    let output = output.context("cargo cannot be started")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{TEST} failed with {}:\n{said}", output.status);
    }
    measured(&said).with_context(|| format!("{TEST} did not say how many captures agree:\n{said}"))
}

fn measured(said: &str) -> Option<Measured> {
    let mut words = said.lines().find(|line| line.contains(" agree on "))?.split_whitespace();
    let mut number = || words.find_map(|word| word.parse().ok());
    let (right, wanted) = (number()?, number()?);
    let differences =
        said.lines().filter(|line| line.starts_with("differs: ") || line.starts_with("not sent: "));
    Some(Measured {
        figures: vec![Figure { name: NAME.to_owned(), right, wanted }],
        failures: differences.map(|line| format!("{NAME}: {line}")).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_and_the_differences_are_read_from_what_the_test_prints() {
        let said = "running 1 test\ndiffers: a.pcap\n  live   {}\nnot sent: {\"snapped\": 3}\n\
                    live tracing and replay agree on 399 of 401 captures\ntest x ... ok\n";
        let measured = measured(said).expect("a share");
        assert_eq!((measured.figures[0].right, measured.figures[0].wanted), (399, 401));
        assert_eq!(
            measured.failures,
            ["live as replayed: differs: a.pcap", "live as replayed: not sent: {\"snapped\": 3}"]
        );
        assert!(super::measured("test x ... ok").is_none());
    }
}
