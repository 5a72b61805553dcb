//! Handshakes whose segments were not reported, because attempts came too fast or because the events were lost.
//!
//! The segments are rebuilt from the counters of the first event or of the kernel's table, so that the connection opens as
//! if each had been reported.

use smallvec::SmallVec;
use tracer_common::{
    event::{EventHeader, SegmentEvent},
    flow::{FlowKey, FlowState, Half, HalfCounters, cause, half},
    seq::Seq,
    wire::{MAX_OPTIONS, TcpFlags},
};

/// The most retransmissions of a SYN or a SYN-ACK that are rebuilt; Linux retransmits each six times by default.
const MAX_RETRANSMITS: u64 = 16;

/// Whether the handshake before an event was not reported.
#[must_use]
pub fn is_unreported(event: &SegmentEvent) -> bool {
    event.halves.iter().any(|half| half.flags & half::UNTOLD != 0)
}

/// The state of a connection in the kernel's table, as an event without a segment.
pub fn event_of(key: &FlowKey, flow: &FlowState) -> SegmentEvent {
    let interface = flow.halves.iter().map(Half::interface).find(|interface| *interface != 0).unwrap_or(0);
    let header = EventHeader { interface, time: flow.id, flow: flow.id, key: *key, ..EventHeader::BLANK };
    let halves = flow.halves.each_ref().map(|half| half.counters);
    SegmentEvent { header, halves, ..SegmentEvent::BLANK }
}

/// Whether a SYN was seen that opens the connection.
pub fn has_syn(halves: &[HalfCounters; 2]) -> bool {
    halves.iter().any(|half| half.flags & (half::SYN | half::SYN_ACK) == half::SYN)
}

/// Whether the lower endpoint sent the SYN; `None` if neither SYN nor SYN-ACK was seen.
pub fn low_is_client(halves: &[HalfCounters; 2]) -> Option<bool> {
    let [low, high] = halves.each_ref().map(|half| half.flags & (half::SYN | half::SYN_ACK));
    if low == half::SYN || high & half::SYN_ACK != 0 {
        Some(true)
    } else {
        (high == half::SYN || low & half::SYN_ACK != 0).then_some(false)
    }
}

/// A SYN and a SYN-ACK, and rarely more.
type Segments = SmallVec<[SegmentEvent; 2]>;

/// The segments of the handshake before `event`, in order. Their options, window and payload are unknown.
pub(crate) fn handshake(event: &SegmentEvent) -> Segments {
    let low_is_client = low_is_client(&event.halves).unwrap_or_default();
    let client_index = usize::from(!low_is_client);
    let (client, server) = (&event.halves[client_index], &event.halves[1 - client_index]);
    let confirms = event.causes & cause::HANDSHAKE_ACK != 0 && (event.header.from_low != 0) == low_is_client;
    let mut segments = Segments::new();
    let mut halves = [HalfCounters::BLANK; 2];
    if client.flags & half::SYN != 0 {
        // Before it confirms, a client sends nothing but its SYN.
        let retransmits = if confirms { client.packets.saturating_sub(2) } else { 0 };
        halves[client_index] = with_syn(client);
        let syn = segment(event, low_is_client, TcpFlags::SYN, client, Seq(0));
        push(&mut segments, SegmentEvent { causes: cause::SYN, halves, ..syn }, client_index, retransmits);
        halves[client_index].packets += retransmits.min(MAX_RETRANSMITS);
    }
    if server.flags & half::SYN_ACK != 0 {
        let silent = server.bytes == 0 && server.flags & (half::BARE_ACK | half::FIN | half::RST) == 0;
        let retransmits = if confirms && silent { server.packets.saturating_sub(1) } else { 0 };
        let flags = half::SYN_ACK | half::ACKED | half::ACKED_SYN;
        halves[1 - client_index] = HalfCounters { ack: client.base, ..with_syn(server) };
        halves[1 - client_index].flags |= flags;
        let syn_ack = segment(event, !low_is_client, TcpFlags::SYN | TcpFlags::ACK, server, client.base);
        let syn_ack = SegmentEvent { causes: cause::SYN_ACK, halves, ..syn_ack };
        push(&mut segments, syn_ack, 1 - client_index, retransmits);
    }
    segments
}

/// Adds a segment and its retransmissions.
fn push(segments: &mut Segments, first: SegmentEvent, sender: usize, retransmits: u64) {
    segments.push(first);
    let mut retransmit = SegmentEvent { causes: first.causes | cause::REPEATED, ..first };
    for _ in 0..retransmits.min(MAX_RETRANSMITS) {
        retransmit.halves[sender].packets += 1;
        segments.push(retransmit);
    }
}

/// The counters of a direction after its SYN.
fn with_syn(counters: &HalfCounters) -> HalfCounters {
    HalfCounters {
        packets: 1,
        base: counters.base,
        syn_ns: counters.syn_ns,
        flags: half::STARTED | half::SYN | counters.flags & (half::OPENED | half::SYN_DATA | half::UNTOLD),
        ..HalfCounters::BLANK
    }
}

fn segment(event: &SegmentEvent, from_low: bool, flags: u8, sender: &HalfCounters, ack: Seq) -> SegmentEvent {
    let mut segment = *event;
    segment.header.from_low = u8::from(from_low);
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
