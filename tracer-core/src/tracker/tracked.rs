//! One entry of the connection table.

use std::sync::Arc;

use hashbrown::HashMap;
use tracer_common::{flow::End, wire::address};

use super::{owners::Ownership, slot::Deadline};
use crate::{
    connection::Connection,
    record::{self, Attributes, ConnectionId},
};

/// A connection, and what the tracker keeps of it.
pub(super) struct Tracked {
    pub(super) connection: Connection,
    /// Its number in this run, from 1.
    pub(super) number: u64,
    /// Index of the interface on which it was first seen.
    pub(super) interface: u32,
    /// What the kernel learned about it once; the rest its messages show.
    pub(super) attributes: Attributes,
    /// The owners of its ends.
    pub(super) owners: [Ownership; 2],
    /// Bytes of its messages and its gaps.
    pub(super) buffered: u32,
    /// Its deadline; others of it in the heap are stale.
    pub(super) due: u64,
    /// Whether it was reported as half-open.
    pub(super) half_open_reported: bool,
    /// Whether it was recovered from the kernel's table, because the events of its handshake were lost.
    pub(super) recovered: bool,
    /// Whether it is another one after this host has translated its addresses: nothing is reported then.
    pub(super) is_translated: bool,
}

impl Tracked {
    /// Whether a deadline is not stale.
    pub(super) const fn has_deadline(&self, deadline: Deadline) -> bool {
        self.due == deadline.due && self.number as u32 == deadline.number
    }

    /// Updates the count of buffered bytes.
    pub(super) fn update_buffered(&mut self) {
        self.buffered = u32::try_from(self.connection.buffered()).unwrap_or(u32::MAX);
    }

    /// The identity that all its records carry: `run` identifies this run, `interfaces` are the names of the
    /// traced ones.
    pub(super) fn identity(
        &self,
        run: u32,
        interfaces: &HashMap<u32, Arc<str>>,
    ) -> record::ConnectionIdentity {
        let key = self.connection.key;
        let low = (address(key.low), key.low_port);
        let high = (address(key.high), key.high_port);
        let end = self.connection.client();
        let (client, server) = match end {
            End::Low => (low, high),
            End::High => (high, low),
        };
        let owner = |end: End| self.owners[end as usize].owner();
        let attributes = Attributes {
            forwarded: self.connection.forwarded(),
            client_owner: owner(end),
            server_owner: owner(end.other()),
            ..self.attributes.clone()
        };
        record::ConnectionIdentity {
            id: ConnectionId { run, number: self.number },
            attributes,
            interface: interfaces.get(&self.interface).cloned(),
            is_one_of_several: interfaces.len() > 1,
            client_address: client.0,
            client_port: client.1,
            server_address: server.0,
            server_port: server.1,
        }
    }
}
