//! What the kernel programs count for each server that is asked for connections.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use tracer_common::target::{Target, TargetKey};

/// The counts of all servers.
#[derive(Debug)]
pub struct Targets(HashMap<MapData, TargetKey, Target>);

impl Targets {
    pub(super) fn new(map: Map) -> Result<Self> {
        Ok(Self(map.try_into().context("the map TARGETS is not as expected")?))
    }

    /// Reads them all. One that makes room for another meanwhile may be missing, or come twice.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn read(&self) -> Result<Vec<(TargetKey, Target)>> {
        let mut targets = Vec::new();
        for key in self.0.keys() {
            let target = key.and_then(|key| self.0.get(&key, 0).map(|target| (key, target)));
            match target {
                Ok(target) => targets.push(target),
                Err(MapError::KeyNotFound | MapError::ElementNotFound) => {}
                Err(error) => return Err(error).context("cannot look into the table of servers"),
            }
        }
        Ok(targets)
    }
}
