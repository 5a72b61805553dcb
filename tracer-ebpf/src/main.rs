//! The kernel programs: they hand every frame to [`tracer_common::observe`] and pass it on, whatever comes of it.
//!
//! One program for each hook and for each kind of link layer: what a frame starts with is then no question asked for
//! every packet. The programs decide nothing themselves; what they return never depends on the frame.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

mod emit;
mod floor;
mod frame;
#[cfg(target_arch = "bpf")]
mod load;
mod maps;
mod parts;
mod removal;
mod stages;
mod tables;

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use tracer_common::{event::Hook, observe::observe, wire::LinkType};

use crate::{
    emit::KernelVantage,
    frame::{TcFrame, XdpFrame},
    tables::KernelTables,
};

/// "Go on with the next program" for TC, direct-action and TCX alike (`TC_ACT_UNSPEC`, `TCX_NEXT`).
const NEXT: i32 = -1;

/// XDP, frames with an Ethernet header; multi-buffer aware.
#[xdp(frags)]
fn tracer_xdp(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(ctx.ctx);
    let vantage = KernelVantage::new(frame.interface(), Hook::Xdp);
    let outcome = observe(&frame, LinkType::Ethernet, &vantage, &mut KernelTables, maps::room);
    emit::count(&ctx, outcome);
    XDP_PASS
}

#[inline(always)]
fn classify(ctx: &TcContext, hook: Hook, link: LinkType) -> i32 {
    let frame = TcFrame::new(ctx.skb.skb);
    let vantage = KernelVantage::new(frame.interface(), hook);
    let outcome = observe(&frame, link, &vantage, &mut KernelTables, maps::room);
    emit::count(ctx, outcome);
    NEXT
}

/// TC ingress, frames with an Ethernet header.
#[classifier]
fn tracer_in_eth(ctx: TcContext) -> i32 {
    classify(&ctx, Hook::TcIngress, LinkType::Ethernet)
}

/// TC egress, frames with an Ethernet header.
#[classifier]
fn tracer_out_eth(ctx: TcContext) -> i32 {
    classify(&ctx, Hook::TcEgress, LinkType::Ethernet)
}

/// TC ingress, bare IP packets.
#[classifier]
fn tracer_in_ip(ctx: TcContext) -> i32 {
    classify(&ctx, Hook::TcIngress, LinkType::RawIp)
}

/// TC egress, bare IP packets.
#[classifier]
fn tracer_out_ip(ctx: TcContext) -> i32 {
    classify(&ctx, Hook::TcEgress, LinkType::RawIp)
}

/// XDP that only passes: what a benchmark compares with.
#[xdp(frags)]
fn tracer_noop_xdp(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// TC that only passes: what a benchmark compares with.
#[classifier]
fn tracer_noop_tc(_ctx: TcContext) -> i32 {
    NEXT
}

/// Lets the programs use helpers that the kernel offers to GPL-compatible programs only.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never reached: nothing here can panic. The verifier would refuse a program with a loop without end.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
