//! Reads the connection tables of the kernel programs.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use tracer_common::{connection::FlowState, flow::FlowKey};

/// The connection tables of the kernel programs.
#[derive(Debug)]
pub struct Tables {
    connections: HashMap<MapData, FlowKey, FlowState>,
    half_open: HashMap<MapData, FlowKey, FlowState>,
}

impl Tables {
    pub(super) fn new(connections: Map, half_open: Map) -> Result<Self> {
        Ok(Self {
            connections: connections.try_into().context("the map CONNECTIONS is not as expected")?,
            half_open: half_open.try_into().context("the map HALF_OPEN is not as expected")?,
        })
    }

    /// The state of a connection, if it is in a table.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn find(&self, key: &FlowKey) -> Result<Option<FlowState>> {
        if let Some(flow) = found(self.connections.get(key, 0))? {
            return Ok(Some(flow));
        }
        found(self.half_open.get(key, 0))
    }

    /// The keys of the connections, without half-open handshakes. Entries that are deleted
    /// meanwhile may make the iteration miss others or repeat them.
    pub fn connections(&self) -> impl Iterator<Item = Result<FlowKey>> {
        self.connections.keys().map(|key| key.context("cannot read the connection table"))
    }
}

/// Turns a missing key into `None`.
fn found<T>(result: Result<T, MapError>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(None),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error).context("cannot read the connection table"),
    }
}
