//! What the kernel programs count, summed over all CPUs.

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use tracer_common::counter::Counter;

use crate::summary::Counted;

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
        Ok(Counted::from_totals(&totals))
    }
}
