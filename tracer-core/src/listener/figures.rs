//! What was counted within a time.

use std::array;

use tracer_common::server::{Count, ServerCounters};

/// Every count, added up over all that the observer has ever counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts([u64; Count::COUNT]);

/// The counts in their order.
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

impl Counts {
    pub(super) fn of(server: &ServerCounters) -> Self {
        Self(ORDER.map(|count| server.get(count)))
    }

    pub(super) const fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// What came after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self(array::from_fn(|index| self.0[index].saturating_sub(earlier.0[index])))
    }

    pub(super) fn plus(&self, more: &Self) -> Self {
        Self(array::from_fn(|index| self.0[index].saturating_add(more.0[index])))
    }

    /// Whether any count is lower than in `earlier`: they were begun anew.
    pub(super) fn are_anew(&self, earlier: &Self) -> bool {
        self.0.iter().zip(&earlier.0).any(|(now, before)| now < before)
    }

    /// Attempts that are over: confirmed, refused or reset.
    pub(super) fn done(&self) -> u64 {
        self.get(Count::Completed) + self.get(Count::Refused) + self.get(Count::Reset)
    }
}

/// What was counted in `span_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    /// The counts.
    pub(super) counts: Counts,
    /// Of how long, in ns; not 0.
    pub(super) span_ns: u64,
}

impl Figures {
    /// In a second.
    pub(super) fn rate(&self, count: Count) -> u64 {
        per_second(self.counts.get(count), self.span_ns)
    }

    /// Of a thousand new attempts, so many were confirmed.
    pub(super) fn completion_permille(&self) -> u64 {
        let (done, attempts) = (self.counts.get(Count::Completed), self.counts.get(Count::Attempts));
        done.saturating_mul(1000).checked_div(attempts).map_or(1000, |permille| permille.min(1000))
    }

    /// How many more attempts are unfinished than before, beyond those that the confirmed ones explain: by Little's law, as
    /// many are under way at a time as the time that they take lies in the span. `before` is as long a time before.
    pub(super) fn excess(&self, before: &Self) -> u64 {
        let unfinished = self.counts.get(Count::Attempts).saturating_sub(self.counts.done());
        let under_way = self.under_way();
        let more = under_way.saturating_sub(before.under_way());
        unfinished.saturating_sub(more.saturating_mul(SLACK)).saturating_sub(under_way / NOISE)
    }

    fn under_way(&self) -> u64 {
        self.counts.get(Count::HandshakeNs) / self.span_ns.max(1)
    }
}

/// So many times what is explained counts as explained: when honest attempts begin, the first confirmations come later than
/// the attempts.
const SLACK: u64 = 3;
/// One in so many of those under way may be more than before by chance.
const NOISE: u64 = 2;

fn per_second(number: u64, span_ns: u64) -> u64 {
    let scaled = u128::from(number) * 1_000_000_000 / u128::from(span_ns.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
