//! The kernel's own work for a packet, each part alone in a program: a benchmark shows with them how much of a packet's
//! time is the kernel's, and how much the analysis takes. Never attached.

use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, programs::XdpContext};
use tracer_common::{
    event::{Hook, SegmentEvent},
    flow::FlowKey,
    frame::{FrameBytes as _, WINDOW},
    observe::{Place as _, Table, Tables as _},
    priority::Priority,
};

use crate::{frame::XdpFrame, hooks::KernelPlace, maps, ring::Ring, tables::KernelTables};

#[inline(always)]
fn place(ctx: &XdpContext) -> KernelPlace {
    KernelPlace::new(XdpFrame::new(ctx.ctx).interface(), Hook::Xdp)
}

/// Counts the packet.
#[xdp(frags)]
fn tracer_part_count(_ctx: XdpContext) -> u32 {
    core::hint::black_box(maps::count(0));
    XDP_PASS
}

/// Reads the precise clock.
#[xdp(frags)]
fn tracer_part_clock(ctx: XdpContext) -> u32 {
    core::hint::black_box(place(&ctx).now());
    XDP_PASS
}

/// Reads the coarse clock.
#[xdp(frags)]
fn tracer_part_coarse_clock(ctx: XdpContext) -> u32 {
    core::hint::black_box(place(&ctx).coarse_now());
    XDP_PASS
}

/// Looks up one connection.
#[xdp(frags)]
fn tracer_part_find(_ctx: XdpContext) -> u32 {
    let found = KernelTables.find(&FlowKey::ZERO, Table::Confirmed).is_some();
    core::hint::black_box(found);
    XDP_PASS
}

/// Emits one segment event.
#[xdp(frags)]
fn tracer_part_emit(_ctx: XdpContext) -> u32 {
    let emitted = Ring::emit_segment(Priority::Control, |event| *event = SegmentEvent::ZERO);
    core::hint::black_box(emitted);
    XDP_PASS
}

/// Copies half a kilobyte of payload.
#[xdp(frags)]
fn tracer_part_copy(ctx: XdpContext) -> u32 {
    if let Some(buffer) = maps::scan_buffer()
        && let Some(window) = buffer.event.bytes.first_chunk_mut::<WINDOW>()
    {
        core::hint::black_box(XdpFrame::new(ctx.ctx).copy(0, window, 512));
    }
    XDP_PASS
}
