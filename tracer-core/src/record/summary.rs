//! The summary of a run.

use serde::{Serialize, Serializer};

use super::{Text, is_zero};

/// `tracer.summary`: what was seen, reported and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Time since the trace or capture began.
    #[serde(rename = "tracer.duration_ns")]
    pub duration_ns: u64,
    /// Frames seen.
    #[serde(rename = "tracer.frames")]
    pub frames: u64,
    /// Segments assigned to a connection.
    #[serde(rename = "tracer.segments")]
    pub segments: u64,
    /// Frames skipped, by reason.
    #[serde(flatten, serialize_with = "skipped")]
    pub skipped: Counts,
    /// Handshake segments that were counted for their server only.
    #[serde(rename = "tracer.handshake_segments.aggregated", skip_serializing_if = "is_zero")]
    pub aggregated: u64,
    /// Events received by userspace.
    #[serde(rename = "tracer.events.received")]
    pub events_received: u64,
    /// Events lost, by class and reason.
    #[serde(flatten, serialize_with = "events_lost")]
    pub events_lost: Counts,
    /// Connections opened, or first seen midstream.
    #[serde(rename = "tracer.connections.opened")]
    pub opened: u64,
    /// Connections closed.
    #[serde(rename = "tracer.connections.closed")]
    pub closed: u64,
    /// Connections open now.
    #[serde(rename = "tracer.connections.open")]
    pub open: u64,
    /// Half-open handshakes now.
    #[serde(rename = "tracer.connections.half_open")]
    pub half_open: u64,
    /// Connections evicted because the limit was reached.
    #[serde(rename = "tracer.connections.evicted", skip_serializing_if = "is_zero")]
    pub evicted: u64,
    /// Connections never reported: all their events were lost, and their ports were reused before
    /// the table was read.
    #[serde(rename = "tracer.connections.lost", skip_serializing_if = "is_zero")]
    pub connections_lost: u64,
    /// Exchanges reported.
    #[serde(rename = "tracer.exchanges")]
    pub exchanges: u64,
    /// Connections whose message and gap buffers were dropped because the limit on memory was
    /// reached.
    #[serde(rename = "tracer.buffers.dropped", skip_serializing_if = "is_zero")]
    pub buffers_dropped: u64,
    /// Records written before this one; none in a replay.
    #[serde(rename = "tracer.records.written", skip_serializing_if = "Option::is_none")]
    pub records_written: Option<u64>,
    /// Records lost because the output was blocked or too slow.
    #[serde(rename = "tracer.records.lost", skip_serializing_if = "is_zero")]
    pub records_lost: u64,
    /// Records that the selection left out.
    #[serde(rename = "tracer.records.filtered", skip_serializing_if = "is_zero")]
    pub records_filtered: u64,
    /// Records that were dropped while it was not known whether they match, because the limit on
    /// held records was reached.
    #[serde(rename = "tracer.records.unheld", skip_serializing_if = "is_zero")]
    pub records_unheld: u64,
    /// One of so many connections is in the sample.
    #[serde(rename = "tracer.sample.one_of", skip_serializing_if = "Option::is_none")]
    pub sample: Option<u32>,
    /// Where frames were captured, as "eth0 ingress xdp native".
    #[serde(rename = "tracer.attachments", serialize_with = "harmless_list")]
    pub attachments: Vec<String>,
}

/// Counters by name. Each is a field of a common prefix and the name, absent when zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<(&'static str, u64)>);

impl Counts {
    /// Sum of the counters.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

fn serialize_counts<S: Serializer>(prefix: &str, counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    let counted = counts.0.iter().filter(|(_, count)| *count > 0);
    serializer.collect_map(counted.map(|(name, count)| (format!("{prefix}.{name}"), count)))
}

fn skipped<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_counts("tracer.skipped", counts, serializer)
}

fn events_lost<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_counts("tracer.events.lost", counts, serializer)
}

/// Writes a list of texts with control characters escaped.
fn harmless_list<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|entry| Text::from_wire(entry.as_bytes())))
}
