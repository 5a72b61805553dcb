//! Any frames into records: state is bounded, and everything is counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer_common::wire::LinkType;
use tracer_fuzz::{Path, Reported, pieces};

/// Time between two frames in ns that exceeds every timeout.
const LONG: u64 = 400_000_000_000;

fuzz_target!(|input: &[u8]| {
    let (mut path, mut reported) = (Path::default(), Reported::default());
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
    // After a loss, exchange numbers can include exchanges of which nothing is known.
    let seen =
        reported.transcript.iter().filter(|exchange| exchange.iter().any(Option::is_some)).count() as u64;
    assert!(
        seen <= reported.heads,
        "{} exchanges of {} message headers: {:?}",
        reported.exchanges,
        reported.heads,
        reported.transcript
    );
});
