//! Connection events whose connection is not known yet.

use std::collections::VecDeque;

use tracer_common::event::{ConnectionEvent, EventHeader};

use crate::record::Attributes;

/// The most of them. The next event of the same CPU usually takes one, so that more than one per CPU are only left where
/// events were lost.
const MAX: usize = 256;

/// Connection events whose connection is not known yet, the oldest first.
#[derive(Default)]
pub(super) struct PendingEvents(VecDeque<ConnectionEvent>);

impl PendingEvents {
    /// Adds one; the oldest is dropped if there are too many.
    pub(super) fn push(&mut self, event: ConnectionEvent) {
        if self.0.len() == MAX {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// Takes the attributes of the connection that `header` belongs to.
    pub(super) fn take(&mut self, header: &EventHeader) -> Option<Attributes> {
        let is_same =
            |event: &ConnectionEvent| event.header.flow == header.flow && event.header.key == header.key;
        let index = self.0.iter().position(is_same)?;
        self.0.remove(index).as_ref().map(Attributes::from)
    }
}
