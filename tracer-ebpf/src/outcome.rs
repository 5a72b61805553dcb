//! What became of each frame: counted, and logged where it should not happen.

use aya_ebpf::EbpfContext;
use tracer_common::{counter::Counter, wire::Skip};

use crate::maps;

/// Counts the outcome of a frame.
#[inline(always)]
pub(crate) fn count<C: EbpfContext>(ctx: &C, outcome: Result<(), Skip>) {
    match outcome {
        Ok(()) => {
            maps::count(Counter::Matched as u32);
        }
        Err(reason) => {
            let times = maps::count(reason as u32);
            warn(ctx, reason, times);
        }
    }
}

/// Logs what should not happen, the first, second, fourth … time only.
#[inline(always)]
fn warn<C: EbpfContext>(ctx: &C, reason: Skip, times: u64) {
    if times & times.wrapping_sub(1) != 0 {
        return;
    }
    match reason {
        Skip::TableFull => aya_log_ebpf::warn!(ctx, "connection table full, {} times on this CPU", times),
        Skip::MalformedIp => aya_log_ebpf::warn!(ctx, "malformed IP header, {} times on this CPU", times),
        Skip::MalformedTcp => aya_log_ebpf::warn!(ctx, "malformed TCP header, {} times on this CPU", times),
        Skip::NotIp
        | Skip::NotTcp
        | Skip::OtherPort
        | Skip::OtherHost
        | Skip::Fragment
        | Skip::Truncated
        | Skip::TooManyHeaders
        | Skip::Duplicate => {}
    }
}
