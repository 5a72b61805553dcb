//! Frames of any kind into the lines of every sink: whatever is on the wire, a line is a line, and harmless.
#![no_main]

use std::io::{self, Write};

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use tracer::sink::{self, Format};
use tracer_common::wire::LinkType;
use tracer_fuzz::{Path, Told, pieces};

/// Seconds between two frames that are far apart: more than every timeout is long.
const LONG: u64 = 400_000_000_000;

/// Where every name that a record may have is found. The tests check values too; that is too slow for here.
const SCHEMA: &str = include_str!("../../tracer/schema/record.schema.json");

/// Looks at what a sink writes: each call is one record.
struct Reader(Format);

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(bytes).expect("all output is UTF-8");
        let lines = text.strip_suffix('\n').expect("a record ends its line");
        let bad = lines.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(bad, None, "{text:?}");
        let hides = |character: &char| matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
        assert_eq!(lines.chars().find(hides), None, "{text:?}");
        if self.0 != Format::Explain {
            assert!(!lines.contains('\n'), "one line a record: {text:?}");
        }
        if self.0 == Format::Json {
            let record: Map<String, Value> = serde_json::from_str(lines).expect("a line is an object");
            assert!(record.contains_key("timestamp") && record.contains_key("event.name"), "{text}");
            for (name, value) in &record {
                assert!(SCHEMA.contains(&format!("\"{name}\"")), "{name} in {text}");
                assert!(!value.is_f64() && !value.is_null() && !value.is_object(), "{name} in {text}");
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let mut told = Told::default();
    let mut path = Path::into_sinks(Format::ALL.map(|format| sink::new(format, Box::new(Reader(format)))));
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
