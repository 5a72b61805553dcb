//! From events to records: what live tracing and the replay of captures share.
//!
//! ```text
//!   Event ─► tracker ─► Record ─► --events, --count ─► sink
//!              ▲  │ questions about quiet connections
//!     tick ────┘  └────────────► connection tables
//! ```

mod telling;

use std::iter;

use anyhow::{Result, anyhow};
use tracer_common::{
    connection::FlowState,
    event::Event,
    flow::{FlowKey, Removal},
    server::{ServerCounters, ServerKey},
};

pub use self::telling::{Stop, Telling};
use crate::{
    listener::Listeners,
    record::{Body, EventName, Listener, Record, Summary, Timestamp},
    summary::Received,
    tracker::Tracker,
};

/// Connection tables that answer the tracker's questions: the kernel's, or the host's.
pub trait Flows {
    /// The connection, if it is there.
    ///
    /// # Errors
    /// The table does not answer.
    fn find(&mut self, key: &FlowKey) -> Result<Option<FlowState>>;
    /// Removes these incarnations of connections; returns how many of those that were looked up are not there any more.
    ///
    /// # Errors
    /// The table does not answer.
    fn remove(&mut self, removals: &[Removal]) -> Result<u64>;
}

/// The tracker, and the way of its records.
pub struct Analysis {
    /// The connections.
    pub tracker: Tracker,
    /// The servers asked for connections.
    pub listeners: Listeners,
    /// The way of a record.
    pub telling: Telling,
    /// What was received.
    pub received: Received,
}

impl Analysis {
    /// Nothing received yet.
    #[must_use]
    pub fn new(tracker: Tracker, listeners: Listeners, telling: Telling) -> Self {
        Self { tracker, listeners, telling, received: Received::default() }
    }

    /// Takes in one event, and tells what follows from it.
    ///
    /// # Errors
    /// No record can be written any more.
    pub fn take_event(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.received.events += 1;
        match Event::from_bytes(bytes) {
            Ok(event) => self.tracker.on_event(&event),
            Err(error) => {
                self.received.undecodable += 1;
                log::debug!("an event cannot be decoded: {error:?}");
            }
        }
        self.telling.tell(&mut self.tracker)
    }

    /// Answers the tracker's questions from `flows`, `most` of them at most, and removes there what it is done with.
    ///
    /// # Errors
    /// No record can be written any more, or `flows` does not answer.
    pub fn settle(&mut self, flows: &mut impl Flows, now: impl Fn() -> u64, most: usize) -> Result<(), Stop> {
        self.remove(flows)?;
        for _ in 0..most {
            let Some(key) = self.tracker.next_lookup() else { break };
            let flow = flows.find(&key)?;
            self.tracker.on_lookup(&key, flow.as_ref(), now());
            self.telling.tell(&mut self.tracker)?;
            // What is over must not be found by the next one.
            self.remove(flows)?;
        }
        Ok(())
    }

    fn remove(&mut self, flows: &mut impl Flows) -> Result<()> {
        let removals: Vec<Removal> = iter::from_fn(|| self.tracker.next_removal()).collect();
        if !removals.is_empty() {
            self.received.looked_up += flows.remove(&removals)?;
        }
        Ok(())
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    /// No record can be written any more.
    pub fn on_tick(&mut self, now: u64) -> Result<(), Stop> {
        self.tracker.on_tick(now);
        self.telling.tell(&mut self.tracker)
    }

    /// Takes in what is counted for the servers at `now`, and tells of floods.
    ///
    /// # Errors
    /// No record can be written any more.
    pub fn on_servers(
        &mut self,
        now: u64,
        servers: impl IntoIterator<Item = (ServerKey, ServerCounters)>,
    ) -> Result<(), Stop> {
        self.listeners.on_servers(now, servers);
        while let Some(record) = self.listeners.next_record() {
            self.telling.tell_one(record)?;
        }
        Ok(())
    }

    /// Tells how it stands with every server at `now`, which is `time` in ns since the Unix epoch, if that is asked for.
    /// `complete` adds what else is known of it.
    ///
    /// # Errors
    /// No record can be written any more.
    pub fn tell_listeners(
        &mut self,
        now: u64,
        time: u64,
        mut complete: impl FnMut(&mut Listener),
    ) -> Result<(), Stop> {
        if !self.telling.wants(EventName::Listener) {
            return Ok(());
        }
        for mut listener in self.listeners.all(now) {
            complete(&mut listener);
            let body = Body::Listener(Box::new(listener));
            self.telling.write(Record { timestamp: Timestamp(time), connection: None, body })?;
        }
        Ok(())
    }

    /// The observation ends: tells all that is left.
    ///
    /// # Errors
    /// No record can be written any more, or `flows` does not answer.
    pub fn finish(&mut self, flows: &mut impl Flows, now: impl Fn() -> u64) -> Result<(), Stop> {
        // Quiet segments are not told, and the last events of a connection may have been lost.
        self.tracker.look_up_all();
        self.settle(flows, &now, usize::MAX)?;
        self.tracker.finish(now());
        self.telling.tell(&mut self.tracker)?;
        self.telling.flush()
    }
}

/// A summary as a record; `time` in ns since the Unix epoch.
#[must_use]
pub fn summarised(summary: Summary, time: u64) -> Record {
    Record { timestamp: Timestamp(time), connection: None, body: Body::Summary(Box::new(summary)) }
}

/// Why an observation is over, if that is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The records asked for are written.
    Enough,
    /// Nobody reads any more.
    ClosedPipe,
}

impl Ending {
    /// A closed pipe and enough records are ends, not errors.
    pub fn from_stop(stop: Stop) -> Result<Self> {
        match stop {
            Stop::Enough => Ok(Self::Enough),
            Stop::ClosedPipe => Ok(Self::ClosedPipe),
            Stop::Failed(error) => Err(anyhow!(error).context("records cannot be written")),
            Stop::Source(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracer_common::{event::SegmentEvent, flow::SegmentFlags};

    use super::*;
    use crate::{record::Events, render::Sink, tracker::TrackerOptions};

    struct Nothing;

    impl Sink for Nothing {
        fn write(&mut self, _record: Record) -> io::Result<()> {
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// How often it was asked.
    #[derive(Default)]
    struct Asked(usize);

    impl Flows for Asked {
        fn find(&mut self, _key: &FlowKey) -> Result<Option<FlowState>> {
            self.0 += 1;
            Ok(None)
        }

        fn remove(&mut self, _removals: &[Removal]) -> Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn so_many_questions_are_answered_in_a_turn_and_all_of_them_at_the_end() {
        let mut analysis = Analysis::new(
            Tracker::new(TrackerOptions::default()),
            Listeners::new(TrackerOptions::default().half_open_timeout),
            Telling::new(Box::new(Nothing), Events::default(), None),
        );
        for number in 1..=10 {
            let mut event = SegmentEvent { reasons: SegmentFlags::SYN, ..SegmentEvent::ZERO };
            event.header.key.low_port = number;
            analysis.tracker.on_event(&Event::Segment(event));
        }
        analysis.tracker.look_up_all();
        let mut asked = Asked::default();
        for answered in [4, 8, 10, 10] {
            assert!(analysis.settle(&mut asked, || 1, 4).is_ok());
            assert_eq!(asked.0, answered);
        }
        assert!(analysis.finish(&mut asked, || 1).is_ok());
        assert_eq!(asked.0, 20);
        assert_eq!(analysis.tracker.totals().closed, 10);
    }
}
