//! Writes frames to capture files: pcap and pcapng in both byte orders.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

/// LINKTYPE_ETHERNET.
pub(crate) const ETHERNET: u16 = 1;

/// A frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Nanoseconds since the Unix epoch.
    pub(crate) time: u64,
    /// Bytes on the wire.
    pub(crate) wire_len: u32,
    /// The bytes captured.
    pub(crate) bytes: Vec<u8>,
}

/// Byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

/// A builder of capture files.
pub(crate) struct File {
    order: Order,
    pub(crate) bytes: Vec<u8>,
}

/// An interface of a pcapng file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface<'a> {
    pub(crate) link: u16,
    pub(crate) name: Option<&'a str>,
    /// The option if_tsresol.
    pub(crate) resolution: Option<u8>,
    /// The option if_tsoffset, in seconds.
    pub(crate) offset: Option<i64>,
}

impl Default for Interface<'_> {
    fn default() -> Self {
        Self { link: ETHERNET, name: None, resolution: None, offset: None }
    }
}

impl Interface<'_> {
    /// The timestamp of a time. Rounded up, because the reader rounds down, to get the same
    /// nanosecond.
    fn ticks(&self, time: u64) -> u64 {
        let seconds = u64::try_from(self.offset.unwrap_or(0)).unwrap_or(0);
        let time = u128::from(time) - u128::from(seconds) * 1_000_000_000;
        let resolution = self.resolution.unwrap_or(6);
        let exponent = u32::from(resolution & 0x7f);
        let units = if resolution & 0x80 == 0 { 10_u128.pow(exponent) } else { 1 << exponent };
        u64::try_from((time * units).div_ceil(1_000_000_000)).expect("the timestamp fits")
    }
}

impl File {
    fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    fn u16(&mut self, number: u16) {
        self.bytes.extend(if self.order == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn u32(&mut self, number: u32) {
        self.bytes.extend(if self.order == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn i64(&mut self, number: i64) {
        self.bytes.extend(if self.order == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    /// Starts a pcap file with its header.
    pub(crate) fn pcap(order: Order, nanoseconds: bool, link: u16) -> Self {
        let mut file = Self::new(order);
        file.u32(if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
        file.u16(2);
        file.u16(4);
        file.u32(0);
        file.u32(0);
        file.u32(262_144);
        file.u32(u32::from(link));
        file
    }

    /// Adds a record of a pcap file that claims `len` captured bytes.
    pub(crate) fn record(&mut self, seconds: u32, fraction: u32, len: u32, frame: &Frame) {
        for number in [seconds, fraction, len, frame.wire_len] {
            self.u32(number);
        }
        self.bytes.extend(&frame.bytes);
    }

    /// Starts a pcapng file with its first section.
    pub(crate) fn pcapng(order: Order) -> Self {
        let mut file = Self::new(order);
        file.section(order);
        file
    }

    /// Starts a section.
    pub(crate) fn section(&mut self, order: Order) {
        self.order = order;
        self.block(0x0a0d_0d0a, |file| {
            file.u32(0x1a2b_3c4d);
            file.u16(1);
            file.u16(0);
            file.i64(-1);
        });
    }

    /// Adds a block of any type.
    pub(crate) fn block(&mut self, kind: u32, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u32(kind);
        self.u32(0);
        fill(self);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let len = u32::try_from(self.bytes.len() - start + 4).expect("short");
        self.u32(len);
        let len = self.bytes[self.bytes.len() - 4..].to_vec();
        self.bytes[start + 4..start + 8].copy_from_slice(&len);
    }

    /// Adds an obsolete packet block. Its length may leave out the padding.
    pub(crate) fn old_packet(&mut self, interface: u16, ticks: u64, frame: &Frame, counts_padding: bool) {
        let start = self.bytes.len();
        self.block(2, |file| {
            file.u16(interface);
            file.u16(0xffff);
            let captured = u32::try_from(frame.bytes.len()).expect("short");
            for number in [(ticks >> 32) as u32, ticks as u32, captured, frame.wire_len] {
                file.u32(number);
            }
            file.bytes.extend(&frame.bytes);
        });
        if !counts_padding {
            let end = self.bytes.len();
            self.bytes.truncate(end - 4);
            self.u32(u32::try_from(32 + frame.bytes.len()).expect("short"));
            let len = self.bytes[end - 4..].to_vec();
            self.bytes[start + 4..start + 8].copy_from_slice(&len);
        }
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.u16(code);
        self.u16(u16::try_from(value.len()).expect("short"));
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Adds an interface description.
    pub(crate) fn interface(&mut self, interface: &Interface<'_>) {
        self.block(1, |file| {
            file.u16(interface.link);
            file.u16(0);
            file.u32(0);
            if let Some(name) = interface.name {
                file.option(2, name.as_bytes());
            }
            if let Some(resolution) = interface.resolution {
                file.option(9, &[resolution]);
            }
            if let Some(offset) = interface.offset {
                let bytes =
                    if file.order == Order::Big { offset.to_be_bytes() } else { offset.to_le_bytes() };
                file.option(14, &bytes);
            }
            file.option(0, &[]);
        });
    }

    /// Adds a frame of the interface `number`, at a time in its units, with a comment.
    pub(crate) fn packet(&mut self, number: u32, ticks: u64, frame: &Frame) {
        self.block(6, |file| {
            file.u32(number);
            file.u32((ticks >> 32) as u32);
            file.u32(ticks as u32);
            file.u32(u32::try_from(frame.bytes.len()).expect("short"));
            file.u32(frame.wire_len);
            file.bytes.extend(&frame.bytes);
            file.bytes.resize(file.bytes.len().next_multiple_of(4), 0);
            file.option(1, b"a comment");
            file.option(0, &[]);
        });
    }
}

/// A pcap file of these frames.
pub(crate) fn pcap(frames: &[Frame], order: Order, nanoseconds: bool) -> Vec<u8> {
    let mut file = File::pcap(order, nanoseconds, ETHERNET);
    for frame in frames {
        let (seconds, rest) = (frame.time / 1_000_000_000, frame.time % 1_000_000_000);
        let fraction = if nanoseconds { rest } else { rest / 1000 };
        let len = u32::try_from(frame.bytes.len()).expect("short");
        let short = |number: u64| u32::try_from(number).expect("before 2106");
        file.record(short(seconds), short(fraction), len, frame);
    }
    file.bytes
}

/// A pcapng file of these frames, all on the last of the interfaces.
pub(crate) fn pcapng(frames: &[Frame], order: Order, interfaces: &[Interface<'_>]) -> Vec<u8> {
    let mut file = File::pcapng(order);
    for interface in interfaces {
        file.interface(interface);
    }
    let number = interfaces.len() - 1;
    for frame in frames {
        let ticks = interfaces[number].ticks(frame.time);
        file.packet(u32::try_from(number).expect("few"), ticks, frame);
    }
    file.bytes
}

/// Compresses bytes.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(bytes).expect("memory takes everything");
    compressed.finish().expect("memory takes everything")
}
