//! What the kernel programs count, summed over all CPUs.

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use tracer_common::{counter::Counter, wire::Skip};

use crate::record::Counts;

/// The counters of the kernel programs.
pub struct Counters(PerCpuArray<MapData, u64>);

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

/// The counters at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Segments taken into a connection.
    pub matched: u64,
    /// Frames passed over, by reason.
    pub skipped: Counts,
    /// Events told.
    pub told: u64,
    /// Events lost because the ring was full, by kind.
    pub lost: Counts,
}

impl Counted {
    /// Frames seen.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.matched + self.skipped.total()
    }

    fn from_totals(total: impl Fn(usize) -> u64) -> Self {
        let of = |counter: Counter| total(counter as usize);
        Self {
            matched: of(Counter::Matched),
            skipped: Counts(Skip::ALL.map(|reason| (reason.as_str(), total(reason as usize))).to_vec()),
            told: of(Counter::SegmentEvents) + of(Counter::HttpEvents),
            lost: Counts(vec![
                ("segment_ring_full", of(Counter::SegmentEventsLost)),
                ("http_ring_full", of(Counter::HttpEventsLost)),
            ]),
        }
    }
}

impl Counters {
    pub(super) fn new(map: Map) -> Result<Self> {
        Ok(Self(PerCpuArray::try_from(map).context("the map COUNTERS is not as expected")?))
    }

    /// Reads them all.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn read(&self) -> Result<Counted> {
        let mut totals = [0; Counter::COUNT];
        for (index, total) in (0..).zip(&mut totals) {
            let of_cpus = self.0.get(&index, 0).context("cannot read the counters")?;
            *total = of_cpus.iter().sum();
        }
        Ok(Counted::from_totals(|index| totals.get(index).copied().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_its_place() {
        let counted = Counted::from_totals(|index| 1 << index);
        assert_eq!(counted.skipped.total(), (1 << Skip::COUNT) - 1);
        assert_eq!(counted.matched, 1 << Skip::COUNT);
        assert_eq!(counted.frames(), (1 << (Skip::COUNT + 1)) - 1);
        assert_eq!(counted.told, 0b1100 << Skip::COUNT);
        assert_eq!(counted.lost.total(), 0b11_0000 << Skip::COUNT);
    }
}
