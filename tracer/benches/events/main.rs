//! Measures the userspace part alone: events per second on one core, from ring buffer bytes to
//! lines of records, and memory per connection. Prints a JSON document. `-- speed` or `-- memory`
//! selects one table, and `-- speed short` the streams with `short` in their name.
//!
//! Time is the CPU time of the working thread, so that other load on the host does not count.

mod lines;
mod memory;
mod stream;

use std::time::Duration;

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tracer::{
    outcome::Outcome,
    output::{Destination, Format, OutputConfig, Outputs, Policy},
};
use tracer_common::{
    connection::FlowState,
    event::Event,
    flow::{FlowKey, Removal},
};
use tracer_core::{
    analysis::{Analysis, Flows},
    listener::Listeners,
    record::{EventName, Events, Record},
    selection::Selector,
    tracker::{Tracker, TrackerOptions},
};

use self::stream::{Plan, interleaved, time_of};

/// Number of measurements of each kind.
const ROUNDS: usize = 7;
/// Number of events in a stream.
const EVENTS: usize = 400_000;
/// Number of events between two ticks of the tracker, as in one drain of the ring buffer.
const BATCH: usize = 1024;
/// Limit of the output queue in bytes, as in a run with default options.
const OUTPUT_BYTES: usize = 16 << 20;
/// Numbers of connections whose memory is measured.
const CONNECTIONS: [usize; 2] = [100_000, 1_000_000];

/// How events are processed.
#[derive(Clone, Copy)]
enum Work {
    /// Decode and track, then drop the records.
    Track,
    /// Write the records of a run with default options.
    Write(Format),
    /// Only render the records of such a run, which were made before, with plain serde_json.
    Lines,
}

const WORK: [(&str, Work); 4] = [
    ("json", Work::Write(Format::Json)),
    ("text", Work::Write(Format::Text)),
    ("decode and track", Work::Track),
    ("rendering alone, by serde_json", Work::Lines),
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
        // `cargo bench` passes `--bench`.
        _ => vec![speed("")?, footprint()],
    };
    println!("{}", json!({ "bench": "events", "tables": tables }));
    Ok(())
}

/// Measures events per second of the streams whose name contains `name`.
fn speed(name: &str) -> Result<Value> {
    let whole = Plan { answered: true, confirmed: true, exchanges: 1, closed: true };
    let streams = [
        ("keep-alive", interleaved(&[Plan { exchanges: 40, ..whole }], EVENTS)),
        ("short", interleaved(&[whole], EVENTS)),
        ("half-open", interleaved(&[memory::KINDS[0].1], EVENTS)),
    ];
    let mut rows = Vec::new();
    for (kind, events) in streams.into_iter().filter(|(kind, _)| kind.contains(name)) {
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
    Ok(table("Events processed by one core, in millions per second of CPU time", rows))
}

/// Measures memory per connection.
fn footprint() -> Value {
    let mut rows = Vec::new();
    for (kind, (name, _)) in memory::KINDS.iter().enumerate() {
        for connections in CONNECTIONS {
            let bytes = (0..3).map(|_| memory::measured(kind, connections)).collect();
            rows.push(row(&format!("{connections} connections, {name}"), bytes, 1.0));
        }
    }
    table("Userspace memory in bytes per connection", rows)
}

fn table(title: &str, rows: Vec<Value>) -> Value {
    json!({ "title": title, "columns": ["", "median", "min", "max"], "rows": rows })
}

/// A row with median, minimum and maximum, rounded to multiples of `1 / scale`.
fn row(name: &str, mut measured: Vec<f64>, scale: f64) -> Value {
    measured.sort_by(f64::total_cmp);
    let rounded = |at: usize| measured.get(at).map(|value| (value * scale).round() / scale);
    json!([name, rounded(measured.len() / 2), rounded(0), rounded(measured.len() - 1)])
}

/// Processes the events and returns the CPU time.
fn run(events: &stream::Events, work: Work) -> Result<Duration> {
    let end = events.iter().last().map_or(0, time_of);
    let start = now()?;
    match work {
        Work::Track => track(events, end, drop),
        Work::Lines => return lines::run(events, end),
        Work::Write(format) => {
            let destination = Destination::File("/dev/null".into());
            let policy = Policy::Shed { limit: OUTPUT_BYTES };
            let mut outputs = Outputs::open(
                &[OutputConfig { format, destination, ..OutputConfig::default() }],
                policy,
                None,
            )?;
            outputs.start()?;
            let wanted = Events::of(&[EventName::Opened, EventName::Closed, EventName::Exchange]);
            let listeners = Listeners::new(Duration::from_secs(64));
            let analysis = Analysis::new(tracker(), listeners, Selector::all(wanted));
            write(analysis, &mut outputs, events, end).or_else(Outcome::error)?;
        }
    }
    Ok(now()? - start)
}

/// Tracks the events and passes the records of a run with default options to `take`.
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

fn write(
    mut analysis: Analysis,
    outputs: &mut Outputs,
    events: &stream::Events,
    end: u64,
) -> Result<(), Outcome> {
    for (number, bytes) in events.iter().enumerate() {
        analysis.on_event(bytes);
        if number % BATCH == 0 {
            let time = time_of(bytes);
            analysis.on_tick(time);
            analysis.look_up(&mut Empty, || time, usize::MAX)?;
        }
        outputs.deliver(&mut analysis)?;
    }
    analysis.finish(&mut Empty, || end)?;
    outputs.deliver(&mut analysis)?;
    outputs.drain()
}

/// Kernel connection tables without entries.
struct Empty;

impl Flows for Empty {
    fn find(&mut self, _key: &FlowKey) -> Result<Option<FlowState>> {
        Ok(None)
    }

    fn remove(&mut self, _removals: &[Removal]) -> Result<u64> {
        Ok(0)
    }
}

/// The tracker of a run with default options.
fn tracker() -> Tracker {
    Tracker::new(TrackerOptions { events: Events::default(), ..TrackerOptions::default() })
}

/// The CPU time of this thread.
fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
