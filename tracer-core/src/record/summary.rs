//! What was seen, told and lost.

use serde::{Serialize, Serializer};

use super::{Text, is_zero};

/// What was seen, told and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Since the start of the observation.
    #[serde(rename = "tracer.duration_ns")]
    pub duration_ns: u64,
    /// Frames seen.
    #[serde(rename = "tracer.frames")]
    pub frames: u64,
    /// Segments taken into a connection.
    #[serde(rename = "tracer.segments")]
    pub segments: u64,
    /// Frames passed over, by reason.
    #[serde(flatten, serialize_with = "skipped")]
    pub skipped: Counts,
    /// Segments of handshakes counted at their server only.
    #[serde(rename = "tracer.handshake_segments.aggregated", skip_serializing_if = "is_zero")]
    pub aggregated: u64,
    /// Events received by userspace.
    #[serde(rename = "tracer.events.received")]
    pub events_received: u64,
    /// Events lost, by cause.
    #[serde(flatten, serialize_with = "events_lost")]
    pub events_lost: Counts,
    /// Connections opened, or picked up.
    #[serde(rename = "tracer.connections.opened")]
    pub opened: u64,
    /// Connections over.
    #[serde(rename = "tracer.connections.closed")]
    pub closed: u64,
    /// Connections open now.
    #[serde(rename = "tracer.connections.open")]
    pub open: u64,
    /// Handshakes not confirmed now.
    #[serde(rename = "tracer.connections.half_open")]
    pub half_open: u64,
    /// Connections given up to make room.
    #[serde(rename = "tracer.connections.evicted", skip_serializing_if = "is_zero")]
    pub evicted: u64,
    /// Connections never told, because all their events were lost and their ports used again before they were looked up.
    #[serde(rename = "tracer.connections.lost", skip_serializing_if = "is_zero")]
    pub connections_lost: u64,
    /// Exchanges reported.
    #[serde(rename = "tracer.exchanges")]
    pub exchanges: u64,
    /// Connections whose heads and exchanges under way were given up to make room for those of others.
    #[serde(rename = "tracer.buffers.dropped", skip_serializing_if = "is_zero")]
    pub buffers_dropped: u64,
    /// Records written before this one, where a writer of its own writes them.
    #[serde(rename = "tracer.records.written", skip_serializing_if = "Option::is_none")]
    pub records_written: Option<u64>,
    /// Records lost: there was no room for them while the output took none.
    #[serde(rename = "tracer.records.lost", skip_serializing_if = "is_zero")]
    pub records_lost: u64,
    /// Where frames were observed, as "eth0 ingress xdp native".
    #[serde(rename = "tracer.attachments", serialize_with = "harmless_list")]
    pub attachments: Vec<String>,
}

/// Numbers by name; each becomes a field with the name behind a prefix, those of zero are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<(&'static str, u64)>);

impl Counts {
    /// All of them together.
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

/// The same for a list of them.
fn harmless_list<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|entry| Text::from_wire(entry.as_bytes())))
}
