//! Deadlines: what expires when, and which connection is evicted first.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use tracer_common::flow::Removal;

use super::{
    HALF_OPEN_REPORT_DELAY, Tracker, TrackerOptions, ns,
    slot::{Deadline, SlotIndex},
    tracked::Tracked,
};
use crate::{
    connection::Phase,
    record::{CloseReason, EventName},
};

/// A deadline of each connection, and stale ones. Something is due then, or later.
pub(super) type Deadlines = BinaryHeap<Reverse<Deadline>>;

/// How long the kernel keeps its entry of a closed connection, so that stray segments do not start a new one.
const KEEP_CLOSED: Duration = Duration::from_secs(10);

/// Closed connections may take one in this many entries of the kernel's table.
const CLOSED_SHARE: usize = 4;

/// Stale deadlines are removed when there are this many more than connections.
const MAX_STALE: usize = 1024;

impl Tracker {
    /// Sets the deadline of a connection.
    pub(super) fn schedule(&mut self, slot: SlotIndex) {
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        tracked.due = due(&self.options, tracked);
        let deadlines = match tracked.connection.phase() {
            Phase::HalfOpen => &mut self.half_open_deadlines,
            Phase::Open | Phase::Closed => &mut self.deadlines,
        };
        let number = tracked.number as u32;
        deadlines.push(Reverse(Deadline { due: tracked.due, slot, number }));
        if deadlines.len() > 2 * self.connections.len() + MAX_STALE {
            deadlines.retain(|Reverse(deadline)| {
                let tracked = self.connections.get(deadline.slot);
                tracked.is_some_and(|tracked| tracked.has_deadline(*deadline))
            });
        }
    }

    /// Evicts half-open handshakes until `more` fit.
    pub(super) fn evict_half_open(&mut self, now: u64, more: u64) {
        while self.totals.half_open + more > self.options.max_connections as u64 && self.evict_next(true, now)
        {
        }
    }

    /// Does what is due at `now`.
    pub fn on_tick(&mut self, now: u64) {
        for half_open in [true, false] {
            while let Some(Reverse(deadline)) = self.deadlines(half_open).peek().copied() {
                if deadline.due > now {
                    break;
                }
                self.deadlines(half_open).pop();
                self.on_deadline(deadline, now);
            }
        }
        let keep = self.options.max_connections / CLOSED_SHARE;
        while let Some((at, key, flow)) = self.closed.front().copied() {
            if self.closed.len() <= keep && now < at.saturating_add(ns(KEEP_CLOSED)) {
                break;
            }
            self.closed.pop_front();
            self.removals.push_back(Removal { key, flow, recovered: 0 });
        }
    }

    fn on_deadline(&mut self, deadline: Deadline, now: u64) {
        let slot = deadline.slot;
        let Some(tracked) = self.connections.get(slot).filter(|tracked| tracked.has_deadline(deadline))
        else {
            return;
        };
        let due = due(&self.options, tracked);
        if due > now {
            self.schedule(slot);
            return;
        }
        match tracked.connection.phase() {
            // Not every segment is reported, and events may have been lost: only the kernel knows whether it
            // is silent.
            Phase::Open | Phase::HalfOpen => self.pending_lookups.push_back(tracked.connection.key),
            Phase::Closed => {
                let at = tracked.connection.closed_at;
                self.close(slot, tracked.connection.close_reason(), at);
            }
        }
    }

    fn deadlines(&mut self, half_open: bool) -> &mut Deadlines {
        if half_open { &mut self.half_open_deadlines } else { &mut self.deadlines }
    }

    /// Evicts the half-open handshake, or the other connection, that is due next; false if there is none.
    pub(super) fn evict_next(&mut self, half_open: bool, now: u64) -> bool {
        while let Some(Reverse(deadline)) = self.deadlines(half_open).pop() {
            let slot = deadline.slot;
            let Some(tracked) = self.connections.get(slot).filter(|tracked| tracked.has_deadline(deadline))
            else {
                continue;
            };
            if due(&self.options, tracked) > tracked.due {
                // It was active since then, and others are due before it.
                self.schedule(slot);
                continue;
            }
            let reason = match tracked.connection.phase() {
                Phase::Closed => tracked.connection.close_reason(),
                Phase::Open | Phase::HalfOpen => {
                    self.totals.evicted += 1;
                    CloseReason::Evicted
                }
            };
            self.close(slot, reason, now);
            return true;
        }
        false
    }
}

/// When something is due for a connection, in ns.
pub(super) fn due(options: &TrackerOptions, tracked: &Tracked) -> u64 {
    let connection = &tracked.connection;
    let (from, after) = match connection.phase() {
        Phase::Open | Phase::HalfOpen if connection.is_reset_doubtful() => {
            (connection.last, options.close_linger)
        }
        Phase::HalfOpen if options.events.has(EventName::HalfOpen) && !tracked.half_open_reported => {
            (connection.first, HALF_OPEN_REPORT_DELAY)
        }
        Phase::HalfOpen => (connection.last, options.half_open_timeout),
        Phase::Open => (connection.last, options.idle_timeout),
        Phase::Closed => (connection.closed_at, options.close_linger),
    };
    from.saturating_add(ns(after))
}
