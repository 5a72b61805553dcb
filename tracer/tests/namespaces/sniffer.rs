//! The TCP segments of a namespace in short words, seen by a packet socket, not by the tracer.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::{SlicedPacket, TcpSlice, TransportSlice};
use socket2::{Domain, Protocol, Socket, Type};
use tracer::lab::netns::Namespace;

/// `ETH_P_ALL` in network byte order, as packet sockets want it: every frame, both directions.
const EVERY_FRAME: i32 = 0x0003_u16.to_be() as i32;
/// How often the stop flag is looked at.
const STOP_CHECK: Duration = Duration::from_millis(20);
/// Above the largest super-segment.
const MAX_FRAME: usize = 128 * 1024;

/// A thread that listens inside a namespace.
pub(crate) struct Sniffer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<String>>>,
}

impl Sniffer {
    /// Listens on every interface of `namespace`, from now on.
    pub(crate) fn start(namespace: &Namespace, server_port: u16) -> Self {
        // Opened here and not by the thread: the kernel keeps the frames that come before the thread reads.
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

    /// The segments so far, one text each: who sent it, its flags, the first line of its payload.
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
            // Stop only at a moment of silence, so that what has come is all told.
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
