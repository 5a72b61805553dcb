//! What is given up when there is too much.

use serde::Serialize;

/// `tracer.degraded`: less is told than was asked for, from now on or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Degraded {
    /// Whether it begins or is over.
    #[serde(rename = "tracer.degraded.state")]
    pub state: DegradedState,
    /// What is given up.
    #[serde(rename = "tracer.degraded.shed")]
    pub shed: ShedClass,
    /// Why.
    #[serde(rename = "tracer.degraded.reason")]
    pub reason: DegradedReason,
    /// How many were lost since it began.
    #[serde(rename = "tracer.degraded.lost")]
    pub lost: u64,
    /// How long it took, from the first loss noticed to the last; only once it is over.
    #[serde(rename = "tracer.degraded.duration_ns", skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
}

/// Whether it begins or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DegradedState {
    /// It begins.
    Entered,
    /// It is over.
    Left,
}

/// What is given up, the least valuable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShedClass {
    /// Rows of the list of segments.
    Segments,
    /// Events of anomalies.
    Anomalies,
    /// Events of the start and the end of connections, and of messages.
    Control,
    /// Records.
    Records,
}

/// Why it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DegradedReason {
    /// The ring buffer fills faster than it is read.
    ReaderBehind,
    /// The ring buffer is full.
    RingFull,
    /// Who reads the records is too slow, or has stopped.
    OutputBlocked,
    /// The disk is full.
    OutputFull,
    /// The records cannot be written for another reason.
    OutputFailed,
}

impl ShedClass {
    /// All of them, the least valuable first.
    pub const ALL: [Self; 4] = [Self::Segments, Self::Anomalies, Self::Control, Self::Records];
}
