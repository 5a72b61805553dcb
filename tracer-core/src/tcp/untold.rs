//! Handshakes of which nothing was told before their end, because attempts came too fast or because the events were lost:
//! the segments are put together again from what the first event or the kernel's table says, so that the connection is
//! opened as if each had been told.

use smallvec::SmallVec;
use tracer_common::{
    connection::FlowState,
    event::{EventHeader, SegmentEvent},
    flow::{End, FlowKey, HalfCounters, HalfFlags, SegmentFlags, TcpHalf},
    seq::Seq,
    wire::{MAX_OPTIONS, TcpFlags},
};

/// The most repetitions of a SYN or a SYN-ACK that are put together again; Linux repeats each six times by default.
const MAX_REPEATS: u64 = 16;

/// Whether an event is of such a connection.
#[must_use]
pub fn is_untold(event: &SegmentEvent) -> bool {
    event.halves.iter().any(|half| half.flags.contains(HalfFlags::UNREPORTED))
}

/// What the kernel's table knows of a connection, as an event about no segment.
pub fn event(key: &FlowKey, flow: &FlowState) -> SegmentEvent {
    let interface = flow.tcp.iter().map(TcpHalf::interface).find(|interface| *interface != 0).unwrap_or(0);
    let header = EventHeader { interface, time: flow.id, flow: flow.id, key: *key, ..EventHeader::ZERO };
    let halves = flow.tcp.each_ref().map(|half| half.counters);
    SegmentEvent { header, halves, ..SegmentEvent::ZERO }
}

/// Whether a SYN was seen that asks for the connection.
pub fn has_asked(halves: &[HalfCounters; 2]) -> bool {
    halves.iter().any(|half| half.flags & (HalfFlags::SYN | HalfFlags::SYN_ACK) == HalfFlags::SYN)
}

/// Whether the lower endpoint asked for the connection; not known where no SYN was seen.
pub fn low_asked(halves: &[HalfCounters; 2]) -> Option<bool> {
    let [low, high] = halves.each_ref().map(|half| half.flags & (HalfFlags::SYN | HalfFlags::SYN_ACK));
    if low == HalfFlags::SYN || high.contains(HalfFlags::SYN_ACK) {
        Some(true)
    } else {
        (high == HalfFlags::SYN || low.contains(HalfFlags::SYN_ACK)).then_some(false)
    }
}

/// A SYN and a SYN-ACK, and seldom more.
type Segments = SmallVec<[SegmentEvent; 2]>;

/// The segments before `event`, in order; what they announced (options, window) and carried is not known.
pub(super) fn handshake(event: &SegmentEvent) -> Segments {
    let low_asked = low_asked(&event.halves).unwrap_or_default();
    let client_index = usize::from(!low_asked);
    let (client, server) = (&event.halves[client_index], &event.halves[1 - client_index]);
    let confirms = event.reasons.contains(SegmentFlags::HANDSHAKE_ACK)
        && (event.header.sender() == End::Low) == low_asked;
    let mut segments = Segments::new();
    let mut halves = [HalfCounters::ZERO; 2];
    if client.flags.contains(HalfFlags::SYN) {
        // Before the confirmation, a client sends nothing but its SYN.
        let repeats = if confirms { client.packets.saturating_sub(2) } else { 0 };
        halves[client_index] = asked(client);
        let syn = segment(event, low_asked, TcpFlags::SYN, client, Seq(0));
        push(
            &mut segments,
            SegmentEvent { reasons: SegmentFlags::SYN, halves, ..syn },
            client_index,
            repeats,
        );
        halves[client_index].packets += repeats.min(MAX_REPEATS);
    }
    if server.flags.contains(HalfFlags::SYN_ACK) {
        let silent = server.bytes == 0
            && !server.flags.intersects(HalfFlags::BARE_ACK | HalfFlags::FIN | HalfFlags::RST);
        let repeats = if confirms && silent { server.packets.saturating_sub(1) } else { 0 };
        let flags = HalfFlags::SYN_ACK | HalfFlags::ACKED | HalfFlags::ACKED_SYN;
        halves[1 - client_index] = HalfCounters { ack: client.base, ..asked(server) };
        halves[1 - client_index].flags |= flags;
        let answer = segment(event, !low_asked, TcpFlags::SYN | TcpFlags::ACK, server, client.base);
        let answer = SegmentEvent { reasons: SegmentFlags::SYN_ACK, halves, ..answer };
        push(&mut segments, answer, 1 - client_index, repeats);
    }
    segments
}

/// A segment, and its repetitions.
fn push(segments: &mut Segments, first: SegmentEvent, sender: usize, repeats: u64) {
    segments.push(first);
    let mut again = SegmentEvent { reasons: first.reasons | SegmentFlags::REPEATED, ..first };
    for _ in 0..repeats.min(MAX_REPEATS) {
        again.halves[sender].packets += 1;
        segments.push(again);
    }
}

/// What a direction has shown when its SYN has been seen.
fn asked(told: &HalfCounters) -> HalfCounters {
    HalfCounters {
        packets: 1,
        base: told.base,
        syn_ns: told.syn_ns,
        flags: HalfFlags::STARTED
            | HalfFlags::SYN
            | told.flags & (HalfFlags::OPENED | HalfFlags::SYN_DATA | HalfFlags::UNREPORTED),
        ..HalfCounters::ZERO
    }
}

fn segment(
    event: &SegmentEvent,
    from_low: bool,
    flags: TcpFlags,
    sender: &HalfCounters,
    ack: Seq,
) -> SegmentEvent {
    let mut segment = *event;
    segment.header.sender = if from_low { End::Low } else { End::High } as u8;
    segment.header.time = sender.syn_ns;
    segment.header.lost = 0;
    SegmentEvent {
        seq: sender.base.add(u32::MAX),
        ack,
        payload_len: 0,
        // Not known, but not closed: nobody asks for a connection without room for an answer.
        window: u16::MAX,
        flags,
        options_len: 0,
        gap: 0,
        options: [0; MAX_OPTIONS],
        ..segment
    }
}
