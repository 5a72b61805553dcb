//! Read-only access to the bytes of one frame, the parsers' only source.

use crate::wire;

/// Bytes of payload that the message scanner copies at once: enough for most heads.
pub const WINDOW: usize = 1024;

/// The bytes of one frame, from its link layer header on.
///
/// Implemented for byte slices here, and for XDP and TC contexts in the kernel programs.
pub trait FrameBytes {
    /// The `N` bytes at `offset` of a header, or `None` where the frame ends before.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Copies `len` bytes (1 to [`WINDOW`]) at `offset` to the start of `into`, or as many of them as were captured;
    /// returns how many.
    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize;

    /// See [`source_route`](wire::source_route). In the kernel this is a global function: its loop would be verified again for
    /// all that follows it.
    #[inline(always)]
    fn source_route(&self, at: usize, end: usize) -> Option<u32> {
        wire::source_route(self, at, end)
    }

    /// Whether options of TCP are read. Where each read is a call, they would take more of the BPF stack than there is.
    #[inline(always)]
    fn reads_options(&self) -> bool {
        true
    }

    /// The length of the frame on the wire, in bytes; at least the bytes that can be read.
    fn wire_len(&self) -> usize;

    /// Whether the frame on the wire has at least `len` bytes, which may be cheaper to check than to read the length.
    #[inline(always)]
    fn reaches(&self, len: usize) -> bool {
        len <= self.wire_len()
    }
}

impl FrameBytes for [u8] {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }

    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize {
        let rest = self.get(offset..).unwrap_or_default();
        let len = len.min(rest.len());
        match (rest.get(..len), into.get_mut(..len)) {
            (Some(from), Some(to)) => {
                to.copy_from_slice(from);
                len
            }
            _ => 0,
        }
    }

    fn wire_len(&self) -> usize {
        self.len()
    }
}
