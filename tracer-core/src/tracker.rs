//! Events in, records out: the table of connections.
//!
//! Sans-IO: no clock, no sockets, no kernel. The caller brings events and the time, and takes what there is to say, to
//! ask and to forget.

mod deadlines;
mod limits;
mod pending;
mod table;
mod tracked;

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use hashbrown::HashMap;
use tracer_common::{
    connection::FlowState,
    event::{ConnectionEvent, Event, EventHeader, SegmentEvent},
    flow::{End, FlowKey, Removal, SegmentFlags},
};

use crate::{
    http::Conversation,
    record::{Body, CloseReason, Record, Timestamp},
    tcp::{Connection, Phase, Wanted, untold},
};

pub use self::limits::Limits;
use self::{
    deadlines::{Deadline, Deadlines, due},
    pending::Pending,
    table::{Place, Table},
    tracked::Tracked,
};

/// How long a handshake is not confirmed before that is told: the first SYN-ACK was as good as lost.
pub const HALF_OPEN_TOLD: Duration = Duration::from_secs(1);

/// What the tracker has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections first seen.
    pub opened: u64,
    /// Connections over.
    pub closed: u64,
    /// Connections open now.
    pub open: u64,
    /// Handshakes not confirmed now.
    pub half_open: u64,
    /// Connections given up to make room.
    pub evicted: u64,
    /// Exchanges reported.
    pub exchanges: u64,
    /// Connections whose heads and exchanges under way were given up to make room for those of others.
    pub buffers_given_up: u64,
}

/// The table of connections.
pub struct Tracker {
    limits: Limits,
    /// What is asked for of each connection.
    wanted: Arc<Wanted>,
    connections: Table,
    /// Of the handshakes not confirmed.
    attempts: Deadlines,
    /// Of all others.
    deadlines: Deadlines,
    records: VecDeque<Record>,
    questions: VecDeque<FlowKey>,
    removals: VecDeque<Removal>,
    /// Closed connections that the kernel still holds: since when, and which.
    closed: VecDeque<(u64, FlowKey, u64)>,
    interfaces: HashMap<u32, Arc<str>>,
    epoch_offset: i64,
    /// Names this run in connection identifiers.
    run: u32,
    totals: Totals,
    /// Bytes kept of the messages of all connections.
    buffered: usize,
    said: Vec<(u64, Body)>,
    pending: Pending,
}

/// What is allocated for a connection besides its place: its messages while some are under way, what the allocator adds, its
/// troubles, and a question about another one in the kernel's table, if that is not known.
const BESIDES: usize = size_of::<Conversation>() + 16 + Connection::BESIDES + size_of::<FlowKey>();
/// What else there is for each place: two deadlines, a place in the index and one among the free ones, a question,
/// a name to forget.
const INDEX: usize = 2 * size_of::<Deadline>()
    + 4 * size_of::<Place>()
    + size_of::<FlowKey>()
    + size_of::<(u64, FlowKey, u64)>();

/// The most bytes for so many connections, and for as many handshakes that are not confirmed.
#[must_use]
pub fn most_bytes(max_connections: u64) -> u64 {
    let (place, besides) = (size_of::<Option<Tracked>>() + INDEX, BESIDES);
    max_connections * (2 * place + besides) as u64
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Tracker {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let Limits { segments, messages, states, .. } = limits;
        let wanted = Wanted { segments, messages, states, redaction: limits.redaction.clone() };
        Self {
            limits,
            wanted: Arc::new(wanted),
            connections: Table::default(),
            attempts: BinaryHeap::new(),
            deadlines: BinaryHeap::new(),
            records: VecDeque::new(),
            questions: VecDeque::new(),
            removals: VecDeque::new(),
            closed: VecDeque::new(),
            interfaces: HashMap::new(),
            epoch_offset: 0,
            // A RandomState is seeded by the system: enough to tell runs apart.
            run: RandomState::new().hash_one(0u8) as u32,
            totals: Totals::default(),
            buffered: 0,
            said: Vec::new(),
            pending: Pending::default(),
        }
    }

    /// Sets what to add to the observer's clock to get ns since the Unix epoch.
    pub fn set_clock(&mut self, epoch_offset_ns: i64) {
        self.epoch_offset = epoch_offset_ns;
    }

    /// Tells the name of an interface.
    pub fn name_interface(&mut self, index: u32, name: &str) {
        self.interfaces.insert(index, name.into());
    }

    /// The next record.
    pub fn next_record(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    /// The next connection that the kernel's table should be asked about: see [`Tracker::on_flow`].
    pub fn next_question(&mut self) -> Option<FlowKey> {
        self.questions.pop_front()
    }

    /// The next connection that the kernel's table need not hold any more.
    pub fn next_removal(&mut self) -> Option<Removal> {
        self.removals.pop_front()
    }

    /// What has been counted.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether no connection is followed, and none is left to be removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.len() == 0 && self.closed.is_empty()
    }

    /// Takes in one event.
    pub fn on_event(&mut self, event: &Event<'_>) {
        if let Event::Connection(event) = event {
            self.on_connection(event);
            return;
        }
        let Some(place) = self.find(event) else { return };
        let Some(tracked) = self.connections.get_mut(place) else { return };
        let before = tracked.connection.phase();
        let exchanges = tracked.connection.exchanges();
        let header = event.header();
        if tracked.connection.flow != header.flow {
            // The kernel made room by dropping its entry; the connection is the same.
            tracked.connection.adopt(header.flow, header.time, &mut self.said);
            if let Some(encapsulation) = self.pending.take(header) {
                tracked.encapsulation = encapsulation;
            }
        }
        match event {
            Event::Segment(segment) => {
                tracked.connection.on_segment(segment, &mut self.said);
                tracked.looked_up &= segment.reasons.contains(SegmentFlags::AFTER_CLOSE);
            }
            Event::Connection(_) => {}
            Event::Http(facts, bytes) => {
                tracked.connection.on_http(facts, bytes, &mut self.said);
            }
        }
        // Nothing else brings messages and gaps, or ends them.
        if has_reason(event, SegmentFlags::GAP | SegmentFlags::OLD_DATA) || matches!(event, Event::Http(..)) {
            self.buffered -= tracked.buffered as usize;
            tracked.note_buffered();
            self.buffered += tracked.buffered as usize;
        }
        let after = tracked.connection.phase();
        self.totals.exchanges += u64::from(tracked.connection.exchanges() - exchanges);
        if after != before {
            self.on_phase(place, before, after);
        }
        self.tell(place);
        if self.buffered > self.limits.buffer_bytes {
            self.give_up_buffers(header.time);
        }
    }

    /// Takes in what is known once about a connection. It comes before the first other event of the connection.
    fn on_connection(&mut self, event: &ConnectionEvent) {
        let tracked =
            self.connections.find(&event.header.key).and_then(|place| self.connections.get_mut(place));
        match tracked {
            // Another CPU was faster with an event of the other direction.
            Some(tracked) if tracked.connection.flow == event.header.flow => {
                if tracked.encapsulation.is_empty() {
                    tracked.encapsulation = event.encapsulation;
                }
            }
            _ => self.pending.push(*event),
        }
    }

    /// Gives up what is kept of messages and gaps until there is some room: of the connections that take most of it.
    fn give_up_buffers(&mut self, now: u64) {
        let places = self.connections.places().map(|(place, _)| place);
        let size = |place| self.connections.get(place).map_or(0, |tracked| tracked.buffered);
        let mut largest: Vec<_> =
            places.map(|place| (size(place), place)).filter(|(size, _)| *size > 0).collect();
        largest.sort_unstable_by_key(|(size, _)| Reverse(*size));
        for (size, place) in largest {
            if self.buffered <= self.limits.buffer_bytes / 4 * 3 {
                break;
            }
            let Some(tracked) = self.connections.get_mut(place) else { continue };
            let exchanges = tracked.connection.exchanges();
            tracked.connection.give_up_buffers(now, &mut self.said);
            tracked.note_buffered();
            self.buffered = self.buffered - size as usize + tracked.buffered as usize;
            self.totals.exchanges += u64::from(tracked.connection.exchanges() - exchanges);
            self.totals.buffers_given_up += 1;
            self.tell(place);
        }
    }

    /// Finds the connection of an event, or starts one; none when the event is not of a connection to follow.
    fn find(&mut self, event: &Event<'_>) -> Option<Place> {
        let header = event.header();
        // Also where the SYN was not told, or lost: an entry that the kernel had to make anew has seen none.
        let asked = matches!(event, Event::Segment(segment) if untold::has_asked(&segment.halves));
        let is_http = matches!(event, Event::Http(..));
        let has = |bits| has_reason(event, bits);
        if let Some(place) = self.connections.find(&header.key)
            && let Some(tracked) = self.connections.get_mut(place)
        {
            if tracked.connection.flow == header.flow {
                return Some(place);
            }
            let starts = match tracked.connection.phase() {
                Phase::Closed => true,
                // What the kernel has seen confirmed it does not drop.
                Phase::Open if is_http => tracked.connection.has_syn(),
                Phase::Open => asked || has(SegmentFlags::SYN_ACK),
                Phase::HalfOpen => asked,
            };
            if !starts {
                return Some(place);
            }
            self.give_up_ports(place, asked || is_http);
        } else if matches!(event, Event::Segment(SegmentEvent { reasons, .. }) if reasons.contains(SegmentFlags::AFTER_CLOSE))
        {
            // A stray segment of a connection whose record is written.
            return None;
        }
        Some(self.start(header, self.client_is_low(event)))
    }

    /// The ports of a connection are used again: `closed` if that shows that it has closed.
    fn give_up_ports(&mut self, place: Place, closed: bool) {
        let Some(tracked) = self.connections.get_mut(place) else { return };
        if tracked.connection.phase() == Phase::Open && closed {
            // The kernel follows a new SYN only where the old connection has closed: that was told, and lost.
            tracked.connection.lose_end();
        }
        let reason = match tracked.connection.phase() {
            Phase::Closed | Phase::HalfOpen => tracked.connection.close_reason(),
            Phase::Open => CloseReason::Evicted,
        };
        let last = tracked.connection.last;
        self.close(place, reason, last);
    }

    fn start(&mut self, header: &EventHeader, client_is_low: bool) -> Place {
        self.make_room_for_attempts(header.time, 1);
        let wanted = Arc::clone(&self.wanted);
        let connection = Connection::new(header.key, header.flow, client_is_low, header.time, wanted);
        self.totals.opened += 1;
        self.totals.half_open += 1;
        let place = self.connections.insert(Tracked {
            connection,
            number: self.totals.opened,
            interface: header.interface,
            encapsulation: self.pending.take(header).unwrap_or_default(),
            buffered: 0,
            due: 0,
            half_open_told: false,
            looked_up: false,
        });
        self.schedule(place);
        place
    }

    /// Who is the client: who sent the SYN, else who does not own the traced port, else who has the higher port, for
    /// clients take theirs from the upper end (RFC 6335, 6), else who was seen first.
    fn client_is_low(&self, event: &Event<'_>) -> bool {
        let header = event.header();
        let from_low = header.sender() == End::Low;
        if let Event::Segment(segment) = event {
            if segment.reasons.contains(SegmentFlags::SYN) {
                return from_low;
            }
            if segment.reasons.contains(SegmentFlags::SYN_ACK) {
                return !from_low;
            }
        }
        self.client_by_port(&header.key).unwrap_or(from_low)
    }

    /// Whether the lower endpoint is the client, as far as the ports tell.
    fn client_by_port(&self, key: &FlowKey) -> Option<bool> {
        let traced = |port| self.limits.ports.contains(&port);
        match (traced(key.low_port), traced(key.high_port)) {
            (true, false) => Some(false),
            (false, true) => Some(true),
            _ => match key.low_port.cmp(&key.high_port) {
                Ordering::Less => Some(false),
                Ordering::Greater => Some(true),
                Ordering::Equal => None,
            },
        }
    }

    fn on_phase(&mut self, place: Place, before: Phase, after: Phase) {
        self.count_phase(before, false);
        self.count_phase(after, true);
        let now = self.connections.get(place).map_or(0, |tracked| tracked.connection.last);
        // A closed connection that starts again without a new name is an attempt too.
        self.make_room_for_attempts(now, 0);
        let confirmed = |tracker: &Self| tracker.connections.len() as u64 - tracker.totals.half_open;
        while confirmed(self) > self.limits.max_connections as u64 && self.make_room(false, now) {}
        self.schedule(place);
    }

    fn count_phase(&mut self, phase: Phase, more: bool) {
        let count = match phase {
            Phase::HalfOpen => &mut self.totals.half_open,
            Phase::Open => &mut self.totals.open,
            Phase::Closed => return,
        };
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Makes records of what a connection said.
    fn tell(&mut self, place: Place) {
        if self.said.is_empty() {
            return;
        }
        let interface = |tracked: &Tracked| self.interfaces.get(&tracked.interface).cloned();
        let connection =
            self.connections.get(place).map(|tracked| tracked.identity(self.run, interface(tracked)));
        for (time, body) in self.said.drain(..) {
            let timestamp = Timestamp(time.saturating_add_signed(self.epoch_offset));
            self.records.push_back(Record { timestamp, connection: connection.clone(), body });
        }
    }

    /// Answers a question: what the kernel's table says of a connection, at `now`.
    pub fn on_flow(&mut self, key: &FlowKey, flow: Option<&FlowState>, now: u64) {
        let Some(place) = self.find_flow(key, flow) else { return };
        let Some(tracked) = self.connections.get_mut(place) else { return };
        let before = tracked.connection.phase();
        if let Some(flow) = flow {
            tracked.connection.on_flow(flow, now, &mut self.said);
        }
        let after = tracked.connection.phase();
        let is_old = now >= tracked.connection.first.saturating_add(ns(HALF_OPEN_TOLD));
        if self.limits.half_open && after == Phase::HalfOpen && !tracked.half_open_told && is_old {
            tracked.half_open_told = true;
            self.said.push((now, Body::HalfOpen(tracked.connection.half_open(now))));
        }
        let due = due(&self.limits, tracked);
        if after != before {
            self.on_phase(place, before, after);
        } else if due > now {
            self.schedule(place);
        } else {
            let reason = tracked.connection.close_reason();
            self.close(place, reason, due);
        }
        self.tell(place);
    }

    /// Finds the connection that an answer is about, or starts one if all that was told of it was lost.
    fn find_flow(&mut self, key: &FlowKey, flow: Option<&FlowState>) -> Option<Place> {
        let known = self.connections.find(key);
        let Some(flow) = flow.filter(|flow| flow.is_confirmed() && !flow.is_reported()) else { return known };
        let is_same = |place: &Place| {
            self.connections.get(*place).is_some_and(|tracked| tracked.connection.flow == flow.id)
        };
        let place = match known.filter(is_same) {
            Some(place) => place,
            None => {
                if let Some(place) = known {
                    self.give_up_ports(place, true);
                }
                let event = untold::event(key, flow);
                let client_is_low = untold::low_asked(&event.halves).or_else(|| self.client_by_port(key));
                self.start(&event.header, client_is_low.unwrap_or_default())
            }
        };
        self.connections.get_mut(place)?.looked_up = true;
        Some(place)
    }

    /// Asks about every connection: after losses, or before [`Tracker::finish`].
    pub fn question_all(&mut self) {
        self.questions = self.connections.places().map(|(_, key)| key).collect();
    }

    /// Asks about a connection in the kernel's table, if it is not known: after losses.
    pub fn question_unknown(&mut self, key: FlowKey) {
        if self.connections.find(&key).is_none() {
            self.questions.push_back(key);
        }
    }

    /// The observation ends at `now`: everything pending is told.
    pub fn finish(&mut self, now: u64) {
        let places: Vec<Place> = self.connections.places().map(|(place, _)| place).collect();
        for place in places {
            let Some(tracked) = self.connections.get(place) else { continue };
            let (reason, at) = match tracked.connection.phase() {
                Phase::Closed => (tracked.connection.close_reason(), tracked.connection.closed_at),
                Phase::Open | Phase::HalfOpen => match tracked.connection.ended() {
                    Some(reason) => (reason, tracked.connection.last),
                    None => (CloseReason::EndOfCapture, now),
                },
            };
            self.close(place, reason, at);
        }
    }

    fn close(&mut self, place: Place, reason: CloseReason, at: u64) {
        let Some(tracked) = self.connections.get_mut(place) else { return };
        let Connection { key, flow, .. } = tracked.connection;
        let (phase, looked_up) = (tracked.connection.phase(), tracked.looked_up);
        let exchanges = tracked.connection.exchanges();
        tracked.connection.close(reason, at, &mut self.said);
        self.totals.exchanges += u64::from(tracked.connection.exchanges() - exchanges);
        self.buffered -= std::mem::take(&mut tracked.buffered) as usize;
        self.tell(place);
        self.connections.remove(place);
        self.count_phase(phase, false);
        self.totals.closed += 1;
        if phase == Phase::Closed && !looked_up {
            self.closed.push_back((at, key, flow));
        } else {
            // Were it to go on, it would be a new one; and what was looked up would be once more.
            self.removals.push_back(Removal { key, flow, recovered: u32::from(looked_up) });
        }
    }
}

/// Whether it is a segment worth telling for one of these reasons.
fn has_reason(event: &Event<'_>, flags: SegmentFlags) -> bool {
    matches!(event, Event::Segment(SegmentEvent { reasons, .. }) if reasons.intersects(flags))
}

#[cfg(test)]
mod tests;
