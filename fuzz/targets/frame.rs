//! Frames of any kind into records: what is kept is bounded, and everything is counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer_common::wire::LinkType;
use tracer_fuzz::{Path, Told, pieces};

/// Seconds between two frames that are far apart: more than every timeout is long.
const LONG: u64 = 400_000_000_000;

fuzz_target!(|input: &[u8]| {
    let (mut path, mut told) = (Path::default(), Told::default());
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
    // After a loss the numbers of exchanges may leave some out, of which nothing is known.
    let seen = told.story.iter().filter(|exchange| exchange.iter().any(Option::is_some)).count() as u64;
    assert!(seen <= told.heads, "{} exchanges of {} heads: {:?}", told.exchanges, told.heads, told.story);
});
