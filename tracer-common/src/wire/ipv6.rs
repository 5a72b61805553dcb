//! IPv6 (RFC 8200), with extension headers.

use super::{MAX_HEADER_OFFSET, Segment, Skip, Transport, address, len_to_frame_end};
use crate::frame::FrameBytes;

/// Bytes of the fixed header.
const HEADER: usize = 40;
/// How many extension headers are followed; RFC 8200, 4.1 recommends at most one of each kind, which are six.
const MAX_EXTENSIONS: usize = 6;

/// Mask of the fragment offset, in units of 8 bytes, in the fragment header (RFC 8200, 4.5).
const FRAGMENT_OFFSET: u16 = 0xfff8;
/// "More fragments" in the same field.
const MORE_FRAGMENTS: u16 = 1;

/// Next header values of the extension headers (RFC 8200, 4; RFC 4302 for AH).
mod next_header {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
}

/// Parses the header at `offset`, fills in the addresses and walks the extension headers.
#[inline(always)]
pub(super) fn parse<F: FrameBytes + ?Sized>(
    frame: &F,
    offset: usize,
    segment: &mut Segment,
) -> Result<Transport, Skip> {
    let header: [u8; HEADER] = frame.read(offset & MAX_HEADER_OFFSET).ok_or(Skip::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(Skip::MalformedIp);
    }
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    segment.source = address::from_ipv6([word(8), word(12), word(16), word(20)]);
    segment.destination = address::from_ipv6([word(24), word(28), word(32), word(36)]);
    let total = match u16::from_be_bytes([header[4], header[5]]) as usize {
        0 => len_to_frame_end(frame, offset),
        stated => stated + HEADER,
    };
    let end = offset + total;

    let mut next = header[6];
    let mut at = offset + HEADER;
    segment.first_fragment = false;
    segment.ttl = header[7];
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(next) {
            break;
        }
        let extension: [u8; 4] = frame.read(at & MAX_HEADER_OFFSET).ok_or(Skip::Truncated)?;
        let length = match next {
            next_header::AUTHENTICATION => (extension[1] as usize + 2) * 4,
            next_header::FRAGMENT => {
                let field = u16::from_be_bytes([extension[2], extension[3]]);
                if field & FRAGMENT_OFFSET != 0 {
                    return Ok(Transport {
                        protocol: extension[0],
                        offset: (at + 8) as u32,
                        len: 0,
                        later_fragment: true,
                    });
                }
                segment.first_fragment = field & MORE_FRAGMENTS != 0;
                8
            }
            _ => (extension[1] as usize + 1) * 8,
        };
        next = extension[0];
        at += length;
        if at > MAX_HEADER_OFFSET {
            return Err(Skip::TooManyHeaders);
        }
    }
    if is_extension(next) {
        return Err(Skip::TooManyHeaders);
    }
    let len = end.checked_sub(at).ok_or(Skip::MalformedIp)?;
    Ok(Transport { offset: at as u32, len: len as u32, protocol: next, later_fragment: false })
}

/// Whether another header of IPv6 itself follows.
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        next_header::HOP_BY_HOP
            | next_header::ROUTING
            | next_header::FRAGMENT
            | next_header::AUTHENTICATION
            | next_header::DESTINATION
    )
}
