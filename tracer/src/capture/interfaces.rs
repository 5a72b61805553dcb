//! The interfaces that a capture was made on, and what they say of its frames.

use pcap_parser::{
    InterfaceDescriptionBlock, PcapBlockOwned, PcapHeader, pcapng::Block, traits::PcapNGPacketBlock as _,
};

use super::Captured;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

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
    unit: Option<u128>,
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
        let resolution = if header.is_nanosecond_precision() { SECOND } else { 1_000_000 };
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

    /// The frame in a block, if it holds one and its interface is known.
    pub(super) fn frame<'a>(&'a self, block: PcapBlockOwned<'a>) -> Option<Captured<'a>> {
        match block {
            PcapBlockOwned::Legacy(block) => {
                let interface = self.section.first()?;
                let ticks = u128::from(block.ts_sec) * interface.resolution + u128::from(block.ts_usec);
                self.captured(0, ticks, block.origlen, block.data)
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
                let ticks = u128::from(block.ts_high) << 32 | u128::from(block.ts_low);
                let bytes = block.data.get(..block.caplen as usize).unwrap_or(block.data);
                self.captured(block.if_id, ticks, block.origlen, bytes)
            }
            PcapBlockOwned::NG(Block::SimplePacket(block)) => {
                // It has no time, and says nothing of its captured length but by the interface's limit.
                let snaplen = self.section.first()?.snaplen;
                let limit = if snaplen == 0 { usize::MAX } else { snaplen };
                let len = limit.min(block.orig_len() as usize);
                let bytes = block.data.get(..len).unwrap_or(block.data);
                self.captured(0, 0, block.origlen, bytes)
            }
            PcapBlockOwned::NG(_) | PcapBlockOwned::LegacyHeader(_) => None,
        }
    }

    fn captured<'a>(
        &'a self,
        index: u32,
        ticks: u128,
        wire_len: u32,
        bytes: &'a [u8],
    ) -> Option<Captured<'a>> {
        let interface = self.section.get(index as usize)?;
        let since = match interface.unit {
            Some(unit) => ticks * unit,
            None => ticks * SECOND / interface.resolution,
        };
        let since = i128::try_from(since).ok()?;
        let time = since + i128::from(interface.offset) * SECOND.cast_signed();
        Some(Captured {
            // Zero means "not seen" everywhere else.
            time: u64::try_from(time).unwrap_or(0).max(1),
            interface: self.before + index + 1,
            name: interface.name.as_deref(),
            link: interface.link,
            wire_len: (wire_len as usize).max(bytes.len()),
            bytes,
        })
    }
}

/// Units in a second, from the option if_tsresol: a power of ten, or of two with the highest bit set.
fn resolution(option: u8) -> u128 {
    let exponent = u32::from(option & 0x7f);
    let units = if option & 0x80 == 0 { 10u128.checked_pow(exponent) } else { 1u128.checked_shl(exponent) };
    units.unwrap_or(1_000_000)
}

fn unit(resolution: u128) -> Option<u128> {
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
