//! One connection as a script, run through the kernel's flow logic on the host and into a [`Tracker`].
//!
//! A script is a list of steps. Each takes 1 ms.
//!
//! ```text
//! >S <SA >A        the client (>) sends a SYN, the server (<) a SYN-ACK, …: the control bits S A F R P
//! >A100            … with 100 bytes of payload
//! >G <O            … with a request that has no content, and a response that has none
//! >A100@200        … that starts at stream offset 200 instead of after what was sent
//! >A^50            … that acknowledges up to offset 50 instead of everything sent
//! >A=0             … with this window
//! -<A100           … that the observer does not see
//! !<A              … that the observer sees, but cannot emit: the ring is full
//! #<A              … with a bad checksum
//! +500             nothing for 500 ms
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    mem::take,
};

use tracer_common::{
    connection::FlowState,
    counter::Counter,
    event::{ConnectionEvent, Event, Hook, HttpFacts, IcmpEvent, SegmentEvent},
    flow::{End, FlowKey, Removal, TcpHalf},
    frame::{FrameBytes, WINDOW},
    http1::{HttpEvent, HttpHalf, HttpSink, MAX_STEPS, Scan, ScanBuffer, Steps},
    observe::{Emit, Frame, Table, Tables, Vantage, observe},
    priority::Priority,
    seq::Seq,
    server::{self, Count, CountContext, Handshake, ServerCounters},
    wire::{LinkType, Segment, Skip, TcpFlags},
};

use super::super::{Tracker, TrackerOptions};
use crate::{
    host::{Selection, servers::NonAtomic, vantage::HostPlace},
    record::{Body, Closed, Opened, Record},
};

/// How long a step takes, in ns.
const STEP: u64 = 1_000_000;
/// The initial sequence numbers: close to the wrap.
const BASE: [u32; 2] = [0xffff_ff80, 0xffff_fff0];
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// A segment without a frame.
struct BareSegment {
    segment: Segment,
    payload: Vec<u8>,
    damaged: bool,
}

impl FrameBytes for BareSegment {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.payload.as_slice().read(offset)
    }

    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize {
        self.payload.as_slice().copy(offset, into, len)
    }

    fn wire_len(&self) -> usize {
        self.payload.len()
    }
}

impl Frame for BareSegment {
    fn parse(&self, _link: LinkType, segment: &mut Segment) -> Result<(), Skip> {
        *segment = self.segment;
        Ok(())
    }

    fn scan(&self, half: &mut HttpHalf, peer: &HttpHalf, buffer: &mut ScanBuffer) {
        let ring = Ring::default();
        let mut scan = Scan::new(self, &ring, half, peer, buffer);
        let finished = (0..MAX_STEPS).any(|_| scan.step().is_break());
        assert!(finished, "the scanner ends");
        HTTP.with_borrow_mut(|events| events.append(&mut ring.0.borrow_mut()));
    }

    fn has_bad_checksum(&self, _segment: &Segment) -> bool {
        self.damaged
    }
}

thread_local! {
    /// The HTTP events of the current segment.
    static HTTP: RefCell<Vec<(HttpFacts, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
    /// Whether the ring is full.
    static FULL: RefCell<bool> = const { RefCell::new(false) };
}

#[derive(Default)]
struct Ring(RefCell<Vec<(HttpFacts, Vec<u8>)>>);

impl HttpSink for Ring {
    fn emit(&self, event: &HttpEvent) -> bool {
        if FULL.with_borrow(|full| *full) {
            return false;
        }
        let bytes = event.bytes[..usize::from(event.facts.len)].to_vec();
        self.0.borrow_mut().push((event.facts, bytes));
        true
    }
}

#[derive(Clone, Default)]
struct Maps {
    connections: HashMap<FlowKey, FlowState>,
    half_open: HashMap<FlowKey, FlowState>,
}

impl Tables for Maps {
    fn find(&mut self, key: &FlowKey, first: Table) -> Option<(Table, &mut FlowState)> {
        let is_confirmed = self.connections.contains_key(key);
        let is_unconfirmed = self.half_open.contains_key(key);
        match (first, is_confirmed, is_unconfirmed) {
            (Table::Confirmed, true, _) | (Table::Unconfirmed, true, false) => {
                self.connections.get_mut(key).map(|flow| (Table::Confirmed, flow))
            }
            _ => self.half_open.get_mut(key).map(|flow| (Table::Unconfirmed, flow)),
        }
    }

    fn create(&mut self, key: &FlowKey) -> Option<&mut FlowState> {
        self.half_open.insert(*key, FlowState::NEW);
        self.half_open.get_mut(key)
    }

    fn confirm(&mut self, key: &FlowKey) -> bool {
        let flow = self.half_open.remove(key);
        flow.is_some_and(|flow| self.connections.insert(*key, flow).is_none())
    }

    fn forget(&mut self, key: &FlowKey) {
        self.connections.remove(key);
    }
}

/// Where events and counts go.
struct Output {
    connections: RefCell<Vec<ConnectionEvent>>,
    segments: RefCell<Vec<SegmentEvent>>,
    /// The only server.
    server: RefCell<ServerCounters>,
    /// Connections whose events were all lost.
    lost: Cell<u64>,
}

/// The output at one time.
struct OutputAt<'a> {
    context: CountContext,
    output: &'a Output,
}

impl Emit for OutputAt<'_> {
    fn count(&self, counter: Counter) {
        let lost = &self.output.lost;
        lost.set(lost.get() + u64::from(counter == Counter::ConnectionsLost));
    }

    fn count_handshake(&self, handshake: Handshake<'_>, sender: &mut TcpHalf) -> bool {
        self.output.server.borrow_mut().on_handshake::<NonAtomic>(self.context, handshake, sender)
    }

    fn count_confirmed(&self, segment: &Segment, flow: &FlowState, from: End) {
        if server::confirmed_by(segment, &flow.tcp, from).is_some() {
            self.output.server.borrow_mut().on_confirmed::<NonAtomic>(&flow.tcp, self.context.now);
        }
    }

    fn emit_connection(&self, fill: impl FnOnce(&mut ConnectionEvent)) -> bool {
        emit(&self.output.connections, ConnectionEvent::ZERO, fill)
    }

    fn emit_segment(&self, _priority: Priority, fill: impl FnOnce(&mut SegmentEvent)) -> bool {
        emit(&self.output.segments, SegmentEvent::ZERO, fill)
    }

    fn emit_icmp(&self, _fill: impl FnOnce(&mut IcmpEvent)) {
        unreachable!("a segment is no ICMP error")
    }
}

fn emit<E>(events: &RefCell<Vec<E>>, mut event: E, fill: impl FnOnce(&mut E)) -> bool {
    if FULL.with_borrow(|full| *full) {
        return false;
    }
    fill(&mut event);
    events.borrow_mut().push(event);
    true
}

/// What one side has sent, counted from its SYN.
#[derive(Clone, Copy, Default)]
struct Sent {
    next: u32,
}

/// Segments between two hosts, and their observer.
pub(super) struct Wire {
    pub(super) tracker: Tracker,
    maps: Maps,
    buffer: Box<ScanBuffer>,
    place: HostPlace,
    selection: Selection,
    output: Output,
    /// The client's and the server's.
    sent: [Sent; 2],
    pub(super) ports: [u16; 2],
    /// Last byte of the addresses.
    pub(super) hosts: [u8; 2],
    records: Vec<Record>,
    clock_stopped: bool,
}

impl Wire {
    pub(super) fn new(options: TrackerOptions) -> Self {
        let events = options.events;
        Self {
            tracker: Tracker::new(options),
            maps: Maps::default(),
            buffer: Box::new(ScanBuffer::EMPTY),
            place: HostPlace { interface: 1, hook: Hook::Xdp, time: STEP },
            selection: Selection {
                ports: vec![0..=u16::MAX],
                events,
                // There are no headers for the pre-filter.
                decapsulate: true,
                ..Selection::default()
            },
            output: Output {
                connections: RefCell::default(),
                segments: RefCell::default(),
                server: RefCell::new(ServerCounters::ZERO),
                lost: Cell::default(),
            },
            sent: [Sent { next: 0 }; 2],
            ports: [40_000, 80],
            hosts: [2, 1],
            records: Vec::new(),
            clock_stopped: false,
        }
    }

    /// The next steps are of another connection with the same ports.
    pub(super) fn restart(&mut self) -> &mut Self {
        self.sent = [Sent { next: 0x100_0000 }; 2];
        self
    }

    /// The next steps have the sequence numbers of the first ones.
    pub(super) fn again(&mut self) -> &mut Self {
        self.sent = [Sent { next: 0 }; 2];
        self
    }

    /// The next segments are seen on this interface.
    pub(super) fn seen_on(&mut self, interface: u32) -> &mut Self {
        self.place.interface = interface;
        self
    }

    /// The segments come from a capture.
    pub(super) fn captured(&mut self) -> &mut Self {
        self.place.hook = Hook::Capture;
        self
    }

    /// New attempts are not reported from now on.
    pub(super) fn flooded(&mut self) -> &mut Self {
        self.selection.max_reported_attempts = 0;
        self
    }

    /// A counter of the server.
    pub(super) fn counted(&self, count: Count) -> u64 {
        self.output.server.borrow().get(count)
    }

    /// Connections whose events were all lost.
    pub(super) fn connections_lost(&self) -> u64 {
        self.output.lost.get()
    }

    /// All segments have the same time from now on.
    pub(super) fn stop_clock(&mut self) -> &mut Self {
        self.clock_stopped = true;
        self
    }

    /// Runs the steps of a script.
    pub(super) fn run(&mut self, script: &str) -> &mut Self {
        for step in script.split_whitespace() {
            self.step(step);
        }
        self
    }

    /// Runs the steps of a script, but keeps the connections that the tracker removes from the kernel's
    /// tables.
    pub(super) fn run_without_removals(&mut self, script: &str) -> &mut Self {
        let maps = self.maps.clone();
        self.run(script);
        self.maps = maps;
        self
    }

    /// Runs the steps of a script on a host that translates the addresses: each segment is seen on interface 1,
    /// and, on interface `interface`, between these hosts and ports.
    pub(super) fn run_translated(&mut self, script: &str, interface: u32, hosts: [u8; 2], ports: [u16; 2]) {
        let views = [(1, self.hosts, self.ports), (interface, hosts, ports)];
        for step in script.split_whitespace() {
            let sent = self.sent;
            // The server's segments come from the other side.
            let order = if step.starts_with('<') { [1, 0] } else { [0, 1] };
            for view in order {
                self.sent = sent;
                (self.place.interface, self.hosts, self.ports) = views[view];
                self.step(step);
            }
        }
        (self.place.interface, self.hosts, self.ports) = views[0];
    }

    fn step(&mut self, step: &str) {
        self.place.time += if self.clock_stopped { 0 } else { STEP };
        if let Some(wait) = step.strip_prefix('+') {
            self.place.time += wait.parse::<u64>().expect("milliseconds") * STEP;
            self.tick();
            return;
        }
        let (full, step) = step.strip_prefix('!').map_or((false, step), |step| (true, step));
        let (unseen, step) = step.strip_prefix('-').map_or((false, step), |step| (true, step));
        let (damaged, step) = step.strip_prefix('#').map_or((false, step), |step| (true, step));
        let from = usize::from(step.starts_with('<'));
        let segment = BareSegment { damaged, ..self.segment(from, &step[1..]) };
        if !unseen {
            FULL.with_borrow_mut(|is_full| *is_full = full);
            self.show(&segment);
        }
    }

    /// The segment that a step describes.
    fn segment(&mut self, from: usize, step: &str) -> BareSegment {
        let number = |sign: char| {
            let (_, rest) = step.split_once(sign)?;
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
            Some(rest[..end].parse::<i64>().expect("a number") as u32)
        };
        let bits: &str = step.split(['@', '^', '=']).next().expect("control bits");
        let (bits, len) = bits.split_at(bits.find(|c: char| c.is_ascii_digit()).unwrap_or(bits.len()));
        let mut flags = TcpFlags::EMPTY;
        let mut payload = vec![b'x'; if len.is_empty() { 0 } else { len.parse().expect("a length") }];
        for bit in bits.chars() {
            flags |= match bit {
                'S' => TcpFlags::SYN,
                'A' => TcpFlags::ACK,
                'F' => TcpFlags::FIN,
                'R' => TcpFlags::RST,
                'P' => TcpFlags::PSH,
                'G' | 'O' => {
                    payload = if bit == 'G' { REQUEST } else { RESPONSE }.to_vec();
                    TcpFlags::ACK
                }
                _ => panic!("no control bit {bit} in {step}"),
            };
        }
        // The numbers of a script count from the byte after the SYN.
        let first = if flags.contains(TcpFlags::SYN) { 0 } else { 1 };
        let seq = number('@').map_or(self.sent[from].next, |offset| offset.wrapping_add(first));
        let acked = number('^').map_or(self.sent[1 - from].next, |offset| offset.wrapping_add(1));
        let taken = payload.len() as u32
            + u32::from(flags.contains(TcpFlags::SYN))
            + u32::from(flags.contains(TcpFlags::FIN));
        let end = seq.wrapping_add(taken);
        if end.wrapping_sub(self.sent[from].next).cast_signed() > 0 && !flags.contains(TcpFlags::RST) {
            self.sent[from].next = end;
        }
        let address = |host: u8| [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes([10, 0, 0, host])];
        let segment = Segment {
            source: address(self.hosts[from]),
            destination: address(self.hosts[1 - from]),
            source_port: self.ports[from],
            destination_port: self.ports[1 - from],
            seq: Seq(BASE[from].wrapping_add(seq)),
            ack: if flags.contains(TcpFlags::ACK) { Seq(BASE[1 - from].wrapping_add(acked)) } else { Seq(0) },
            window: number('=').map_or(1000, |window| window as u16),
            flags,
            payload_len: payload.len() as u32,
            ..Segment::default()
        };
        BareSegment { segment, payload, damaged: false }
    }

    /// Shows a segment to the observer, and its events to the tracker.
    fn show(&mut self, segment: &BareSegment) {
        let Selection { max_reported_attempts, seed, .. } = self.selection;
        let context = CountContext { now: self.place.time, max_reported_attempts, seed };
        let emit = OutputAt { context, output: &self.output };
        let vantage = Vantage { place: self.place, selection: &self.selection, emit };
        let buffer = &mut *self.buffer;
        observe(segment, LinkType::Ethernet, &vantage, &mut self.maps, || Some(buffer)).expect("a segment");
        for event in self.output.connections.borrow_mut().drain(..) {
            self.tracker.on_event(&Event::Connection(event));
        }
        for (facts, bytes) in HTTP.with_borrow_mut(take) {
            self.tracker.on_event(&Event::Http(facts, &bytes));
        }
        for event in self.output.segments.borrow_mut().drain(..) {
            self.tracker.on_event(&Event::Segment(event));
        }
        self.drain();
    }

    fn tick(&mut self) {
        self.tracker.on_tick(self.place.time);
        self.drain();
    }

    /// Does what the pipeline does for the tracker.
    fn drain(&mut self) {
        self.apply_removals();
        while let Some(key) = self.tracker.next_lookup() {
            let flow = self.maps.connections.get(&key).or_else(|| self.maps.half_open.get(&key)).copied();
            self.tracker.on_lookup(&key, flow.as_ref(), self.place.time);
            self.apply_removals();
        }
        self.records.extend(std::iter::from_fn(|| self.tracker.next_record()));
    }

    fn apply_removals(&mut self) {
        while let Some(Removal { key, flow, .. }) = self.tracker.next_removal() {
            for map in [&mut self.maps.connections, &mut self.maps.half_open] {
                if map.get(&key).is_some_and(|known| known.id == flow) {
                    map.remove(&key);
                }
            }
        }
    }

    /// The kernel has seen the ports of every connection reused; the tracker has no event of it yet.
    pub(super) fn reuse_ports(&mut self) -> &mut Self {
        self.maps.connections.values_mut().for_each(|flow| flow.id += 1);
        self
    }

    /// The kernel's tables lose everything.
    pub(super) fn clear_maps(&mut self) -> &mut Self {
        self.maps = Maps::default();
        self
    }

    /// Looks up everything in the kernel's tables, as after losses and at the end.
    pub(super) fn look_up_all(&mut self) -> &mut Self {
        self.tracker.look_up_all();
        self.maps.connections.keys().for_each(|key| self.tracker.look_up_unknown(*key));
        self.drain();
        self
    }

    /// The observation ends.
    pub(super) fn finish(&mut self) -> &mut Self {
        self.look_up_all();
        self.tracker.finish(self.place.time);
        self.drain();
        self
    }

    /// The number of connections in the kernel's tables.
    pub(super) fn kept(&self) -> usize {
        self.maps.connections.len() + self.maps.half_open.len()
    }

    /// The records since the last call.
    pub(super) fn records(&mut self) -> Vec<Record> {
        take(&mut self.records)
    }

    /// The records since the last call, each in a few words.
    pub(super) fn words(&mut self) -> Vec<String> {
        self.records().iter().map(|record| words(&record.body)).collect()
    }
}

fn words(body: &Body) -> String {
    match body {
        Body::Opened(opened) => opened_words(opened),
        Body::State(change) => format!("{}/{}", change.client.as_str(), change.server.as_str()),
        Body::Segment(segment) => {
            let purposes: Vec<_> = segment.purposes.iter().map(|purpose| format!("{purpose:?}")).collect();
            format!("segment {} {}", segment.sender.as_str(), purposes.join(" "))
        }
        Body::Request(_) => "request".to_owned(),
        Body::Response(_) => "response".to_owned(),
        Body::Exchange(exchange) => {
            let status = exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            format!("exchange {} {status} {:?} {:?}", exchange.index, exchange.outcome, exchange.confidence)
        }
        Body::Closed(closed) => closed_words(closed),
        Body::Degraded(_) => "degraded".to_owned(),
        Body::Icmp(error) => format!("icmp {:?} {}", error.sender, error.cause),
        Body::HalfOpen(half_open) => format!(
            "half-open, SYN {}x again, SYN-ACK {}x again",
            half_open.syn_retransmits, half_open.syn_ack_retransmits
        ),
        Body::FloodStarted(_) | Body::FloodEnded(_) | Body::Listener(_) | Body::Summary(_) => {
            panic!("not of a connection: {body:?}")
        }
    }
}

fn opened_words(opened: &Opened) -> String {
    let mut words = "opened".to_owned();
    for (what, times) in [("SYN", opened.syn_retransmits), ("SYN-ACK", opened.syn_ack_retransmits)] {
        if times > 0 {
            words += &format!(", {what} {times}x again");
        }
    }
    if opened.midstream {
        words += " midstream";
    }
    words
}

/// State, reason, initiator, history, completeness, bytes and packets of both sides, and other counters.
fn closed_words(closed: &Closed) -> String {
    let mut words = format!(
        "{:?} {:?}{} {} {} client {}B/{} server {}B/{}",
        closed.conn_state,
        closed.reason,
        closed.initiator.map_or_else(String::new, |side| format!(" by {}", side.as_str())),
        closed.history,
        closed.completeness,
        closed.client.bytes,
        closed.client.packets,
        closed.server.bytes,
        closed.server.packets,
    );
    for (side, totals) in [("client", &closed.client), ("server", &closed.server)] {
        for (what, count) in [
            ("retransmits", totals.retransmits),
            ("fast_retransmits", totals.fast_retransmits),
            ("spurious_retransmits", totals.spurious_retransmits),
            ("out_of_order", totals.out_of_order),
            ("duplicate_acks", totals.duplicate_acks),
            ("zero_windows", totals.zero_windows),
            ("keep_alives", totals.keep_alives),
            ("window_probes", totals.window_probes),
            ("checksum_errors", totals.checksum_errors),
            ("gap_bytes", totals.gap_bytes),
        ] {
            if count > 0 {
                words += &format!(", {side} {what} {count}");
            }
        }
    }
    if closed.events_lost > 0 {
        words += &format!(", {} lost", closed.events_lost);
    }
    words
}
