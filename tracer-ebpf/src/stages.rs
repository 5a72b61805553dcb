//! The parser and the message scanner as functions of their own for the verifier.
//!
//! A global function is verified once, for any arguments. Inlined, each would be verified again for every path that leads
//! to it, which is more than the kernel's limit of a million instructions.

use core::{ffi::c_void, ops::ControlFlow};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::bpf_loop,
};
use tracer_common::{
    flow::Half,
    frame::FrameBytes,
    http::{MAX_STEPS, Room, Scan, Steps},
    wire::{LinkType, Segment, Skip, parse_segment},
};

use crate::{
    emit::Ring,
    frame::{TcFrame, XdpFrame},
};

/// Parses a frame at XDP; see [`parsed`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn parse_xdp(ctx: *mut xdp_md, segment: *mut Segment, raw_ip: u32) -> i32 {
    // SAFETY: null, or the segment that the calling program makes.
    let Some(segment) = (unsafe { segment.as_mut() }) else { return 0 };
    parsing(parse_segment(&XdpFrame::new(ctx), link(raw_ip), segment))
}

/// Parses a frame at TC; see [`parsed`].
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
fn repeat<W: Steps>(times: u32, work: &mut W) -> bool {
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
