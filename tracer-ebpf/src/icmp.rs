//! ICMP errors as global functions: they are rare, and the verifier checks each function once.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use tracer_common::{
    event::Hook,
    observe::{Vantage, observe_icmp},
    wire::{LinkType, Skip},
};

use crate::{
    frame::{TcFrame, XdpFrame},
    hooks::{KernelPlace, KernelSelection},
    maps,
    ring::Ring,
    tables::KernelTables,
};

/// Observes a frame at XDP that may be an ICMP error; always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn icmp_xdp(ctx: *mut xdp_md) -> i32 {
    let frame = XdpFrame::new(ctx);
    let place = KernelPlace::new(frame.interface(), Hook::Xdp);
    let vantage = Vantage { place, selection: KernelSelection, emit: Ring };
    // Why there is nothing to emit does not matter: the frame is counted already.
    if let Some(error) = maps::icmp_error() {
        let _ = observe_icmp(&frame, LinkType::Ethernet, &vantage, &mut KernelTables, error);
    }
    0
}

/// Observes a frame at TC that may be an ICMP error; always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn icmp_tc(ctx: *mut __sk_buff, raw_ip: u32, hook: u32) -> i32 {
    let frame = TcFrame::new(ctx);
    let hook = if hook == Hook::TcEgress as u32 { Hook::TcEgress } else { Hook::TcIngress };
    let link = if raw_ip == 0 { LinkType::Ethernet } else { LinkType::RawIp };
    let place = KernelPlace::new(frame.interface(), hook);
    let vantage = Vantage { place, selection: KernelSelection, emit: Ring };
    let Some(error) = maps::icmp_error() else { return 0 };
    // The second try is for the rare frame whose headers are not linear.
    for attempt in 0..2 {
        match observe_icmp(&frame, link, &vantage, &mut KernelTables, error) {
            Err(Skip::Truncated) if attempt == 0 && frame.linearize() => {}
            _ => break,
        }
    }
    0
}
