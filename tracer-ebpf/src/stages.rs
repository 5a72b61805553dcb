//! The parser, the message scanner and the server counters as global functions.
//!
//! The verifier checks a global function once, for any arguments. Inlined, each would be checked again on every path
//! to it, which is more than the kernel's limit of a million instructions.

use core::{ffi::c_void, ops::ControlFlow};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_ktime_get_ns, bpf_loop},
};
use tracer_common::{
    connection::FlowState,
    flow::{End, SegmentFlags, TcpHalf},
    frame::FrameBytes,
    http1::{HttpHalf, MAX_STEPS, Scan, ScanBuffer, Steps},
    server::{self, Add, Handshake},
    wire::{self, Encapsulations, LinkType, Segment, Skip, Walk, parse_segment, walk},
};

use crate::{
    frame::{TcFrame, XdpFrame, XdpHeaders},
    maps,
    ring::Ring,
};

/// Parses a frame at XDP on the fast path; see [`outcome`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn parse_xdp(ctx: *mut xdp_md, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    number(parse_segment(&XdpHeaders::<false>(XdpFrame::new(ctx)), link(raw_ip), segment))
}

/// Parses a frame at XDP whose headers are not in its linear part; see [`outcome`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn parse_far_xdp(ctx: *mut xdp_md, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    number(parse_segment(&XdpHeaders::<true>(XdpFrame::new(ctx)), link(raw_ip), segment))
}

/// Parses a frame at TC on the fast path; see [`outcome`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn parse_tc(ctx: *mut __sk_buff, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    let frame = TcFrame::new(ctx);
    // The second try is for the rare frame whose headers are not linear.
    for attempt in 0..2 {
        match parse_segment(&frame, link(raw_ip), segment) {
            Err(Skip::Truncated) if attempt == 0 && frame.linearize() => {}
            done => return number(done),
        }
    }
    number(Err(Skip::Truncated))
}

/// Walks the headers of a frame at XDP that the fast path skips; see [`outcome`]. Not in the same function as the fast path,
/// because both together would exceed the stack.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn walk_xdp(ctx: *mut xdp_md, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    number(walk(link(raw_ip), Encapsulations::NONE, segment, |walk, segment| {
        outcome(step_xdp(ctx, walk, segment))
    }))
}

/// Walks the headers of a frame at TC that the fast path skips; see [`outcome`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn walk_tc(ctx: *mut __sk_buff, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    number(walk(link(raw_ip), Encapsulations::NONE, segment, |walk, segment| {
        outcome(step_tc(ctx, walk, segment))
    }))
}

/// Steps over one header of a frame at XDP; see [`outcome`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_xdp(ctx: *mut xdp_md, walk: *mut Walk, segment: *mut Segment) -> i32 {
    // SAFETY: null, or the walk and the segment that the calling program makes, which do not overlap.
    let (Some(walk), Some(segment)) = (unsafe { (walk.as_mut(), segment.as_mut()) }) else { return 0 };
    number(wire::step(&XdpFrame::new(ctx), walk, segment))
}

/// Steps over one header of a frame at TC; see [`outcome`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_tc(ctx: *mut __sk_buff, walk: *mut Walk, segment: *mut Segment) -> i32 {
    // SAFETY: null, or the walk and the segment that the calling program makes, which do not overlap.
    let (Some(walk), Some(segment)) = (unsafe { (walk.as_mut(), segment.as_mut()) }) else { return 0 };
    let frame = TcFrame::new(ctx);
    let start = *walk;
    // The second try is for the rare frame whose headers are not linear.
    for attempt in 0..2 {
        match wire::step(&frame, walk, segment) {
            Err(Skip::Truncated) if attempt == 0 && frame.linearize() => *walk = start,
            done => return number(done),
        }
    }
    number(Err(Skip::Truncated))
}

/// The end of the source route in the options of an IPv4 header at XDP, from `at` to `end`; 0 without one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn source_route_xdp(ctx: *mut xdp_md, at: u32, end: u32) -> u32 {
    wire::source_route(&XdpHeaders::<false>(XdpFrame::new(ctx)), at as usize, end as usize)
        .unwrap_or_default()
}

/// The end of the source route in the options of an IPv4 header at TC, from `at` to `end`; 0 without one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn source_route_tc(ctx: *mut __sk_buff, at: u32, end: u32) -> u32 {
    wire::source_route(&TcFrame::new(ctx), at as usize, end as usize).unwrap_or_default()
}

#[inline(always)]
fn link(raw_ip: u32) -> LinkType {
    if raw_ip == 0 { LinkType::Ethernet } else { LinkType::RawIp }
}

/// An outcome as a number; see [`outcome`].
#[inline(always)]
fn number(outcome: Result<(), Skip>) -> i32 {
    match outcome {
        Ok(()) => -1,
        Err(reason) => i32::from(reason as u8),
    }
}

/// The outcome that a number stands for.
#[inline(always)]
pub(crate) fn outcome(number: i32) -> Result<(), Skip> {
    if number < 0 {
        return Ok(());
    }
    Err(Skip::from_index(number as u8).unwrap_or(Skip::NotIp))
}

/// Takes a segment into its connection; returns the [`SegmentFlags`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn advance(flow: *mut FlowState, segment: *const Segment, from: u32) -> i32 {
    // SAFETY: null, or the connection of the segment that the calling program makes, and that segment.
    let (Some(flow), Some(segment)) = (unsafe { (flow.as_mut(), segment.as_ref()) }) else { return 0 };
    flow.on_segment(segment, End::from_byte(from as u8), now).bits().cast_signed()
}

/// Counts a segment of a handshake at its server; not 0 when it is only counted, and not to be reported.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn count_handshake(
    segment: *const Segment,
    sender: *mut TcpHalf,
    receiver: *const TcpHalf,
    flags: u32,
) -> i32 {
    // SAFETY: null, or the segment that the calling program makes, and two different halves of its connection.
    let (Some(segment), Some(sender), Some(receiver)) =
        (unsafe { (segment.as_ref(), sender.as_mut(), receiver.as_ref()) })
    else {
        return 0;
    };
    let handshake = Handshake { flags: SegmentFlags::from_bits(flags), segment, receiver };
    let Some(server) = maps::server(&handshake.server()) else { return 0 };
    i32::from(server.on_handshake::<Atomic>(maps::count_context(now()), handshake, sender))
}

/// Counts an attempt that was confirmed at its server; always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn count_confirmed(segment: *const Segment, flow: *const FlowState, from: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes and its connection.
    let (Some(segment), Some(flow)) = (unsafe { (segment.as_ref(), flow.as_ref()) }) else { return 0 };
    if let Some(key) = server::confirmed_by(segment, &flow.tcp, End::from_byte(from as u8))
        && let Some(server) = maps::server(&key)
    {
        server.on_confirmed::<Atomic>(&flow.tcp, now());
    }
    0
}

/// Adds atomically, so that no CPU's count is lost.
struct Atomic;

impl Add for Atomic {
    #[inline(always)]
    fn add(number: &mut u64, more: u64) {
        #[cfg(target_arch = "bpf")]
        crate::load::add(number, more);
        #[cfg(not(target_arch = "bpf"))]
        {
            *number += more;
        }
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Scans the payload of a frame at XDP; always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn scan_xdp(
    ctx: *mut xdp_md,
    half: *mut HttpHalf,
    peer: *const HttpHalf,
    buffer: *mut ScanBuffer,
) -> i32 {
    // SAFETY: see `scan`.
    unsafe { scan(&XdpFrame::new(ctx), half, peer, buffer) }
}

/// Scans the payload of a frame at TC; always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn scan_tc(
    ctx: *mut __sk_buff,
    half: *mut HttpHalf,
    peer: *const HttpHalf,
    buffer: *mut ScanBuffer,
) -> i32 {
    // SAFETY: see `scan`.
    unsafe { scan(&TcFrame::new(ctx), half, peer, buffer) }
}

/// # Safety
/// The pointers are null, or point to two different halves and a buffer that nothing else uses meanwhile, except that
/// another CPU may write the peer's half.
#[inline(always)]
unsafe fn scan<F: FrameBytes>(
    frame: &F,
    half: *mut HttpHalf,
    peer: *const HttpHalf,
    buffer: *mut ScanBuffer,
) -> i32 {
    // SAFETY: the caller's promise.
    if let (Some(half), Some(peer), Some(buffer)) = unsafe { (half.as_mut(), peer.as_ref(), buffer.as_mut()) }
    {
        let mut work = Scan::new(frame, &Ring, half, peer, buffer);
        if !repeat(MAX_STEPS, &mut work) {
            work.exhausted();
        }
    }
    0
}

/// Does up to `times` steps; false if more work may be left.
#[inline(always)]
pub(crate) fn repeat<W: Steps>(times: u32, work: &mut W) -> bool {
    // SAFETY: `step` gets back the pointer to `work` while it is borrowed here, and nothing else uses it then.
    let steps =
        unsafe { bpf_loop(times, step::<W> as *mut c_void, core::ptr::from_mut(work).cast::<c_void>(), 0) };
    steps < i64::from(times)
}

/// The callback of `bpf_loop`: 0 continues, 1 ends the loop.
extern "C" fn step<W: Steps>(_index: u64, work: *mut c_void) -> i64 {
    // SAFETY: `repeat` passes a valid, exclusively borrowed W.
    let work = unsafe { &mut *work.cast::<W>() };
    match work.step() {
        ControlFlow::Continue(()) => 0,
        ControlFlow::Break(()) => 1,
    }
}
