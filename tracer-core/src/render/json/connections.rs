//! The fields of a line about its connection: the same in every line of it, so those of recent
//! connections are kept.

use serde::Serialize as _;

use super::members::Members;
use crate::record::ConnectionIdentity;

/// How many are kept: several times more than are busy at once on most hosts, so that few share a
/// place; at half a kilobyte each.
const PLACES: usize = 4096;

/// Bytes that the members of nearly all take: more would be moved once.
const LEN: usize = 384;

/// The connections written last, each in the place that its number gives it.
pub(super) struct Connections(Vec<Option<Rendered>>);

struct Rendered {
    connection: ConnectionIdentity,
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
    pub(super) fn members(&mut self, connection: &ConnectionIdentity) -> serde_json::Result<&[u8]> {
        let place = connection.id.number as usize % PLACES;
        let Some(place) = self.0.get_mut(place) else { return Ok(&[]) };
        let is_new = place.is_none();
        let rendered = place.get_or_insert_with(|| Rendered {
            connection: connection.clone(),
            members: Vec::with_capacity(LEN),
        });
        // It may be another one, or its direction was repaired.
        if is_new || rendered.connection != *connection {
            rendered.connection = connection.clone();
            rendered.members.clear();
            connection.serialize(Members(&mut rendered.members))?;
        }
        Ok(&rendered.members)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::record::{Attributes, ConnectionId};

    #[test]
    fn each_connection_gets_its_own_members_however_many_there_are() {
        let connection = |number: u64, client_port: u16| ConnectionIdentity {
            id: ConnectionId { run: 7, number },
            attributes: Attributes::default(),
            interface: None,
            is_one_of_several: false,
            client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            client_port,
            server_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            server_port: 80,
        };
        let mut connections = Connections::default();
        let mut check = |connection: &ConnectionIdentity| {
            let expected = serde_json::to_string(connection).expect("JSON");
            let members = connections.members(connection).expect("members");
            assert_eq!(members, [",", &expected[1..expected.len() - 1]].concat().as_bytes());
        };
        // The second time the other way round.
        for client_port in [4000, 80] {
            (0..2 * PLACES as u64).for_each(|number| check(&connection(number, client_port)));
        }
        for client_port in [4000, 80] {
            (0..100).for_each(|number| check(&connection(number, client_port)));
        }
    }
}
