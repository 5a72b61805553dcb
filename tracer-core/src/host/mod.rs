//! The path of a frame as in the kernel, run in userspace: for captures, and for tests that compare the two.
//!
//! [`HostObserver`] is the host's side of [`tracer_common::observe`]: the same parser, the same flow logic and the same
//! message scanner, with hash maps for BPF maps and a queue for the ring buffer. It has no clock of its own.

mod checksum;
mod fragments;
mod frame;
mod reassembly;
mod tables;
mod targets;
#[cfg(test)]
mod tests;
mod vantage;

use std::{array, cell::Cell, cell::RefCell, collections::VecDeque, ops::RangeInclusive};

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use tracer_common::{
    counter::Counter,
    event::{Event, Hook},
    flow::{FlowKey, FlowState, Removal},
    http::Room,
    observe::{Frame as _, observe},
    target::{Target, TargetKey},
    wire::{Encapsulations, LinkType, Segment, Skip, TcpFlags},
};

use self::{
    fragments::Fragments, frame::HostFrame, reassembly::Reassembly, tables::HostTables, targets::Targets,
    vantage::HostVantage,
};
use crate::{analysis::Flows, record::Events};

/// Connections kept at most where nothing else is asked for: as many as the kernel's tables hold.
pub const DEFAULT_MAX_FLOWS: usize = 65_536;

/// How often fragments are looked for in what fragments were put together to: in a tunnel in a tunnel in a packet.
const MAX_REASSEMBLED: usize = 4;

/// What to observe, and how much of it to keep.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The traced ports.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Networks; a connection is wanted if one of its addresses is in one of them. Empty: all are wanted.
    pub hosts: Vec<IpNet>,
    /// The records to make: [`EventName::Segment`] takes an event for every segment, not only for those that change something.
    pub events: Events,
    /// Whether tunnels are entered: the connection is then the one inside.
    pub decapsulate: bool,
    /// Whether IP fragments are put together, and payload that arrives out of order is held for the message scanner; the
    /// kernel keeps no payload.
    pub reassemble: bool,
    /// Whether TCP checksums are verified; the kernel programs do not.
    pub verify: bool,
    /// Connections kept at most; those that come when there is no room are counted as [`Skip::TableFull`].
    pub max_connections: usize,
    /// Half-open handshakes and other attempts kept at most; the one not seen for the longest makes room.
    pub max_unconfirmed: usize,
    /// New attempts at one server that are told one by one in each window: see [`tracer_common::target`].
    pub told_attempts: u32,
    /// What addresses of clients are hashed with.
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
            // A capture is there to be looked into.
            told_attempts: u32::MAX,
            seed: [0; 2],
        }
    }
}

/// Observes frames as the kernel programs do, and queues the events that they would put into the ring buffer.
#[derive(Debug)]
pub struct HostObserver {
    selection: Selection,
    tables: HostTables,
    targets: RefCell<Targets>,
    fragments: Fragments,
    room: Box<Room>,
    told: Told,
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
            targets: RefCell::default(),
            fragments: Fragments::default(),
            room: Box::new(Room::BLANK),
            told: Told::new(),
            reassembly,
        }
    }

    /// Takes in one frame, of `wire_len` bytes on the wire, of which `frame` was captured. `interface` is not 0;
    /// `time` is in ns of any clock, not 0, and never goes back.
    ///
    /// # Errors
    /// Why the frame was passed over; it is counted too.
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
            self.release(packet, time);
            let fragment;
            (outcome, fragment) = self.observe_packet(packet, interface, hook, time);
            let Some((start, within)) = fragment else { break };
            let bytes = packet.bytes.get(start..).unwrap_or_default();
            let Some(complete) = self.fragments.take(bytes, within.0, time) else { break };
            whole = complete;
            packet = Packet { bytes: &whole, wire_len: whole.len(), link: LinkType::RawIp, within };
        }
        match outcome {
            Ok(()) => self.told.count(Counter::Matched as usize),
            Err(reason) => self.told.count(reason as usize),
        }
        outcome
    }

    /// What became of it, and the fragment that it is.
    fn observe_packet(
        &mut self,
        packet: Packet<'_>,
        interface: u32,
        hook: Hook,
        time: u64,
    ) -> (Result<(), Skip>, Option<(usize, Encapsulations)>) {
        let frame = HostFrame::new(packet, &self.selection, &self.told, self.reassembly.as_ref());
        let (selection, told, targets) = (&self.selection, &self.told, &self.targets);
        let vantage = HostVantage { selection, interface, hook, time, within: frame.within(), told, targets };
        let room = &mut *self.room;
        let outcome = observe(&frame, packet.link, &vantage, &mut self.tables, move || Some(room));
        (outcome, frame.fragment())
    }

    /// Scans what is held and will not be sent again: the frame acknowledges it, or resets its connection. Before the frame
    /// itself is told, because it may be the last one of its connection.
    fn release(&mut self, packet: Packet<'_>, time: u64) {
        let Some(reassembly) = self.reassembly.as_mut().map(RefCell::get_mut) else { return };
        if !reassembly.is_holding() {
            return;
        }
        let mut segment = Segment::default();
        let frame = HostFrame::new(packet, &self.selection, &self.told, None);
        if frame.parse(packet.link, &mut segment).is_err() {
            return;
        }
        let mut key = FlowKey::BLANK;
        let from_low = key.set(&segment);
        let Some(flow) = self.tables.get_mut(&key) else { return };
        let reset = segment.flags.has(TcpFlags::RST);
        for direction in [!from_low, from_low] {
            let (half, peer) = flow.split(direction);
            let acknowledged = direction != from_low
                && segment.flags.has(TcpFlags::ACK)
                && half.offset_of(segment.ack) > half.http.position;
            if reset || acknowledged {
                reassembly.release(&(key, direction), time, true, &self.told, half, peer, &mut self.room);
            }
        }
    }

    /// The observation ends at `time`: scans what is held, whatever is missing before it.
    pub fn finish(&mut self, time: u64) {
        let Some(reassembly) = self.reassembly.as_mut().map(RefCell::get_mut) else { return };
        for (id, direction) in reassembly.directions() {
            let (key, from_low) = direction;
            let Some(flow) = self.tables.get_mut(&key).filter(|flow| flow.id == id) else { continue };
            let (half, peer) = flow.split(from_low);
            reassembly.release(&direction, time, true, &self.told, half, peer, &mut self.room);
        }
    }

    /// The oldest event not taken yet, as the ring buffer would carry it: see [`Event::from_bytes`].
    pub fn next_event(&mut self) -> Option<Bytes> {
        self.told.events.get_mut().pop_front()
    }

    /// What was counted so far: indexed by [`Skip`] and [`Counter`].
    #[must_use]
    pub fn counters(&self) -> [u64; Counter::COUNT] {
        array::from_fn(|index| self.told.counters.get(index).map_or(0, Cell::get))
    }

    /// What was counted for each server asked for connections.
    pub fn targets(&mut self) -> impl Iterator<Item = (TargetKey, Target)> {
        self.targets.get_mut().all()
    }

    /// The connection, if it is kept.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<FlowState> {
        self.tables.get(key).copied()
    }

    /// Gives up the incarnation `flow` of a connection, if it is kept.
    pub fn forget(&mut self, key: &FlowKey, flow: u64) {
        self.tables.forget_incarnation(key, flow);
        if let Some(reassembly) = &mut self.reassembly {
            reassembly.get_mut().forget(key, flow);
        }
    }

    /// How many connections are kept: confirmed ones, and attempts.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        self.tables.len()
    }
}

/// A frame, or a packet that fragments were put together to.
#[derive(Clone, Copy)]
struct Packet<'a> {
    bytes: &'a [u8],
    /// Bytes on the wire; a capture may hold fewer.
    wire_len: usize,
    link: LinkType,
    /// The tunnels that the fragments were found in.
    within: Encapsulations,
}

/// What comes out: shared by the frame, whose scanner tells HTTP events, and the vantage, which tells segments.
#[derive(Debug)]
struct Told {
    events: RefCell<VecDeque<Bytes>>,
    /// For the next events: many share one piece of memory.
    room: RefCell<BytesMut>,
    counters: [Cell<u64>; Counter::COUNT],
}

impl Told {
    fn new() -> Self {
        Self {
            events: RefCell::default(),
            room: RefCell::default(),
            counters: array::from_fn(|_| Cell::new(0)),
        }
    }

    fn count(&self, index: usize) {
        if let Some(counter) = self.counters.get(index) {
            counter.set(counter.get() + 1);
        }
    }

    fn tell(&self, event: &Event<'_>) {
        let mut room = self.room.borrow_mut();
        for piece in event.pieces() {
            room.extend_from_slice(piece);
        }
        self.events.borrow_mut().push_back(room.split().freeze());
        self.count(match event {
            Event::Segment(_) => Counter::SegmentEvents,
            Event::Http(..) => Counter::HttpEvents,
        } as usize);
    }
}

impl Flows for HostObserver {
    fn find(&mut self, key: &FlowKey) -> Result<Option<FlowState>> {
        Ok(Self::find(self, key))
    }

    fn remove(&mut self, removals: &[Removal]) -> Result<u64> {
        removals.iter().for_each(|removal| self.forget(&removal.key, removal.flow));
        // Here no event is lost, so that nothing has to be looked up.
        Ok(0)
    }
}
