//! The floor: the least that a program of this design must do. It finds the connection of each segment in a table, counts it
//! there, and emits heads of messages and ends of connections. A benchmark attaches it for comparison.
//!
//! Two programs see what clients send, at XDP and at TC, the third what the server sends. All else is left out: VLAN tags,
//! IPv6, IP options, sequence numbers, TCP states, and messages beyond the first bytes of their heads.

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use tracer_common::{
    connection::FlowState,
    event::{EventHeader, Hook, Kind, SegmentEvent},
    flow::{End, FlowKey, HalfFlags},
    frame::{FrameBytes, WINDOW},
    http1::HttpSink as _,
    observe::{Place as _, Selection as _, Table, Tables as _},
    priority::Priority,
    wire::{TcpFlags, from_ipv4},
};

use crate::{
    NEXT,
    frame::{TcFrame, XdpFrame, XdpHeaders},
    hooks::{KernelPlace, KernelSelection},
    maps::{self, CONNECTIONS, NEW_FLOW},
    ring::Ring,
    tables::{KernelTables, look_up},
};

/// Bytes of an Ethernet header without tags.
const ETHERNET: usize = 14;
/// EtherType of IPv4, as it is sent.
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// Bytes of an IPv4 header without options.
const IPV4: usize = 20;
/// Bytes of a TCP header without options.
const TCP: usize = 20;
/// IP protocol number of TCP.
const PROTOCOL_TCP: u8 = 6;
/// "More fragments" and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// The most bytes emitted of a head: enough for most heads of responses.
const MAX_HEAD: usize = 256;

/// XDP: what clients send.
#[xdp(frags)]
fn tracer_floor_xdp(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(ctx.ctx);
    let place = KernelPlace::new(frame.interface(), Hook::Xdp);
    // Whether there was a segment makes no difference.
    let _ = take(&XdpHeaders::<false>(frame), &place, End::Low);
    XDP_PASS
}

/// TC ingress: what clients send.
#[classifier]
fn tracer_floor_in(ctx: TcContext) -> i32 {
    classify(&ctx, Hook::TcIngress)
}

/// TC egress: what the server sends.
#[classifier]
fn tracer_floor_tc(ctx: TcContext) -> i32 {
    classify(&ctx, Hook::TcEgress)
}

#[inline(always)]
fn classify(ctx: &TcContext, hook: Hook) -> i32 {
    let frame = TcFrame::new(ctx.skb.skb);
    let place = KernelPlace::new(frame.interface(), hook);
    // Whether there was a segment makes no difference.
    let _ = take(&frame, &place, if hook as u8 == Hook::TcIngress as u8 { End::Low } else { End::High });
    NEXT
}

/// Takes in one segment, from the client if `from` is the lower endpoint; `None` if there is none, or its connection is unknown.
#[inline(always)]
fn take<F: FrameBytes>(frame: &F, place: &KernelPlace, from: End) -> Option<()> {
    if frame.read(ETHERNET - ETHERTYPE_IPV4.len())? != ETHERTYPE_IPV4 {
        return None;
    }
    let headers: [u8; IPV4 + TCP] = frame.read(ETHERNET)?;
    let short = |at: usize| u16::from_be_bytes([headers[at], headers[at + 1]]);
    let address = |at: usize| {
        from_ipv4(u32::from_ne_bytes([headers[at], headers[at + 1], headers[at + 2], headers[at + 3]]))
    };
    if headers[0] != 0x45 || headers[9] != PROTOCOL_TCP || short(6) & FRAGMENT != 0 {
        return None;
    }
    let (source, destination) = ((address(12), short(IPV4)), (address(16), short(IPV4 + 2)));
    let (client, server) = match from {
        End::Low => (source, destination),
        End::High => (destination, source),
    };
    if !KernelSelection.traces(server.1) {
        return None;
    }
    // Any fixed order works: here the client is always the lower one.
    let key = FlowKey { low: client.0, high: server.0, low_port: client.1, high_port: server.1 };
    let header_len = (headers[IPV4 + 12] >> 4) as usize * 4;
    let payload_len = (short(2) as usize).checked_sub(IPV4 + header_len)?;
    let flags = TcpFlags::from_bits(headers[IPV4 + 13]);
    if flags.contains(TcpFlags::SYN) && from == End::Low {
        return open(&key);
    }

    let flow = look_up(Table::Confirmed, &key)?;
    let (sender, receiver) = from.split(&mut flow.tcp);
    sender.last_ns = place.coarse_now();
    sender.counters.packets += 1;
    sender.counters.bytes += payload_len as u64;
    let ends_handshake = from == End::Low && payload_len == 0 && sender.counters.first_ack_ns == 0;
    if ends_handshake {
        sender.counters.first_ack_ns = sender.last_ns;
    }
    let is_over =
        flags.contains(TcpFlags::RST) || flags.contains(TcpFlags::FIN) && receiver.has(HalfFlags::FIN);
    if flags.contains(TcpFlags::FIN) {
        sender.counters.flags |= HalfFlags::FIN;
    }
    if payload_len > 0 {
        emit_head(frame, place, &key, ETHERNET + IPV4 + header_len, payload_len);
    }
    if ends_handshake || flags.contains(TcpFlags::FIN) {
        Ring::emit_segment(Priority::Control, |event| fill(event, place, &key, flow, flags));
    }
    if is_over {
        KernelTables.forget(&key);
    }
    Some(())
}

/// Adds a connection for a SYN, in place of an old one; `None` if the table is full.
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would be copied to the BPF stack")]
#[inline(always)]
fn open(key: &FlowKey) -> Option<()> {
    CONNECTIONS.insert(key, &NEW_FLOW, 0).ok()
}

/// Emits the first bytes of the payload at `offset`, if they look like a head.
#[inline(always)]
fn emit_head<F: FrameBytes>(frame: &F, place: &KernelPlace, key: &FlowKey, offset: usize, len: usize) {
    let Some(buffer) = maps::scan_buffer() else { return };
    let Some(window) = buffer.event.bytes.first_chunk_mut::<WINDOW>() else { return };
    // The payload of a server is not in the linear part of its frames.
    let start = frame.read::<4>(offset).or_else(|| {
        frame.copy(offset, window, 4);
        window.first_chunk().copied()
    });
    if start != Some(*b"GET ") && start != Some(*b"HTTP") {
        return;
    }
    buffer.event.facts.len = frame.copy(offset, window, if len < MAX_HEAD { len } else { MAX_HEAD }) as u16;
    fill_header(&mut buffer.event.facts.header, place, key, Kind::Http);
    // A lost event is counted there.
    Ring.emit(&buffer.event);
}

/// Fills in who and when, the flags, and the counters: what a record of a connection consists of.
#[inline(always)]
fn fill(event: &mut SegmentEvent, place: &KernelPlace, key: &FlowKey, flow: &FlowState, flags: TcpFlags) {
    *event = SegmentEvent::ZERO;
    fill_header(&mut event.header, place, key, Kind::Segment);
    event.flags = flags;
    event.halves[0] = flow.tcp[0].counters;
    event.halves[1] = flow.tcp[1].counters;
}

#[inline(always)]
fn fill_header(header: &mut EventHeader, place: &KernelPlace, key: &FlowKey, kind: Kind) {
    header.kind = kind as u8;
    header.hook = place.hook() as u8;
    header.interface = place.interface();
    header.time = place.now();
    header.key = *key;
}
