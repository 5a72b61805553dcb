//! Identity of a connection: the fields that all its records have.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    attributes::Attributes,
    text::{Text, is_harmless},
};

/// Identifier of a connection, unique even when ports are reused: `6f0c11d2-42`, the run and the
/// number in it, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Number of the run.
    pub run: u32,
    /// Number of the connection in the run.
    pub number: u64,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.run, self.number)
    }
}

/// Identity of a connection, and where it was seen.
///
/// Texts are rendered for each record and not stored: most connections have only a few records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionIdentity {
    /// Identifier of the connection.
    pub id: ConnectionId,
    /// What the kernel learned about it once.
    pub attributes: Attributes,
    /// Interface on which the connection was first seen.
    pub interface: Option<Arc<str>>,
    /// Whether several interfaces are traced, so that the text output names this one.
    pub is_one_of_several: bool,
    /// Address of the client.
    pub client_address: IpAddr,
    /// Port of the client.
    pub client_port: u16,
    /// Address of the server.
    pub server_address: IpAddr,
    /// Port of the server.
    pub server_port: u16,
}

impl ConnectionIdentity {
    /// Address and port of the client.
    #[must_use]
    pub const fn client(&self) -> SocketAddr {
        SocketAddr::new(self.client_address, self.client_port)
    }

    /// Address and port of the server.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        SocketAddr::new(self.server_address, self.server_port)
    }

    /// IP version.
    const fn network_type(&self) -> &'static str {
        if self.client_address.is_ipv4() { "ipv4" } else { "ipv6" }
    }

    /// Community ID v1 with seed 0 (github.com/corelight/community-id-spec), the same for both
    /// directions.
    #[must_use]
    pub fn community_id(&self) -> String {
        const TCP: u8 = 6;
        let (client, server) = (self.client_address, self.server_address);
        let ports = (Some(self.client_port), Some(self.server_port));
        community_id::calculate_community_id(0, client, server, ports.0, ports.1, TCP, false)
            .unwrap_or_default()
    }
}

impl Serialize for ConnectionIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("connection.id", &self.id)?;
        map.serialize_entry("network.community_id", &self.community_id())?;
        map.serialize_entry("network.type", self.network_type())?;
        self.attributes.serialize_into(&mut map)?;
        if let Some(name) = &self.interface {
            // Linux allows almost any interface name, including control characters.
            if name.chars().all(is_harmless) {
                map.serialize_entry("network.interface.name", name)?;
            } else {
                map.serialize_entry("network.interface.name", &Text::from_wire(name.as_bytes()))?;
            }
        }
        map.serialize_entry("client.address", &self.client_address)?;
        map.serialize_entry("client.port", &self.client_port)?;
        map.serialize_entry("server.address", &self.server_address)?;
        map.serialize_entry("server.port", &self.server_port)?;
        map.end()
    }
}

impl Serialize for ConnectionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
