//! The connection tables of the kernel programs.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use tracer_common::{connection::FlowState, flow::FlowKey};

/// The connections as the kernel programs keep them.
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

    /// The connection, if the kernel programs know it.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn find(&self, key: &FlowKey) -> Result<Option<FlowState>> {
        if let Some(flow) = found(self.connections.get(key, 0))? {
            return Ok(Some(flow));
        }
        found(self.half_open.get(key, 0))
    }

    /// The connections, without the attempts at one. One that goes meanwhile may be missing, or others come twice.
    pub fn connections(&self) -> impl Iterator<Item = Result<FlowKey>> {
        self.connections.keys().map(|key| key.context("cannot look into the connection table"))
    }
}

/// Not there is an answer, not an error.
fn found<T>(answer: Result<T, MapError>) -> Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(None),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error).context("cannot look into the connection table"),
    }
}
