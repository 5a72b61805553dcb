//! The TCP segments of a namespace in short form, captured by a packet socket independently of
//! tracer.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::{SlicedPacket, TcpSlice, TransportSlice};
use socket2::{Domain, Protocol, Socket, Type};
use tracer::lab::netns::Namespace;

/// `ETH_P_ALL` in network byte order, as packet sockets expect it: every frame, both directions.
const EVERY_FRAME: i32 = 0x0003_u16.to_be() as i32;
/// Interval at which the stop flag is checked.
const STOP_CHECK: Duration = Duration::from_millis(20);
/// Longer than the largest super-segment, in bytes.
const MAX_FRAME: usize = 128 * 1024;

/// A thread that captures segments in a namespace.
pub(crate) struct Sniffer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<String>>>,
}

impl Sniffer {
    /// Starts capturing on every interface of `namespace`.
    pub(crate) fn start(namespace: &Namespace, server_port: u16) -> Self {
        // Opened before the thread starts, so that the kernel queues frames until the thread reads.
        let socket = namespace
            .run(|| Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(EVERY_FRAME))))
            .expect("the namespace can be entered")
            .expect("a packet socket can be opened");
        socket.set_read_timeout(Some(STOP_CHECK)).expect("a socket has a read timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = namespace.spawn(move || listen(socket, server_port, &stopped));
        Self { stop, thread }
    }

    /// Stops, and describes each segment: its sender, and the first line of its payload or its
    /// flags.
    pub(crate) fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the listener does not panic").expect("the namespace can be entered")
    }
}

fn listen(mut socket: Socket, server_port: u16, stop: &AtomicBool) -> Vec<String> {
    let mut segments = Vec::new();
    let mut frame = vec![0; MAX_FRAME];
    loop {
        let Ok(length) = socket.read(&mut frame) else {
            // Stop only when no frame is queued, so that all segments are reported.
            if stop.load(Ordering::Relaxed) {
                return segments;
            }
            continue;
        };
        let sliced = SlicedPacket::from_ethernet(&frame[..length]);
        if let Ok(SlicedPacket { transport: Some(TransportSlice::Tcp(tcp)), .. }) = sliced {
            segments.push(describe(&tcp, server_port));
        }
    }
}

fn describe(tcp: &TcpSlice<'_>, server_port: u16) -> String {
    let who = if tcp.source_port() == server_port { "server" } else { "client" };
    let flags = [(tcp.syn(), "SYN"), (tcp.fin(), "FIN"), (tcp.rst(), "RST"), (tcp.ack(), "ACK")];
    let flags: Vec<_> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
    let payload = String::from_utf8_lossy(tcp.payload());
    let text = match payload.lines().next() {
        Some(line) if line.contains("HTTP/1.1") => line.to_owned(),
        Some(_) => "more".to_owned(),
        None => flags.join(" "),
    };
    format!("{who} {text}")
}
