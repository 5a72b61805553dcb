//! The floor for rendering: serde_json serialises the records, and nothing else is done.

use std::{hint::black_box, time::Duration};

use anyhow::Result;
use serde::Serialize;
use tracer_core::record::{Body, Connection, Record};

use crate::{now, stream::Events, track};

/// A record as a line, without its timestamp.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "event.name")]
    name: &'static str,
    #[serde(flatten)]
    connection: &'a Option<Connection>,
    #[serde(flatten)]
    body: &'a Body,
}

/// Measures the CPU time to render the records of these events, without the time to make the
/// records.
pub(crate) fn run(events: &Events, end: u64) -> Result<Duration> {
    let records = records(events, end);
    let mut line = Vec::new();
    let start = now()?;
    for Record { connection, body, .. } in &records {
        line.clear();
        serde_json::to_writer(&mut line, &Line { name: body.name().as_str(), connection, body })?;
        black_box(&line);
    }
    Ok(now()? - start)
}

/// The records of these events that a run with default options writes.
fn records(events: &Events, end: u64) -> Vec<Record> {
    let mut records = Vec::new();
    track(events, end, |record| records.push(record));
    records.retain(|record| matches!(record.body, Body::Opened(_) | Body::Closed(_) | Body::Exchange(_)));
    records
}
