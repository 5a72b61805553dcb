//! The captures for the replay benchmark: common traffic and worst cases.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::pcap::{Capture, Connection};

/// A kind of capture. The numbers below are for scale 1, at which tshark takes a few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Large bodies on some connections.
    Bulk,
    /// Many requests on few connections.
    KeepAlive,
    /// One request per connection.
    Short,
    /// Unanswered SYNs.
    HalfOpen,
    /// This many connections open at once, each with one exchange.
    Growth(u32),
}

/// A capture file and the amounts of its content.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// Number of exchanges.
    pub(super) exchanges: u64,
}

const REQUEST: &str = "GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench/1.0\r\n\
                       Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n\r\n";

const BULK_CONNECTIONS: u32 = 16;
const BULK_BODIES: u32 = 10;
const BULK_BODY: usize = 1 << 20;
const KEEP_ALIVE_CONNECTIONS: u32 = 10;
const KEEP_ALIVE_REQUESTS: u32 = 6_000;
const SHORT_CONNECTIONS: u32 = 20_000;
const HALF_OPEN: u32 = 1_000_000;
const SMALL_BODY: usize = 1000;

impl Kind {
    /// All kinds, in the order of the tables.
    pub(super) const ALL: [Self; 8] = [
        Self::Bulk,
        Self::KeepAlive,
        Self::Short,
        Self::HalfOpen,
        Self::Growth(1_000),
        Self::Growth(10_000),
        Self::Growth(100_000),
        Self::Growth(1_000_000),
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Bulk => "bulk".to_owned(),
            Self::KeepAlive => "keep-alive".to_owned(),
            Self::Short => "short".to_owned(),
            Self::HalfOpen => "half-open".to_owned(),
            Self::Growth(connections) => format!("growth-{connections}"),
        }
    }

    pub(super) fn description(self, scale: f64) -> String {
        match self {
            Self::Bulk => format!(
                "{BULK_CONNECTIONS} connections with {} responses of 1 MiB each",
                scaled(BULK_BODIES, scale)
            ),
            Self::KeepAlive => format!(
                "{KEEP_ALIVE_CONNECTIONS} connections with {} requests each",
                scaled(KEEP_ALIVE_REQUESTS, scale)
            ),
            Self::Short => {
                format!("{} connections with one request each", scaled(SHORT_CONNECTIONS, scale))
            }
            Self::HalfOpen => {
                format!("{} unanswered SYNs, each from a different client", scaled(HALF_OPEN, scale))
            }
            Self::Growth(_) => {
                format!("{} connections open at once with one request each", self.connections(scale))
            }
        }
    }

    /// Maximum number of simultaneous connections and half-open handshakes.
    pub(super) fn connections(self, scale: f64) -> u32 {
        match self {
            Self::Bulk => BULK_CONNECTIONS,
            Self::KeepAlive => KEEP_ALIVE_CONNECTIONS,
            Self::Short => 1,
            Self::HalfOpen => scaled(HALF_OPEN, scale),
            Self::Growth(connections) => scaled(connections, scale),
        }
    }

    /// Writes the capture into `folder`.
    pub(super) fn write(self, folder: &Path, scale: f64) -> Result<Written> {
        let path = folder.join(format!("{}.pcap", self.name()));
        let mut capture = Capture::create(&path)?;
        let exchanges = match self {
            Self::Bulk => interleaved(&mut capture, BULK_CONNECTIONS, scaled(BULK_BODIES, scale), BULK_BODY)?,
            Self::KeepAlive => {
                let requests = scaled(KEEP_ALIVE_REQUESTS, scale);
                interleaved(&mut capture, KEEP_ALIVE_CONNECTIONS, requests, SMALL_BODY)?
            }
            Self::Short => consecutive(&mut capture, scaled(SHORT_CONNECTIONS, scale))?,
            Self::HalfOpen => {
                for number in 0..scaled(HALF_OPEN, scale) {
                    Connection::number(number).syn(&mut capture)?;
                }
                0
            }
            Self::Growth(connections) => {
                let response = response(SMALL_BODY);
                let mut open = Vec::new();
                for number in 0..scaled(connections, scale) {
                    let mut connection = Connection::number(number);
                    connection.handshake(&mut capture)?;
                    open.push(connection);
                }
                for connection in &mut open {
                    connection.request(&mut capture, REQUEST.as_bytes(), &response)?;
                }
                open.len() as u64
            }
        };
        let (packets, bytes) = capture.finish()?;
        Ok(Written { path, packets, bytes, exchanges })
    }
}

/// `count` times `scale`, but at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are small, scales positive"
)]
fn scaled(count: u32, scale: f64) -> u32 {
    (f64::from(count) * scale).round().max(1.0) as u32
}

fn response(body: usize) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/octet-stream\r\nContent-Length: {body}\r\n\r\n"
    )
    .into_bytes();
    response.extend((0..body).map(|index| b'a' + (index % 26) as u8));
    response
}

/// Writes connections that are open at once and take turns to exchange messages.
fn interleaved(to: &mut Capture, connections: u32, requests: u32, body: usize) -> Result<u64> {
    let response = response(body);
    let mut open: Vec<_> = (0..connections).map(Connection::number).collect();
    for connection in &mut open {
        connection.handshake(to)?;
    }
    for _ in 0..requests {
        for connection in &mut open {
            connection.exchange(to, REQUEST.as_bytes(), &response)?;
        }
    }
    for connection in &mut open {
        connection.close(to)?;
    }
    Ok(u64::from(connections) * u64::from(requests))
}

/// Writes connections one after the other, each with one exchange.
fn consecutive(to: &mut Capture, connections: u32) -> Result<u64> {
    let response = response(SMALL_BODY);
    for number in 0..connections {
        let mut connection = Connection::number(number);
        connection.handshake(to)?;
        connection.exchange(to, REQUEST.as_bytes(), &response)?;
        connection.close(to)?;
    }
    Ok(u64::from(connections))
}

#[cfg(test)]
mod tests {
    use etherparse::{SlicedPacket, TransportSlice};

    use super::*;

    #[test]
    fn a_capture_has_complete_frames_with_valid_checksums() {
        let folder = std::env::temp_dir().join(format!("tracer-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let written = Kind::Short.write(&folder, 0.000_05).expect("a capture");
        let file = std::fs::read(&written.path).expect("the capture");
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
        assert_eq!((written.packets, written.bytes, written.exchanges), (9, file.len() as u64, 1));
        let mut rest = &file[24..];
        let mut frames = 0;
        while let Some((header, after)) = rest.split_at_checked(16) {
            let length = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
            let (frame, after) = after.split_at(length);
            let packet = SlicedPacket::from_ethernet(frame).expect("a packet");
            let ip = packet.net.as_ref().and_then(|net| net.ipv4_ref()).expect("IPv4").header();
            assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
            let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no TCP") };
            let checksum = tcp.calc_checksum_ipv4(ip.source(), ip.destination()).expect("short");
            assert_eq!(tcp.checksum(), checksum);
            (frames, rest) = (frames + 1, after);
        }
        assert_eq!((frames, rest), (9, &[][..]));
    }

    #[test]
    fn a_scaled_count_is_at_least_one() {
        assert_eq!([scaled(10, 1.0), scaled(10, 0.25), scaled(10, 0.001)], [10, 3, 1]);
    }
}
