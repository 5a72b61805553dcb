//! The connection tables as hash maps with the limits of the kernel's.

use std::collections::HashMap;

use hashbrown::DefaultHashBuilder;
use hashlink::LruCache;
use tracer_common::{
    connection::FlowState,
    flow::FlowKey,
    observe::{Table, Tables},
};

/// Connections, and attempts. Boxed, so that an entry is not copied when it moves or a table grows.
#[derive(Debug)]
pub(super) struct HostTables {
    confirmed: HashMap<FlowKey, Box<FlowState>, DefaultHashBuilder>,
    max_confirmed: usize,
    /// The least recently used one is evicted.
    unconfirmed: LruCache<FlowKey, Box<FlowState>>,
}

impl HostTables {
    pub(super) fn new(max_confirmed: usize, max_unconfirmed: usize) -> Self {
        Self { confirmed: HashMap::default(), max_confirmed, unconfirmed: LruCache::new(max_unconfirmed) }
    }

    /// The connection; does not count as use.
    pub(super) fn get(&self, key: &FlowKey) -> Option<&FlowState> {
        self.confirmed.get(key).or_else(|| self.unconfirmed.peek(key)).map(Box::as_ref)
    }

    /// The connection, mutably; does not count as use.
    pub(super) fn get_mut(&mut self, key: &FlowKey) -> Option<&mut FlowState> {
        let Self { confirmed, unconfirmed, .. } = self;
        confirmed.get_mut(key).or_else(|| unconfirmed.peek_mut(key)).map(Box::as_mut)
    }

    /// Removes one incarnation of a connection.
    pub(super) fn forget_incarnation(&mut self, key: &FlowKey, id: u64) {
        if self.confirmed.get(key).is_some_and(|flow| flow.id == id) {
            self.confirmed.remove(key);
        }
        if self.unconfirmed.peek(key).is_some_and(|flow| flow.id == id) {
            self.unconfirmed.remove(key);
        }
    }

    /// The number of confirmed connections, and of attempts.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.confirmed.len(), self.unconfirmed.len())
    }
}

impl Tables for HostTables {
    fn find(&mut self, key: &FlowKey, first: Table) -> Option<(Table, &mut FlowState)> {
        // The second table only if necessary, because a lookup counts as use.
        let Self { confirmed, unconfirmed, .. } = self;
        match first {
            Table::Confirmed => match confirmed.get_mut(key) {
                Some(flow) => Some((Table::Confirmed, flow)),
                None => Some((Table::Unconfirmed, unconfirmed.get_mut(key)?)),
            },
            Table::Unconfirmed => match unconfirmed.get_mut(key) {
                Some(flow) => Some((Table::Unconfirmed, flow)),
                None => Some((Table::Confirmed, confirmed.get_mut(key)?)),
            },
        }
    }

    fn create(&mut self, key: &FlowKey) -> Option<&mut FlowState> {
        self.unconfirmed.insert(*key, Box::new(FlowState::NEW));
        // Absent if the capacity is zero.
        self.unconfirmed.peek_mut(key).map(Box::as_mut)
    }

    fn confirm(&mut self, key: &FlowKey) -> bool {
        if self.confirmed.len() >= self.max_confirmed && !self.confirmed.contains_key(key) {
            return false;
        }
        match self.unconfirmed.remove(key) {
            Some(flow) => {
                self.confirmed.insert(*key, flow);
                true
            }
            None => false,
        }
    }

    fn forget(&mut self, key: &FlowKey) {
        self.confirmed.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> FlowKey {
        FlowKey { low_port: number, ..FlowKey::ZERO }
    }

    #[test]
    fn the_least_recently_used_attempt_is_evicted() {
        let mut tables = HostTables::new(2, 3);
        for number in 1..=3 {
            assert!(tables.create(&key(number)).is_some(), "attempt {number}");
        }
        assert!(tables.find(&key(1), Table::Unconfirmed).is_some(), "used again");
        assert!(tables.create(&key(4)).is_some(), "the fourth of three");
        assert!(tables.find(&key(1), Table::Unconfirmed).is_some(), "in use");
        assert!(tables.find(&key(2), Table::Unconfirmed).is_none(), "the oldest");
        assert_eq!(tables.len(), (0, 3));
    }

    #[test]
    fn connections_are_never_evicted() {
        let mut tables = HostTables::new(1, 3);
        for number in 1..=2 {
            assert!(tables.create(&key(number)).is_some(), "attempt {number}");
        }
        assert!(tables.confirm(&key(1)), "the first fits");
        assert!(!tables.confirm(&key(2)), "the second does not");
        assert_eq!(tables.len(), (1, 1));
        tables.forget(&key(1));
        assert!(tables.confirm(&key(2)), "the first is gone");
        assert!(!tables.confirm(&key(3)), "never seen");
        assert_eq!(tables.len(), (1, 0));
    }

    #[test]
    fn a_table_without_capacity_creates_nothing() {
        assert!(HostTables::new(0, 0).create(&key(1)).is_none());
    }

    #[test]
    fn an_attempt_that_restarts_is_empty() {
        let mut tables = HostTables::new(1, 1);
        if let Some(flow) = tables.create(&key(1)) {
            flow.id = 7;
        }
        assert_eq!(tables.create(&key(1)).map(|flow| flow.id), Some(0));
        assert_eq!(tables.len(), (0, 1));
    }
}
