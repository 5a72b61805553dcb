//! The time of day is stepped while connections are observed.

use super::{options, wire::Wire};
use crate::record::Record;

/// Steps by hours, as of an administrator, and by a second, as of a time service, in ns.
const STEPS: [i64; 4] = [3_600_000_000_000, -7_200_000_000_000, 1_000_000_000, -1_000_000_000];
/// A handshake, two exchanges and the close.
const SCRIPT: &str = ">S <SA >A >G +20 <O >A +300 >G <O >A <FA >A >FA <A +1000";

/// The records if the clock is stepped by each of `steps` in turn before each segment.
fn records(steps: &[i64]) -> Vec<Record> {
    let mut wire = Wire::new(options());
    let (mut offset, mut steps) = (1_700_000_000_000_000_000, steps.iter().cycle());
    for step in SCRIPT.split(' ') {
        offset += steps.next().copied().unwrap_or_default();
        wire.tracker.set_clock(offset);
        wire.run(step);
    }
    wire.finish().records()
}

#[test]
fn a_stepped_clock_changes_timestamps_and_no_duration() {
    let (even, stepped) = (records(&[]), records(&STEPS));
    let bodies =
        |records: &[Record]| records.iter().map(|record| format!("{:?}", record.body)).collect::<Vec<_>>();
    assert_eq!(bodies(&even), bodies(&stepped));
    assert!(bodies(&even).iter().any(|body| body.contains("duration_ns: Some(2")), "{:?}", bodies(&even));
    let backwards = |records: &[Record]| records.windows(2).any(|two| two[1].timestamp < two[0].timestamp);
    assert!(!backwards(&even) && backwards(&stepped), "the timestamps follow the clock");
}
