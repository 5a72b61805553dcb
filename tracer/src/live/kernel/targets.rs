//! Reads the counters that the kernel programs keep for each server.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use tracer_common::target::{Target, TargetKey};

/// The counters of all servers.
#[derive(Debug)]
pub struct Targets(HashMap<MapData, TargetKey, Target>);

impl Targets {
    pub(super) fn new(map: Map) -> Result<Self> {
        Ok(Self(map.try_into().context("the map TARGETS is not as expected")?))
    }

    /// Reads them all. A server that is evicted meanwhile may be missing or be returned twice.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn read(&self) -> Result<Vec<(TargetKey, Target)>> {
        let mut targets = Vec::new();
        for key in self.0.keys() {
            let target = key.and_then(|key| self.0.get(&key, 0).map(|target| (key, target)));
            match target {
                Ok(target) => targets.push(target),
                Err(MapError::KeyNotFound | MapError::ElementNotFound) => {}
                Err(error) => return Err(error).context("cannot read the table of servers"),
            }
        }
        Ok(targets)
    }
}
