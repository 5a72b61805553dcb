//! The pre-filter: skips most frames of other protocols and ports by a few bytes, before they are parsed.

use super::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkType, PROTOCOL_TCP, Skip,
    ethernet::{ADDRESSES, is_tag},
    icmp::{self, PROTOCOL_ICMP},
};
use crate::frame::FrameBytes;

/// Bytes from an EtherType to the end of the ports after an IPv4 header without options.
const IPV4: usize = 2 + 20 + 4;
/// From an EtherType to the ports after an IPv6 header without extensions.
const IPV6_PORTS: usize = 2 + 40;
/// The offset of the EtherType after one tag.
const TAGGED: usize = ADDRESSES + 4;
/// IP protocol number of UDP.
const PROTOCOL_UDP: u8 = 17;
/// "More fragments" and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// Skips frames that are plainly neither TCP nor ICMP errors, or not on a port that `traces` accepts. All others are to be
/// parsed.
///
/// # Errors
/// [`Skip::NotIp`], [`Skip::NotTcp`] or [`Skip::OtherPort`].
#[inline(always)]
pub fn prefilter<F: FrameBytes + ?Sized>(
    frame: &F,
    link: LinkType,
    traces: impl Fn(u16) -> bool,
) -> Result<(), Skip> {
    if link != LinkType::Ethernet {
        return Ok(());
    }
    if check::<ADDRESSES, F>(frame, &traces)? == Seen::Tag {
        check::<TAGGED, F>(frame, &traces)?;
    }
    Ok(())
}

/// What was found in a frame that is not skipped.
#[derive(PartialEq)]
enum Seen {
    /// A VLAN tag.
    Tag,
    /// Anything else that must be parsed.
    Other,
}

/// Checks the headers that start with an EtherType at `AT`.
#[inline(always)]
fn check<const AT: usize, F: FrameBytes + ?Sized>(
    frame: &F,
    traces: &impl Fn(u16) -> bool,
) -> Result<Seen, Skip> {
    let Some(start) = frame.read::<IPV4>(AT) else { return Ok(Seen::Other) };
    let ports = match u16::from_be_bytes([start[0], start[1]]) {
        ETHERTYPE_IPV4 if start[2] == 0x45 => {
            if start[11] != PROTOCOL_TCP {
                // The first byte after the header is its type.
                let may_quote = start[11] == PROTOCOL_ICMP && icmp::is_error(start[22]);
                return if may_quote { Ok(Seen::Other) } else { Err(Skip::NotTcp) };
            }
            if u16::from_be_bytes([start[8], start[9]]) & FRAGMENT != 0 {
                return Ok(Seen::Other);
            }
            [start[22], start[23], start[24], start[25]]
        }
        ETHERTYPE_IPV6 if start[2] >> 4 == 6 && start[8] == PROTOCOL_UDP => return Err(Skip::NotTcp),
        ETHERTYPE_IPV6 if start[2] >> 4 == 6 && start[8] == PROTOCOL_TCP => {
            let Some(ports) = frame.read::<4>(AT + IPV6_PORTS) else { return Ok(Seen::Other) };
            ports
        }
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Ok(Seen::Other),
        ethertype if is_tag(ethertype) => return Ok(Seen::Tag),
        _ => return Err(Skip::NotIp),
    };
    let [source, destination] = [[ports[0], ports[1]], [ports[2], ports[3]]].map(u16::from_be_bytes);
    if traces(destination) || traces(source) { Ok(Seen::Other) } else { Err(Skip::OtherPort) }
}
