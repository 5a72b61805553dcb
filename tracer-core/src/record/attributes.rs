//! Attributes of a connection: what the kernel learns about it once.
//!
//! A new attribute is a field of [`ConnectionEvent`], a field here, and its serialisation below.

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
}

impl From<&ConnectionEvent> for Attributes {
    fn from(event: &ConnectionEvent) -> Self {
        Self { encapsulation: event.encapsulation }
    }
}

impl Attributes {
    /// Writes the known ones into the map of a record.
    pub(super) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if !self.encapsulation.is_empty() {
            map.serialize_entry("network.encapsulation", &Words(self.encapsulation))?;
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
