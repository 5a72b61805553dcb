//! Ethernet (IEEE 802.3) with up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use super::Skip;
use crate::frame::FrameBytes;

/// Bytes of the two MAC addresses before the EtherType.
pub(super) const ADDRESSES: usize = 12;
/// Bytes of one VLAN tag.
pub(super) const TAG: usize = 4;
/// How many tags are followed: a customer tag inside a service tag.
const MAX_TAGS: usize = 2;

/// Whether an EtherType announces a VLAN tag.
pub(super) const fn is_tag(ethertype: u16) -> bool {
    // 802.1Q, 802.1ad, and the values that older switches use for stacked tags.
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// The EtherType of the payload and its offset.
#[inline(always)]
pub(super) fn parse<F: FrameBytes + ?Sized>(frame: &F) -> Result<(u16, usize), Skip> {
    let mut offset = ADDRESSES;
    let mut ethertype = u16::from_be_bytes(frame.read(offset).ok_or(Skip::Truncated)?);
    for _ in 0..MAX_TAGS {
        if !is_tag(ethertype) {
            break;
        }
        offset += TAG;
        ethertype = u16::from_be_bytes(frame.read(offset).ok_or(Skip::Truncated)?);
    }
    if is_tag(ethertype) {
        return Err(Skip::TooManyHeaders);
    }
    Ok((ethertype, offset + 2))
}
