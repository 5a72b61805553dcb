//! Link layers that Linux makes up where it captures.

use tracer_common::{frame::FrameBytes as _, wire::LinkType};

use super::{Start, announced};

/// "Protocols" of Linux in the place of an EtherType (`linux/if_ether.h`).
const ETH_P_802_2: u16 = 4;

/// Cooked (SLL): direction, kind of hardware and address, then the EtherType.
pub(super) fn cooked(bytes: &[u8]) -> Option<Start> {
    protocol(announced(bytes, 14)?)
}

/// Cooked, version 2: the EtherType comes first.
pub(super) fn cooked2(bytes: &[u8]) -> Option<Start> {
    let (link, _) = protocol(announced(bytes, 0)?)?;
    Some((link, 20))
}

fn protocol((link, at): Start) -> Option<Start> {
    Some((if link == LinkType::EtherType(ETH_P_802_2) { LinkType::Llc } else { link }, at))
}

/// NFLOG: four bytes, then fields of a length, a kind and a value, in the byte order of the host. One is the packet.
pub(super) fn log(bytes: &[u8]) -> Option<Start> {
    /// Kind of the packet (`NFULA_PAYLOAD`).
    const PAYLOAD: u16 = 9;
    let mut at = 4;
    loop {
        let [len, kind] = [bytes.read(at)?, bytes.read(at + 2)?];
        let (mut len, mut kind) = (u16::from_le_bytes(len), u16::from_le_bytes(kind));
        // No kind has so high a number, whoever wrote it.
        if kind & 0xff == 0 && kind != 0 {
            (len, kind) = (len.swap_bytes(), kind.swap_bytes());
        }
        if len < 4 {
            return None;
        }
        if kind == PAYLOAD {
            return Some((LinkType::RawIp, at + 4));
        }
        at += usize::from(len).next_multiple_of(4);
    }
}
