//! The path of a frame: parse it, find its connection, update that, emit what is reported.
//!
//! The kernel programs and userspace run this same function. They differ in their [`Vantage`] (where the frame was
//! seen, what is traced, where events go) and their [`Tables`] (where connections are kept).

mod icmp;

use crate::{
    connection::FlowState,
    counter::Counter,
    event::{ConnectionEvent, EventHeader, Hook, IcmpEvent, Kind, SegmentEvent},
    flow::{End, FlowKey, HalfFlags, SegmentFlags, TcpHalf, are_confirmed, owner},
    frame::FrameBytes,
    http1::{HttpHalf, ScanBuffer, look_at_content},
    priority::Priority,
    seq::Seq,
    server::{HANDSHAKE, Handshake},
    wire::{LinkType, MAX_OPTIONS, Segment, Skip, TcpFlags, prefilter},
};

pub use icmp::observe_icmp;

/// Where and when a frame is observed.
pub trait Place {
    /// Index of the interface; not 0.
    fn interface(&self) -> u32;
    /// The hook.
    fn hook(&self) -> Hook;
    /// The time of the frame, in ns.
    fn now(&self) -> u64;
    /// The same clock, as precise as is affordable for every segment.
    fn coarse_now(&self) -> u64;
    /// The owner of a direction that is seen here; see [`owner`].
    #[inline(always)]
    fn owner(&self) -> u32 {
        owner(self.interface(), self.hook() as u8 == Hook::TcEgress as u8)
    }
    /// Whether a SYN for a live connection starts another one. In live traffic anybody can spoof a SYN, which its server
    /// challenges (RFC 9293, 3.10.7.4): the connection ends only when the server accepts the SYN. In a capture nobody
    /// spoofs, and the SYN-ACK may not have been captured.
    #[inline(always)]
    fn follows_syn(&self) -> bool {
        self.hook() as u8 == Hook::Capture as u8
    }
}

/// What is traced.
pub trait Selection {
    /// Whether `port` is traced.
    fn traces(&self, port: u16) -> bool;
    /// Whether a connection with either of these addresses is traced.
    fn selects(&self, source: &[u32; 4], destination: &[u32; 4]) -> bool;
    /// Whether tunnels are decapsulated.
    fn decapsulates(&self) -> bool;
    /// Whether every segment is reported.
    fn reports_every_segment(&self) -> bool;
}

/// Where events and counts go.
pub trait Emit {
    /// Counts something that is not an outcome of its own.
    fn count(&self, counter: Counter);
    /// Counts a segment of a handshake at its server; returns whether it is only counted, and not to be reported. Runs
    /// [`ServerCounters::on_handshake`](crate::server::ServerCounters::on_handshake).
    fn count_handshake(&self, handshake: Handshake<'_>, sender: &mut TcpHalf) -> bool;
    /// Counts an attempt that `segment`, from the end `from`, confirms at its server. Runs
    /// [`ServerCounters::on_confirmed`](crate::server::ServerCounters::on_confirmed).
    fn count_confirmed(&self, segment: &Segment, flow: &FlowState, from: End);
    /// Emits a connection event that `fill` sets every field of; false when it was lost.
    fn emit_connection(&self, fill: impl FnOnce(&mut ConnectionEvent)) -> bool;
    /// Emits a segment event that `fill` sets every field of; false when it was lost.
    fn emit_segment(&self, priority: Priority, fill: impl FnOnce(&mut SegmentEvent)) -> bool;
    /// Emits an event about an ICMP error that `fill` sets every field of, with the priority of an anomaly.
    fn emit_icmp(&self, fill: impl FnOnce(&mut IcmpEvent));
}

/// From where, and how, a frame is observed.
#[derive(Clone, Copy, Debug)]
pub struct Vantage<P, S, E> {
    /// Where and when.
    pub place: P,
    /// What is traced.
    pub selection: S,
    /// Where events and counts go.
    pub emit: E,
}

/// A frame, with those parts of the work that the kernel programs do in global functions, which the verifier checks once
/// instead of on every path to them.
pub trait Frame: FrameBytes {
    /// Runs [`parse_segment`](crate::wire::parse_segment), and [`walk`](crate::wire::walk()) where tunnels are decapsulated.
    ///
    /// # Errors
    /// Why the frame is skipped.
    fn parse(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip>;

    /// Runs [`prefilter`](crate::wire::prefilter()).
    ///
    /// # Errors
    /// Why the frame is skipped.
    fn prefilter(&self, link: LinkType, traces: impl Fn(u16) -> bool) -> Result<(), Skip> {
        prefilter(self, link, traces)
    }

    /// Runs [`FlowState::on_segment`].
    #[inline(always)]
    fn advance(
        &self,
        flow: &mut FlowState,
        segment: &Segment,
        from: End,
        now: impl Fn() -> u64,
    ) -> SegmentFlags {
        flow.on_segment(segment, from, now)
    }

    /// Cookie of the socket that sent the frame, or 0: see [`SegmentEvent::socket`].
    #[inline(always)]
    fn socket(&self) -> u64 {
        0
    }

    /// Runs [`Scan`](crate::http1::Scan) over the payload that `buffer` describes, sent by `half` to `peer`.
    fn scan(&self, half: &mut HttpHalf, peer: &HttpHalf, buffer: &mut ScanBuffer);

    /// Whether the TCP checksum is bad. The kernel programs do not verify it: the network card or the host does.
    #[inline(always)]
    fn has_bad_checksum(&self, _segment: &Segment) -> bool {
        false
    }
}

/// The tables that connections are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Connections with a complete handshake, or data.
    Confirmed,
    /// Attempts: half-open handshakes, and segments of unknown connections. A table of their own, so that a flood cannot
    /// evict connections.
    Unconfirmed,
}

/// The connection tables.
pub trait Tables {
    /// The connection, from `first` or else from the other table.
    fn find(&mut self, key: &FlowKey, first: Table) -> Option<(Table, &mut FlowState)>;
    /// A new connection in [`Table::Unconfirmed`], in place of an old one; `None` when the table is full.
    fn create(&mut self, key: &FlowKey) -> Option<&mut FlowState>;
    /// Moves a connection from [`Table::Unconfirmed`] to [`Table::Confirmed`]; false when that is full.
    fn confirm(&mut self, key: &FlowKey) -> bool;
    /// Removes a connection from [`Table::Confirmed`].
    fn forget(&mut self, key: &FlowKey);
}

/// Observes one frame. `buffer` is only called when there is something to scan.
///
/// # Errors
/// Why the frame was skipped.
#[inline(always)]
pub fn observe<'b, F, P, S, E, T>(
    frame: &F,
    link: LinkType,
    vantage: &Vantage<P, S, E>,
    tables: &mut T,
    buffer: impl FnOnce() -> Option<&'b mut ScanBuffer>,
) -> Result<(), Skip>
where
    F: Frame + ?Sized,
    P: Place,
    S: Selection,
    E: Emit,
    T: Tables,
{
    let Vantage { place, selection, emit } = vantage;
    // A tunnel looks like another protocol.
    if !selection.decapsulates() {
        frame.prefilter(link, |port| selection.traces(port))?;
    }
    let mut sighting =
        Sighting { frame, vantage, key: FlowKey::ZERO, segment: Segment::default(), from: End::Low };
    let segment = &mut sighting.segment;
    frame.parse(link, segment)?;
    if !selection.traces(segment.destination_port) && !selection.traces(segment.source_port) {
        return Err(Skip::OtherPort);
    }
    if !selection.selects(&segment.source, &segment.destination) {
        return Err(Skip::OtherHost);
    }
    if segment.first_fragment {
        emit.count(Counter::FirstFragment);
    }
    let from = sighting.key.set(segment);
    sighting.from = from;
    let Sighting { key, segment, .. } = &sighting;

    let first = if segment.flags.contains(TcpFlags::SYN) { Table::Unconfirmed } else { Table::Confirmed };
    let mut found = tables.find(key, first);
    let mut previous = 0;
    if let Some((table, flow)) = &mut found {
        if !is_new_incarnation(flow, segment, from, place.follows_syn()) {
            let is_attempt = *table == Table::Unconfirmed && !flow.is_confirmed();
            sighting.advance(flow, buffer)?;
            if *table == Table::Unconfirmed && flow.is_confirmed() {
                // Only once, even if it has to stay because the other table is full.
                if is_attempt {
                    emit.count_confirmed(segment, flow, from);
                }
                return confirm(tables, key);
            }
            return Ok(());
        }
        // A SYN on the ports of a known connection: they are used again (RFC 9293, 3.6.1).
        previous = flow.id;
        if *table == Table::Confirmed {
            if !flow.is_reported() {
                emit.count(Counter::ConnectionsLost);
            }
            if !flow.is_closed() {
                sighting.emit_ports_reused(flow);
            }
            tables.forget(key);
        }
    }
    let flow = tables.create(key).ok_or(Skip::TableFull)?;
    // Another identifier than the last one, even if the clock stands still or goes back.
    flow.id = place.now().max(previous.wrapping_add(1));
    sighting.advance(flow, buffer)?;
    if flow.is_confirmed() { confirm(tables, key) } else { Ok(()) }
}

#[inline(always)]
fn confirm<T: Tables>(tables: &mut T, key: &FlowKey) -> Result<(), Skip> {
    if tables.confirm(key) { Ok(()) } else { Err(Skip::TableFull) }
}

/// Whether the segment is a SYN or SYN-ACK of another connection than the known one.
#[inline(always)]
fn is_new_incarnation(flow: &mut FlowState, segment: &Segment, from: End, follows_syn: bool) -> bool {
    if !segment.flags.contains(TcpFlags::SYN) || segment.flags.contains(TcpFlags::RST) {
        return false;
    }
    let closed = flow.is_closed();
    let confirmed = flow.is_confirmed();
    let (sender, receiver) = from.split(&mut flow.tcp);
    let known = sender.has(HalfFlags::SYN);
    let started = sender.has(HalfFlags::STARTED);
    // A server challenges a SYN in a connection that it knows, which is not seen if its direction is not.
    let one_sided = confirmed && started != receiver.has(HalfFlags::STARTED);
    // The other side's acknowledgment, if the SYN itself was not seen.
    let acked = !started && receiver.has(HalfFlags::ACKED);
    let same = started && sender.counters.base == segment.payload_seq()
        || acked && receiver.counters.ack == segment.payload_seq();
    if segment.flags.contains(TcpFlags::ACK) {
        // The server has accepted another SYN than the one that was followed: the old connection is dead.
        return known && !same && segment.ack != receiver.counters.base;
    }
    // Before the end of the handshake, the latest SYN is the one that counts.
    !same && (closed || one_sided || started && (follows_syn || !confirmed))
}

/// A segment, as it was seen. It owns its parts, because references to them would take more of the BPF stack.
struct Sighting<'a, F: ?Sized, P, S, E> {
    frame: &'a F,
    vantage: &'a Vantage<P, S, E>,
    key: FlowKey,
    segment: Segment,
    from: End,
}

impl<F, P, S, E> Sighting<'_, F, P, S, E>
where
    F: Frame + ?Sized,
    P: Place,
    S: Selection,
    E: Emit,
{
    /// Takes the segment into its connection and emits what is reported.
    #[inline(always)]
    fn advance<'b>(
        &self,
        flow: &mut FlowState,
        buffer: impl FnOnce() -> Option<&'b mut ScanBuffer>,
    ) -> Result<(), Skip> {
        let Self { vantage: Vantage { place, emit, .. }, segment, from, .. } = self;
        self.claim(from.of_mut(&mut flow.tcp))?;
        from.of_mut(&mut flow.tcp).last_ns = place.coarse_now();
        let mut flags = self.frame.advance(flow, segment, *from, || place.now());
        if self.frame.has_bad_checksum(segment) {
            flags |= SegmentFlags::BAD_CHECKSUM;
        }
        // Most segments have no flags, but the first reported one of a connection has some.
        if !flags.is_empty() {
            let (sender, receiver) = from.split(&mut flow.tcp);
            let handshake = Handshake { flags, segment, receiver };
            if flags.intersects(HANDSHAKE) && emit.count_handshake(handshake, sender) {
                emit.count(Counter::Aggregated);
                return Ok(());
            }
            self.emit_connection(flow);
        }
        self.scan(flow, flags, buffer)?;
        self.emit_segment(flow, flags);
        Ok(())
    }

    /// Makes this place the owner of the direction. The first interface that sees a direction owns it; on another one only
    /// segments that show something new count, and make that one the owner.
    #[inline(always)]
    fn claim(&self, sender: &mut TcpHalf) -> Result<(), Skip> {
        let owner = self.vantage.place.owner();
        if sender.owner != owner {
            if sender.owner != 0 && !is_new(sender, &self.segment) {
                return Err(Skip::Duplicate);
            }
            sender.owner = owner;
        }
        Ok(())
    }

    /// Emits what is known once about the connection, if there is anything and it was not done before.
    #[inline(always)]
    fn emit_connection(&self, flow: &mut FlowState) {
        let encapsulation = self.segment.encapsulation;
        if !self.vantage.selection.decapsulates() || encapsulation.is_empty() {
            return;
        }
        let id = flow.id;
        let (sender, receiver) = self.from.split(&mut flow.tcp);
        if sender.has(HalfFlags::DESCRIBED) || receiver.has(HalfFlags::DESCRIBED) {
            return;
        }
        sender.counters.flags |= HalfFlags::DESCRIBED;
        let lost = sender.counters.lost;
        let emitted = self.vantage.emit.emit_connection(move |event| {
            self.fill_header(&mut event.header, Kind::Connection, id, lost);
            event.encapsulation = encapsulation;
            event.padding = 0;
        });
        if !emitted {
            sender.counters.lost += 1;
        }
    }

    /// Scans the payload for messages.
    #[inline(always)]
    fn scan<'b>(
        &self,
        flow: &mut FlowState,
        flags: SegmentFlags,
        buffer: impl FnOnce() -> Option<&'b mut ScanBuffer>,
    ) -> Result<(), Skip> {
        if !flow.has_payload(&self.segment, self.from, flags) {
            if self.segment.payload_len > 0 {
                let (half, peer) = self.from.split(&mut flow.http);
                look_at_content(half, peer, self.frame, self.segment.payload_offset as usize);
            }
            return Ok(());
        }
        let buffer = buffer().ok_or(Skip::TableFull)?;
        flow.set_payload(&self.segment, self.from, flags, &mut buffer.payload);
        let (sender, _) = self.from.split(&mut flow.tcp);
        let (half, peer) = self.from.split(&mut flow.http);
        self.fill_header(&mut buffer.event.facts.header, Kind::Http, flow.id, sender.counters.lost);
        self.frame.scan(half, peer, buffer);
        sender.counters.lost = buffer.event.facts.header.lost;
        Ok(())
    }

    /// Emits the last counters of a connection whose ports are used again, with the time of its last segment.
    #[inline(always)]
    fn emit_ports_reused(&self, flow: &FlowState) {
        let reasons = SegmentFlags::PORTS_REUSED;
        self.vantage.emit.emit_segment(Priority::of(reasons), move |event| {
            let [low, high] = &flow.tcp;
            let lost = self.from.of(&flow.tcp).counters.lost;
            self.fill_header(&mut event.header, Kind::Segment, flow.id, lost);
            event.header.time = if low.last_ns > high.last_ns { low.last_ns } else { high.last_ns };
            event.socket = 0;
            event.reasons = reasons;
            event.seq = Seq(0);
            event.ack = Seq(0);
            event.payload_len = 0;
            event.window = 0;
            event.flags = TcpFlags::EMPTY;
            event.gap = 0;
            event.options_len = 0;
            event.options = [0; MAX_OPTIONS];
            event.halves[0] = low.counters;
            event.halves[1] = high.counters;
        });
    }

    /// Emits the segment, if it is reported.
    #[inline(always)]
    fn emit_segment(&self, flow: &mut FlowState, flags: SegmentFlags) {
        let Vantage { selection, emit, .. } = self.vantage;
        let mut reasons = flags;
        if reasons.is_empty() {
            if !selection.reports_every_segment() {
                return;
            }
            reasons = SegmentFlags::EVERY;
        }
        let (id, sender) = (flow.id, self.from.of(&flow.tcp));
        let (gap, lost) = (sender.gap, sender.counters.lost);
        let halves = &flow.tcp;
        // Moved into the closure, because references to them would take more of the BPF stack.
        let emitted = emit.emit_segment(Priority::of(reasons), move |event| {
            let Self { frame, segment, .. } = self;
            self.fill_header(&mut event.header, Kind::Segment, id, lost);
            event.socket = frame.socket();
            event.reasons = reasons;
            event.seq = segment.seq;
            event.ack = segment.ack;
            event.payload_len = segment.payload_len;
            event.window = segment.window;
            event.flags = segment.flags;
            event.gap = gap;
            event.options_len = 0;
            event.halves[0] = halves[0].counters;
            event.halves[1] = halves[1].counters;
            fill_options(event, *frame, segment);
        });
        let (sender, receiver) = self.from.split(&mut flow.tcp);
        if !emitted {
            sender.counters.lost += 1;
        } else if !reasons.contains(SegmentFlags::AFTER_CLOSE) && are_confirmed(sender, receiver) {
            sender.counters.flags |= HalfFlags::REPORTED;
        }
    }

    #[inline(always)]
    fn fill_header(&self, header: &mut EventHeader, kind: Kind, flow: u64, lost: u32) {
        let place = &self.vantage.place;
        header.kind = kind as u8;
        header.hook = place.hook() as u8;
        header.sender = self.from as u8;
        header.padding = 0;
        header.interface = place.interface();
        header.time = place.now();
        header.flow = flow;
        header.key = self.key;
        header.lost = lost;
    }
}

/// Whether a segment shows anything its direction has not shown before.
#[inline(always)]
fn is_new(sender: &TcpHalf, segment: &Segment) -> bool {
    let is_first = |flag: TcpFlags, seen: HalfFlags| segment.flags.contains(flag) && !sender.has(seen);
    let has_data = segment.payload_len > 0 && !segment.flags.contains(TcpFlags::RST);
    is_first(TcpFlags::SYN, HalfFlags::SYN)
        || is_first(TcpFlags::FIN, HalfFlags::FIN)
        || is_first(TcpFlags::RST, HalfFlags::RST)
        || has_data && segment.payload_seq().add(segment.payload_len).is_after(sender.next)
        || segment.flags.contains(TcpFlags::ACK) && segment.ack.is_after(sender.counters.ack)
}

/// The options of a SYN; those of other segments are not reported (RFC 9293, 3.2).
#[inline(always)]
fn fill_options<F: FrameBytes + ?Sized>(event: &mut SegmentEvent, frame: &F, segment: &Segment) {
    event.options = [0; MAX_OPTIONS];
    if !segment.flags.contains(TcpFlags::SYN) {
        return;
    }
    let offset = segment.options_offset();
    let mut len = 0;
    let (words, _) = event.options.as_chunks_mut::<4>();
    for (i, word) in words.iter_mut().enumerate() {
        if i * 4 >= segment.options_len as usize {
            break;
        }
        match frame.read::<4>(offset + i * 4) {
            Some(bytes) => *word = bytes,
            None => break,
        }
        len += 4;
    }
    // Fewer than the header states if the frame was cut.
    event.options_len = len;
}
