//! From events to records: what live tracing and the replay of captures share.
//!
//! ```text
//!   Event ─► tracker ─► Record ─► selector ─► the caller
//!              ▲  │ lookups of quiet connections
//!     tick ────┘  └────────────► connection tables
//! ```

use std::iter;

use anyhow::Result;
use tracer_common::{
    connection::FlowState,
    event::Event,
    flow::{FlowKey, Removal},
    server::{ServerCounters, ServerKey},
};

use crate::{
    listener::Listeners,
    record::{Body, EventName, Listener, Record, Summary, Timestamp},
    selection::{Selected, Selector},
    summary::Received,
    tracker::Tracker,
};

/// Connection tables for the tracker's lookups: the kernel's, or the host's.
pub trait Flows {
    /// The connection, if it is there.
    ///
    /// # Errors
    /// The table cannot be read.
    fn find(&mut self, key: &FlowKey) -> Result<Option<FlowState>>;
    /// Removes these incarnations of connections. Returns how many of the recovered ones were not
    /// there any more.
    ///
    /// # Errors
    /// The table cannot be read.
    fn remove(&mut self, removals: &[Removal]) -> Result<u64>;
}

/// The tracker, the servers, and the selection of their records. After each call, take the new
/// records with [`Analysis::next_selected`].
pub struct Analysis {
    /// The connections.
    pub tracker: Tracker,
    /// The servers.
    pub listeners: Listeners,
    received: Received,
    selector: Selector,
}

impl Analysis {
    /// Nothing received yet; `selector` selects the records to write.
    #[must_use]
    pub fn new(tracker: Tracker, listeners: Listeners, selector: Selector) -> Self {
        Self { tracker, listeners, received: Received::default(), selector }
    }

    /// Whether records of this name are to be written.
    #[must_use]
    pub const fn wants(&self, name: EventName) -> bool {
        self.selector.wants(name)
    }

    /// The next record to write.
    pub fn next_selected(&mut self) -> Option<Selected> {
        loop {
            if let Some(selected) = self.selector.next_selected() {
                return Some(selected);
            }
            let record = self.tracker.next_record().or_else(|| self.listeners.next_record())?;
            self.selector.push(record);
        }
    }

    /// What was received, and which records of it were selected.
    #[must_use]
    pub fn received(&self) -> Received {
        Received { selection: self.selector.totals(), ..self.received }
    }

    /// Processes the bytes of one event.
    pub fn on_event(&mut self, bytes: &[u8]) {
        self.received.events += 1;
        match Event::from_bytes(bytes) {
            Ok(event) => self.tracker.on_event(&event),
            Err(error) => {
                self.received.undecodable += 1;
                log::debug!("an event cannot be decoded: {error:?}");
            }
        }
    }

    /// Does the tracker's pending lookups in `flows`, `most` of them at most, and removes there
    /// what it is done with.
    ///
    /// # Errors
    /// `flows` cannot be read.
    pub fn look_up(&mut self, flows: &mut impl Flows, now: impl Fn() -> u64, most: usize) -> Result<()> {
        self.remove(flows)?;
        for _ in 0..most {
            let Some(key) = self.tracker.next_lookup() else { break };
            let flow = flows.find(&key)?;
            self.tracker.on_lookup(&key, flow.as_ref(), now());
            // A connection that is over must not be found by the next lookup.
            self.remove(flows)?;
        }
        Ok(())
    }

    fn remove(&mut self, flows: &mut impl Flows) -> Result<()> {
        let removals: Vec<Removal> = iter::from_fn(|| self.tracker.next_removal()).collect();
        if !removals.is_empty() {
            self.received.recovered += flows.remove(&removals)?;
        }
        Ok(())
    }

    /// Processes the timeouts until `now`.
    pub fn on_tick(&mut self, now: u64) {
        self.tracker.on_tick(now);
    }

    /// Takes in the counters of the servers at `now`.
    pub fn on_servers(&mut self, now: u64, targets: impl IntoIterator<Item = (ServerKey, ServerCounters)>) {
        self.listeners.on_servers(now, targets);
    }

    /// A record for every server at `now`, which is `time` in ns since the Unix epoch, if such
    /// records are selected. `complete` adds what else is known of a server.
    pub fn listeners(&mut self, now: u64, time: u64, mut complete: impl FnMut(&mut Listener)) -> Vec<Record> {
        if !self.wants(EventName::Listener) {
            return Vec::new();
        }
        let Self { listeners, selector, .. } = self;
        let selected = listeners.all(now).into_iter().filter(|listener| selector.wants_listener(listener));
        let record = |mut listener| {
            complete(&mut listener);
            let body = Body::Listener(Box::new(listener));
            Record { timestamp: Timestamp(time), connection: None, body }
        };
        selected.map(record).collect()
    }

    /// The observation ends: makes the records of everything that is left.
    ///
    /// # Errors
    /// `flows` cannot be read.
    pub fn finish(&mut self, flows: &mut impl Flows, now: impl Fn() -> u64) -> Result<()> {
        // Quiet segments make no events, and the last events of a connection may have been lost.
        self.tracker.look_up_all();
        self.look_up(flows, &now, usize::MAX)?;
        self.tracker.finish(now());
        Ok(())
    }
}

/// A summary as a record; `time` in ns since the Unix epoch.
#[must_use]
pub fn summary_record(summary: Summary, time: u64) -> Record {
    Record { timestamp: Timestamp(time), connection: None, body: Body::Summary(Box::new(summary)) }
}

#[cfg(test)]
mod tests {
    use tracer_common::{event::SegmentEvent, flow::SegmentFlags};

    use super::*;
    use crate::{record::Events, tracker::TrackerOptions};

    /// Counts lookups.
    #[derive(Default)]
    struct Lookups(usize);

    impl Flows for Lookups {
        fn find(&mut self, _key: &FlowKey) -> Result<Option<FlowState>> {
            self.0 += 1;
            Ok(None)
        }

        fn remove(&mut self, _removals: &[Removal]) -> Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn a_turn_does_a_bounded_number_of_lookups_and_the_end_does_all_of_them() {
        let mut analysis = Analysis::new(
            Tracker::new(TrackerOptions::default()),
            Listeners::new(TrackerOptions::default().half_open_timeout),
            Selector::all(Events::default()),
        );
        for number in 1..=10 {
            let mut event = SegmentEvent { reasons: SegmentFlags::SYN, ..SegmentEvent::ZERO };
            event.header.key.low_port = number;
            analysis.tracker.on_event(&Event::Segment(event));
        }
        analysis.tracker.look_up_all();
        let mut lookups = Lookups::default();
        for answered in [4, 8, 10, 10] {
            assert!(analysis.look_up(&mut lookups, || 1, 4).is_ok());
            assert_eq!(lookups.0, answered);
        }
        assert!(analysis.finish(&mut lookups, || 1).is_ok());
        assert_eq!(lookups.0, 20);
        let totals = analysis.tracker.totals();
        assert_eq!((totals.closed, totals.half_open), (0, 10), "still open at the end");
    }
}
