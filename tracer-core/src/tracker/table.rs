//! The connections by their endpoints.
//!
//! Each has a place, and stays there: who knows the place need not look for the endpoints again.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use tracer_common::flow::FlowKey;

use super::tracked::Tracked;

/// Where a connection is.
pub(super) type Place = u32;

/// The table.
#[derive(Default)]
pub(super) struct Table {
    places: Vec<Option<Tracked>>,
    /// Those that are empty.
    free: Vec<Place>,
    by_key: HashTable<Place>,
    /// Seeded by chance, for the keys are from the wire: nobody can choose those that collide.
    hasher: DefaultHashBuilder,
}

impl Table {
    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Where the connection with these endpoints is.
    pub(super) fn find(&self, key: &FlowKey) -> Option<Place> {
        self.by_key.find(self.hasher.hash_one(key), |place| is_at(&self.places, *place, key)).copied()
    }

    /// The connection at a place, if one is there.
    pub(super) fn get(&self, place: Place) -> Option<&Tracked> {
        self.places.get(place as usize)?.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Tracked> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    /// Takes in a connection whose endpoints no other has.
    pub(super) fn insert(&mut self, tracked: Tracked) -> Place {
        let hash = self.hasher.hash_one(tracked.connection.key);
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            // More are bounded by memory long before.
            (self.places.len() - 1) as Place
        });
        if let Some(free) = self.places.get_mut(place as usize) {
            *free = Some(tracked);
        }
        let Self { places, by_key, hasher, .. } = self;
        by_key.insert_unique(hash, place, |place| {
            places
                .get(*place as usize)
                .and_then(Option::as_ref)
                .map_or(0, |one| hasher.hash_one(one.connection.key))
        });
        place
    }

    /// Takes out the connection at a place.
    pub(super) fn remove(&mut self, place: Place) -> Option<Tracked> {
        let tracked = self.places.get_mut(place as usize)?.take()?;
        let hash = self.hasher.hash_one(tracked.connection.key);
        if let Ok(entry) = self.by_key.find_entry(hash, |one| *one == place) {
            entry.remove();
        }
        self.free.push(place);
        Some(tracked)
    }

    /// The places of all connections, and their endpoints.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, FlowKey)> {
        let taken =
            |(place, one): (usize, &Option<Tracked>)| Some((place as Place, one.as_ref()?.connection.key));
        self.places.iter().enumerate().filter_map(taken)
    }
}

fn is_at(places: &[Option<Tracked>], place: Place, key: &FlowKey) -> bool {
    places.get(place as usize).and_then(Option::as_ref).is_some_and(|one| one.connection.key == *key)
}
