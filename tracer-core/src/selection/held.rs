//! Records that wait until it is known whether their connection or exchange matches.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use super::size;
use crate::record::{ConnectionId, Record};

/// Records held at once, of all connections: 64 for each of 1024 connections with an exchange under way.
pub(super) const MAX_RECORDS: usize = 65_536;
/// Their bytes: 1 KiB for each of them. Long request targets reach this limit first.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Records held of one connection: one long transfer must not displace what is held of all others.
pub(super) const MAX_RECORDS_EACH: usize = 4096;
/// Bytes of the place of a record in the queues and tables, of which half may be empty.
const PLACE: usize = 2 * (size_of::<Held>() + 2 * size_of::<u64>()) - size_of::<Record>();

/// Why a record waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It is about a connection, of which no exchange has matched so far.
    Connection,
    /// It is about the exchange with this number, of which not enough is known.
    Exchange(u32),
    /// It is about an exchange that matches, of a connection that may match.
    Match,
    /// It is about an exchange that does not match, of a connection that may match.
    Context,
}

/// A record that waits.
#[derive(Debug)]
struct Held {
    record: Record,
    wait: Wait,
    bytes: usize,
}

/// All records that wait, and what is known of their connections.
#[derive(Debug, Default)]
pub(super) struct HeldRecords {
    /// By age: the first is the oldest.
    records: BTreeMap<u64, Held>,
    /// The number of the next record.
    next: u64,
    bytes: usize,
    connections: HashMap<ConnectionId, Known>,
    /// Records that were dropped because a limit was reached.
    pub(super) dropped: u64,
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Known {
    /// Whether one of its exchanges matches.
    has_match: bool,
    /// The numbers of its records.
    records: VecDeque<u64>,
}

impl HeldRecords {
    /// Whether an exchange of the connection has matched.
    pub(super) fn has_match(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|known| known.has_match)
    }

    /// Notes that an exchange of the connection matches.
    pub(super) fn set_match(&mut self, id: ConnectionId) {
        self.connections.entry(id).or_default().has_match = true;
    }

    /// Holds a record. The oldest ones make way for it.
    pub(super) fn hold(&mut self, id: ConnectionId, record: Record, wait: Wait) {
        let bytes = size::bytes(&record) + PLACE;
        self.bytes += bytes;
        let known = self.connections.entry(id).or_default();
        known.records.push_back(self.next);
        self.records.insert(self.next, Held { record, wait, bytes });
        self.next += 1;
        if known.records.len() > MAX_RECORDS_EACH
            && let Some(oldest) = known.records.pop_front()
        {
            self.take(oldest);
            self.dropped += 1;
        }
        while self.records.len() > MAX_RECORDS || self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, oldest)) = self.records.pop_first() else { return };
        self.bytes -= oldest.bytes;
        self.dropped += 1;
        let Some(id) = oldest.record.connection.map(|connection| connection.id) else { return };
        let Some(known) = self.connections.get_mut(&id) else { return };
        // The oldest of all is the oldest of its connection.
        known.records.pop_front();
        if known.records.is_empty() && !known.has_match {
            self.connections.remove(&id);
        }
    }

    fn take(&mut self, number: u64) -> Option<(Record, Wait)> {
        let held = self.records.remove(&number)?;
        self.bytes -= held.bytes;
        Some((held.record, held.wait))
    }

    /// Takes out the records of a connection that `take` wants, oldest first.
    pub(super) fn take_if(&mut self, id: ConnectionId, take: impl Fn(Wait) -> bool) -> Vec<(Record, Wait)> {
        let Some(known) = self.connections.get_mut(&id) else { return Vec::new() };
        let records = &self.records;
        let is_wanted = |number: &u64| records.get(number).is_some_and(|held| take(held.wait));
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut known.records).into_iter().partition(is_wanted);
        known.records = left;
        taken.into_iter().filter_map(|number| self.take(number)).collect()
    }

    /// Changes why the records about an exchange wait, or those about all exchanges.
    pub(super) fn decide(&mut self, id: ConnectionId, exchange: Option<u32>, wait: Wait) {
        let Some(known) = self.connections.get(&id) else { return };
        for number in &known.records {
            if let Some(held) = self.records.get_mut(number)
                && let Wait::Exchange(number) = held.wait
                && exchange.is_none_or(|exchange| exchange == number)
            {
                held.wait = wait;
            }
        }
    }

    /// Forgets a connection. Returns how many of its records were held.
    pub(super) fn forget(&mut self, id: ConnectionId) -> u64 {
        let Some(known) = self.connections.remove(&id) else { return 0 };
        known.records.into_iter().filter_map(|number| self.take(number)).count() as u64
    }
}
