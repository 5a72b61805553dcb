//! IPv4 (RFC 791), with options.

use super::{MAX_HEADER_OFFSET, Segment, Skip, Transport, address, len_to_frame_end};
use crate::frame::FrameBytes;

/// Bytes of the header without options.
const MIN_HEADER: usize = 20;
/// Mask of the fragment offset, in units of 8 bytes, in the flags and fragment offset field.
const FRAGMENT_OFFSET: u16 = 0x1fff;
/// "More fragments" in the same field.
const MORE_FRAGMENTS: u16 = 0x2000;
/// How many options are looked at for a source route: one for each word of the longest header.
const MAX_OPTIONS: usize = 10;

/// Types of options (RFC 791, 3.1).
mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const LOOSE_SOURCE_ROUTE: u8 = 131;
    pub(super) const STRICT_SOURCE_ROUTE: u8 = 137;
}

/// Parses the header at `offset` and fills in the addresses. The destination is that of the connection: the last address of a
/// source route.
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
    if header_len > MIN_HEADER
        && let Some(last) = frame.source_route(offset + MIN_HEADER, offset + header_len)
    {
        segment.destination = address::from_ipv4(last);
    }
    let later_fragment = fragment & FRAGMENT_OFFSET != 0;
    Ok(Transport {
        offset: (offset + header_len) as u32,
        len: len as u32,
        protocol: header[9],
        later_fragment,
    })
}

/// The last address of a source route in the options from `at` to `end` (RFC 791, 3.1; RFC 9293, 3.9.2.1). `None` without one,
/// or with an exhausted one: the packet has reached its last hop then.
#[inline(always)]
pub fn source_route<F: FrameBytes + ?Sized>(frame: &F, mut at: usize, end: usize) -> Option<u32> {
    for _ in 0..MAX_OPTIONS {
        if at + 3 > end {
            return None;
        }
        let [kind, len, pointer]: [u8; 3] = frame.read(at & MAX_HEADER_OFFSET)?;
        let len = len as usize;
        match kind {
            option::END => return None,
            option::NO_OPERATION => at += 1,
            option::LOOSE_SOURCE_ROUTE | option::STRICT_SOURCE_ROUTE => {
                // The pointer is that of the next address, counted from 1; three bytes precede the first.
                let is_exhausted = pointer as usize + 3 > len;
                if len < 7 || at + len > end || is_exhausted {
                    return None;
                }
                return frame.read((at + len - 4) & MAX_HEADER_OFFSET).map(u32::from_ne_bytes);
            }
            _ if len < 2 => return None,
            _ => at += len,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec;

    use super::*;

    /// The destination of a packet to 192.0.2.1 with these options.
    fn destination(options: &[u8]) -> [u8; 4] {
        let mut packet = vec![0; MIN_HEADER];
        packet[0] = 0x45 + options.len().div_ceil(4) as u8;
        packet[16..].copy_from_slice(&[192, 0, 2, 1]);
        packet.extend(options);
        packet.resize(MIN_HEADER + options.len().next_multiple_of(4) + MIN_HEADER, 0);
        packet[3] = packet.len() as u8;
        let mut segment = Segment::default();
        assert!(parse(packet.as_slice(), 0, &mut segment).is_ok(), "{packet:?}");
        segment.destination[3].to_ne_bytes()
    }

    #[test]
    fn a_source_route_leads_to_its_last_address() {
        const HOP: [u8; 4] = [192, 0, 2, 1];
        const LAST: [u8; 4] = [198, 51, 100, 20];
        let route = |kind, len, pointer| [&[kind, len, pointer][..], &[192, 0, 2, 2], &LAST].concat();
        let after = |before: &[u8]| [before, &route(131, 11, 4)].concat();
        for (options, address, what) in [
            (route(131, 11, 4), LAST, "loose"),
            (route(137, 11, 8), LAST, "strict, at its last hop"),
            (route(131, 11, 12), HOP, "exhausted"),
            (route(131, 11, 9), HOP, "an incomplete address is left"),
            (route(7, 11, 4), HOP, "record route"),
            (route(131, 200, 4), HOP, "longer than the header"),
            (route(131, 3, 4), HOP, "without addresses"),
            (route(131, 0, 4), HOP, "of length 0"),
            (after(&[1, 1, 1]), LAST, "after padding"),
            (after(&[68, 4, 5, 0]), LAST, "after another option"),
            (after(&[0]), HOP, "after the end of the options"),
            (after(&[7, 1]), HOP, "after an option of length 1"),
        ] {
            assert_eq!(destination(&options), address, "{what}: {options:?}");
        }
        assert_eq!(destination(&[]), HOP);
    }
}
