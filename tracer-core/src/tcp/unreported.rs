//! Handshakes whose segments were not reported, because attempts came too fast or because the events were
//! lost.
//!
//! The segments are rebuilt from the counters of the first event or of the kernel's table, so that the
//! connection opens as if each had been reported.

use smallvec::SmallVec;
use tracer_common::{
    connection::FlowState,
    event::{EventHeader, SegmentEvent},
    flow::{End, FlowKey, HalfCounters, HalfFlags, SegmentFlags, TcpHalf},
    seq::Seq,
    wire::{MAX_OPTIONS, TcpFlags},
};

/// The most retransmissions of a SYN or a SYN-ACK that are rebuilt; Linux retransmits each six times by
/// default.
const MAX_RETRANSMITS: u64 = 16;

/// Whether the handshake before an event was not reported.
#[must_use]
pub(crate) fn is_unreported(event: &SegmentEvent) -> bool {
    event.halves.iter().any(|half| half.flags.contains(HalfFlags::UNREPORTED))
}

/// The state of a connection in the kernel's table, as an event without a segment.
pub(crate) fn event_of(key: &FlowKey, flow: &FlowState) -> SegmentEvent {
    let interface = flow.tcp.iter().map(TcpHalf::interface).find(|interface| *interface != 0).unwrap_or(0);
    let header = EventHeader { interface, time: flow.id, flow: flow.id, key: *key, ..EventHeader::ZERO };
    let halves = flow.tcp.each_ref().map(|half| half.counters);
    SegmentEvent { header, halves, ..SegmentEvent::ZERO }
}

/// Whether a SYN was seen that opens the connection.
pub(crate) fn has_syn(halves: &[HalfCounters; 2]) -> bool {
    halves.iter().any(|half| half.flags & (HalfFlags::SYN | HalfFlags::SYN_ACK) == HalfFlags::SYN)
}

/// The endpoint that sent the SYN; `None` if neither SYN nor SYN-ACK was seen.
pub(crate) fn client(halves: &[HalfCounters; 2]) -> Option<End> {
    let is_client = |from: End| {
        const BOTH: HalfFlags = HalfFlags::SYN.union(HalfFlags::SYN_ACK);
        let (own, other) = (from.of(halves).flags, from.other().of(halves).flags);
        own & BOTH == HalfFlags::SYN || other.contains(HalfFlags::SYN_ACK)
    };
    End::BOTH.into_iter().find(|from| is_client(*from))
}

/// A SYN and a SYN-ACK, and rarely more.
type Segments = SmallVec<[SegmentEvent; 2]>;

/// The segments of the handshake before `event`, in order. Their options, window and payload are unknown.
pub(crate) fn handshake(event: &SegmentEvent) -> Segments {
    let client_end = client(&event.halves).unwrap_or(End::High);
    let server_end = client_end.other();
    let (client, server) = (client_end.of(&event.halves), server_end.of(&event.halves));
    let confirms = event.reasons.contains(SegmentFlags::HANDSHAKE_ACK) && event.header.sender() == client_end;
    let mut segments = Segments::new();
    let mut halves = [HalfCounters::ZERO; 2];
    if client.flags.contains(HalfFlags::SYN) {
        // Before it confirms, a client sends nothing but its SYN.
        let retransmits = if confirms { client.packets.saturating_sub(2) } else { 0 };
        halves[client_end.index()] = with_syn(client);
        let syn = segment(event, client_end, TcpFlags::SYN, client, Seq(0));
        push(
            &mut segments,
            SegmentEvent { reasons: SegmentFlags::SYN, halves, ..syn },
            client_end,
            retransmits,
        );
        halves[client_end.index()].packets += retransmits.min(MAX_RETRANSMITS);
    }
    if server.flags.contains(HalfFlags::SYN_ACK) {
        let silent = server.bytes == 0
            && !server.flags.intersects(HalfFlags::BARE_ACK | HalfFlags::FIN | HalfFlags::RST);
        let retransmits = if confirms && silent { server.packets.saturating_sub(1) } else { 0 };
        let flags = HalfFlags::SYN_ACK | HalfFlags::ACKED | HalfFlags::ACKED_SYN;
        halves[server_end.index()] = HalfCounters { ack: client.base, ..with_syn(server) };
        halves[server_end.index()].flags |= flags;
        let syn_ack = segment(event, server_end, TcpFlags::SYN | TcpFlags::ACK, server, client.base);
        let syn_ack = SegmentEvent { reasons: SegmentFlags::SYN_ACK, halves, ..syn_ack };
        push(&mut segments, syn_ack, server_end, retransmits);
    }
    segments
}

/// Adds a segment and its retransmissions.
fn push(segments: &mut Segments, first: SegmentEvent, sender: End, retransmits: u64) {
    segments.push(first);
    let mut retransmit = SegmentEvent { reasons: first.reasons | SegmentFlags::REPEATED, ..first };
    for _ in 0..retransmits.min(MAX_RETRANSMITS) {
        sender.of_mut(&mut retransmit.halves).packets += 1;
        segments.push(retransmit);
    }
}

/// The counters of a direction after its SYN.
fn with_syn(counters: &HalfCounters) -> HalfCounters {
    HalfCounters {
        packets: 1,
        base: counters.base,
        syn_ns: counters.syn_ns,
        flags: HalfFlags::STARTED
            | HalfFlags::SYN
            | counters.flags & (HalfFlags::OPENED | HalfFlags::SYN_DATA | HalfFlags::UNREPORTED),
        ..HalfCounters::ZERO
    }
}

fn segment(
    event: &SegmentEvent,
    from: End,
    flags: TcpFlags,
    sender: &HalfCounters,
    ack: Seq,
) -> SegmentEvent {
    let mut segment = *event;
    segment.header.sender = from as u8;
    segment.header.time = sender.syn_ns;
    segment.header.lost = 0;
    SegmentEvent {
        seq: sender.base.add(u32::MAX),
        ack,
        payload_len: 0,
        // Unknown, but not zero: a client that opens a connection can receive.
        window: u16::MAX,
        flags,
        options_len: 0,
        gap: 0,
        options: [0; MAX_OPTIONS],
        ..segment
    }
}
