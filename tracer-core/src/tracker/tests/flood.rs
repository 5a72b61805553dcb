//! Handshakes: counted at their server, unreported in a flood, half-open.

use super::*;

/// The records of a script, during a flood or outside one.
fn bodies(script: &str, flooded: bool) -> Vec<Body> {
    let mut wire = Wire::new(options());
    if flooded {
        wire.flooded();
    }
    wire.run(script).run("+1000").finish();
    let mut records = wire.records();
    // The event of a request that completes the handshake comes first, and the records before it come with
    // it.
    records.sort_by_key(|record| (record.timestamp, record.body.name() == EventName::Request));
    records.into_iter().map(|record| record.body).collect()
}

#[test]
fn a_connection_whose_handshake_was_not_reported_has_the_same_records() {
    for script in [
        ">S <SA >A >G <O >A <FA >A >FA <A",
        ">S >S@0 <SA <SA@0 <SA@0 >A >G <O <R",
        ">S <SA >G <O >A <FA >A >FA <A",
        ">S <SA >A100 <A <A200 >A <FA >FA <A",
    ] {
        assert_eq!(bodies(script, true), bodies(script, false), "{script}");
    }
}

#[test]
fn attempts_in_a_flood_are_counted_and_not_reported() {
    for (script, refused, reset) in [
        (">S", 0, 0),
        (">S >S@0 <SA <SA@0", 0, 0),
        (">S <RA", 1, 0),
        (">S <SA >R", 0, 1),
        (">S <SA <R", 0, 1),
    ] {
        let mut wire = Wire::new(options());
        wire.flooded().run(script).run("+70000").finish();
        assert_eq!(wire.words(), [""; 0], "{script}");
        let segments = script.split_whitespace().count() as u64;
        assert_eq!(wire.counted(Count::Attempts), 1, "{script}");
        assert_eq!(wire.counted(Count::Aggregated), segments, "{script}");
        assert_eq!((wire.counted(Count::Refused), wire.counted(Count::Reset)), (refused, reset), "{script}");
        assert_eq!(wire.tracker.totals().opened, 0, "{script}");
    }
}

#[test]
fn each_segment_of_a_handshake_is_counted_once() {
    let mut wire = Wire::new(options());
    wire.run(">S >S@0 <SA <SA@0 <SA@0 >A >A <A >G <O >A <FA >A >FA <A");
    for (count, number) in [
        (Count::Attempts, 1),
        (Count::SynRetransmits, 1),
        (Count::Answered, 1),
        (Count::SynAckRetransmits, 2),
        (Count::Completed, 1),
        (Count::Refused, 0),
        (Count::Reset, 0),
        (Count::Aggregated, 0),
        (Count::HandshakeNs, 5_000_000),
    ] {
        assert_eq!(wire.counted(count), number, "{count:?}");
    }
    // If the SYN-ACK takes another path, the data completes the handshake.
    let mut wire = Wire::new(options());
    wire.run(">S -<SA >A >G -<O >A");
    assert_eq!((wire.counted(Count::Answered), wire.counted(Count::Completed)), (0, 1));
}

#[test]
fn payload_in_a_syn_does_not_open_a_connection() {
    let mut wire = Wire::new(options());
    wire.flooded().run(">S100 <SA +70000").finish();
    assert_eq!(wire.words(), [""; 0]);
}

#[test]
fn a_half_open_handshake_is_reported_once_after_a_second() {
    let options = || TrackerOptions { events: Events::of(&[EventName::HalfOpen]), ..options() };
    let mut wire = Wire::new(options());
    wire.run(">S <SA +900");
    assert_eq!(wire.words(), [""; 0]);
    wire.run("<SA@0 +200 +2000");
    assert_eq!(wire.words(), ["half-open, SYN 0x again, SYN-ACK 1x again"]);
    wire.run("<SA@0 >A +1000");
    assert_eq!(wire.words(), ["opened, SYN-ACK 2x again"]);
    let mut quick = Wire::new(options());
    quick.run(">S <SA >A +5000");
    assert_eq!(quick.words(), ["opened"]);
}

#[test]
fn the_closed_record_has_the_time_in_syn_received() {
    let time = |script: &str| {
        let mut wire = Wire::new(options());
        wire.run(script).finish();
        let records = wire.records();
        let Some(Body::Closed(closed)) = records.last().map(|record| &record.body) else {
            panic!("{records:?}")
        };
        closed.syn_received_ns
    };
    assert_eq!(time(">S <SA >A >G <O"), Some(1_000_000));
    // Until the last segment seen.
    assert_eq!(time(">S <SA +999 <SA@0 +70000"), Some(1_001_000_000));
    assert_eq!(time(">S <SA >R"), Some(1_000_000));
    assert_eq!(time(">S <RA"), None);
    assert_eq!(time(">S +70000"), None);
}
