//! Lookups of connections in the kernel's table: of what is due, and of what may be lost.

use tracer_common::{
    connection::FlowState,
    flow::{End, FlowKey},
};

use super::{HALF_OPEN_REPORT_DELAY, Tracker, deadlines::due, ns, slot::SlotIndex};
use crate::{
    connection::Phase,
    record::{Body, EventName},
    tcp::unreported,
};

impl Tracker {
    /// Takes in the result of a lookup at `now`: `flow` is the entry of the kernel's table.
    pub fn on_lookup(&mut self, key: &FlowKey, flow: Option<&FlowState>, now: u64) {
        let Some(slot) = self.find_or_recover(key, flow) else { return };
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        let before = tracked.connection.phase();
        if let Some(flow) = flow {
            tracked.connection.on_lookup(flow, now, &mut self.out);
        }
        let after = tracked.connection.phase();
        let is_old = now >= tracked.connection.first.saturating_add(ns(HALF_OPEN_REPORT_DELAY));
        let reports_half_open = self.options.events.has(EventName::HalfOpen);
        if reports_half_open && after == Phase::HalfOpen && !tracked.half_open_reported && is_old {
            tracked.half_open_reported = true;
            self.out.push((now, Body::HalfOpen(tracked.connection.half_open(now))));
        }
        let due = due(&self.options, tracked);
        if after != before {
            self.on_phase(slot, before, after);
        } else if due > now {
            self.schedule(slot);
        } else {
            let reason = tracked.connection.close_reason();
            self.close(slot, reason, due);
        }
        self.queue_records(slot);
    }

    /// Finds the connection that was looked up, or recovers it if all its events were lost.
    fn find_or_recover(&mut self, key: &FlowKey, flow: Option<&FlowState>) -> Option<SlotIndex> {
        let known = self.connections.find(key);
        let Some(flow) = flow.filter(|flow| flow.is_confirmed() && !flow.is_reported()) else { return known };
        let is_same = |slot: &SlotIndex| {
            self.connections.get(*slot).is_some_and(|tracked| tracked.connection.flow == flow.id)
        };
        let slot = match known.filter(is_same) {
            Some(slot) => slot,
            None => {
                if let Some(slot) = known {
                    self.on_port_reuse(slot, true);
                }
                let event = unreported::event_of(key, flow);
                let client = unreported::client(&event.halves).or_else(|| self.client_by_port(key));
                self.start(&event.header, client.unwrap_or(End::High))
            }
        };
        self.connections.get_mut(slot)?.recovered = true;
        Some(slot)
    }

    /// Looks up every connection: after losses, or before [`Tracker::finish`].
    pub fn look_up_all(&mut self) {
        self.pending_lookups = self.connections.slots().map(|(_, key)| key).collect();
    }

    /// Looks up a connection of the kernel's table if it is not known: after losses.
    pub fn look_up_unknown(&mut self, key: FlowKey) {
        if self.connections.find(&key).is_none() {
            self.pending_lookups.push_back(key);
        }
    }
}
