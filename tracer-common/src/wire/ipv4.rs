//! IPv4 (RFC 791), with options.

use super::{MAX_HEADER_OFFSET, Segment, Skip, Transport, address, len_to_frame_end};
use crate::frame::FrameBytes;

/// Bytes of the header without options.
const MIN_HEADER: usize = 20;
/// Mask of the fragment offset, in units of 8 bytes, in the flags and fragment offset field.
const FRAGMENT_OFFSET: u16 = 0x1fff;
/// "More fragments" in the same field.
const MORE_FRAGMENTS: u16 = 0x2000;

/// Parses the header at `offset` and fills in the addresses.
#[inline(always)]
pub(super) fn parse<F: FrameBytes + ?Sized>(
    frame: &F,
    offset: usize,
    segment: &mut Segment,
) -> Result<Transport, Skip> {
    let header: [u8; MIN_HEADER] = frame.read(offset & MAX_HEADER_OFFSET).ok_or(Skip::Truncated)?;
    let header_len = ((header[0] & 0x0f) as usize) * 4;
    if header[0] >> 4 != 4 || header_len < MIN_HEADER {
        return Err(Skip::MalformedIp);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    segment.first_fragment = fragment & MORE_FRAGMENTS != 0;
    segment.ttl = header[8];
    let total = match u16::from_be_bytes([header[2], header[3]]) as usize {
        0 => len_to_frame_end(frame, offset),
        stated => stated,
    };
    let len = total.checked_sub(header_len).ok_or(Skip::MalformedIp)?;
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    segment.source = address::from_ipv4(word(12));
    segment.destination = address::from_ipv4(word(16));
    let later_fragment = fragment & FRAGMENT_OFFSET != 0;
    Ok(Transport {
        offset: (offset + header_len) as u32,
        len: len as u32,
        protocol: header[9],
        later_fragment,
    })
}
