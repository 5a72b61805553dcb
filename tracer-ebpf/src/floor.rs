//! The least that any program must do that finds the connection of each segment in a table, counts it there, and passes heads of messages
//! and ends of connections through the ring: what a benchmark attaches to show what no observer of this design can do without.
//!
//! Two programs see what clients send, at XDP and at TC, the third what the server answers. All else is left out: VLAN tags, IPv6, IP options, sequence
//! numbers, the rules of connections, and what is in a message beyond the first bytes of its head.

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use tracer_common::{
    event::{EventHeader, Hook, Kind, SegmentEvent},
    flow::{FlowKey, FlowState, half},
    frame::{FrameBytes, WINDOW},
    http::HttpSink as _,
    observe::{Table, Tables as _, Vantage as _},
    value::Value,
    wire::{TcpFlags, from_ipv4},
};

use crate::{
    NEXT,
    emit::{KernelVantage, Ring},
    frame::{TcFrame, XdpFrame, XdpHeaders},
    maps::{self, BLANK, CONNECTIONS},
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

/// The most bytes told of a head: most heads of responses whole.
const MAX_HEAD: usize = 256;

/// XDP: what clients send.
#[xdp(frags)]
fn tracer_floor_xdp(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(ctx.ctx);
    let vantage = KernelVantage::new(frame.interface(), Hook::Xdp);
    // Whether there was anything to see makes no difference.
    let _ = take(&XdpHeaders::<false>(frame), &vantage, true);
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
    let vantage = KernelVantage::new(frame.interface(), hook);
    // Whether there was anything to see makes no difference.
    let _ = take(&frame, &vantage, hook as u8 == Hook::TcIngress as u8);
    NEXT
}

/// Takes one segment in; `None` where there is none, or none of a connection that is known.
#[inline(always)]
fn take<F: FrameBytes>(frame: &F, vantage: &KernelVantage, from_client: bool) -> Option<()> {
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
    let (client, server) = if from_client { (source, destination) } else { (destination, source) };
    if !vantage.traces(server.1) {
        return None;
    }
    // Any fixed order will do: here the client is always the lower one.
    let key = FlowKey { low: client.0, high: server.0, low_port: client.1, high_port: server.1 };
    let header_len = (headers[IPV4 + 12] >> 4) as usize * 4;
    let payload_len = (short(2) as usize).checked_sub(IPV4 + header_len)?;
    let flags = TcpFlags(headers[IPV4 + 13]);
    if flags.has(TcpFlags::SYN) && from_client {
        return open(&key);
    }

    let flow = look_up(Table::Confirmed, &key)?;
    let (sender, receiver) = flow.split(from_client);
    sender.last_ns = vantage.coarse_now();
    sender.counters.packets += 1;
    sender.counters.bytes += payload_len as u64;
    let ends_handshake = from_client && payload_len == 0 && sender.counters.first_ack_ns == 0;
    if ends_handshake {
        sender.counters.first_ack_ns = sender.last_ns;
    }
    let is_over =
        flags.has(TcpFlags::RST) || flags.has(TcpFlags::FIN) && receiver.counters.flags & half::FIN != 0;
    if flags.has(TcpFlags::FIN) {
        sender.counters.flags |= half::FIN;
    }
    if payload_len > 0 {
        tell_head(frame, vantage, &key, ETHERNET + IPV4 + header_len, payload_len);
    }
    if ends_handshake || flags.has(TcpFlags::FIN) {
        vantage.tell_segment(Value::Control, |event| fill(event, vantage, &key, flow, flags));
    }
    if is_over {
        KernelTables.forget(&key);
    }
    Some(())
}

/// A connection for a SYN, whatever its ports had before. There is no more of them than the table has room for, and a SYN that it has none
/// for goes by.
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would be copied to the BPF stack")]
#[inline(always)]
fn open(key: &FlowKey) -> Option<()> {
    CONNECTIONS.insert(key, &BLANK, 0).ok()
}

/// Tells the first bytes of the payload at `offset`, if they look like a head.
#[inline(always)]
fn tell_head<F: FrameBytes>(frame: &F, vantage: &KernelVantage, key: &FlowKey, offset: usize, len: usize) {
    let Some(room) = maps::room() else { return };
    let Some(window) = room.event.bytes.first_chunk_mut::<WINDOW>() else { return };
    // What a server sends is not in the linear part of its frames.
    let start = frame.read::<4>(offset).or_else(|| {
        frame.copy(offset, window, 4);
        window.first_chunk().copied()
    });
    if start != Some(*b"GET ") && start != Some(*b"HTTP") {
        return;
    }
    room.event.facts.len = frame.copy(offset, window, if len < MAX_HEAD { len } else { MAX_HEAD }) as u16;
    fill_header(&mut room.event.facts.header, vantage, key, Kind::Http);
    // Where there is no room, it is counted there.
    Ring.tell(&room.event);
}

/// Who and when, the flags, and what was counted: what a record of a connection is made of.
#[inline(always)]
fn fill(event: &mut SegmentEvent, vantage: &KernelVantage, key: &FlowKey, flow: &FlowState, flags: TcpFlags) {
    *event = SegmentEvent::BLANK;
    fill_header(&mut event.header, vantage, key, Kind::Segment);
    event.flags = flags.0;
    event.halves[0] = flow.halves[0].counters;
    event.halves[1] = flow.halves[1].counters;
}

#[inline(always)]
fn fill_header(header: &mut EventHeader, vantage: &KernelVantage, key: &FlowKey, kind: Kind) {
    header.kind = kind as u8;
    header.hook = vantage.hook() as u8;
    header.interface = vantage.interface();
    header.time = vantage.now();
    header.key = *key;
}
