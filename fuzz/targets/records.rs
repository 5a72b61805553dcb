//! Any frames into the lines of every format: each record is one valid line without control
//! characters.
#![no_main]

#[path = "../../tracer/tests/support/schema.rs"]
mod schema;

use libfuzzer_sys::fuzz_target;
use tracer::output::Format;
use tracer_common::wire::LinkType;
use tracer_fuzz::{Path, Reported, pieces};

/// Time between two frames in ns that exceeds every timeout.
const LONG: u64 = 400_000_000_000;

/// Checks the lines of one record.
fn check(format: Format, bytes: &[u8]) {
    let text = str::from_utf8(bytes).expect("UTF-8");
    // An explanation says nothing about some records.
    let Some(lines) = text.strip_suffix('\n') else { return assert_eq!(text, "", "a line end") };
    let bad = lines.chars().find(|character| character.is_control() && *character != '\n');
    assert_eq!(bad, None, "{text:?}");
    let invisible = |character: &char| matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    assert_eq!(lines.chars().find(invisible), None, "{text:?}");
    if format != Format::Explain {
        assert!(!lines.contains('\n'), "one line per record: {text:?}");
    }
    if format == Format::Json {
        schema::check_line(lines).expect("a record that matches the schema");
    }
}

fuzz_target!(|input: &[u8]| {
    let mut reported = Reported::default();
    let mut path = Path::checked_by(check);
    for (control, frame) in pieces(input) {
        let link = if control & 1 == 0 { LinkType::Ethernet } else { LinkType::RawIp };
        let cut = if control & 2 == 0 { 0 } else { usize::from(control) * 8 };
        let after = if control & 4 == 0 { 1000 } else { LONG };
        path.frame(frame, frame.len() + cut, link, after, &mut reported);
        if control & 8 != 0 {
            path.tick(after, &mut reported);
        }
    }
    path.finish(&mut reported);
});
