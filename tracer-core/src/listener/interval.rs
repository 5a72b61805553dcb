//! The counters of a server within an interval.

use std::array;

use tracer_common::server::{Count, ServerCounters};

/// All counters of a server, since the start of the observation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerTotals([u64; Count::COUNT]);

/// The counters, in order.
const ORDER: [Count; Count::COUNT] = [
    Count::Attempts,
    Count::SynRetransmits,
    Count::Answered,
    Count::SynAckRetransmits,
    Count::Completed,
    Count::Refused,
    Count::Reset,
    Count::Aggregated,
    Count::HandshakeNs,
];

impl ServerTotals {
    pub(super) fn of(target: &ServerCounters) -> Self {
        Self(ORDER.map(|count| target.get(count)))
    }

    pub(super) const fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// The increase since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self(array::from_fn(|index| self.0[index].saturating_sub(earlier.0[index])))
    }

    pub(super) fn plus(&self, more: &Self) -> Self {
        Self(array::from_fn(|index| self.0[index].saturating_add(more.0[index])))
    }

    /// Whether any counter is lower than in `earlier`: they were reset.
    pub(super) fn were_reset(&self, earlier: &Self) -> bool {
        self.0.iter().zip(&earlier.0).any(|(now, before)| now < before)
    }

    /// Attempts that are over: completed, refused or reset.
    pub(super) fn done(&self) -> u64 {
        self.get(Count::Completed) + self.get(Count::Refused) + self.get(Count::Reset)
    }
}

/// The increase of the counters in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    /// The increase.
    pub(super) counts: ServerTotals,
    /// Length in ns; not 0.
    pub(super) span_ns: u64,
}

impl Interval {
    /// A counter per second.
    pub(super) fn rate(&self, count: Count) -> u64 {
        per_second(self.counts.get(count), self.span_ns)
    }

    /// Completed handshakes per attempt, in permille; `None` without attempts.
    pub(super) fn completion_permille(&self) -> Option<u64> {
        let (done, attempts) = (self.counts.get(Count::Completed), self.counts.get(Count::Attempts));
        done.saturating_mul(1000).checked_div(attempts).map(|permille| permille.min(1000))
    }

    /// The increase of unfinished attempts beyond what the handshake latency explains. By Little's law, the
    /// attempts in progress are the sum of the handshake times divided by the length of the interval.
    /// `before` is the interval before this one.
    pub(super) fn excess(&self, before: &Self) -> u64 {
        let unfinished = self.counts.get(Count::Attempts).saturating_sub(self.counts.done());
        let in_progress = self.in_progress();
        let more = in_progress.saturating_sub(before.in_progress());
        unfinished.saturating_sub(more.saturating_mul(SLACK)).saturating_sub(in_progress / NOISE)
    }

    fn in_progress(&self) -> u64 {
        self.counts.get(Count::HandshakeNs) / self.span_ns.max(1)
    }
}

/// What the latency explains is multiplied by this: when a client starts, its first handshakes complete later
/// than its attempts.
const SLACK: u64 = 3;
/// One in this many of the attempts in progress may be random variation.
const NOISE: u64 = 2;

fn per_second(number: u64, span_ns: u64) -> u64 {
    let scaled = u128::from(number) * 1_000_000_000 / u128::from(span_ns.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
