//! The connection table: slots, indexed by the endpoints of their connections.
//!
//! A connection keeps its slot, so that who knows the slot need not look up the endpoints again.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use tracer_common::flow::FlowKey;

use super::{slot::SlotIndex, tracked::Tracked};

/// The table.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Option<Tracked>>,
    /// The slots that are empty.
    free: Vec<SlotIndex>,
    by_key: HashTable<SlotIndex>,
    /// Seeded randomly, because the keys come from the network and must not be chosen to collide.
    hasher: DefaultHashBuilder,
}

impl Table {
    /// The number of connections.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The slot of the connection with these endpoints.
    pub(super) fn find(&self, key: &FlowKey) -> Option<SlotIndex> {
        self.by_key.find(self.hasher.hash_one(key), |slot| is_at(&self.slots, *slot, key)).copied()
    }

    /// The connection in a slot.
    pub(super) fn get(&self, slot: SlotIndex) -> Option<&Tracked> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The connection in a slot, mutably.
    pub(super) fn get_mut(&mut self, slot: SlotIndex) -> Option<&mut Tracked> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Adds a connection, whose endpoints no other connection has.
    pub(super) fn insert(&mut self, tracked: Tracked) -> SlotIndex {
        let hash = self.hasher.hash_one(tracked.connection.key);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Memory runs out long before the index overflows.
            (self.slots.len() - 1) as SlotIndex
        });
        if let Some(free) = self.slots.get_mut(slot as usize) {
            *free = Some(tracked);
        }
        let Self { slots, by_key, hasher, .. } = self;
        by_key.insert_unique(hash, slot, |slot| {
            slots
                .get(*slot as usize)
                .and_then(Option::as_ref)
                .map_or(0, |one| hasher.hash_one(one.connection.key))
        });
        slot
    }

    /// Removes the connection in a slot.
    pub(super) fn remove(&mut self, slot: SlotIndex) -> Option<Tracked> {
        let tracked = self.slots.get_mut(slot as usize)?.take()?;
        let hash = self.hasher.hash_one(tracked.connection.key);
        if let Ok(entry) = self.by_key.find_entry(hash, |one| *one == slot) {
            entry.remove();
        }
        self.free.push(slot);
        Some(tracked)
    }

    /// The slots of all connections, and their endpoints.
    pub(super) fn slots(&self) -> impl Iterator<Item = (SlotIndex, FlowKey)> {
        let taken =
            |(slot, one): (usize, &Option<Tracked>)| Some((slot as SlotIndex, one.as_ref()?.connection.key));
        self.slots.iter().enumerate().filter_map(taken)
    }
}

fn is_at(slots: &[Option<Tracked>], slot: SlotIndex, key: &FlowKey) -> bool {
    slots.get(slot as usize).and_then(Option::as_ref).is_some_and(|one| one.connection.key == *key)
}
