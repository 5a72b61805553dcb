//! A million connections take no more memory than the limit that is printed at the start.
#![forbid(unsafe_code)]

use std::fs;
use std::process::Command;

use tracer::live::memory::Memory;
use tracer_common::event::{Event, EventHeader};
use tracer_common::flow::SegmentFlags;
use tracer_core::{
    record::Events,
    tracker::{Tracker, TrackerOptions},
};

#[expect(dead_code, reason = "the benchmark uses more of it")]
#[path = "../benches/events/stream.rs"]
mod stream;

const CONNECTIONS: u32 = 1_000_000;
/// Environment variable that marks the process to measure.
const MEASURE: &str = "TRACER_TEST_MEASURE_MEMORY";

/// The events of one connection, up to the first FIN.
fn events(plan: stream::Plan) -> Vec<Vec<u8>> {
    let mut observer = stream::observer();
    let mut conversation = stream::Conversation::new(1, plan);
    while conversation.step(&mut observer, 1) {}
    let mut events: Vec<_> =
        std::iter::from_fn(|| observer.next_event().map(|bytes| bytes.to_vec())).collect();
    let is_fin = |event: &Vec<u8>| matches!(Event::from_bytes(event), Ok(Event::Segment(segment)) if segment.reasons.contains(SegmentFlags::FIN));
    let fin = events.iter().position(is_fin);
    events.truncate(fin.map_or(events.len(), |fin| fin + 1));
    events
}

/// Changes the client of an event.
fn rename(header: &mut EventHeader, number: u32) {
    header.flow = u64::from(number) + 1;
    header.time = u64::from(number) + 1;
    let key = &mut header.key;
    let client = if key.low_port == 80 { &mut key.high } else { &mut key.low };
    client[3] = (0x0a00_0000 | number).to_be();
}

/// Lets the tracker follow connections with these numbers.
fn follow(tracker: &mut Tracker, plan: stream::Plan, numbers: std::ops::Range<u32>) {
    let events = events(plan);
    for number in numbers {
        for bytes in &events {
            let mut event = Event::from_bytes(bytes).expect("an event");
            match &mut event {
                Event::Segment(segment) => {
                    rename(&mut segment.header, number);
                    // Anomalies in both directions of each connection.
                    let duplicates = u32::from(plan.confirmed);
                    segment.halves.iter_mut().for_each(|half| half.duplicate_acks = duplicates);
                }
                Event::Connection(event) => rename(&mut event.header, number),
                Event::Icmp(event) => rename(&mut event.header, number),
                Event::Owner(event) => rename(&mut event.header, number),
                Event::Http(facts, _) => rename(&mut facts.header, number),
            }
            tracker.on_event(&event);
            while tracker.next_record().is_some() {}
        }
    }
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Measures the maximum number of connections, each with the most state that has no limit of its
/// own, and the same number of half-open handshakes.
fn measure() {
    let half_closed = stream::Plan { answered: true, confirmed: true, exchanges: 1, closed: true };
    let half_open = stream::Plan { answered: false, confirmed: false, exchanges: 0, closed: false };
    let mut tracker = Tracker::new(TrackerOptions {
        max_connections: CONNECTIONS as usize,
        events: Events::default(),
        ..TrackerOptions::default()
    });
    follow(&mut tracker, half_closed, 0..CONNECTIONS);
    let connections = resident();
    follow(&mut tracker, half_open, CONNECTIONS..2 * CONNECTIONS);
    let totals = tracker.totals();
    assert_eq!((totals.open, totals.half_open), (CONNECTIONS.into(), CONNECTIONS.into()));
    println!("measured: {connections} {}", resident());
}

#[test]
#[ignore = "takes a minute: run by cargo xtask test"]
fn a_million_connections_and_as_many_handshakes_stay_within_the_limit() {
    if std::env::var_os(MEASURE).is_some() {
        return measure();
    }
    // Measure in another process, where nothing else takes memory.
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["--ignored", "--nocapture"])
        .env(MEASURE, "1")
        .output()
        .expect("it runs again");
    let text = String::from_utf8(output.stdout).expect("text");
    let numbers = text.split("measured: ").nth(1).unwrap_or_else(|| panic!("it did not measure:\n{text}"));
    let mut numbers = numbers.split_whitespace().map(|number| number.parse::<u64>().expect("a number"));
    let (open, all) = (numbers.next().expect("a number"), numbers.next().expect("a number"));

    let config = tracer::cli::trace(&["--max-connections", &CONNECTIONS.to_string()]).expect("valid");
    let limit = Memory::of(&config, 1).userspace();
    println!("{open} bytes with the connections, {all} with the handshakes, limit {limit}");
    assert!(all <= limit, "{all} bytes, limit {limit}");
    // The limit must not be much too high either.
    assert!(all >= limit / 2, "{all} bytes, limit {limit}");
}
