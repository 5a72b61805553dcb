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

/// The offset after the header of the frame at `offset`, where LLC starts; `padded`: the header is padded to four bytes.
/// `None` for everything but unencrypted data, and of that for later fragments.
#[inline(always)]
#[must_use]
pub fn after_header<F: FrameBytes + ?Sized>(frame: &F, offset: usize, padded: bool) -> Option<usize> {
    let [kind, flags]: [u8; 2] = frame.read(offset)?;
    let [fragment]: [u8; 1] = frame.read(offset + 22)?;
    if kind & 0x0f != DATA || kind & NO_DATA != 0 || flags & PROTECTED != 0 || fragment & 0x0f != 0 {
        return None;
    }
    let mut len = if flags & TO_AND_FROM_DS == TO_AND_FROM_DS { 30 } else { 24 };
    let mut is_a_msdu = false;
    if kind & QOS != 0 {
        let [control]: [u8; 1] = frame.read(offset + len)?;
        is_a_msdu = control & A_MSDU != 0;
        len += if flags & ORDER == 0 { 2 } else { 6 };
    }
    if padded {
        len = len.next_multiple_of(4);
    }
    Some(offset + if is_a_msdu { len + SUBFRAME_HEADER } else { len })
}

/// A frame in a tunnel.
#[inline(always)]
pub(super) fn enter<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    walk.to(next::LLC, after_header(frame, offset, false).ok_or(Skip::NotIp)?)
}
