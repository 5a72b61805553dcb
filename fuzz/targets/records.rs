//! Any frames into the lines of every sink: each record is one valid line without control
//! characters.
#![no_main]

#[path = "../../tracer/tests/support/schema.rs"]
mod schema;

use std::io::{self, Write};

use libfuzzer_sys::fuzz_target;
use tracer_common::wire::LinkType;
use tracer_core::render::{self, Format};
use tracer_fuzz::{Path, Reported, pieces};

/// Time between two frames in ns that exceeds every timeout.
const LONG: u64 = 400_000_000_000;

/// Checks the output of a sink: each call of `write` is one record.
struct Checker(Format);

impl Write for Checker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(bytes).expect("UTF-8");
        let lines = text.strip_suffix('\n').expect("a line end");
        let bad = lines.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(bad, None, "{text:?}");
        let invisible =
            |character: &char| matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
        assert_eq!(lines.chars().find(invisible), None, "{text:?}");
        if self.0 != Format::Explain {
            assert!(!lines.contains('\n'), "one line per record: {text:?}");
        }
        if self.0 == Format::Json {
            schema::check_line(lines).expect("a record that matches the schema");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let mut reported = Reported::default();
    let mut path = Path::into_sinks(Format::ALL.map(|format| render::new(format, Box::new(Checker(format)))));
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
