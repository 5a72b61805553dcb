//! The kernel programs: they hand every frame to [`tracer_common::observe`], and pass it on whatever the outcome.
//!
//! One program for each hook and each kind of link layer, so that no packet is checked for what it starts with. The
//! programs decide nothing themselves; their return value never depends on the frame.
//!
//! Import order: `maps` ← `frame` ← `ring` ← `stages` ← `hooks` ← `icmp` ← the programs.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(feature = "bench")]
mod bench;
mod frame;
mod hooks;
mod icmp;
#[cfg(target_arch = "bpf")]
mod load;
mod maps;
mod outcome;
mod owner;
mod removal;
mod ring;
mod stages;
mod tables;

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use tracer_common::{
    event::Hook,
    observe::{Vantage, observe},
    wire::{LinkType, Skip},
};

use crate::{
    frame::{TcFrame, XdpFrame},
    hooks::{KernelPlace, KernelSelection},
    ring::Ring,
    tables::KernelTables,
};

/// Continues with the next program at TC, direct-action and TCX alike (`TC_ACT_UNSPEC`, `TCX_NEXT`).
const NEXT: i32 = -1;

/// XDP, frames with an Ethernet header; multi-buffer aware.
#[xdp(frags)]
fn tracer_xdp(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(ctx.ctx);
    let interface = frame.interface();
    if maps::is_paused(interface) {
        return XDP_PASS;
    }
    let place = KernelPlace::new(interface, Hook::Xdp);
    let vantage = Vantage { place, selection: KernelSelection, emit: Ring };
    let outcome = observe(&frame, LinkType::Ethernet, &vantage, &mut KernelTables, maps::scan_buffer);
    if outcome == Err(Skip::NotTcp) {
        icmp::icmp_xdp(frame.context());
    }
    outcome::count(&ctx, outcome);
    XDP_PASS
}

#[inline(always)]
fn classify(ctx: &TcContext, hook: Hook, link: LinkType) -> i32 {
    let frame = TcFrame::new(ctx.skb.skb);
    let interface = frame.interface();
    if maps::is_paused(interface) {
        return NEXT;
    }
    let place = KernelPlace::new(interface, hook);
    let vantage = Vantage { place, selection: KernelSelection, emit: Ring };
    let outcome = observe(&frame, link, &vantage, &mut KernelTables, maps::scan_buffer);
    if outcome == Err(Skip::NotTcp) {
        icmp::icmp_tc(frame.context(), u32::from(link == LinkType::RawIp), hook as u32);
    }
    outcome::count(ctx, outcome);
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

/// The license, which lets the programs call helpers that are restricted to GPL-compatible programs.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Never reached: nothing here can panic. The verifier would refuse a program with an infinite loop.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
