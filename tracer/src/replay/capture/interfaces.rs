//! The interfaces that a capture was made on, and what they say of its frames.

use std::ops::Range;

use pcap_parser::{
    InterfaceDescriptionBlock, PcapBlockOwned, PcapHeader, pcapng::Block, traits::PcapNGPacketBlock as _,
};

use super::Captured;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// One interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    /// LINKTYPE_ value.
    link: i32,
    /// Bytes captured of a frame at most; 0: all.
    snaplen: usize,
    name: Option<String>,
    /// Units of time in a second.
    resolution: u128,
    /// Nanoseconds in a unit, if that is a whole number: then nothing need be divided for each frame.
    unit: Option<u64>,
    /// Seconds to add.
    offset: i64,
}

/// All interfaces of a section.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    section: Vec<Interface>,
    big_endian: bool,
    /// Number of the first one of the section, less one: numbers are not used again in later sections.
    before: u32,
}

impl Interface {
    /// The only one of a pcap file.
    pub(super) fn of_pcap(header: &PcapHeader) -> Self {
        let resolution = if header.is_nanosecond_precision() { SECOND.into() } else { 1_000_000 };
        // The upper bits tell of frame check sequences.
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

    /// So many seconds and units since the Unix epoch, in ns; not 0, which means "not seen" everywhere else.
    fn time(&self, seconds: u32, ticks: u64) -> Option<u64> {
        let since = match self.unit.and_then(|unit| ticks.checked_mul(unit)) {
            Some(since) => i128::from(since),
            None => i128::try_from(u128::from(ticks) * u128::from(SECOND) / self.resolution).ok()?,
        };
        let time = since + (i128::from(seconds) + i128::from(self.offset)) * i128::from(SECOND);
        Some(u64::try_from(time).unwrap_or(0).max(1))
    }
}

impl Interfaces {
    /// Other interfaces from here on.
    pub(super) fn start_section(&mut self, big_endian: bool) {
        self.before += u32::try_from(self.section.len()).unwrap_or(0);
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

    /// What a block says of the frame in it, if it holds one and its interface is known. `start` is where the bytes
    /// that are not read yet lie.
    pub(super) fn find(&self, block: &PcapBlockOwned<'_>, start: usize) -> Option<Found> {
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
                // It has no time, and says nothing of its captured length but by the interface's limit.
                let snaplen = self.section.first()?.snaplen;
                let limit = if snaplen == 0 { usize::MAX } else { snaplen };
                let len = limit.min(block.orig_len() as usize);
                (0, (0, 0), block.origlen, block.data.get(..len).unwrap_or(block.data))
            }
            PcapBlockOwned::NG(_) | PcapBlockOwned::LegacyHeader(_) => return None,
        };
        let time = self.section.get(interface as usize)?.time(seconds, ticks)?;
        let start = bytes.as_ptr().addr().checked_sub(start)?;
        Some(Found { time, interface, wire_len, bytes: start..start + bytes.len() })
    }

    /// The frame that was found in `data`, the bytes that are not read yet.
    pub(super) fn frame<'a>(&'a self, found: &Found, data: &'a [u8]) -> Option<Captured<'a>> {
        let interface = self.section.get(found.interface as usize)?;
        let bytes = data.get(found.bytes.clone())?;
        Some(Captured {
            time: found.time,
            interface: self.before + found.interface + 1,
            name: interface.name.as_deref(),
            link: interface.link,
            wire_len: (found.wire_len as usize).max(bytes.len()),
            bytes,
        })
    }
}

/// A frame in a block: as the block does not outlive its reading, where it lies.
pub(super) struct Found {
    /// In ns since the Unix epoch; not 0.
    time: u64,
    /// Number in the section, from 0.
    interface: u32,
    wire_len: u32,
    /// From the first byte that is not read yet.
    bytes: Range<usize>,
}

/// Units in a second, from the option if_tsresol: a power of ten, or of two with the highest bit set.
fn resolution(option: u8) -> u128 {
    let exponent = u32::from(option & 0x7f);
    let units = if option & 0x80 == 0 { 10u128.checked_pow(exponent) } else { 1u128.checked_shl(exponent) };
    units.unwrap_or(1_000_000)
}

fn unit(resolution: u128) -> Option<u64> {
    let resolution = u64::try_from(resolution).ok()?;
    SECOND.is_multiple_of(resolution).then(|| SECOND / resolution)
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
