//! A million connections take no more memory than was said at the start.
#![forbid(unsafe_code)]

use std::fs;
use std::process::Command;

use tracer::live::memory::Memory;
use tracer_common::event::{Event, EventHeader};
use tracer_common::flow::SegmentFlags;
use tracer_core::tracker::{Limits, Tracker};

#[expect(dead_code, reason = "the bench asks for more of it")]
#[path = "../benches/events/stream.rs"]
mod stream;

const CONNECTIONS: u32 = 1_000_000;
/// Says to a process of this test that it is the one to be measured.
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

/// Makes an event that of another client.
fn rename(header: &mut EventHeader, number: u32) {
    header.flow = u64::from(number) + 1;
    header.time = u64::from(number) + 1;
    let key = &mut header.key;
    let client = if key.low_port == 80 { &mut key.high } else { &mut key.low };
    client[3] = (0x0a00_0000 | number).to_be();
}

/// Lets the tracker follow so many connections of a kind.
fn follow(tracker: &mut Tracker, plan: stream::Plan, numbers: std::ops::Range<u32>) {
    let events = events(plan);
    for number in numbers {
        for bytes in &events {
            let mut event = Event::from_bytes(bytes).expect("an event");
            match &mut event {
                Event::Segment(segment) => {
                    rename(&mut segment.header, number);
                    // Trouble on both sides of each connection.
                    let troubled = u32::from(plan.confirmed);
                    segment.halves.iter_mut().for_each(|half| half.duplicate_acks = troubled);
                }
                Event::Connection(event) => rename(&mut event.header, number),
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

/// As many connections as there may be, each with the most that is kept of one besides what has a bound of its own, and as
/// many half-open handshakes.
fn measure() {
    let half_closed = stream::Plan { answered: true, confirmed: true, exchanges: 1, closed: true };
    let half_open = stream::Plan { answered: false, confirmed: false, exchanges: 0, closed: false };
    let mut tracker = Tracker::new(Limits {
        max_connections: CONNECTIONS as usize,
        messages: false,
        states: false,
        ..Limits::default()
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
fn a_million_connections_and_as_many_handshakes_stay_within_the_figure() {
    if std::env::var_os(MEASURE).is_some() {
        return measure();
    }
    // A process of its own, in which nothing else takes memory.
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
    let promised = Memory::of(&config, 1).userspace();
    println!("{open} bytes with the connections, {all} with the handshakes, {promised} promised");
    assert!(all <= promised, "{all} bytes, {promised} were promised");
    // A figure that says nothing would be easy to keep.
    assert!(all >= promised / 2, "{all} bytes, {promised} were promised");
}
