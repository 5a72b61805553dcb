//! IEEE 802.11 frames (IEEE 802.11, 9.2), as captured, and as controllers of access points tunnel them.

use super::{
    Skip,
    cursor::{Walk, next},
};
use crate::frame::FrameBytes;

/// Frame control, first byte: the type of the frame without its lowest subtype bits.
const DATA: u8 = 0x08;
const NO_DATA: u8 = 0x40;
const QOS: u8 = 0x80;
/// Frame control, second byte.
const TO_AND_FROM_DS: u8 = 0x03;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;
/// In the first byte of the QoS control field: the frame is an A-MSDU.
const A_MSDU: u8 = 0x80;
/// Bytes of an A-MSDU subframe header: two addresses and a length.
const SUBFRAME_HEADER: usize = 14;

/// Bytes of the longest header up to its QoS control field. A frame with a TCP segment is longer.
const LONGEST: usize = 32;

/// The length of the header of the frame at `offset`, after which LLC starts; `padded`: it is padded to four bytes. `None` for
/// everything but unencrypted data, and of that for later fragments.
#[inline(always)]
#[must_use]
pub fn header_len<F: FrameBytes + ?Sized>(frame: &F, offset: usize, padded: bool) -> Option<usize> {
    // In one read: the verifier does not follow one at an offset that the header decides.
    let header: [u8; LONGEST] = frame.read(offset)?;
    let [kind, flags] = [header[0], header[1]];
    if kind & 0x0f != DATA || kind & NO_DATA != 0 || flags & PROTECTED != 0 || header[22] & 0x0f != 0 {
        return None;
    }
    let has_four_addresses = flags & TO_AND_FROM_DS == TO_AND_FROM_DS;
    let mut len = if has_four_addresses { 30 } else { 24 };
    let mut subframe = 0;
    if kind & QOS != 0 {
        let control = if has_four_addresses { header[30] } else { header[24] };
        if control & A_MSDU != 0 {
            subframe = SUBFRAME_HEADER;
        }
        len += if flags & ORDER == 0 { 2 } else { 6 };
    }
    if padded {
        len = (len + 3) & !3;
    }
    Some(len + subframe)
}

/// A frame in a tunnel.
#[inline(always)]
pub(super) fn enter<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let len = header_len(frame, offset, false).ok_or(Skip::NotIp)?;
    walk.to(next::LLC, offset + len)
}
