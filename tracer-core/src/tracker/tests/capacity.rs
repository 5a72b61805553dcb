//! The limits of the table and of the buffers.

use super::*;

/// Starts connection `number` of many with `script`.
fn start(wire: &mut Wire, number: u32, script: &str) {
    wire.ports[0] = 1024 + (number % 50_000) as u16;
    wire.hosts[0] = 2 + (number / 50_000) as u8;
    wire.restart().run(script).records();
}

#[test]
fn the_table_stays_within_its_capacity() {
    const CAPACITY: usize = 500;
    let mut wire = Wire::new(TrackerOptions { max_connections: CAPACITY, ..options() });
    for number in 0..100_000 {
        // Every tenth completes its handshake.
        start(&mut wire, number, if number % 10 == 0 { ">S <SA >A" } else { ">S" });
        assert!(wire.tracker.connections.len() <= 2 * CAPACITY, "after {number}");
        let deadlines = wire.tracker.half_open_deadlines.len() + wire.tracker.deadlines.len();
        assert!(deadlines <= 8 * CAPACITY, "{deadlines} deadlines after {number}");
    }
    let totals = Totals {
        opened: 100_000,
        closed: 99_000,
        open: 500,
        half_open: 500,
        evicted: 99_000,
        ..Totals::default()
    };
    assert_eq!(wire.tracker.totals(), totals);
}

#[test]
fn message_buffers_stay_within_the_limit_and_dropped_ones_are_not_observed() {
    const CAPACITY: usize = 4096;
    let mut wire = Wire::new(TrackerOptions { buffer_bytes: CAPACITY, ..options() });
    for number in 0..1000 {
        // Each waits for a response.
        start(&mut wire, number, ">S <SA >A >G");
        assert!(wire.tracker.buffered <= CAPACITY, "after {number}");
    }
    let dropped = wire.tracker.totals().buffers_dropped;
    assert!(dropped > 900 && dropped < 1000, "{dropped}");
    assert_eq!(wire.tracker.totals().exchanges, dropped);
    let mut wire = Wire::new(TrackerOptions { buffer_bytes: 0, ..options() });
    let words = wire.run(">S <SA >A >G <O >G <O").finish().words();
    let exchanges: Vec<_> = words.iter().filter(|words| words.starts_with("exchange")).collect();
    assert_eq!(exchanges, ["exchange 1 - NotObserved Inferred", "exchange 2 - NotObserved Inferred"]);
    assert_eq!(wire.tracker.buffered, 0);
}

#[test]
fn gap_buffers_stay_within_the_same_limit_and_dropped_gaps_still_count() {
    const CAPACITY: usize = 4096;
    let mut wire = Wire::new(TrackerOptions { buffer_bytes: CAPACITY, ..options() });
    for number in 0..1000 {
        // Two gaps of 100 bytes in each.
        start(&mut wire, number, ">S <SA >A -<A100 <A100 -<A100 <A100");
        assert!(wire.tracker.buffered <= CAPACITY, "after {number}");
    }
    assert!(wire.tracker.totals().buffers_dropped > 900);
    wire.ports[0] = 60_000;
    let script = ">S <SA >A -<A100 <A100 -<A100 <A100";
    let closed = wire.restart().run(script).finish().words().join("\n");
    assert_eq!(closed.matches("server gap_bytes 200").count(), 1001, "{closed}");
}

#[test]
fn a_flood_of_syns_evicts_no_connection() {
    let mut wire = Wire::new(TrackerOptions { max_connections: 100, ..options() });
    for number in 0..100 {
        start(&mut wire, number, ">S <SA >A");
    }
    for number in 100..10_000 {
        start(&mut wire, number, ">S");
    }
    let totals = wire.tracker.totals();
    assert_eq!((totals.open, totals.half_open, totals.evicted), (100, 100, 9800));
}

#[test]
fn the_connection_that_is_silent_longest_is_evicted() {
    let mut wire = Wire::new(TrackerOptions { max_connections: 2, ..options() });
    start(&mut wire, 0, ">S <SA >A");
    start(&mut wire, 1, ">S <SA >A");
    // The first one was active since then, which set no new deadline.
    wire.ports[0] = 1024;
    wire.run(">F@0^0").records();
    wire.ports[0] = 1026;
    wire.restart().run(">S <SA >A");
    let records = wire.records();
    let evicted: Vec<_> = records.iter().filter(|record| matches!(record.body, Body::Closed(_))).collect();
    let [evicted] = evicted[..] else { panic!("{records:#?}") };
    assert_eq!(evicted.connection.as_ref().map(|connection| connection.client_port), Some(1025));
}

#[test]
fn stale_deadlines_of_many_short_connections_are_removed() {
    let mut wire = Wire::new(options());
    for number in 0..10_000 {
        start(&mut wire, number, ">S <SA >A <FA >FA <A +1000");
        let deadlines = wire.tracker.half_open_deadlines.len() + wire.tracker.deadlines.len();
        assert!(deadlines < 5000, "{deadlines} deadlines after {number}");
        assert!(wire.kept() < 50, "the kernel keeps {}", wire.kept());
    }
    assert_eq!(wire.tracker.totals().closed, 10_000);
}
