//! Reads the counters that the kernel programs keep for each server.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use tracer_common::server::{ServerCounters, ServerKey};

/// The counters of all servers.
#[derive(Debug)]
pub struct Servers(HashMap<MapData, ServerKey, ServerCounters>);

impl Servers {
    pub(super) fn new(map: Map) -> Result<Self> {
        Ok(Self(map.try_into().context("the map SERVERS is not as expected")?))
    }

    /// Reads them all. A server that is evicted meanwhile may be missing or be returned twice.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn read(&self) -> Result<Vec<(ServerKey, ServerCounters)>> {
        let mut servers = Vec::new();
        for key in self.0.keys() {
            let server = key.and_then(|key| self.0.get(&key, 0).map(|server| (key, server)));
            match server {
                Ok(server) => servers.push(server),
                Err(MapError::KeyNotFound | MapError::ElementNotFound) => {}
                Err(error) => return Err(error).context("cannot read the table of servers"),
            }
        }
        Ok(servers)
    }
}
