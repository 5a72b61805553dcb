//! One place of the table: a connection and what is known of it besides.

use std::sync::Arc;

use tracer_common::wire::{Encapsulations, address};

use super::deadlines::Deadline;
use crate::{
    connection::Connection,
    record::{self, ConnectionId},
};

/// A connection, and what the table keeps about it.
pub(super) struct Tracked {
    pub(super) connection: Connection,
    /// Its number in this run, from 1.
    pub(super) number: u64,
    /// The index of the interface that showed it first.
    pub(super) interface: u32,
    /// What its first segment was carried in.
    pub(super) encapsulation: Encapsulations,
    /// Bytes kept of its messages.
    pub(super) buffered: u32,
    /// The deadline that counts; others in the heap are left over.
    pub(super) due: u64,
    /// That it is half-open has been told.
    pub(super) half_open_told: bool,
    /// Its handshake was found to be through in the kernel's table, because the events that would have told were lost.
    pub(super) looked_up: bool,
}

impl Tracked {
    /// Whether this is the deadline that counts.
    pub(super) const fn awaits(&self, deadline: Deadline) -> bool {
        self.due == deadline.due && self.number as u32 == deadline.number
    }

    /// Notes what is kept of its messages.
    pub(super) fn note_buffered(&mut self) {
        self.buffered = u32::try_from(self.connection.buffered()).unwrap_or(u32::MAX);
    }

    /// What all its records say, in the run with this name, and with the name of its interface.
    pub(super) fn identity(&self, run: u32, interface: Option<Arc<str>>) -> record::Connection {
        let key = self.connection.key;
        let low = (address(key.low), key.low_port);
        let high = (address(key.high), key.high_port);
        let (client, server) = if self.connection.client_is_low() { (low, high) } else { (high, low) };
        record::Connection {
            id: ConnectionId { run, number: self.number },
            encapsulation: self.encapsulation,
            interface,
            client_address: client.0,
            client_port: client.1,
            server_address: server.0,
            server_port: server.1,
        }
    }
}
