//! The parser and the message scanner as functions of their own for the verifier.
//!
//! A global function is verified once, for any arguments. Inlined, each would be verified again for every path that leads
//! to it, which is more than the kernel's limit of a million instructions.

use core::{ffi::c_void, ops::ControlFlow};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_ktime_get_ns, bpf_loop},
};
use tracer_common::{
    flow::{FlowState, Half},
    frame::FrameBytes,
    http::{MAX_STEPS, Room, Scan, Steps},
    target::{self, Add},
    wire::{self, Encapsulations, LinkType, Segment, Skip, Walk, parse_segment, walk},
};

use crate::{
    emit::Ring,
    frame::{TcFrame, XdpFrame, XdpHeaders},
    maps,
};

/// Parses a frame at XDP by the straight way; see [`parsed`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn parse_xdp(ctx: *mut xdp_md, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    parsing(parse_segment(&XdpHeaders::<false>(XdpFrame::new(ctx)), link(raw_ip), segment))
}

/// Parses a frame at XDP whose headers are not in its linear part; see [`parsed`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn parse_far_xdp(ctx: *mut xdp_md, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    parsing(parse_segment(&XdpHeaders::<true>(XdpFrame::new(ctx)), link(raw_ip), segment))
}

/// Parses a frame at TC by the straight way; see [`parsed`].
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
            outcome => return parsing(outcome),
        }
    }
    parsing(Err(Skip::Truncated))
}

/// Walks through a frame at XDP that the straight way does not lead through; see [`parsed`]. Apart from it, because one
/// function for both would need more stack than there is.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn walk_xdp(ctx: *mut xdp_md, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    walking(raw_ip, segment, |place, segment| parsed(step_xdp(ctx, place, segment)))
}

/// Walks through a frame at TC that the straight way does not lead through; see [`parsed`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn walk_tc(ctx: *mut __sk_buff, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    walking(raw_ip, segment, |place, segment| parsed(step_tc(ctx, place, segment)))
}

/// What the frame that was parsed last on this CPU is carried in. A function of its own, because the programs have no room on
/// their stack for the look-up.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn encapsulation() -> u32 {
    maps::encapsulation().0
}

/// Walks, and notes what was entered on the way.
#[inline(always)]
fn walking(
    raw_ip: u32,
    segment: &mut Segment,
    step: impl FnMut(&mut Walk, &mut Segment) -> Result<(), Skip>,
) -> i32 {
    let outcome = walk(link(raw_ip), Encapsulations::default(), segment, step);
    parsing(outcome.map(maps::set_encapsulation))
}

/// Whether a frame is to be walked through: known when the programs are loaded to be never so, unless that is asked for.
#[inline(always)]
pub(crate) fn leads_on(straight: Result<(), Skip>) -> bool {
    if !maps::decapsulate() {
        return false;
    }
    maps::set_encapsulation(Encapsulations::default());
    straight.is_err_and(wire::leads_on)
}

/// Steps over one header of a frame at XDP; see [`parsed`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_xdp(ctx: *mut xdp_md, place: *mut Walk, segment: *mut Segment) -> i32 {
    // SAFETY: null, or the place and the segment that the calling program makes, which are two things.
    let (Some(place), Some(segment)) = (unsafe { (place.as_mut(), segment.as_mut()) }) else { return 0 };
    parsing(wire::step(&XdpFrame::new(ctx), place, segment))
}

/// Steps over one header of a frame at TC; see [`parsed`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_tc(ctx: *mut __sk_buff, place: *mut Walk, segment: *mut Segment) -> i32 {
    // SAFETY: null, or the place and the segment that the calling program makes, which are two things.
    let (Some(place), Some(segment)) = (unsafe { (place.as_mut(), segment.as_mut()) }) else { return 0 };
    let frame = TcFrame::new(ctx);
    let start = *place;
    // The second try is for the rare frame whose headers are not linear.
    for attempt in 0..2 {
        match wire::step(&frame, place, segment) {
            Err(Skip::Truncated) if attempt == 0 && frame.linearize() => *place = start,
            outcome => return parsing(outcome),
        }
    }
    parsing(Err(Skip::Truncated))
}

#[inline(always)]
fn link(raw_ip: u32) -> LinkType {
    if raw_ip == 0 { LinkType::Ethernet } else { LinkType::RawIp }
}

/// An outcome as a number.
#[inline(always)]
fn parsing(outcome: Result<(), Skip>) -> i32 {
    match outcome {
        Ok(()) => -1,
        Err(reason) => i32::from(reason as u8),
    }
}

/// The outcome that a number stands for.
#[inline(always)]
pub(crate) fn parsed(number: i32) -> Result<(), Skip> {
    if number < 0 {
        return Ok(());
    }
    Err(Skip::from_index(number as u8).unwrap_or(Skip::NotIp))
}

/// Counts a segment of a handshake at its server: see [`target::note`]; not 0 when it is not to be told.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn note_handshake(
    segment: *const Segment,
    sender: *mut Half,
    receiver: *const Half,
    causes: u32,
) -> i32 {
    // SAFETY: null, or the segment that the calling program makes, and two different halves of its connection.
    let (Some(segment), Some(sender), Some(receiver)) =
        (unsafe { (segment.as_ref(), sender.as_mut(), receiver.as_ref()) })
    else {
        return 0;
    };
    let Some(target) = maps::target(&target::target_of(causes, segment, receiver)) else { return 0 };
    i32::from(target::note::<Atomic>(target, maps::circumstances(now()), causes, segment, sender, receiver))
}

/// Counts an attempt that was confirmed at its server: see [`target::confirmed`]; always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn note_confirmed(
    segment: *const Segment,
    flow: *const FlowState,
    from_low: u32,
) -> i32 {
    // SAFETY: null, or the segment that the calling program makes and its connection.
    let (Some(segment), Some(flow)) = (unsafe { (segment.as_ref(), flow.as_ref()) }) else { return 0 };
    if let Some(key) = target::confirmed_by(segment, flow, from_low != 0)
        && let Some(target) = maps::target(&key)
    {
        target::confirmed::<Atomic>(target, flow, now());
    }
    0
}

/// Adds in one step, so that no CPU's count is lost.
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
    half: *mut Half,
    peer: *const Half,
    room: *mut Room,
) -> i32 {
    // SAFETY: see `scan`.
    unsafe { scan(&XdpFrame::new(ctx), half, peer, room) }
}

/// Scans the payload of a frame at TC; always 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn scan_tc(
    ctx: *mut __sk_buff,
    half: *mut Half,
    peer: *const Half,
    room: *mut Room,
) -> i32 {
    // SAFETY: see `scan`.
    unsafe { scan(&TcFrame::new(ctx), half, peer, room) }
}

/// # Safety
/// The pointers are null or point to two different halves and a room that nothing else uses meanwhile, but for the
/// half of the peer, which another CPU may write.
#[inline(always)]
unsafe fn scan<F: FrameBytes>(frame: &F, half: *mut Half, peer: *const Half, room: *mut Room) -> i32 {
    // SAFETY: the caller's promise.
    if let (Some(half), Some(peer), Some(room)) = unsafe { (half.as_mut(), peer.as_ref(), room.as_mut()) } {
        let mut work = Scan::new(frame, &Ring, half, peer, room);
        if !repeat(MAX_STEPS, &mut work) {
            work.exhausted();
        }
    }
    0
}

/// Does up to `times` steps; false when that was not all of the work.
#[inline(always)]
pub(crate) fn repeat<W: Steps>(times: u32, work: &mut W) -> bool {
    // SAFETY: `step` gets back the pointer to `work` while it is borrowed here, and nothing else uses it then.
    let steps =
        unsafe { bpf_loop(times, step::<W> as *mut c_void, core::ptr::from_mut(work).cast::<c_void>(), 0) };
    steps < i64::from(times)
}

/// The callback of `bpf_loop`: 0 goes on, 1 ends the loop.
extern "C" fn step<W: Steps>(_index: u64, work: *mut c_void) -> i64 {
    // SAFETY: `repeat` passes a valid, exclusively borrowed W.
    let work = unsafe { &mut *work.cast::<W>() };
    match work.step() {
        ControlFlow::Continue(()) => 0,
        ControlFlow::Break(()) => 1,
    }
}
