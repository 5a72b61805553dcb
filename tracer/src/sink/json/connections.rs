//! What lines say of their connection. A connection tells much the same in line after line, so that of the last ones is kept.

use std::sync::Arc;

use serde::Serialize as _;

use super::members::Members;
use crate::record::Connection;

/// How many are kept: several times more than are busy at once on most hosts, so that few share a place; at half a kilobyte each.
const PLACES: usize = 4096;

/// The connections told last, each in the place that its address in memory gives it.
pub(super) struct Connections(Vec<Option<Rendered>>);

struct Rendered {
    /// Kept, so that its address stays its own.
    connection: Arc<Connection>,
    members: Vec<u8>,
}

impl Default for Connections {
    fn default() -> Self {
        Self((0..PLACES).map(|_| None).collect())
    }
}

impl Connections {
    /// The members of `connection` in a line.
    ///
    /// # Errors
    /// It has no such members: never.
    pub(super) fn members(&mut self, connection: &Arc<Connection>) -> serde_json::Result<&[u8]> {
        // Neighbours in memory lie some multiple of 16 bytes apart.
        let place = Arc::as_ptr(connection).addr() / size_of::<Connection>() % PLACES;
        let Some(place) = self.0.get_mut(place) else { return Ok(&[]) };
        let is_new = place.is_none();
        let rendered =
            place.get_or_insert_with(|| Rendered { connection: Arc::clone(connection), members: Vec::new() });
        if is_new || !Arc::ptr_eq(&rendered.connection, connection) {
            rendered.connection = Arc::clone(connection);
            rendered.members.clear();
            connection.serialize(Members(&mut rendered.members))?;
        }
        Ok(&rendered.members)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tracer_common::wire::Encapsulations;

    use super::*;
    use crate::record::NetworkType;

    #[test]
    fn each_connection_gets_its_own_members_however_many_there_are() {
        let connection = |port: u16| Connection {
            id: port.to_string(),
            community_id: String::new(),
            network_type: NetworkType::Ipv4,
            encapsulation: Encapsulations::default(),
            interface: None,
            client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            client_port: port,
            server_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            server_port: 80,
        };
        let mut connections = Connections::default();
        let mut check = |connection: &Arc<Connection>| {
            let expected = serde_json::to_string(&**connection).expect("JSON");
            let members = connections.members(connection).expect("members");
            assert_eq!(members, [",", &expected[1..expected.len() - 1]].concat().as_bytes());
        };
        let all: Vec<_> = (0..2 * PLACES as u16).map(|port| Arc::new(connection(port))).collect();
        for _ in 0..2 {
            all.iter().for_each(&mut check);
        }
        drop(all);
        (0..100).map(|port| Arc::new(connection(port))).for_each(|connection| check(&connection));
    }
}
