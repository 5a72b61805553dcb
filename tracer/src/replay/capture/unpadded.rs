//! Blocks of pcapng whose total length does not count their padding: old writers leave it out.
//! pcap-parser refuses them.

use pcap_parser::pcapng::{Block, parse_block_be, parse_block_le};

use super::input::SECTION_HEADER;

/// Bytes of a block without content: its type, and its length before and after the content.
const EMPTY: usize = 12;

/// A block whose length does not count its padding.
pub(super) enum Unpadded {
    /// A copy, whose length counts the padding.
    Complete(Vec<u8>),
    /// The last bytes are missing.
    Incomplete,
}

/// The block at the start of `data`, if it is one of these. pcap-parser knows what to do with any
/// other, and with one of which more is missing.
#[inline]
pub(super) fn find(data: &[u8], big_endian: bool) -> Option<Unpadded> {
    let len = *data.get(4..8)?.first_chunk()?;
    let stated = if big_endian { u32::from_be_bytes(len) } else { u32::from_le_bytes(len) } as usize;
    if stated.is_multiple_of(4) || stated < EMPTY || stated > data.len() || data.starts_with(&SECTION_HEADER)
    {
        return None;
    }
    let padded = stated.next_multiple_of(4);
    let Some(block) = data.get(..padded) else { return Some(Unpadded::Incomplete) };
    if !block.ends_with(&len) {
        return None;
    }
    let mut block = block.to_vec();
    // Not above the length of the buffer.
    let counted = padded as u32;
    let counted = if big_endian { counted.to_be_bytes() } else { counted.to_le_bytes() };
    block[4..8].copy_from_slice(&counted);
    block[padded - 4..].copy_from_slice(&counted);
    Some(Unpadded::Complete(block))
}

/// Parses a block.
pub(super) fn parse(block: &[u8], big_endian: bool) -> Option<Block<'_>> {
    let parse = if big_endian { parse_block_be } else { parse_block_le };
    parse(block).ok().map(|(_, block)| block)
}
