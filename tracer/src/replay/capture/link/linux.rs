//! Link layers that Linux creates for captures.

use tracer_common::{flow::owner, frame::FrameBytes as _, wire::LinkType};

use super::{Payload, ethertype};

/// LINKTYPE_LINUX_SLL.
pub(super) const SLL: i32 = 113;
/// LINKTYPE_LINUX_SLL2.
pub(super) const SLL2: i32 = 276;

/// Linux pseudo-EtherType for a frame with an LLC header (`linux/if_ether.h`).
const ETH_P_802_2: u16 = 4;

/// Linux cooked capture (SLL): packet type, hardware type and address, then the EtherType.
pub(super) fn cooked(bytes: &[u8]) -> Option<Payload> {
    protocol(ethertype(bytes, 14)?)
}

/// The interface and the direction of a cooked frame, as one number. Version 1 has only
/// the direction.
pub(super) fn point(link: i32, bytes: &[u8]) -> Option<u32> {
    /// The packet type of a frame that this host sends (`PACKET_OUTGOING`, `linux/if_packet.h`).
    const OUTGOING: u8 = 4;
    let (index, packet_type) = match link {
        SLL => (1, bytes.read::<2>(0)?[1]),
        SLL2 => (u32::from_be_bytes(bytes.read(4)?), bytes.read::<1>(10)?[0]),
        _ => return None,
    };
    Some(owner(index, packet_type == OUTGOING))
}

/// Linux cooked capture v2 (SLL2): the EtherType comes first.
pub(super) fn cooked2(bytes: &[u8]) -> Option<Payload> {
    let (link, _) = protocol(ethertype(bytes, 0)?)?;
    Some((link, 20))
}

fn protocol((link, at): Payload) -> Option<Payload> {
    Some((if link == LinkType::EtherType(ETH_P_802_2) { LinkType::Llc } else { link }, at))
}

/// NFLOG: four bytes, then TLVs (length, type, value) in the byte order of the host. One of them is
/// the packet.
pub(super) fn log(bytes: &[u8]) -> Option<Payload> {
    /// Type of the TLV with the packet (`NFULA_PAYLOAD`).
    const PAYLOAD: u16 = 9;
    let mut at = 4;
    loop {
        let [len, tlv_type] = [bytes.read(at)?, bytes.read(at + 2)?];
        let (mut len, mut tlv_type) = (u16::from_le_bytes(len), u16::from_le_bytes(tlv_type));
        // No type is as high as 256, so the bytes are swapped.
        if tlv_type & 0xff == 0 && tlv_type != 0 {
            (len, tlv_type) = (len.swap_bytes(), tlv_type.swap_bytes());
        }
        if len < 4 {
            return None;
        }
        if tlv_type == PAYLOAD {
            return Some((LinkType::RawIp, at + 4));
        }
        at += usize::from(len).next_multiple_of(4);
    }
}
