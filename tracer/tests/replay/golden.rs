//! The records of each recorded capture.
//!
//! `UPDATE_GOLDENS=1 cargo test -p tracer --test replay` writes the current records; review them
//! before committing.

use std::{env, fs, path::Path};

use tracer_core::record::Events;

use crate::{captures, replay, schema::check_line};

/// The capture that is replayed in every format.
const SHOWN: &str = "page_and_two_cached";

/// Records without the part that differs from run to run: the number before the dash in a
/// connection's identifier.
pub(crate) fn normalised(output: &str) -> String {
    const START: &str = r#""connection.id":""#;
    let mut parts = output.split(START);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + START + "run" + part.trim_start_matches(|one: char| one.is_ascii_hexdigit())
    })
}

/// The names of all recorded captures, without the extension.
fn names() -> Vec<String> {
    let files = fs::read_dir(captures()).expect("the captures").flatten();
    let mut names: Vec<_> =
        files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".pcap")?.to_owned())).collect();
    names.sort();
    names
}

#[track_caller]
fn compare(actual: &str, golden: &Path) {
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(golden, actual).expect("the repository can be written to");
    }
    let expected = fs::read_to_string(golden);
    let expected = expected.unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
    for (number, (actual, expected)) in (1..).zip(actual.lines().zip(expected.lines())) {
        assert_eq!(actual, expected, "{}:{number}", golden.display());
    }
    assert_eq!(actual.lines().count(), expected.lines().count(), "lines of {}", golden.display());
}

#[test]
fn the_records_of_each_capture_are_unchanged() {
    let names = names();
    assert!(names.len() >= 11, "{names:?}");
    for name in names {
        let replayed = replay(&[&format!("{name}.pcap"), "-o", "json"], b"");
        assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""), "{name}");
        for line in replayed.output.lines() {
            check_line(line).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        compare(&normalised(&replayed.output), &captures().join(format!("{name}.jsonl")));
    }
}

#[test]
fn the_output_in_every_format_is_unchanged() {
    for format in ["text", "explain"] {
        let replayed =
            replay(&[&format!("{SHOWN}.pcap"), "-o", format, "--events", Events::DEFAULT_WORDS], b"");
        assert_eq!(replayed.code, Some(0), "{}", replayed.errors);
        let golden = captures().join(format!("{SHOWN}.{format}.txt"));
        compare(&(replayed.output + &replayed.errors), &golden);
    }
}
