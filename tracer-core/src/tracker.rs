//! Events in, records out: the table of connections.
//!
//! Sans-IO: no clock, no sockets, no kernel. The caller passes events and the time, and takes records,
//! lookups in the kernel's table, and removals from it.

mod deadlines;
mod lookups;
mod nat;
mod options;
mod owners;
mod pending;
mod slot;
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
    event::{ConnectionEvent, Event, EventHeader, IcmpEvent, SegmentEvent},
    flow::{End, FlowKey, Removal, SegmentFlags},
};

use crate::{
    connection::{Connection, Phase, ReportOptions},
    http::Conversation,
    record::{Bodies, CloseReason, Record, Timestamp, Translated},
    tcp::unreported,
};

use self::{
    deadlines::Deadlines,
    nat::Handshakes,
    owners::Owners,
    pending::PendingEvents,
    slot::{Deadline, SlotIndex},
    table::Table,
    tracked::Tracked,
};
pub use self::{options::TrackerOptions, owners::Processes};

/// How long a handshake is half-open before it is reported: by then the first SYN-ACK is as good as lost.
pub const HALF_OPEN_REPORT_DELAY: Duration = Duration::from_secs(1);

/// The counters of a tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections first seen.
    pub opened: u64,
    /// Connections closed.
    pub closed: u64,
    /// Connections open now.
    pub open: u64,
    /// Handshakes half-open now.
    pub half_open: u64,
    /// Connections evicted because the table was full.
    pub evicted: u64,
    /// Exchanges reported.
    pub exchanges: u64,
    /// Connections whose message and gap buffers were dropped because memory was full.
    pub buffers_dropped: u64,
}

/// Follows connections: events in, records out.
pub struct Tracker {
    options: TrackerOptions,
    /// The options of each connection.
    report: Arc<ReportOptions>,
    connections: Table,
    /// Of half-open handshakes.
    half_open_deadlines: Deadlines,
    /// Of all other connections.
    deadlines: Deadlines,
    records: VecDeque<Record>,
    pending_lookups: VecDeque<FlowKey>,
    removals: VecDeque<Removal>,
    /// Closed connections that the kernel still holds: since when, and which.
    closed: VecDeque<(u64, FlowKey, u64)>,
    interfaces: HashMap<u32, Arc<str>>,
    epoch_offset: i64,
    /// Identifies this run in connection identifiers.
    run: u32,
    totals: Totals,
    /// Bytes of the messages and gaps of all connections.
    buffered: usize,
    out: Bodies,
    /// Connection events that come before the first other event of their connection.
    pending_events: PendingEvents,
    /// The last handshakes, to recognize connections that this host translates.
    handshakes: Handshakes,
    /// Present if processes are named.
    owners: Option<Owners>,
    /// The number of the last connection.
    last_number: u64,
}

/// The most bytes that a connection allocates besides its slot: its messages while one is in progress, with
/// what the allocator adds, its anomalies, its translated addresses, and a lookup of another connection that is not known.
const MAX_HEAP: usize = size_of::<Conversation>() + 16 + Connection::MAX_HEAP + NAT + size_of::<FlowKey>();
/// Bytes of translated addresses, with the counts of references.
const NAT: usize = size_of::<Translated>() + 2 * size_of::<usize>();
/// Bytes of each slot in other collections: two deadlines, its entries in the index and in the free list, a
/// lookup, a removal.
const INDEX: usize = 2 * size_of::<Deadline>()
    + 4 * size_of::<SlotIndex>()
    + size_of::<FlowKey>()
    + size_of::<(u64, FlowKey, u64)>();

/// The most bytes for this many connections and as many half-open handshakes.
#[must_use]
pub fn max_bytes(max_connections: u64) -> u64 {
    let slot = size_of::<Option<Tracked>>() + INDEX;
    max_connections * (2 * slot + MAX_HEAP + owners::MAX_BYTES) as u64
}

/// The most interfaces that are named.
const MAX_INTERFACES: usize = 65_536;

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Tracker {
    /// A tracker without connections.
    #[must_use]
    pub fn new(options: TrackerOptions) -> Self {
        let report = ReportOptions { events: options.events, heads: options.heads.clone() };
        Self {
            options,
            report: Arc::new(report),
            connections: Table::default(),
            half_open_deadlines: BinaryHeap::new(),
            deadlines: BinaryHeap::new(),
            records: VecDeque::new(),
            pending_lookups: VecDeque::new(),
            removals: VecDeque::new(),
            closed: VecDeque::new(),
            interfaces: HashMap::new(),
            epoch_offset: 0,
            // The system seeds a RandomState: enough to distinguish runs.
            run: RandomState::new().hash_one(0u8) as u32,
            totals: Totals::default(),
            buffered: 0,
            out: Bodies::new(),
            pending_events: PendingEvents::default(),
            handshakes: Handshakes::default(),
            owners: None,
            last_number: 0,
        }
    }

    /// Sets what to add to the observer's clock to get ns since the Unix epoch.
    pub fn set_clock(&mut self, epoch_offset_ns: i64) {
        self.epoch_offset = epoch_offset_ns;
    }

    /// Sets the name of an interface.
    pub fn name_interface(&mut self, index: u32, name: &str) {
        let is_known = self.interfaces.get(&index).is_some_and(|known| **known == *name);
        // A capture can have any number of interfaces.
        if !is_known && (self.interfaces.len() < MAX_INTERFACES || self.interfaces.contains_key(&index)) {
            self.interfaces.insert(index, name.into());
        }
    }

    /// The next record.
    pub fn next_record(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    /// The next connection to look up in the kernel's table: see [`Tracker::on_lookup`].
    pub fn next_lookup(&mut self) -> Option<FlowKey> {
        self.pending_lookups.pop_front()
    }

    /// The next connection to remove from the kernel's table.
    pub fn next_removal(&mut self) -> Option<Removal> {
        self.removals.pop_front()
    }

    /// The counters.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether no connection is followed, and none waits for its removal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.len() == 0 && self.closed.is_empty()
    }

    /// Takes in one event.
    pub fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Connection(event) => return self.on_connection(event),
            Event::Icmp(event) => return self.on_icmp(event),
            Event::Owner(event) => return self.on_owner(event),
            Event::Segment(_) | Event::Http(..) => {}
        }
        if let Event::Segment(segment) = event
            && segment.reasons.contains(SegmentFlags::PORTS_REUSED)
        {
            self.on_last_counters(segment);
            return;
        }
        let Some(slot) = self.find_or_start(event) else { return };
        if let Event::Segment(segment) = event {
            self.learn_socket(slot, segment);
        }
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        let before = tracked.connection.phase();
        let exchanges = tracked.connection.exchanges();
        let header = event.header();
        if tracked.connection.flow != header.flow {
            // The kernel evicted its entry; the connection is the same.
            tracked.connection.restart(header.flow, header.time, &mut self.out);
            if let Some(attributes) = self.pending_events.take(header) {
                tracked.attributes.encapsulation = attributes.encapsulation;
            }
        }
        match event {
            Event::Segment(segment) => {
                tracked.connection.on_segment(segment, &mut self.out);
                tracked.recovered &= segment.reasons.contains(SegmentFlags::AFTER_CLOSE);
            }
            Event::Connection(_) | Event::Icmp(_) | Event::Owner(_) => {}
            Event::Http(facts, bytes) => {
                tracked.connection.on_http(facts, bytes, &mut self.out);
            }
        }
        // Nothing else changes messages and gaps.
        if has_reason(event, SegmentFlags::GAP | SegmentFlags::OLD_DATA) || matches!(event, Event::Http(..)) {
            self.buffered -= tracked.buffered as usize;
            tracked.update_buffered();
            self.buffered += tracked.buffered as usize;
        }
        let after = tracked.connection.phase();
        let more = u64::from(tracked.connection.exchanges() - exchanges);
        self.totals.exchanges += if tracked.is_translated { 0 } else { more };
        if after != before {
            self.on_phase(slot, before, after);
        } else if has_reason(event, SegmentFlags::RST) {
            // It is over soon if its sender is silent now.
            self.schedule(slot);
        }
        self.queue_records(slot);
        if let Event::Segment(segment) = event {
            self.pair_translated(slot, segment);
        }
        if self.buffered > self.options.buffer_bytes {
            self.drop_buffers(header.time);
        }
    }

    /// Takes in what is known once about a connection. It comes before the first other event of the connection.
    fn on_connection(&mut self, event: &ConnectionEvent) {
        let tracked =
            self.connections.find(&event.header.key).and_then(|slot| self.connections.get_mut(slot));
        match tracked {
            // Another CPU was faster with an event of the other direction.
            Some(tracked) if tracked.connection.flow == event.header.flow => {
                if tracked.attributes.encapsulation.is_empty() {
                    tracked.attributes.encapsulation = event.encapsulation;
                }
            }
            _ => self.pending_events.push(*event),
        }
    }

    /// Takes in an ICMP error. It starts no connection: anybody can send one.
    fn on_icmp(&mut self, event: &IcmpEvent) {
        if let Some(slot) = self.connections.find(&event.header.key)
            && let Some(tracked) = self.connections.get_mut(slot)
            && tracked.connection.flow == event.header.flow
        {
            tracked.connection.on_icmp(event, &mut self.out);
            self.queue_records(slot);
        }
    }

    /// Drops message and gap buffers, largest first, until usage is below ¾ of the limit.
    fn drop_buffers(&mut self, now: u64) {
        let slots = self.connections.slots().map(|(slot, _)| slot);
        let size = |slot| self.connections.get(slot).map_or(0, |tracked| tracked.buffered);
        let mut largest: Vec<_> =
            slots.map(|slot| (size(slot), slot)).filter(|(size, _)| *size > 0).collect();
        largest.sort_unstable_by_key(|(size, _)| Reverse(*size));
        for (size, slot) in largest {
            if self.buffered <= self.options.buffer_bytes / 4 * 3 {
                break;
            }
            let Some(tracked) = self.connections.get_mut(slot) else { continue };
            let exchanges = tracked.connection.exchanges();
            tracked.connection.drop_buffers(now, &mut self.out);
            tracked.update_buffered();
            self.buffered = self.buffered - size as usize + tracked.buffered as usize;
            let more = u64::from(tracked.connection.exchanges() - exchanges);
            self.totals.exchanges += if tracked.is_translated { 0 } else { more };
            self.totals.buffers_dropped += 1;
            self.queue_records(slot);
        }
    }

    /// Finds the connection of an event, or starts one; `None` if the event is of no connection to follow.
    fn find_or_start(&mut self, event: &Event<'_>) -> Option<SlotIndex> {
        let header = event.header();
        // From the counters, because its own event may be lost. An entry that replaces an evicted one has no
        // SYN.
        let has_syn = matches!(event, Event::Segment(segment) if unreported::has_syn(&segment.halves));
        let is_http = matches!(event, Event::Http(..));
        let has = |bits| has_reason(event, bits);
        if let Some(slot) = self.connections.find(&header.key)
            && let Some(tracked) = self.connections.get_mut(slot)
        {
            if tracked.connection.flow == header.flow {
                return Some(slot);
            }
            let starts = match tracked.connection.phase() {
                Phase::Closed => true,
                // The kernel does not evict a connection whose handshake it saw complete.
                Phase::Open if is_http => tracked.connection.has_syn(),
                Phase::Open => has_syn || has(SegmentFlags::SYN_ACK),
                Phase::HalfOpen => has_syn,
            };
            if !starts {
                return Some(slot);
            }
            self.on_port_reuse(slot, has_syn || is_http);
        } else if matches!(event, Event::Segment(SegmentEvent { reasons, .. }) if reasons.contains(SegmentFlags::AFTER_CLOSE))
        {
            // A stray segment of a connection whose record was written.
            return None;
        }
        let slot = self.start(header, self.client(event));
        self.claim_ends(slot, event);
        Some(slot)
    }

    /// Ends a connection whose ports are reused, with its last counters.
    fn on_last_counters(&mut self, event: &SegmentEvent) {
        let Some(slot) = self.connections.find(&event.header.key) else { return };
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        if tracked.connection.flow != event.header.flow {
            return;
        }
        tracked.connection.on_last_counters(event, &mut self.out);
        let last = tracked.connection.last;
        self.close(slot, CloseReason::PortsReused, last);
    }

    /// Ends a connection whose ports are reused; `closed`: that proves that it has closed.
    fn on_port_reuse(&mut self, slot: SlotIndex, closed: bool) {
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        if tracked.connection.phase() == Phase::Open && closed {
            // The kernel follows a new SYN only if the old connection has closed: that event was lost.
            tracked.connection.on_end_lost();
        }
        let reason = match tracked.connection.phase() {
            Phase::Closed | Phase::HalfOpen => tracked.connection.close_reason(),
            Phase::Open => CloseReason::Evicted,
        };
        let last = tracked.connection.last;
        self.close(slot, reason, last);
    }

    fn start(&mut self, header: &EventHeader, client: End) -> SlotIndex {
        self.evict_half_open(header.time, 1);
        let report = Arc::clone(&self.report);
        let connection = Connection::new(header.key, header.flow, client, header.time, report);
        self.totals.opened += 1;
        self.totals.half_open += 1;
        self.last_number += 1;
        let slot = self.connections.insert(Tracked {
            connection,
            number: self.last_number,
            interface: header.interface,
            attributes: self.pending_events.take(header).unwrap_or_default(),
            owners: Default::default(),
            buffered: 0,
            due: 0,
            half_open_reported: false,
            recovered: false,
            is_translated: false,
        });
        self.schedule(slot);
        slot
    }

    /// The client: the endpoint that sent the SYN, else the one without the traced port, else the one with the
    /// higher port (ephemeral ports are the highest: RFC 6335, 6), else the one seen first.
    fn client(&self, event: &Event<'_>) -> End {
        let header = event.header();
        let sender = header.sender();
        if let Event::Segment(segment) = event {
            if segment.reasons.contains(SegmentFlags::SYN) {
                return sender;
            }
            if segment.reasons.contains(SegmentFlags::SYN_ACK) {
                return sender.other();
            }
        }
        self.client_by_port(&header.key).unwrap_or(sender)
    }

    /// The client, judged by the ports.
    fn client_by_port(&self, key: &FlowKey) -> Option<End> {
        let traced = |port| self.options.ports.contains(&port);
        match (traced(key.low_port), traced(key.high_port)) {
            (true, false) => Some(End::High),
            (false, true) => Some(End::Low),
            _ => match key.low_port.cmp(&key.high_port) {
                Ordering::Less => Some(End::High),
                Ordering::Greater => Some(End::Low),
                Ordering::Equal => None,
            },
        }
    }

    fn on_phase(&mut self, slot: SlotIndex, before: Phase, after: Phase) {
        // A translated connection is counted once, but as half-open for its limit.
        let is_translated = self.connections.get(slot).is_some_and(|tracked| tracked.is_translated);
        for (phase, more) in [(before, false), (after, true)] {
            if !is_translated || phase == Phase::HalfOpen {
                self.count_phase(phase, more);
            }
        }
        let now = self.connections.get(slot).map_or(0, |tracked| tracked.connection.last);
        // A closed connection that starts again under the same identifier is half-open too.
        self.evict_half_open(now, 0);
        let confirmed = |tracker: &Self| tracker.connections.len() as u64 - tracker.totals.half_open;
        while confirmed(self) > self.options.max_connections as u64 && self.evict_next(false, now) {}
        self.schedule(slot);
    }

    fn count_phase(&mut self, phase: Phase, more: bool) {
        let count = match phase {
            Phase::HalfOpen => &mut self.totals.half_open,
            Phase::Open => &mut self.totals.open,
            Phase::Closed => return,
        };
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Queues the records of a connection.
    fn queue_records(&mut self, slot: SlotIndex) {
        if self.connections.get(slot).is_some_and(|tracked| tracked.is_translated) {
            self.out.clear();
        }
        if self.out.is_empty() {
            return;
        }
        let connection =
            self.connections.get(slot).map(|tracked| tracked.identity(self.run, &self.interfaces));
        for (time, body) in self.out.drain(..) {
            let timestamp = Timestamp(time.saturating_add_signed(self.epoch_offset));
            self.records.push_back(Record { timestamp, connection: connection.clone(), body });
        }
    }

    /// The observation ends at `now`: closes every connection.
    pub fn finish(&mut self, now: u64) {
        let slots: Vec<SlotIndex> = self.connections.slots().map(|(slot, _)| slot).collect();
        for slot in slots {
            let Some(tracked) = self.connections.get(slot) else { continue };
            let (reason, at) = match tracked.connection.phase() {
                Phase::Closed => (tracked.connection.close_reason(), tracked.connection.closed_at),
                Phase::Open | Phase::HalfOpen => match tracked.connection.ended() {
                    Some(reason) => (reason, tracked.connection.last),
                    None => (tracked.connection.reason_at_end(self.options.end_reason, now), now),
                },
            };
            self.close(slot, reason, at);
        }
    }

    fn close(&mut self, slot: SlotIndex, reason: CloseReason, at: u64) {
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        let Connection { key, flow, .. } = tracked.connection;
        let (phase, recovered) = (tracked.connection.phase(), tracked.recovered);
        let exchanges = tracked.connection.exchanges();
        tracked.connection.close(reason, at, &mut self.out);
        let is_translated = tracked.is_translated;
        if !is_translated {
            self.totals.exchanges += u64::from(tracked.connection.exchanges() - exchanges);
        }
        self.buffered -= std::mem::take(&mut tracked.buffered) as usize;
        self.queue_records(slot);
        self.connections.remove(slot);
        // What is open at the end of the observation stays counted as open.
        if is_translated && phase == Phase::HalfOpen {
            self.count_phase(phase, false);
        } else if !is_translated && !reason.is_still_open() {
            self.count_phase(phase, false);
            self.totals.closed += 1;
        }
        if phase == Phase::Closed && !recovered {
            self.closed.push_back((at, key, flow));
        } else {
            // If it continues, it is a new connection; a recovered one would be recovered again.
            self.removals.push_back(Removal { key, flow, recovered: u32::from(recovered) });
        }
    }
}

/// Whether an event is a segment with one of these flags.
fn has_reason(event: &Event<'_>, flags: SegmentFlags) -> bool {
    matches!(event, Event::Segment(SegmentEvent { reasons, .. }) if reasons.intersects(flags))
}

#[cfg(test)]
mod tests;
