//! What the kernel itself takes for what a packet may need, each alone in a program: a benchmark shows with them how much of a packet's
//! time is the kernel's part, and how much the analysis. Nobody attaches them.

use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, programs::XdpContext};
use tracer_common::{
    event::{Hook, SegmentEvent},
    flow::FlowKey,
    frame::{FrameBytes as _, WINDOW},
    observe::{Table, Tables as _, Vantage as _},
    value::Value,
};

use crate::{emit::KernelVantage, frame::XdpFrame, maps, tables::KernelTables};

#[inline(always)]
fn vantage(ctx: &XdpContext) -> KernelVantage {
    KernelVantage::new(XdpFrame::new(ctx.ctx).interface(), Hook::Xdp)
}

/// The packet counted.
#[xdp(frags)]
fn tracer_part_count(_ctx: XdpContext) -> u32 {
    core::hint::black_box(maps::count(0));
    XDP_PASS
}

/// The clock, as exact as can be.
#[xdp(frags)]
fn tracer_part_clock(ctx: XdpContext) -> u32 {
    core::hint::black_box(vantage(&ctx).now());
    XDP_PASS
}

/// The clock, as exact as is cheap.
#[xdp(frags)]
fn tracer_part_coarse_clock(ctx: XdpContext) -> u32 {
    core::hint::black_box(vantage(&ctx).coarse_now());
    XDP_PASS
}

/// One connection looked up.
#[xdp(frags)]
fn tracer_part_find(_ctx: XdpContext) -> u32 {
    let found = KernelTables.find(&FlowKey::BLANK, Table::Confirmed).is_some();
    core::hint::black_box(found);
    XDP_PASS
}

/// One segment event reserved in the ring and submitted.
#[xdp(frags)]
fn tracer_part_tell(ctx: XdpContext) -> u32 {
    let told = vantage(&ctx).tell_segment(Value::Control, |event| *event = SegmentEvent::BLANK);
    core::hint::black_box(told);
    XDP_PASS
}

/// Half a kilobyte of payload copied.
#[xdp(frags)]
fn tracer_part_copy(ctx: XdpContext) -> u32 {
    if let Some(room) = maps::room()
        && let Some(window) = room.event.bytes.first_chunk_mut::<WINDOW>()
    {
        core::hint::black_box(XdpFrame::new(ctx.ctx).copy(0, window, 512));
    }
    XDP_PASS
}
