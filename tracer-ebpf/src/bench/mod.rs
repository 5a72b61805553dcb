//! Programs for benchmarks only, not part of the released object.

mod floor;
mod parts;

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::NEXT;

/// XDP that only passes frames on, for comparison.
#[xdp(frags)]
fn tracer_noop_xdp(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// TC that only passes frames on, for comparison.
#[classifier]
fn tracer_noop_tc(_ctx: TcContext) -> i32 {
    NEXT
}
