//! All reads of packet memory: the frames of XDP and TC.
//!
//! Headers are read directly. If they are not in the linear part, which is rare, TC extends it first, and XDP reads them
//! by a helper. Payload is always read by a helper, because most of it is in page fragments.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{
        bpf_get_socket_cookie, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_xdp_get_buff_len,
        bpf_xdp_load_bytes,
    },
};
use tracer_common::{
    flow::Removal,
    frame::{FrameBytes, WINDOW},
};

#[cfg(target_arch = "bpf")]
use crate::load;
use crate::{maps, stages};

/// The highest packet offset that the verifier accepts.
const MAX_OFFSET: usize = 0x7fff;

/// Bytes to make linear if a header is not: the last header starts at 511 at most, and has at most 60 bytes.
const HEADERS: u32 = 512 + 60;

/// The `N` bytes at `offset` of the linear part of a frame, `data` to `data_end`; `None` beyond its end.
///
/// # Safety
/// `data` and `data_end` come from the context of the running program.
#[inline(always)]
unsafe fn read_linear<const N: usize>(data: u32, data_end: u32, offset: usize) -> Option<[u8; N]> {
    if offset > MAX_OFFSET {
        return None;
    }
    let at = data as usize + offset;
    if at + N > data_end as usize {
        return None;
    }
    // SAFETY: the kernel keeps data..data_end readable while the program runs, the check above keeps the read inside,
    // and the verifier refuses the program if it does not.
    #[cfg(target_arch = "bpf")]
    return Some(unsafe { load::bytes::<N>(at) });
    #[cfg(not(target_arch = "bpf"))]
    None
}

/// The length of a read, if it is 1 to [`WINDOW`]. Checked so that every verifier sees both bounds: before Linux 6.8 it
/// learns nothing from a comparison with 0. The black box keeps the compiler from removing the check.
#[inline(always)]
fn within_window(len: usize) -> Option<usize> {
    let below = core::hint::black_box(len.wrapping_sub(1));
    if below < WINDOW { Some(below + 1) } else { None }
}

/// A frame at XDP. The pointer is the context of the running program.
pub(crate) struct XdpFrame(*mut xdp_md);

impl XdpFrame {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut xdp_md) -> Self {
        Self(ctx)
    }

    /// The context of the running program.
    #[inline(always)]
    pub(crate) fn context(&self) -> *mut xdp_md {
        self.0
    }

    /// The same frame.
    #[inline(always)]
    pub(crate) fn same(&self) -> Self {
        Self(self.0)
    }

    /// Whether all of the frame is in its linear part.
    #[inline(always)]
    pub(crate) fn is_linear(&self) -> bool {
        // SAFETY: the context is the running program's.
        let linear = unsafe { (*self.0).data_end as usize - (*self.0).data as usize };
        linear >= self.wire_len()
    }

    /// Index of the interface that received the frame.
    #[inline(always)]
    pub(crate) fn interface(&self) -> u32 {
        // SAFETY: the context is the running program's.
        unsafe { (*self.0).ingress_ifindex }
    }

    /// Reads the removal at `offset` of a list that userspace passes in place of a frame; false beyond its end.
    #[inline(always)]
    pub(crate) fn removal(&self, offset: usize, into: &mut Removal) -> bool {
        const LEN: u32 = size_of::<Removal>() as u32;
        // SAFETY: the context is the running program's, and a Removal consists of LEN bytes of integers.
        let error = unsafe {
            bpf_xdp_load_bytes(self.0, offset as u32, core::ptr::from_mut(into).cast::<c_void>(), LEN)
        };
        error == 0
    }
}

/// Headers of a frame at XDP: in its linear part, or `FAR` beyond it. Two types, because a program that looks in both places
/// for each header has to merge the results.
pub(crate) struct XdpHeaders<const FAR: bool>(pub(crate) XdpFrame);

impl<const FAR: bool> FrameBytes for XdpHeaders<FAR> {
    #[inline(always)]
    fn source_route(&self, at: usize, end: usize) -> Option<u32> {
        self.0.source_route(at, end)
    }

    #[inline(always)]
    fn reads_options(&self) -> bool {
        !FAR
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let ctx = self.0.0;
        if FAR {
            // SAFETY: null, or N bytes, which are copied before the next read overwrites them.
            return unsafe { far::<N>(ctx, offset).as_ref() }.copied();
        }
        // SAFETY: the context is the running program's.
        unsafe { read_linear((*ctx).data, (*ctx).data_end, offset) }
    }

    #[inline(always)]
    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize {
        self.0.copy(offset, into, len)
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        self.0.wire_len()
    }

    #[inline(always)]
    fn reaches(&self, len: usize) -> bool {
        self.0.reaches(len)
    }
}

/// The `N` bytes at `offset` of a frame, read by a helper, because some drivers leave the linear part empty; null beyond the
/// end of the frame. Out of line and into a map: on the stack, every read would need memory of its own.
#[inline(never)]
fn far<const N: usize>(ctx: *mut xdp_md, offset: usize) -> *const [u8; N] {
    const { assert!(N <= maps::MAX_HEADER) };
    let Some(header) = maps::header() else { return core::ptr::null() };
    // SAFETY: the context is the running program's, and `header` holds N bytes: checked above.
    let error = unsafe { bpf_xdp_load_bytes(ctx, offset as u32, header.cast::<c_void>(), N as u32) };
    if error == 0 { header.cast_const().cast() } else { core::ptr::null() }
}

impl FrameBytes for XdpFrame {
    #[inline(always)]
    fn source_route(&self, at: usize, end: usize) -> Option<u32> {
        match stages::source_route_xdp(self.0, at as u32, end as u32) {
            0 => None,
            address => Some(address),
        }
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // SAFETY: the context is the running program's.
        if let Some(bytes) = unsafe { read_linear((*self.0).data, (*self.0).data_end, offset) } {
            return Some(bytes);
        }
        // SAFETY: null, or N bytes, which are copied before the next read overwrites them.
        unsafe { far::<N>(self.0, offset).as_ref() }.copied()
    }

    #[inline(always)]
    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize {
        let Some(len) = within_window(len) else { return 0 };
        // SAFETY: the context is the running program's, and `into` holds `len` bytes: checked above.
        let error = unsafe {
            bpf_xdp_load_bytes(self.0, offset as u32, into.as_mut_ptr().cast::<c_void>(), len as u32)
        };
        if error == 0 { len } else { 0 }
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        // SAFETY: the context is the running program's.
        unsafe { bpf_xdp_get_buff_len(self.0) as usize }
    }

    #[inline(always)]
    fn reaches(&self, len: usize) -> bool {
        // SAFETY: the context is the running program's.
        let linear = unsafe { (*self.0).data_end as usize - (*self.0).data as usize };
        // Most frames are linear, and need no call of a helper.
        len <= linear || len <= self.wire_len()
    }
}

/// A frame at TC. The pointer is the context of the running program.
pub(crate) struct TcFrame(*mut __sk_buff);

impl TcFrame {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut __sk_buff) -> Self {
        Self(ctx)
    }

    /// Makes the headers of the frame linear; false if that fails.
    #[inline(always)]
    pub(crate) fn linearize(&self) -> bool {
        let len = self.wire_len() as u32;
        // SAFETY: the context is the running program's; all pointers into the frame are read again afterwards.
        let error = unsafe { bpf_skb_pull_data(self.0, if len < HEADERS { len } else { HEADERS }) };
        error == 0
    }

    /// The context of the running program.
    #[inline(always)]
    pub(crate) fn context(&self) -> *mut __sk_buff {
        self.0
    }

    /// Cookie of the socket that sent the frame; 0 if it has none.
    #[inline(always)]
    pub(crate) fn socket(&self) -> u64 {
        // SAFETY: the context is the running program's.
        unsafe { bpf_get_socket_cookie(self.0.cast()) }
    }

    /// Index of the interface that the program is attached to.
    #[inline(always)]
    pub(crate) fn interface(&self) -> u32 {
        // SAFETY: the context is the running program's.
        unsafe { (*self.0).ifindex }
    }
}

impl FrameBytes for TcFrame {
    #[inline(always)]
    fn source_route(&self, at: usize, end: usize) -> Option<u32> {
        match stages::source_route_tc(self.0, at as u32, end as u32) {
            0 => None,
            address => Some(address),
        }
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // SAFETY: the context is the running program's.
        unsafe { read_linear((*self.0).data, (*self.0).data_end, offset) }
    }

    #[inline(always)]
    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize {
        let Some(len) = within_window(len) else { return 0 };
        // SAFETY: the context is the running program's, and `into` holds `len` bytes: checked above.
        let error = unsafe {
            bpf_skb_load_bytes(self.0.cast(), offset as u32, into.as_mut_ptr().cast::<c_void>(), len as u32)
        };
        if error == 0 { len } else { 0 }
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        // SAFETY: the context is the running program's.
        unsafe { (*self.0).len as usize }
    }
}
