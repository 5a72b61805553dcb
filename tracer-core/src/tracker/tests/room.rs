//! The table has no more room than it may.

use super::*;

/// Starts connection `number` of many, by `script`.
fn another(wire: &mut Wire, number: u32, script: &str) {
    wire.ports[0] = 1024 + (number % 50_000) as u16;
    wire.hosts[0] = 2 + (number / 50_000) as u8;
    wire.afresh().run(script).records();
}

#[test]
fn the_table_never_holds_more_than_it_may() {
    const ROOM: usize = 500;
    let mut wire = Wire::new(Limits { max_connections: ROOM, ..limits() });
    for number in 0..100_000 {
        // Every tenth is confirmed.
        another(&mut wire, number, if number % 10 == 0 { ">S <SA >A" } else { ">S" });
        assert!(wire.tracker.connections.len() <= 2 * ROOM, "after {number}");
        let deadlines = wire.tracker.attempts.len() + wire.tracker.deadlines.len();
        assert!(deadlines <= 8 * ROOM, "{deadlines} deadlines after {number}");
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
fn what_is_kept_of_messages_stays_within_its_bound_and_what_is_given_up_is_not_observed() {
    const ROOM: usize = 4096;
    let mut wire = Wire::new(Limits { buffer_bytes: ROOM, ..limits() });
    for number in 0..1000 {
        // Each waits for a response.
        another(&mut wire, number, ">S <SA >A >G");
        assert!(wire.tracker.buffered <= ROOM, "after {number}");
    }
    let given_up = wire.tracker.totals().buffers_dropped;
    assert!(given_up > 900 && given_up < 1000, "{given_up}");
    assert_eq!(wire.tracker.totals().exchanges, given_up);
    let mut wire = Wire::new(Limits { buffer_bytes: 0, ..limits() });
    let words = wire.run(">S <SA >A >G <O >G <O").finish().words();
    let exchanges: Vec<_> = words.iter().filter(|words| words.starts_with("exchange")).collect();
    assert_eq!(exchanges, ["exchange 1 - NotObserved Inferred", "exchange 2 - NotObserved Inferred"]);
    assert_eq!(wire.tracker.buffered, 0);
}

#[test]
fn what_is_remembered_of_gaps_stays_within_the_same_bound_and_they_count_all_the_same() {
    const ROOM: usize = 4096;
    let mut wire = Wire::new(Limits { buffer_bytes: ROOM, ..limits() });
    for number in 0..1000 {
        // Two gaps of 100 bytes in each.
        another(&mut wire, number, ">S <SA >A -<A100 <A100 -<A100 <A100");
        assert!(wire.tracker.buffered <= ROOM, "after {number}");
    }
    assert!(wire.tracker.totals().buffers_dropped > 900);
    wire.ports[0] = 60_000;
    let script = ">S <SA >A -<A100 <A100 -<A100 <A100";
    let closed = wire.afresh().run(script).finish().words().join("\n");
    assert_eq!(closed.matches("server gap_bytes 200").count(), 1001, "{closed}");
}

#[test]
fn a_flood_of_syns_pushes_out_no_connection() {
    let mut wire = Wire::new(Limits { max_connections: 100, ..limits() });
    for number in 0..100 {
        another(&mut wire, number, ">S <SA >A");
    }
    for number in 100..10_000 {
        another(&mut wire, number, ">S");
    }
    let totals = wire.tracker.totals();
    assert_eq!((totals.open, totals.half_open, totals.evicted), (100, 100, 9800));
}

#[test]
fn who_was_silent_longest_makes_room() {
    let mut wire = Wire::new(Limits { max_connections: 2, ..limits() });
    another(&mut wire, 0, ">S <SA >A");
    another(&mut wire, 1, ">S <SA >A");
    // The first one has shown something since, for which no deadline was set anew.
    wire.ports[0] = 1024;
    wire.run(">F@0^0").records();
    wire.ports[0] = 1026;
    wire.afresh().run(">S <SA >A");
    let records = wire.records();
    let evicted: Vec<_> = records.iter().filter(|record| matches!(record.body, Body::Closed(_))).collect();
    let [evicted] = evicted[..] else { panic!("{records:#?}") };
    assert_eq!(evicted.connection.as_ref().map(|connection| connection.client_port), Some(1025));
}

#[test]
fn what_many_short_connections_leave_over_is_cleared_away() {
    let mut wire = Wire::new(limits());
    for number in 0..10_000 {
        another(&mut wire, number, ">S <SA >A <FA >FA <A +1000");
        let deadlines = wire.tracker.attempts.len() + wire.tracker.deadlines.len();
        assert!(deadlines < 5000, "{deadlines} deadlines after {number}");
        assert!(wire.kept() < 50, "the kernel keeps {}", wire.kept());
    }
    assert_eq!(wire.tracker.totals().closed, 10_000);
}
