//! Load shedding.

use serde::Serialize;

/// `tracer.degraded`: events or records are being lost, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Degraded {
    /// Whether the degradation begins or ends.
    #[serde(rename = "tracer.degraded.state")]
    pub state: DegradedState,
    /// Class of events being shed.
    #[serde(rename = "tracer.degraded.shed")]
    pub shed: ShedClass,
    /// Why events are shed.
    #[serde(rename = "tracer.degraded.reason")]
    pub reason: DegradedReason,
    /// Events or records lost since the degradation began.
    #[serde(rename = "tracer.degraded.lost")]
    pub lost: u64,
    /// Time from the first to the last loss; only at the end.
    #[serde(rename = "tracer.degraded.duration_ns", skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
}

/// Whether the degradation begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DegradedState {
    /// Loss begins.
    Entered,
    /// Nothing has been lost for a while.
    Left,
}

/// Classes of events being shed, lowest priority first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShedClass {
    /// Per-segment rows.
    Segments,
    /// Events about anomalies.
    Anomalies,
    /// Events about the start and end of connections, and about messages.
    Control,
    /// Records.
    Records,
}

/// Why events are shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DegradedReason {
    /// The ring buffer fills faster than it is read.
    ReaderBehind,
    /// The ring buffer is full.
    RingFull,
    /// The output consumer is too slow or blocked.
    OutputBlocked,
    /// The disk is full.
    OutputFull,
    /// The output cannot be written for another reason.
    OutputFailed,
}

impl ShedClass {
    /// All classes, lowest priority first.
    pub const ALL: [Self; 4] = [Self::Segments, Self::Anomalies, Self::Control, Self::Records];
}
