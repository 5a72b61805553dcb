//! The interfaces of a capture, which give the link layer and the time unit of its frames.

use std::ops::Range;

use pcap_parser::{
    InterfaceDescriptionBlock, PcapBlockOwned, PcapHeader, UnknownBlock, pcapng::Block,
    traits::PcapNGPacketBlock as _,
};

use super::Captured;

/// Nanoseconds in a second.
const NS_PER_SECOND: u64 = 1_000_000_000;

/// Type of the obsolete packet block (draft-ietf-opsawg-pcapng, appendix A).
const OLD_PACKET: u32 = 2;

/// An interface of the capture.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    /// Link layer: a LINKTYPE_ value.
    link: i32,
    /// The most bytes captured of a frame; 0 for all.
    snaplen: usize,
    name: Option<String>,
    /// Timestamp units per second.
    resolution: u128,
    /// Nanoseconds per unit, if that is a whole number: it saves a division for each frame.
    unit: Option<u64>,
    /// Seconds to add to each timestamp.
    offset: i64,
}

/// The interface, timestamp (seconds and ticks), length on the wire and bytes of a frame.
type Packet<'a> = (u32, (u32, u64), u32, &'a [u8]);

/// The interfaces of the current section.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    section: Vec<Interface>,
    big_endian: bool,
    /// Number of interfaces in earlier sections, so that numbers are unique in the file.
    earlier_interfaces: u32,
}

impl Interface {
    /// The only interface of a pcap file.
    pub(super) fn of_pcap(header: &PcapHeader) -> Self {
        let resolution = if header.is_nanosecond_precision() { NS_PER_SECOND.into() } else { 1_000_000 };
        // The upper bits describe the frame check sequence.
        let link = header.network.0 & 0xffff;
        Self {
            link,
            snaplen: 0,
            name: None,
            resolution,
            unit: unit(resolution),
            offset: i64::from(header.thiszone),
        }
    }

    /// Converts a timestamp to ns since the Unix epoch. Never 0, which means "not seen" elsewhere.
    fn time(&self, seconds: u32, ticks: u64) -> Option<u64> {
        let since = match self.unit.and_then(|unit| ticks.checked_mul(unit)) {
            Some(since) => i128::from(since),
            None => i128::try_from(u128::from(ticks) * u128::from(NS_PER_SECOND) / self.resolution).ok()?,
        };
        let time = since + (i128::from(seconds) + i128::from(self.offset)) * i128::from(NS_PER_SECOND);
        Some(u64::try_from(time).unwrap_or(0).max(1))
    }
}

impl Interfaces {
    /// Starts a new section, with its own interfaces.
    pub(super) fn start_section(&mut self, big_endian: bool) {
        self.earlier_interfaces += u32::try_from(self.section.len()).unwrap_or(0);
        self.section.clear();
        self.big_endian = big_endian;
    }

    pub(super) fn add(&mut self, interface: Interface) {
        self.section.push(interface);
    }

    pub(super) fn add_description(&mut self, block: &InterfaceDescriptionBlock<'_>) {
        let offset = if self.big_endian { block.if_tsoffset.swap_bytes() } else { block.if_tsoffset };
        self.add(Interface {
            link: block.linktype.0,
            snaplen: block.snaplen as usize,
            name: block.if_name().and_then(Result::ok).map(|name| name.trim_end_matches('\0').to_owned()),
            resolution: resolution(block.if_tsresol),
            unit: unit(resolution(block.if_tsresol)),
            offset,
        });
    }

    /// The byte order of the section.
    pub(super) fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// Locates the frame in a block, if the block has one and its interface is known. `start` is
    /// the address of the unread bytes.
    pub(super) fn find(&self, block: &PcapBlockOwned<'_>, start: usize) -> Option<FrameLocation> {
        let (interface, (seconds, ticks), wire_len, bytes) = match block {
            PcapBlockOwned::Legacy(block) => {
                (0, (block.ts_sec, u64::from(block.ts_usec)), block.origlen, block.data)
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
                let ticks = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                let bytes = block.data.get(..block.caplen as usize).unwrap_or(block.data);
                (block.if_id, (0, ticks), block.origlen, bytes)
            }
            PcapBlockOwned::NG(Block::SimplePacket(block)) => {
                // It has no timestamp, and its captured length follows from the interface's limit.
                let snaplen = self.section.first()?.snaplen;
                let limit = if snaplen == 0 { usize::MAX } else { snaplen };
                let len = limit.min(block.orig_len() as usize);
                (0, (0, 0), block.origlen, block.data.get(..len).unwrap_or(block.data))
            }
            PcapBlockOwned::NG(Block::Unknown(block)) => self.old_packet(block)?,
            PcapBlockOwned::NG(_) | PcapBlockOwned::LegacyHeader(_) => return None,
        };
        let time = self.section.get(interface as usize)?.time(seconds, ticks)?;
        let start = bytes.as_ptr().addr().checked_sub(start)?;
        Some(FrameLocation { time, interface, wire_len, bytes: start..start + bytes.len() })
    }

    /// Whether this is a packet block, the obsolete one before enhanced packet blocks.
    pub(super) fn is_old_packet(&self, block: &UnknownBlock<'_>) -> bool {
        let block_type = if self.big_endian { block.block_type.swap_bytes() } else { block.block_type };
        block_type == OLD_PACKET
    }

    /// The frame in an obsolete packet block.
    fn old_packet<'a>(&self, block: &UnknownBlock<'a>) -> Option<Packet<'a>> {
        let (fields, bytes) = block.data.split_first_chunk::<20>()?;
        let word = |at: usize| {
            let [a, b, c, d] = [fields[at], fields[at + 1], fields[at + 2], fields[at + 3]];
            if self.big_endian { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([a, b, c, d]) }
        };
        // The first word has the number of the interface, and the number of dropped packets.
        let interface = if self.big_endian { word(0) >> 16 } else { word(0) & 0xffff };
        let ticks = u64::from(word(4)) << 32 | u64::from(word(8));
        Some((interface, (0, ticks), word(16), bytes.get(..word(12) as usize)?))
    }

    /// The frame at `location` in `data`, the unread bytes.
    pub(super) fn frame<'a>(&'a self, location: &FrameLocation, data: &'a [u8]) -> Option<Captured<'a>> {
        let interface = self.section.get(location.interface as usize)?;
        let bytes = data.get(location.bytes.clone())?;
        Some(Captured {
            time: location.time,
            interface: self.earlier_interfaces + location.interface + 1,
            name: interface.name.as_deref(),
            link: interface.link,
            wire_len: (location.wire_len as usize).max(bytes.len()),
            bytes,
        })
    }
}

/// The location of a frame in the buffer. The block itself does not outlive the call that reads it.
pub(super) struct FrameLocation {
    /// Time of capture in ns since the Unix epoch; not 0.
    time: u64,
    /// Number of the interface in the section, from 0.
    interface: u32,
    wire_len: u32,
    /// Range of the frame, relative to the first unread byte.
    bytes: Range<usize>,
}

/// Units per second, from the option if_tsresol: a power of ten, or of two if the highest bit is
/// set.
fn resolution(option: u8) -> u128 {
    let exponent = u32::from(option & 0x7f);
    let units = if option & 0x80 == 0 { 10u128.checked_pow(exponent) } else { 1u128.checked_shl(exponent) };
    units.unwrap_or(1_000_000)
}

fn unit(resolution: u128) -> Option<u64> {
    let resolution = u64::try_from(resolution).ok()?;
    NS_PER_SECOND.is_multiple_of(resolution).then(|| NS_PER_SECOND / resolution)
}

#[cfg(test)]
mod tests {
    use super::resolution;

    #[test]
    fn the_resolution_is_a_power_of_ten_or_of_two() {
        for (option, units) in
            [(6, 1_000_000), (9, 1_000_000_000), (0, 1), (0x80, 1), (0x8a, 1024), (0x7f, 1_000_000)]
        {
            assert_eq!(resolution(option), units, "{option}");
        }
    }
}
