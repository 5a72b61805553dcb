//! The userspace half alone: how many events a second one core takes from the ring buffer's bytes to the lines of records,
//! and what a connection costs in memory. Prints one JSON document; `-- speed` or `-- memory` asks for one table alone, and
//! `-- speed short` for the streams with that name.
//!
//! Time is CPU time of the thread that works, so that other work on the host does not count.

mod lines;
mod memory;
mod stream;

use std::{path::Path, time::Duration};

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tracer::output::Output;
use tracer_common::{
    connection::FlowState,
    event::Event,
    flow::{FlowKey, Removal},
};
use tracer_core::{
    analysis::{Analysis, Flows, Stop, Telling},
    listener::Listeners,
    record::{EventName, Events, Record},
    render::{self, Format},
    tracker::{Limits, Tracker},
};

use self::stream::{Plan, interleaved, time_of};

/// Measurements of each kind.
const ROUNDS: usize = 7;
/// Events in a stream.
const EVENTS: usize = 400_000;
/// Events between two looks at what is due, as when the ring is drained in one go.
const BATCH: usize = 1024;
/// Connections opened to measure their memory.
const CONNECTIONS: [usize; 2] = [100_000, 1_000_000];

/// What is done with the events.
#[derive(Clone, Copy)]
enum Work {
    /// Decode and track, and drop the records.
    Track,
    /// Write the records of a run without options.
    Write(Format),
    /// Only make the lines of such a run, of records made before, as serde_json does it by itself.
    Lines,
}

const WORK: [(&str, Work); 4] = [
    ("json", Work::Write(Format::Json)),
    ("text", Work::Write(Format::Text)),
    ("decode and track", Work::Track),
    ("lines alone, by serde_json", Work::Lines),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or_default();
    let tables = match first.as_str() {
        memory::MEASURE => {
            memory::measure(arguments);
            return Ok(());
        }
        "speed" => vec![speed(&arguments.next().unwrap_or_default())?],
        "memory" => vec![footprint()],
        // Cargo's own.
        _ => vec![speed("")?, footprint()],
    };
    println!("{}", json!({ "bench": "events", "tables": tables }));
    Ok(())
}

/// Millions of events a second, of the streams whose name contains `wanted`.
fn speed(wanted: &str) -> Result<Value> {
    let whole = Plan { answered: true, confirmed: true, exchanges: 1, closed: true };
    let streams = [
        ("keep-alive", interleaved(&[Plan { exchanges: 40, ..whole }], EVENTS)),
        ("short", interleaved(&[whole], EVENTS)),
        ("half-open", interleaved(&[memory::KINDS[0].1], EVENTS)),
    ];
    let mut rows = Vec::new();
    for (kind, events) in streams.into_iter().filter(|(kind, _)| kind.contains(wanted)) {
        let mut rates = WORK.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for ((_, work), rates) in WORK.iter().zip(&mut rates) {
                rates.push(events.len() as f64 / 1e6 / run(&events, *work)?.as_secs_f64());
            }
        }
        for ((name, _), rates) in WORK.iter().zip(rates) {
            rows.push(row(&format!("{kind}, {name}"), rates, 100.0));
        }
    }
    Ok(table("Events taken in by one core, in millions a second of CPU time", rows))
}

/// Bytes a connection.
fn footprint() -> Value {
    let mut rows = Vec::new();
    for (kind, (name, _)) in memory::KINDS.iter().enumerate() {
        for connections in CONNECTIONS {
            let bytes = (0..3).map(|_| memory::measured(kind, connections)).collect();
            rows.push(row(&format!("{connections} connections, {name}"), bytes, 1.0));
        }
    }
    table("Memory of userspace, in bytes a connection", rows)
}

fn table(title: &str, rows: Vec<Value>) -> Value {
    json!({ "title": title, "columns": ["", "median", "min", "max"], "rows": rows })
}

/// Median, least and most of what was measured, in parts of one of which there are `scale`.
fn row(name: &str, mut measured: Vec<f64>, scale: f64) -> Value {
    measured.sort_by(f64::total_cmp);
    let rounded = |at: usize| measured.get(at).map(|value| (value * scale).round() / scale);
    json!([name, rounded(measured.len() / 2), rounded(0), rounded(measured.len() - 1)])
}

/// Takes in the events; how long that took.
fn run(events: &stream::Events, work: Work) -> Result<Duration> {
    let end = events.iter().last().map_or(0, time_of);
    let start = now()?;
    match work {
        Work::Track => track(events, end, drop),
        Work::Lines => return lines::run(events, end),
        Work::Write(format) => {
            let sink = render::new(format, Box::new(Output::file(Path::new("/dev/null"))?));
            let names = [EventName::Opened, EventName::Closed, EventName::Exchange];
            let wanted = names.into_iter().fold(Events::default(), Events::with);
            let listeners = Listeners::new(Duration::from_secs(64));
            let analysis = Analysis::new(tracker(), listeners, Telling::new(sink, wanted, None));
            write(analysis, events, end).map_err(|stop| anyhow::anyhow!("{stop:?}"))?;
        }
    }
    Ok(now()? - start)
}

/// Takes in the events, and hands on the records of a run without options.
fn track(events: &stream::Events, end: u64, mut take: impl FnMut(Record)) {
    let mut tracker = tracker();
    for (number, bytes) in events.iter().enumerate() {
        if let Ok(event) = Event::from_bytes(bytes) {
            tracker.on_event(&event);
        }
        while let Some(record) = tracker.next_record() {
            take(record);
        }
        if number % BATCH == 0 {
            tracker.on_tick(time_of(bytes));
        }
    }
    tracker.finish(end);
    while let Some(record) = tracker.next_record() {
        take(record);
    }
}

fn write(mut analysis: Analysis, events: &stream::Events, end: u64) -> Result<(), Stop> {
    for (number, bytes) in events.iter().enumerate() {
        analysis.take_event(bytes)?;
        if number % BATCH == 0 {
            let time = time_of(bytes);
            analysis.on_tick(time)?;
            analysis.settle(&mut Nothing, || time, usize::MAX)?;
        }
    }
    analysis.finish(&mut Nothing, || end)
}

/// Connection tables in which nothing is found any more.
struct Nothing;

impl Flows for Nothing {
    fn find(&mut self, _key: &FlowKey) -> Result<Option<FlowState>> {
        Ok(None)
    }

    fn remove(&mut self, _removals: &[Removal]) -> Result<u64> {
        Ok(0)
    }
}

/// The tracker of a run without options.
fn tracker() -> Tracker {
    Tracker::new(Limits { messages: false, states: false, ..Limits::default() })
}

/// CPU time of this thread.
fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
