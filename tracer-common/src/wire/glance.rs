//! Most frames are not what is looked for, and of most of those a few bytes say so.

use super::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkType, PROTOCOL_TCP, Skip,
    ethernet::{ADDRESSES, is_tag},
};
use crate::frame::FrameBytes;

/// Bytes of an IPv4 header without options and of the ports behind it, with the EtherType before them.
const IPV4: usize = 2 + 20 + 4;
/// From an EtherType to the ports behind an IPv6 header without extensions.
const IPV6_PORTS: usize = 2 + 40;
/// Behind one tag.
const TAGGED: usize = ADDRESSES + 4;
/// IP protocol number of UDP.
const PROTOCOL_UDP: u8 = 17;
/// "More fragments" and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// Passes over frames that plainly are not TCP, or on no port that `traces` accepts. Frames that it says nothing about are to be
/// parsed.
///
/// # Errors
/// [`Skip::NotIp`], [`Skip::NotTcp`] or [`Skip::OtherPort`].
#[inline(always)]
pub fn glance<F: FrameBytes + ?Sized>(
    frame: &F,
    link: LinkType,
    traces: impl Fn(u16) -> bool,
) -> Result<(), Skip> {
    if link != LinkType::Ethernet {
        return Ok(());
    }
    if look::<ADDRESSES, F>(frame, &traces)? == Seen::Tag {
        look::<TAGGED, F>(frame, &traces)?;
    }
    Ok(())
}

/// What is seen of a frame that is not passed over.
#[derive(PartialEq)]
enum Seen {
    /// Another header before the one that matters.
    Tag,
    /// Something to be parsed.
    Something,
}

/// Looks at what begins with an EtherType at `AT`.
#[inline(always)]
fn look<const AT: usize, F: FrameBytes + ?Sized>(
    frame: &F,
    traces: &impl Fn(u16) -> bool,
) -> Result<Seen, Skip> {
    let Some(start) = frame.read::<IPV4>(AT) else { return Ok(Seen::Something) };
    let ports = match u16::from_be_bytes([start[0], start[1]]) {
        ETHERTYPE_IPV4 if start[2] == 0x45 => {
            if start[11] != PROTOCOL_TCP {
                return Err(Skip::NotTcp);
            }
            if u16::from_be_bytes([start[8], start[9]]) & FRAGMENT != 0 {
                return Ok(Seen::Something);
            }
            [start[22], start[23], start[24], start[25]]
        }
        ETHERTYPE_IPV6 if start[2] >> 4 == 6 && start[8] == PROTOCOL_UDP => return Err(Skip::NotTcp),
        ETHERTYPE_IPV6 if start[2] >> 4 == 6 && start[8] == PROTOCOL_TCP => {
            let Some(ports) = frame.read::<4>(AT + IPV6_PORTS) else { return Ok(Seen::Something) };
            ports
        }
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Ok(Seen::Something),
        ethertype if is_tag(ethertype) => return Ok(Seen::Tag),
        _ => return Err(Skip::NotIp),
    };
    let [source, destination] = [[ports[0], ports[1]], [ports[2], ports[3]]].map(u16::from_be_bytes);
    if traces(destination) || traces(source) { Ok(Seen::Something) } else { Err(Skip::OtherPort) }
}
