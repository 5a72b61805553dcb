//! Writes pcap files with valid TCP segments in IPv4 and Ethernet.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use etherparse::PacketBuilder;

/// The file header, in words: magic number of pcap with microseconds, version 2.4, time zone,
/// accuracy, snapshot length and link type Ethernet.
const HEADER: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 1 << 18, 1];

/// Time of the first frame, in seconds since 1970.
const START: u64 = 1_700_000_000;
/// Time between two frames, in microseconds.
const STEP: u64 = 2;

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER: ([u8; 4], u16) = ([10, 77, 0, 1], 80);
const TTL: u8 = 64;
const WINDOW: u16 = 65_535;

/// Payload of a full segment, in bytes.
const MSS: usize = 1460;

/// A capture file that is being written.
#[derive(Debug)]
pub(super) struct Capture {
    file: BufWriter<File>,
    frame: Vec<u8>,
    packets: u64,
    bytes: u64,
}

/// The control bit of a segment in addition to ACK.
#[derive(Clone, Copy, PartialEq)]
enum Control {
    Syn,
    Push,
    None,
    Fin,
}

#[derive(Clone, Copy, PartialEq)]
enum Sender {
    Client,
    Server,
}

impl Capture {
    /// Creates the file and writes its header.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let mut capture = Self { file, frame: Vec::new(), packets: 0, bytes: 0 };
        capture.write(HEADER.map(u32::to_le_bytes).as_flattened())?;
        Ok(capture)
    }

    /// Flushes the file and returns the number of packets and bytes.
    pub(super) fn finish(mut self) -> Result<(u64, u64)> {
        self.file.flush().context("a capture cannot be written")?;
        Ok((self.packets, self.bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).context("a capture cannot be written")
    }

    /// Writes `self.frame` with its record header.
    fn record(&mut self) -> Result<()> {
        let time = self.packets * STEP;
        let len = self.frame.len() as u64;
        for word in [START + time / 1_000_000, time % 1_000_000, len, len] {
            let word = u32::try_from(word).context("a field is too large for pcap")?;
            self.write(&word.to_le_bytes())?;
        }
        let frame = std::mem::take(&mut self.frame);
        self.write(&frame)?;
        self.frame = frame;
        self.packets += 1;
        Ok(())
    }
}

/// One TCP connection of a capture.
#[derive(Debug)]
pub(super) struct Connection {
    client: ([u8; 4], u16),
    client_next: u32,
    server_next: u32,
}

/// Number of ports used per client address.
const PORTS: u32 = 50_000;
const FIRST_PORT: u16 = 1024;
const FIRST_CLIENT: u32 = u32::from_be_bytes([10, 77, 1, 1]);

impl Connection {
    /// The connection with this number. Each has a different client address or port.
    pub(super) fn number(number: u32) -> Self {
        let address = (FIRST_CLIENT + number / PORTS).to_be_bytes();
        let port = FIRST_PORT + u16::try_from(number % PORTS).unwrap_or(0);
        // Spread like real initial sequence numbers, but the same in every run.
        let client_next = number.wrapping_mul(0x9e37_79b1);
        Self { client: (address, port), client_next, server_next: client_next.rotate_left(16) }
    }

    pub(super) fn syn(&mut self, to: &mut Capture) -> Result<()> {
        self.segment(to, Sender::Client, Control::Syn, b"")
    }

    pub(super) fn handshake(&mut self, to: &mut Capture) -> Result<()> {
        self.syn(to)?;
        self.segment(to, Sender::Server, Control::Syn, b"")?;
        self.segment(to, Sender::Client, Control::None, b"")
    }

    /// Writes a request and its response. The client acknowledges every other segment and the last.
    pub(super) fn exchange(&mut self, to: &mut Capture, request: &[u8], response: &[u8]) -> Result<()> {
        self.request(to, request, response)?;
        self.segment(to, Sender::Client, Control::None, b"")
    }

    /// Like [`Self::exchange`], but the last segment is not acknowledged.
    pub(super) fn request(&mut self, to: &mut Capture, request: &[u8], response: &[u8]) -> Result<()> {
        self.segment(to, Sender::Client, Control::Push, request)?;
        let last = response.len().div_ceil(MSS);
        for (number, payload) in (1..).zip(response.chunks(MSS)) {
            let control = if number == last { Control::Push } else { Control::None };
            self.segment(to, Sender::Server, control, payload)?;
            if number % 2 == 0 && number != last {
                self.segment(to, Sender::Client, Control::None, b"")?;
            }
        }
        Ok(())
    }

    /// Closes the connection, the server first.
    pub(super) fn close(&mut self, to: &mut Capture) -> Result<()> {
        self.segment(to, Sender::Server, Control::Fin, b"")?;
        self.segment(to, Sender::Client, Control::Fin, b"")?;
        self.segment(to, Sender::Server, Control::None, b"")
    }

    fn segment(&mut self, to: &mut Capture, sender: Sender, control: Control, payload: &[u8]) -> Result<()> {
        let by_client = sender == Sender::Client;
        let (source, destination) = if by_client { (self.client, SERVER) } else { (SERVER, self.client) };
        let (source_mac, destination_mac) =
            if by_client { (CLIENT_MAC, SERVER_MAC) } else { (SERVER_MAC, CLIENT_MAC) };
        let (next, acknowledged) = if by_client {
            (&mut self.client_next, self.server_next)
        } else {
            (&mut self.server_next, self.client_next)
        };
        let mut packet = PacketBuilder::ethernet2(source_mac, destination_mac)
            .ipv4(source.0, destination.0, TTL)
            .tcp(source.1, destination.1, *next, WINDOW);
        if !(by_client && control == Control::Syn) {
            packet = packet.ack(acknowledged);
        }
        packet = match control {
            Control::Syn => packet.syn(),
            Control::Push => packet.psh(),
            Control::None => packet,
            Control::Fin => packet.fin(),
        };
        let control_len = u32::from(matches!(control, Control::Syn | Control::Fin));
        let length = u32::try_from(payload.len()).context("a segment is too long")?;
        *next = next.wrapping_add(length + control_len);
        to.frame.clear();
        packet.write(&mut to.frame, payload).context("a segment cannot be written")?;
        to.record()
    }
}
