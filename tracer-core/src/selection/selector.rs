//! The stage between the tracker and the outputs that selects records.

use std::collections::VecDeque;

use super::{
    Criteria,
    held::{self, HeldRecords, Wait},
};
use crate::record::{Body, ConnectionId, EventName, Events, Listener, Record};

/// A record to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The record.
    pub record: Record,
    /// Whether it matches. If not, it is about another exchange of a connection that matches: for
    /// outputs that show whole connections.
    pub is_match: bool,
}

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectionTotals {
    /// Records that did not match.
    pub filtered: u64,
    /// Records that were dropped while it was not known whether they match.
    pub dropped: u64,
    /// One of so many connections is in the sample.
    pub sample: Option<u32>,
}

/// Selects records.
pub struct Selector {
    criteria: Criteria,
    events: Events,
    /// Whether an output shows whole connections.
    whole: bool,
    held: HeldRecords,
    ready: VecDeque<Selected>,
    filtered: u64,
}

/// The most bytes that a selector with these criteria takes, for this many connections.
#[must_use]
pub fn max_bytes(criteria: &Criteria, max_connections: u64) -> u64 {
    /// Bytes of what is known of a connection, with the slots of a hash table that is ⅞ full.
    const CONNECTION: u64 = 2 * (size_of::<(ConnectionId, bool, VecDeque<u64>)>() as u64 + 1);
    let held = held::MAX_BYTES as u64 + 2 * max_connections * CONNECTION;
    if criteria.holds_records() { held } else { 0 }
}

impl Selector {
    /// Selects from these `events` what matches; `whole`: whether an output shows whole connections.
    #[must_use]
    pub fn new(criteria: Criteria, events: Events, whole: bool) -> Self {
        let (held, ready) = (HeldRecords::default(), VecDeque::new());
        Self { criteria, events, whole, held, ready, filtered: 0 }
    }

    /// Selects all records of these events.
    #[must_use]
    pub fn all(events: Events) -> Self {
        Self::new(Criteria::default(), events, false)
    }

    /// Whether records of this name are selected at all.
    #[must_use]
    pub const fn wants(&self, name: EventName) -> bool {
        self.events.has(name)
    }

    /// What became of records so far.
    #[must_use]
    pub fn totals(&self) -> SelectionTotals {
        let sample = self.criteria.sample.map(super::Sample::of);
        SelectionTotals { filtered: self.filtered, dropped: self.held.dropped, sample }
    }

    /// The next record to write.
    pub fn next_selected(&mut self) -> Option<Selected> {
        self.ready.pop_front()
    }

    /// Whether the record of a server is written; counts it if not.
    pub fn wants_listener(&mut self, listener: &Listener) -> bool {
        let wanted = self.criteria.server(listener.now.server().ip());
        self.filtered += u64::from(!wanted);
        wanted
    }

    /// Takes in a record.
    pub fn push(&mut self, record: Record) {
        let name = record.body.name();
        let Some(connection) = &record.connection else { return self.write(record, true) };
        if name.is_alarm() || self.criteria.is_empty() {
            return self.write(record, true);
        }
        let id = connection.id;
        let matches = self.criteria.connection(connection);
        if matches == Some(false) {
            self.filter(&record);
            self.forget(id);
            return;
        }
        let is_known = matches.is_some();
        let is_end = name == EventName::Closed;
        if is_end && self.whole {
            self.held.decide(id, None, Wait::Context);
        }
        match About::of(&record.body, &self.criteria) {
            About::Match(exchange) => {
                if !self.criteria.exchange.is_empty() {
                    self.held.set_match(id);
                }
                if exchange.is_some() {
                    self.held.decide(id, exchange, Wait::Match);
                }
                self.write_or_hold(id, record, Wait::Match, is_known);
            }
            About::Other(exchange) => {
                if self.whole {
                    self.held.decide(id, Some(exchange), Wait::Context);
                    self.write_or_hold(id, record, Wait::Context, is_known);
                } else {
                    self.filtered +=
                        self.held.take_if(id, |wait| wait == Wait::Exchange(exchange)).len() as u64;
                    self.filter(&record);
                }
            }
            About::Undecided(exchange) => self.hold(id, record, Wait::Exchange(exchange)),
            About::Connection => self.write_or_hold(id, record, Wait::Connection, is_known),
        }
        if is_end {
            // What it still holds does not match.
            self.forget(id);
        }
    }

    /// Writes the record, if its connection is `known` to match and has an exchange that does. Holds
    /// it otherwise.
    fn write_or_hold(&mut self, id: ConnectionId, record: Record, wait: Wait, is_known: bool) {
        if !is_known || !(self.criteria.exchange.is_empty() || self.held.has_match(id)) {
            return self.hold(id, record, wait);
        }
        for (held, wait) in self.held.take_if(id, |wait| !matches!(wait, Wait::Exchange(_))) {
            self.write(held, wait != Wait::Context);
        }
        self.write(record, wait != Wait::Context);
    }

    fn hold(&mut self, id: ConnectionId, record: Record, wait: Wait) {
        if self.events.has(record.body.name()) {
            self.held.hold(id, record, wait);
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        self.filtered += self.held.forget(id);
    }

    fn write(&mut self, record: Record, is_match: bool) {
        if self.events.has(record.body.name()) {
            self.ready.push_back(Selected { record, is_match });
        }
    }

    fn filter(&mut self, record: &Record) {
        self.filtered += u64::from(self.events.has(record.body.name()));
    }
}

/// What a record is about, in view of the criteria.
enum About {
    /// An exchange that matches, with its number; or a connection that matches without one.
    Match(Option<u32>),
    /// The exchange with this number, which does not match.
    Other(u32),
    /// The exchange with this number, which may match.
    Undecided(u32),
    /// A connection.
    Connection,
}

impl About {
    fn of(body: &Body, criteria: &Criteria) -> Self {
        let criteria = &criteria.exchange;
        let decided = |matches: Option<bool>, exchange| match matches {
            Some(true) => Self::Match(Some(exchange)),
            Some(false) => Self::Other(exchange),
            None => Self::Undecided(exchange),
        };
        match body {
            Body::Exchange(exchange) => decided(Some(criteria.exchange(exchange)), exchange.index),
            Body::Request(request) => decided(criteria.request(&request.head), request.index),
            // Without criteria there is nothing to wait for.
            Body::Response(response) => decided(criteria.is_empty().then_some(true), response.index),
            Body::Closed(closed) if criteria.closed(closed) => Self::Match(None),
            Body::Opened(_)
            | Body::State(_)
            | Body::Segment(_)
            | Body::HalfOpen(_)
            | Body::Icmp(_)
            | Body::Closed(_)
            | Body::Degraded(_)
            | Body::FloodStarted(_)
            | Body::FloodEnded(_)
            | Body::Listener(_)
            | Body::Summary(_) => Self::Connection,
        }
    }
}
