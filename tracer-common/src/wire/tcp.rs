//! TCP (RFC 9293, 3.1): the segment.

use super::{Encapsulations, MAX_HEADER_OFFSET, Skip, Transport};
use crate::{flags::flags, frame::FrameBytes, seq::Seq};

/// Bytes of the header without options.
const MIN_HEADER: usize = 20;
/// In place of a shift count: the SYN does not offer to scale windows.
pub const NO_SCALE: u8 = u8::MAX;
/// The largest shift count (RFC 7323, 2.3).
const MAX_SCALE: u8 = 14;
/// Bytes of the longest options (a data offset of 15 words).
pub const MAX_OPTIONS: usize = 40;

flags! {
    /// The control bits of a segment (RFC 9293, 3.1; RFC 3168 for ECE and CWR). The ninth, AE (RFC 9768), is about
    /// congestion only and not kept.
    TcpFlags: u8;
    /// No more data from the sender.
    FIN = 0x01;
    /// Synchronize sequence numbers.
    SYN = 0x02;
    /// Reset the connection.
    RST = 0x04;
    /// Push.
    PSH = 0x08;
    /// The acknowledgment field is significant.
    ACK = 0x10;
    /// The urgent pointer is significant.
    URG = 0x20;
    /// ECN-Echo.
    ECE = 0x40;
    /// Congestion window reduced.
    CWR = 0x80;
}

/// One TCP segment as seen on the wire. Addresses are in network byte order, IPv4 as IPv4-mapped IPv6.
// Aligned so that clearing one is a few stores in the kernel, not a call. Small, because it lies on the BPF stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(8))]
pub struct Segment {
    /// Source address.
    pub source: [u32; 4],
    /// Destination address.
    pub destination: [u32; 4],
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgment number; meaningful with ACK.
    pub ack: Seq,
    /// Receive window as in the header, not scaled.
    pub window: u16,
    /// Control bits.
    pub flags: TcpFlags,
    /// Bytes of options, 0 to [`MAX_OPTIONS`].
    pub options_len: u8,
    /// Offset of the payload in the frame.
    pub payload_offset: u32,
    /// Bytes of payload, from the IP length: frames may be padded.
    pub payload_len: u32,
    /// The first of several IP fragments: the rest of the payload is in fragments that carry no ports.
    pub first_fragment: bool,
    /// Time to live, or hop limit, of its packet.
    pub ttl: u8,
    /// Of a SYN: the shift count of its window scale option (RFC 7323, 2.2); [`NO_SCALE`] without one.
    pub window_scale: u8,
    /// What the segment is carried in.
    pub encapsulation: Encapsulations,
}

const _: () = assert!(size_of::<Segment>() == 64);

impl Segment {
    /// Offset of the options in the frame.
    #[inline(always)]
    #[must_use]
    pub const fn options_offset(&self) -> usize {
        (self.payload_offset as usize).wrapping_sub(self.options_len as usize)
    }

    /// Whether the segment only acknowledges: no payload and no SYN, FIN or RST.
    #[inline(always)]
    #[must_use]
    pub const fn is_pure_ack(&self) -> bool {
        self.payload_len == 0
            && self.flags.contains(TcpFlags::ACK)
            && !self.flags.intersects(TcpFlags::SYN.union(TcpFlags::FIN).union(TcpFlags::RST))
    }

    /// The sequence number of the first payload byte: SYN takes one of its own.
    #[inline(always)]
    #[must_use]
    pub const fn payload_seq(&self) -> Seq {
        if self.flags.contains(TcpFlags::SYN) { self.seq.add(1) } else { self.seq }
    }
}

/// Parses the header at the start of `transport`.
#[inline(always)]
pub(super) fn parse<F: FrameBytes + ?Sized>(
    frame: &F,
    transport: &Transport,
    segment: &mut Segment,
) -> Result<(), Skip> {
    let offset = transport.offset as usize & MAX_HEADER_OFFSET;
    let header: [u8; MIN_HEADER] = frame.read(offset).ok_or(Skip::Truncated)?;
    segment.source_port = u16::from_be_bytes([header[0], header[1]]);
    segment.destination_port = u16::from_be_bytes([header[2], header[3]]);
    segment.seq = Seq(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
    segment.ack = Seq(u32::from_be_bytes([header[8], header[9], header[10], header[11]]));
    segment.flags = TcpFlags::from_bits(header[13]);
    segment.window = u16::from_be_bytes([header[14], header[15]]);
    let header_len = ((header[12] >> 4) as usize) * 4;
    if header_len < MIN_HEADER {
        return Err(Skip::MalformedTcp);
    }
    let payload_len = (transport.len as usize).checked_sub(header_len).ok_or(Skip::MalformedTcp)?;
    if !frame.reaches(offset + header_len + payload_len) {
        return Err(Skip::Truncated);
    }
    segment.options_len = (header_len - MIN_HEADER) as u8;
    segment.payload_offset = (offset + header_len) as u32;
    segment.payload_len = payload_len as u32;
    segment.window_scale = NO_SCALE;
    if segment.flags.contains(TcpFlags::SYN) {
        segment.window_scale = window_scale(frame, offset + MIN_HEADER, header_len - MIN_HEADER);
    }
    Ok(())
}

/// The shift count among the `len` bytes of options at `offset`.
#[inline(always)]
fn window_scale<F: FrameBytes + ?Sized>(frame: &F, offset: usize, len: usize) -> u8 {
    /// Option kinds (RFC 9293, 3.1; RFC 7323, 2.2).
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    /// Options that are looked at: SYNs have five or six, with some padding.
    const MOST: usize = 12;
    if !frame.reads_options() {
        return MAX_SCALE;
    }
    let mut at = 0;
    for _ in 0..MOST {
        if at + 2 >= len {
            break;
        }
        // Masked, so that the verifier sees the bound.
        // Of a frame that was cut, the largest one, which refuses nothing.
        let Some([kind, size, shift]) = frame.read::<3>(offset + (at & 63)) else { return MAX_SCALE };
        at += match kind {
            END => break,
            NO_OPERATION => 1,
            WINDOW_SCALE if size == 3 => return if shift < MAX_SCALE { shift } else { MAX_SCALE },
            _ if size < 2 => break,
            _ => size as usize,
        };
    }
    NO_SCALE
}
