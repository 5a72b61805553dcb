//! Measures the userspace memory of a tracked connection: the growth of the process while
//! connections are opened and not closed.
//!
//! Each measurement runs in a separate process, so that it does not reuse memory freed by another.

use std::{fs, process::Command};

use tracer_common::event::Event;
use tracer_core::{
    record::Events,
    tracker::{Tracker, TrackerOptions},
};

use crate::stream::{self, Conversation, Plan};

/// The first argument of a measuring process.
pub(crate) const MEASURE: &str = "--measure-memory";

const SYN: Plan = Plan { answered: false, confirmed: false, exchanges: 0, closed: false };
const SYN_ACK: Plan = Plan { answered: true, ..SYN };
const OPEN: Plan = Plan { confirmed: true, ..SYN_ACK };

/// The states that connections reach.
pub(crate) const KINDS: [(&str, Plan); 4] = [
    ("half-open, SYN", SYN),
    ("half-open, SYN-ACK", SYN_ACK),
    ("open", OPEN),
    ("open, idle after an exchange", Plan { exchanges: 1, ..OPEN }),
];

/// Bytes per connection, measured in a child process.
pub(crate) fn measured(kind: usize, connections: usize) -> f64 {
    let program = std::env::current_exe().expect("this program has a path");
    let arguments = [MEASURE, &kind.to_string(), &connections.to_string()].map(str::to_owned);
    let output = Command::new(program).args(arguments).output().expect("a child process");
    let text = String::from_utf8(output.stdout).expect("a number is text");
    text.trim().parse().expect("a number")
}

/// Measures the kind and number of connections in `arguments`, and prints bytes per connection.
pub(crate) fn measure(mut arguments: impl Iterator<Item = String>) {
    let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number");
    let (kind, connections): (usize, usize) = (number(), number());
    let (_, plan) = KINDS[kind];
    let mut tracker = Tracker::new(TrackerOptions {
        max_connections: connections,
        events: Events::default(),
        ..TrackerOptions::default()
    });
    let mut observer = stream::observer();
    let before = resident();
    for number in 0..connections {
        let mut conversation = Conversation::new(number, plan);
        while conversation.step(&mut observer, 1 + number as u64) {}
        while let Some(bytes) = observer.next_event() {
            let event = Event::from_bytes(&bytes).expect("an event");
            tracker.on_event(&event);
            while tracker.next_record().is_some() {}
            if observer.kept() == (0, 0) {
                continue;
            }
            let header = event.header();
            observer.forget(&header.key, header.flow);
        }
    }
    let totals = tracker.totals();
    assert_eq!(totals.open + totals.half_open, connections as u64, "all connections are tracked");
    println!("{}", (resident() - before) / connections as f64);
}

/// Resident memory of this process in bytes.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024.0
}
