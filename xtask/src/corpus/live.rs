//! Compares live tracing of the captures' frames with their replay, by running a root test of
//! tracer.

use anyhow::{Context as _, Result, bail};

use super::{Figure, Measured, Subject};
use crate::process::{cargo, is_root, output};

/// The figure: the share of captures with the same exchanges live and in replay.
const NAME: &str = "live as replayed";

/// The test that sends the frames and compares.
const TEST: &str = "agreement::the_share_of_foreign_captures_that_live_tracing_and_replay_agree_on";

/// Runs the test and parses its output.
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
    let corpus = subject.corpus.canonicalize().context("the folder of captures does not exist")?;
    let text = output(test.env("TRACER_CORPUS", corpus))?;
    parse(&text).with_context(|| format!("{TEST} did not print how many captures agree:\n{text}"))
}

fn parse(text: &str) -> Option<Measured> {
    let mut words = text.lines().find(|line| line.contains(" agree on "))?.split_whitespace();
    let mut number = || words.find_map(|word| word.parse().ok());
    let (right, expected) = (number()?, number()?);
    let differences =
        text.lines().filter(|line| line.starts_with("differs: ") || line.starts_with("not sent: "));
    Some(Measured {
        figures: vec![Figure { name: NAME.to_owned(), right, expected }],
        failures: differences.map(|line| format!("{NAME}: {line}")).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_and_the_differences_are_parsed_from_the_output_of_the_test() {
        let text = "running 1 test\ndiffers: a.pcap\n  live   {}\nnot sent: {\"snapped\": 3}\n\
                    live tracing and replay agree on 399 of 401 captures\ntest x ... ok\n";
        let measured = parse(text).expect("a share");
        assert_eq!((measured.figures[0].right, measured.figures[0].expected), (399, 401));
        assert_eq!(
            measured.failures,
            ["live as replayed: differs: a.pcap", "live as replayed: not sent: {\"snapped\": 3}"]
        );
        assert!(parse("test x ... ok").is_none());
    }
}
