//! The kernel's frame path in userspace: for captures, and for tests that compare the two.
//!
//! [`HostObserver`] implements [`tracer_common::observe`] on the host: the same parser, flow logic and
//! message scanner, with hash maps for BPF maps and a queue for the ring buffer. It has no clock of its own.

mod checksum;
mod fragments;
mod frame;
mod reassembly;
pub(crate) mod servers;
mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod vantage;

use std::{array, cell::Cell, cell::RefCell, collections::VecDeque, ops::RangeInclusive};

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use tracer_common::{
    connection::FlowState,
    counter::Counter,
    event::{Event, Hook},
    flow::{FlowKey, Removal},
    http1::ScanBuffer,
    observe::{Frame as _, Vantage, observe, observe_icmp},
    server::{CountContext, ServerCounters, ServerKey},
    wire::{Encapsulations, IcmpError, LinkType, Segment, Skip, TcpFlags},
};

use self::{
    fragments::Fragments,
    frame::HostFrame,
    reassembly::Reassembly,
    servers::Servers,
    tables::HostTables,
    vantage::{HostEmit, HostPlace},
};
use crate::{analysis::Flows, record::Events};

/// The default limit of connections: as many as the kernel's tables hold.
pub const DEFAULT_MAX_FLOWS: usize = 65_536;

/// The most reassemblies of one frame: of a packet, and of the packets in its tunnels.
const MAX_REASSEMBLED: usize = 4;

/// What to observe, and the limits of the tables.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The traced ports.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Networks; a connection is traced if one of its addresses is in one of them. Empty: all are traced.
    pub hosts: Vec<IpNet>,
    /// The records to make: with [`EventName::Segment`](crate::record::EventName::Segment) every segment is
    /// reported, not only those that change something.
    pub events: Events,
    /// Whether tunnels are decapsulated; the connection is then the inner one.
    pub decapsulate: bool,
    /// Whether IP fragments are reassembled, and payload that arrives out of order is held for the message
    /// scanner. The kernel keeps no payload.
    pub reassemble: bool,
    /// Whether TCP checksums are verified; the kernel programs do not.
    pub verify: bool,
    /// The most connections; frames of further ones are counted as [`Skip::TableFull`].
    pub max_connections: usize,
    /// The most half-open handshakes and other attempts; a new one evicts the least recently seen one.
    pub max_unconfirmed: usize,
    /// New attempts per server and window that are reported one by one: see [`tracer_common::server`].
    pub max_reported_attempts: u32,
    /// Seed of the hash of client addresses.
    pub seed: [u32; 2],
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            ports: vec![80..=80],
            hosts: Vec::new(),
            events: Events::default(),
            decapsulate: false,
            reassemble: false,
            verify: false,
            max_connections: DEFAULT_MAX_FLOWS,
            max_unconfirmed: DEFAULT_MAX_FLOWS,
            // A capture is to be examined in full.
            max_reported_attempts: u32::MAX,
            seed: [0; 2],
        }
    }
}

/// Observes frames as the kernel programs do, and queues the events that they would write to the ring buffer.
#[derive(Debug)]
pub struct HostObserver {
    selection: Selection,
    tables: HostTables,
    servers: RefCell<Servers>,
    fragments: Fragments,
    buffer: Box<ScanBuffer>,
    output: EventQueue,
    reassembly: Option<RefCell<Reassembly>>,
}

impl HostObserver {
    /// An observer that has seen nothing yet.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        let tables = HostTables::new(selection.max_connections, selection.max_unconfirmed);
        let reassembly = selection.reassemble.then(RefCell::default);
        Self {
            selection,
            tables,
            servers: RefCell::default(),
            fragments: Fragments::default(),
            buffer: Box::new(ScanBuffer::EMPTY),
            output: EventQueue::new(),
            reassembly,
        }
    }

    /// Takes in one frame, of `wire_len` bytes on the wire, of which `frame` was captured. `interface` is not
    /// 0; `time` is in ns of any clock, not 0, and never goes back.
    ///
    /// # Errors
    /// Why the frame was skipped; it is counted too.
    pub fn observe(
        &mut self,
        frame: &[u8],
        wire_len: usize,
        link: LinkType,
        interface: u32,
        hook: Hook,
        time: u64,
    ) -> Result<(), Skip> {
        let mut packet = Packet { bytes: frame, wire_len, link, within: Encapsulations::default() };
        let mut whole: Vec<u8>;
        let mut outcome = Err(Skip::Fragment);
        for _ in 0..MAX_REASSEMBLED {
            self.release(packet);
            let fragment;
            (outcome, fragment) = self.observe_packet(packet, interface, hook, time);
            let Some((start, within)) = fragment else { break };
            let bytes = packet.bytes.get(start..).unwrap_or_default();
            let Some(complete) = self.fragments.take(bytes, within.0, time) else { break };
            whole = complete;
            packet = Packet { bytes: &whole, wire_len: whole.len(), link: LinkType::RawIp, within };
        }
        match outcome {
            Ok(()) => self.output.count(Counter::Matched as usize),
            Err(reason) => self.output.count(reason as usize),
        }
        outcome
    }

    /// The outcome, and the fragment that the packet is.
    fn observe_packet(
        &mut self,
        packet: Packet<'_>,
        interface: u32,
        hook: Hook,
        time: u64,
    ) -> (Result<(), Skip>, Option<(usize, Encapsulations)>) {
        let frame = HostFrame::new(packet, &self.selection, &self.output, self.reassembly.as_ref());
        let Selection { max_reported_attempts, seed, .. } = self.selection;
        let context = CountContext { now: time, max_reported_attempts, seed };
        let vantage = Vantage {
            place: HostPlace { interface, hook, time },
            selection: &self.selection,
            emit: HostEmit { context, output: &self.output, servers: &self.servers },
        };
        let buffer = &mut *self.buffer;
        let outcome = observe(&frame, packet.link, &vantage, &mut self.tables, move || Some(buffer));
        if outcome == Err(Skip::NotTcp) {
            // The frame counts as skipped all the same: it is no segment.
            let _ = observe_icmp(&frame, packet.link, &vantage, &mut self.tables, &mut IcmpError::default());
        }
        (outcome, frame.fragment())
    }

    /// Scans held payload that will not be sent again: the frame acknowledges it, or resets its connection. Before the frame
    /// itself is observed, because it may be the last one of its connection.
    fn release(&mut self, packet: Packet<'_>) {
        let Some(reassembly) = self.reassembly.as_mut().map(RefCell::get_mut) else { return };
        if !reassembly.is_holding() {
            return;
        }
        let mut segment = Segment::default();
        let frame = HostFrame::new(packet, &self.selection, &self.output, None);
        if frame.parse(packet.link, &mut segment).is_err() {
            return;
        }
        let mut key = FlowKey::ZERO;
        let from = key.set(&segment);
        let Some(flow) = self.tables.get_mut(&key) else { return };
        let reset = segment.flags.contains(TcpFlags::RST);
        for sender in [from.other(), from] {
            let acknowledged = sender != from
                && segment.flags.contains(TcpFlags::ACK)
                && sender.of(&flow.tcp).offset_of(segment.ack) > sender.of(&flow.http).position;
            if reset || acknowledged {
                let stream = (key, sender);
                reassembly.release_all(&stream, flow, &self.output, &mut self.buffer);
            }
        }
    }

    /// Ends the observation: scans held payload, whatever is missing before it.
    pub fn finish(&mut self) {
        let Some(reassembly) = self.reassembly.as_mut().map(RefCell::get_mut) else { return };
        for (id, stream) in reassembly.streams() {
            let Some(flow) = self.tables.get_mut(&stream.0).filter(|flow| flow.id == id) else { continue };
            reassembly.release_all(&stream, flow, &self.output, &mut self.buffer);
        }
    }

    /// The next event, as the ring buffer would contain it: see [`Event::from_bytes`].
    pub fn next_event(&mut self) -> Option<Bytes> {
        self.output.events.get_mut().pop_front()
    }

    /// The counters so far: indexed by [`Skip`] and [`Counter`].
    #[must_use]
    pub fn counters(&self) -> [u64; Counter::COUNT] {
        array::from_fn(|index| self.output.counters.get(index).map_or(0, Cell::get))
    }

    /// The counters of each server.
    pub fn servers(&mut self) -> impl Iterator<Item = (ServerKey, ServerCounters)> {
        self.servers.get_mut().all()
    }

    /// The state of a connection, if it is in the tables.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<FlowState> {
        self.tables.get(key).copied()
    }

    /// Drops the incarnation `flow` of a connection, if it is kept.
    pub fn forget(&mut self, key: &FlowKey, flow: u64) {
        self.tables.forget_incarnation(key, flow);
        if let Some(reassembly) = &mut self.reassembly {
            reassembly.get_mut().drop_incarnation(key, flow);
        }
    }

    /// The number of connections in the tables: confirmed ones, and attempts.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        self.tables.len()
    }
}

/// A frame, or a packet that was reassembled from fragments.
#[derive(Clone, Copy)]
struct Packet<'a> {
    bytes: &'a [u8],
    /// Bytes on the wire; a capture may hold fewer.
    wire_len: usize,
    link: LinkType,
    /// The tunnels in which the fragments were found.
    within: Encapsulations,
}

/// Events and counters. Shared, because the scanner of a frame emits too.
#[derive(Debug)]
struct EventQueue {
    events: RefCell<VecDeque<Bytes>>,
    /// Memory for the next events, which many share.
    memory: RefCell<BytesMut>,
    counters: [Cell<u64>; Counter::COUNT],
}

impl EventQueue {
    fn new() -> Self {
        Self {
            events: RefCell::default(),
            memory: RefCell::default(),
            counters: array::from_fn(|_| Cell::new(0)),
        }
    }

    fn count(&self, index: usize) {
        if let Some(counter) = self.counters.get(index) {
            counter.set(counter.get() + 1);
        }
    }

    fn emit(&self, event: &Event<'_>) {
        let mut memory = self.memory.borrow_mut();
        for piece in event.pieces() {
            memory.extend_from_slice(piece);
        }
        self.events.borrow_mut().push_back(memory.split().freeze());
        self.count(match event {
            Event::Connection(_) => Counter::ConnectionEvents,
            Event::Segment(_) => Counter::SegmentEvents,
            Event::Http(..) => Counter::HttpEvents,
            Event::Icmp(_) => Counter::IcmpEvents,
            Event::Owner(_) => Counter::OwnerEvents,
        } as usize);
    }
}

impl Flows for HostObserver {
    fn find(&mut self, key: &FlowKey) -> Result<Option<FlowState>> {
        Ok(Self::find(self, key))
    }

    fn remove(&mut self, removals: &[Removal]) -> Result<u64> {
        removals.iter().for_each(|removal| self.forget(&removal.key, removal.flow));
        // No event is lost on the host, so that no lookup recovers one.
        Ok(0)
    }
}
