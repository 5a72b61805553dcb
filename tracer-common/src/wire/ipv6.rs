//! IPv6 (RFC 8200), with extension headers.

use super::{MAX_HEADER_OFFSET, PROTOCOL_TCP, Segment, Skip, Transport, len_to_frame_end};
use crate::frame::FrameBytes;

/// Bytes of the fixed header.
const HEADER: usize = 40;
/// How many extension headers are followed; RFC 8200, 4.1 recommends at most one of each kind, which are six.
const MAX_EXTENSIONS: usize = 6;

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
    segment.source = [word(8), word(12), word(16), word(20)];
    segment.destination = [word(24), word(28), word(32), word(36)];
    let total = match u16::from_be_bytes([header[4], header[5]]) as usize {
        0 => len_to_frame_end(frame, offset),
        stated => stated + HEADER,
    };
    let end = offset + total;

    let mut next = header[6];
    let mut at = offset + HEADER;
    segment.first_fragment = false;
    for _ in 0..MAX_EXTENSIONS {
        if next == PROTOCOL_TCP {
            break;
        }
        let extension: [u8; 4] = frame.read(at & MAX_HEADER_OFFSET).ok_or(Skip::Truncated)?;
        let length = match next {
            next_header::HOP_BY_HOP | next_header::ROUTING | next_header::DESTINATION => {
                (extension[1] as usize + 1) * 8
            }
            next_header::AUTHENTICATION => (extension[1] as usize + 2) * 4,
            next_header::FRAGMENT => {
                let field = u16::from_be_bytes([extension[2], extension[3]]);
                if field & 0xfff8 != 0 {
                    return Err(Skip::Fragment);
                }
                segment.first_fragment = field & 1 != 0;
                8
            }
            _ => return Err(Skip::NotTcp),
        };
        next = extension[0];
        at += length;
        if at > MAX_HEADER_OFFSET {
            return Err(Skip::TooManyHeaders);
        }
    }
    if next != PROTOCOL_TCP {
        return Err(Skip::TooManyHeaders);
    }
    let len = end.checked_sub(at).ok_or(Skip::MalformedIp)?;
    Ok(Transport { offset: at, len })
}
