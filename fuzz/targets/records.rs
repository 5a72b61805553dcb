//! Frames of any kind into the lines of every format: whatever is on the wire, a line is a line, and harmless.
#![no_main]

#[path = "../../tracer/tests/support/schema.rs"]
mod schema;

use libfuzzer_sys::fuzz_target;
use tracer_common::wire::LinkType;
use tracer::output::Format;
use tracer_fuzz::{Path, Told, pieces};

/// Seconds between two frames that are far apart: more than every timeout is long.
const LONG: u64 = 400_000_000_000;

/// Looks at the lines of one record.
fn check(format: Format, bytes: &[u8]) {
    let text = str::from_utf8(bytes).expect("all output is UTF-8");
    // A format may have nothing to say of a record.
    let Some(lines) = text.strip_suffix('\n') else { return assert_eq!(text, "", "a record ends its line") };
    let bad = lines.chars().find(|character| character.is_control() && *character != '\n');
    assert_eq!(bad, None, "{text:?}");
    let hides = |character: &char| matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    assert_eq!(lines.chars().find(hides), None, "{text:?}");
    if format != Format::Explain {
        assert!(!lines.contains('\n'), "one line a record: {text:?}");
    }
    if format == Format::Json {
        schema::check_line(lines).expect("a record is as the schema says");
    }
}

fuzz_target!(|input: &[u8]| {
    let mut told = Told::default();
    let mut path = Path::checked_by(check);
    for (say, frame) in pieces(input) {
        let link = if say & 1 == 0 { LinkType::Ethernet } else { LinkType::RawIp };
        let cut = if say & 2 == 0 { 0 } else { usize::from(say) * 8 };
        let after = if say & 4 == 0 { 1000 } else { LONG };
        path.frame(frame, frame.len() + cut, link, after, &mut told);
        if say & 8 != 0 {
            path.tick(after, &mut told);
        }
    }
    path.finish(&mut told);
});
