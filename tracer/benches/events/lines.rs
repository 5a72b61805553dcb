//! The floor of a line: serde_json renders it, and nothing else is done.

use std::{hint::black_box, iter, time::Duration};

use anyhow::Result;
use serde::Serialize;
use tracer::record::{Body, Connection, Record};
use tracer_common::event::Event;

use crate::{now, stream::Events, tracker};

/// What a line says, but for its time.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "event.name")]
    name: &'static str,
    #[serde(flatten)]
    connection: &'a Option<Connection>,
    #[serde(flatten)]
    body: &'a Body,
}

/// How long the lines of these events take, once their records are made.
pub(crate) fn run(events: &Events) -> Result<Duration> {
    let records = records(events);
    let mut line = Vec::new();
    let start = now()?;
    for Record { connection, body, .. } in &records {
        line.clear();
        serde_json::to_writer(&mut line, &Line { name: body.name().as_str(), connection, body })?;
        black_box(&line);
    }
    Ok(now()? - start)
}

/// The records of a run without options, but for those of connections that do not end by themselves.
fn records(events: &Events) -> Vec<Record> {
    let mut tracker = tracker();
    let mut records = Vec::new();
    for event in events.iter().filter_map(|bytes| Event::from_bytes(bytes).ok()) {
        tracker.on_event(&event);
        records.extend(iter::from_fn(|| tracker.next_record()));
    }
    records.retain(|record| matches!(record.body, Body::Opened(_) | Body::Closed(_) | Body::Exchange(_)));
    records
}
