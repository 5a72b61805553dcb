//! One place of the table: a connection and what is known of it besides.

use std::{net::IpAddr, sync::Arc};

use tracer_common::wire::{Encapsulations, address};

use crate::{
    record::{self, NetworkType},
    tcp::Connection,
};

/// A connection, and what the table keeps about it.
pub(super) struct Tracked {
    pub(super) connection: Connection,
    /// Its number in this run, from 1.
    pub(super) number: u64,
    /// The interface that showed it first.
    pub(super) interface: Option<Arc<str>>,
    /// What its first segment was carried in.
    pub(super) encapsulation: Encapsulations,
    /// What all its records say, once there is one; of most half-open handshakes there is none for long.
    pub(super) facts: Option<Arc<record::Connection>>,
    /// Which way round `facts` are.
    pub(super) client_is_low: bool,
    /// Bytes kept of its messages.
    pub(super) buffered: usize,
    /// The deadline that counts; others in the heap are left over.
    pub(super) due: u64,
    /// That it is half-open has been told.
    pub(super) half_open_told: bool,
    /// Its handshake was found to be through in the kernel's table, because the events that would have told were lost.
    pub(super) looked_up: bool,
}

impl Tracked {
    /// What all its records say, in the run with this name.
    pub(super) fn facts(&mut self, run: u32) -> Arc<record::Connection> {
        let Connection { key, client_is_low, .. } = self.connection;
        if let Some(facts) = self.facts.as_ref().filter(|_| client_is_low == self.client_is_low) {
            return Arc::clone(facts);
        }
        // There are none yet, or its direction was repaired.
        let low = (address(key.low), key.low_port);
        let high = (address(key.high), key.high_port);
        let (client, server) = if client_is_low { (low, high) } else { (high, low) };
        let facts = Arc::new(record::Connection {
            id: format!("{run:08x}-{}", self.number),
            community_id: community_id(client, server),
            network_type: if client.0.is_ipv4() { NetworkType::Ipv4 } else { NetworkType::Ipv6 },
            encapsulation: self.encapsulation,
            interface: self.interface.clone(),
            client_address: client.0,
            client_port: client.1,
            server_address: server.0,
            server_port: server.1,
        });
        self.client_is_low = client_is_low;
        self.facts = Some(Arc::clone(&facts));
        facts
    }
}

/// Community ID v1 with seed 0 (github.com/corelight/community-id-spec).
fn community_id(client: (IpAddr, u16), server: (IpAddr, u16)) -> String {
    const TCP: u8 = 6;
    community_id::calculate_community_id(0, client.0, server.0, Some(client.1), Some(server.1), TCP, false)
        .unwrap_or_default()
}
