//! Attributes of a connection: what is learned about it once.
//!
//! A new attribute that the kernel learns is a field of [`ConnectionEvent`], a field here, and its serialisation below.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{Owner, Side};
use serde::{Serialize, Serializer, ser::SerializeMap};
use tracer_common::{
    event::ConnectionEvent,
    wire::{Encapsulation, Encapsulations},
};

/// The attributes that are known so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Encapsulation of the first segment, outermost first.
    pub encapsulation: Encapsulations,
    /// Address of the client that a proxy connects for, as its PROXY protocol header says.
    pub forwarded: Option<IpAddr>,
    /// Its addresses after this host has translated them.
    pub nat: Option<Arc<Translated>>,
    /// The process of the client, if it runs on this host.
    pub client_owner: Option<Arc<Owner>>,
    /// The process of the server, if it runs on this host.
    pub server_owner: Option<Arc<Owner>>,
}

/// The addresses of a connection after translation (NAT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The client.
    pub client: SocketAddr,
    /// The server.
    pub server: SocketAddr,
}

impl From<&ConnectionEvent> for Attributes {
    fn from(event: &ConnectionEvent) -> Self {
        Self { encapsulation: event.encapsulation, ..Self::default() }
    }
}

impl Attributes {
    /// Writes the known ones into the map of a record.
    pub(super) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if !self.encapsulation.is_empty() {
            map.serialize_entry("network.encapsulation", &Words(self.encapsulation))?;
        }
        if let Some(nat) = &self.nat {
            map.serialize_entry("network.nat.client.address", &nat.client.ip())?;
            map.serialize_entry("network.nat.client.port", &nat.client.port())?;
            map.serialize_entry("network.nat.server.address", &nat.server.ip())?;
            map.serialize_entry("network.nat.server.port", &nat.server.port())?;
        }
        if let Some(forwarded) = &self.forwarded {
            map.serialize_entry("network.forwarded_ip", forwarded)?;
        }
        for (side, owner) in [(Side::Client, &self.client_owner), (Side::Server, &self.server_owner)] {
            if let Some(owner) = owner {
                owner.serialize_into(side, map)?;
            }
        }
        Ok(())
    }
}

/// The names of encapsulations, as a list.
struct Words(Encapsulations);

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Encapsulation::as_str))
    }
}
