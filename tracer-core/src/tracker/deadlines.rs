//! What is due when, and who makes room for others.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use tracer_common::flow::Removal;

use super::{HALF_OPEN_TOLD, Limits, Tracker, ns, table::Place, tracked::Tracked};
use crate::{record::CloseReason, tcp::Phase};

/// For each connection the time when something may be due, or earlier, and its number; and what is left over of earlier
/// phases.
pub(super) type Deadlines = BinaryHeap<Reverse<Deadline>>;

/// When something may be due, for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    /// The time, in ns; first, for it gives the order.
    pub(super) due: u64,
    pub(super) place: Place,
    /// The end of the number, so that it is small: who has the place later has another one.
    pub(super) number: u32,
}

/// How long the kernel's entry of a closed connection is kept, so that stray segments do not look like a new one.
const KEEP_CLOSED: Duration = Duration::from_secs(10);

/// The share of the table that closed connections may take in the kernel: one in this many.
const CLOSED_SHARE: usize = 4;

/// How many deadlines may be left over before they are cleared away, besides as many as there are connections.
const MAX_LEFT_OVER: usize = 1024;

impl Tracker {
    /// Plans the next look at a connection.
    pub(super) fn schedule(&mut self, place: Place) {
        let Some(tracked) = self.connections.get_mut(place) else { return };
        tracked.due = due(&self.limits, tracked);
        let deadlines = match tracked.connection.phase() {
            Phase::HalfOpen => &mut self.attempts,
            Phase::Open | Phase::Closed => &mut self.deadlines,
        };
        let number = tracked.number as u32;
        deadlines.push(Reverse(Deadline { due: tracked.due, place, number }));
        if deadlines.len() > 2 * self.connections.len() + MAX_LEFT_OVER {
            deadlines.retain(|Reverse(deadline)| {
                let tracked = self.connections.get(deadline.place);
                tracked.is_some_and(|tracked| tracked.awaits(*deadline))
            });
        }
    }

    /// Gives up the attempts that are too many once `more` have come.
    pub(super) fn make_room_for_attempts(&mut self, now: u64, more: u64) {
        while self.totals.half_open + more > self.limits.max_connections as u64 && self.make_room(true, now) {
        }
    }

    /// Does what is due at `now`.
    pub fn on_tick(&mut self, now: u64) {
        for attempts in [true, false] {
            while let Some(Reverse(deadline)) = self.deadlines(attempts).peek().copied() {
                if deadline.due > now {
                    break;
                }
                self.deadlines(attempts).pop();
                self.on_deadline(deadline, now);
            }
        }
        let keep = self.limits.max_connections / CLOSED_SHARE;
        while let Some((at, key, flow)) = self.closed.front().copied() {
            if self.closed.len() <= keep && now < at.saturating_add(ns(KEEP_CLOSED)) {
                break;
            }
            self.closed.pop_front();
            self.removals.push_back(Removal { key, flow, recovered: 0 });
        }
    }

    fn on_deadline(&mut self, deadline: Deadline, now: u64) {
        let place = deadline.place;
        let Some(tracked) = self.connections.get(place).filter(|tracked| tracked.awaits(deadline)) else {
            return;
        };
        let due = due(&self.limits, tracked);
        if due > now {
            self.schedule(place);
            return;
        }
        match tracked.connection.phase() {
            // Quiet segments are not told, and others may have been lost: only the kernel knows what went on.
            Phase::Open | Phase::HalfOpen => self.questions.push_back(tracked.connection.key),
            Phase::Closed => {
                let at = tracked.connection.closed_at;
                self.close(place, tracked.connection.close_reason(), at);
            }
        }
    }

    fn deadlines(&mut self, attempts: bool) -> &mut Deadlines {
        if attempts { &mut self.attempts } else { &mut self.deadlines }
    }

    /// Gives up the connection, or the attempt at one, that is due next; false when there is none.
    pub(super) fn make_room(&mut self, attempts: bool, now: u64) -> bool {
        while let Some(Reverse(deadline)) = self.deadlines(attempts).pop() {
            let place = deadline.place;
            let Some(tracked) = self.connections.get(place).filter(|tracked| tracked.awaits(deadline)) else {
                continue;
            };
            if due(&self.limits, tracked) > tracked.due {
                // It has shown something since: others are due before it.
                self.schedule(place);
                continue;
            }
            let reason = match tracked.connection.phase() {
                Phase::Closed => tracked.connection.close_reason(),
                Phase::Open | Phase::HalfOpen => {
                    self.totals.evicted += 1;
                    CloseReason::Evicted
                }
            };
            self.close(place, reason, now);
            return true;
        }
        false
    }
}

/// When something is due for a connection, in ns.
pub(super) fn due(limits: &Limits, tracked: &Tracked) -> u64 {
    let connection = &tracked.connection;
    let (from, after) = match connection.phase() {
        Phase::HalfOpen if limits.half_open && !tracked.half_open_told => (connection.first, HALF_OPEN_TOLD),
        Phase::HalfOpen => (connection.last, limits.half_open_timeout),
        Phase::Open => (connection.last, limits.idle_timeout),
        Phase::Closed => (connection.closed_at, limits.close_linger),
    };
    from.saturating_add(ns(after))
}
