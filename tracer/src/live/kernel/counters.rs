//! Reads the counters of the kernel programs, summed over all CPUs.

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use tracer_common::counter::Counter;
use tracer_core::summary::Counted;

/// The counters of the kernel programs.
pub struct Counters(PerCpuArray<MapData, u64>);

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

impl Counters {
    pub(super) fn new(map: Map) -> Result<Self> {
        Ok(Self(PerCpuArray::try_from(map).context("the map COUNTERS is not as expected")?))
    }

    /// Events lost so far: segment rows, anomalies, and all others.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn lost(&self) -> Result<[u64; 3]> {
        let of = |counter| self.total(counter as u32);
        Ok([
            of(Counter::SegmentEventsLost)?,
            of(Counter::AnomalyEventsLost)?,
            of(Counter::ControlEventsLost)? + of(Counter::HttpEventsLost)?,
        ])
    }

    fn total(&self, index: u32) -> Result<u64> {
        Ok(self.0.get(&index, 0).context("cannot read the counters")?.iter().sum())
    }

    /// Reads them all.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn read(&self) -> Result<Counted> {
        let mut totals = [0; Counter::COUNT];
        for (index, total) in (0..).zip(&mut totals) {
            *total = self.total(index)?;
        }
        Ok(Counted::from_totals(&totals))
    }
}
