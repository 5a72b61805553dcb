//! Reads what the kernel reports about the servers on this host: how many connections wait to be
//! accepted (sock_diag), and the counters of the network namespace (`/proc/net/netstat`).
//! Everything is opened at the start, because the sandbox forbids it later.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Seek as _},
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr as NetlinkAddress, protocols::NETLINK_SOCK_DIAG};
use tracer_core::record::{ListenQueue, NamespaceCounters};

/// Bytes for one reply: the kernel fills at most a page or the buffer, whichever is larger.
const REPLY: usize = 32 * 1024;
/// Bound on the replies to one request. Each holds a hundred sockets or more, so it is never
/// reached.
const MAX_REPLIES: usize = 4096;

/// The open sources: a sock_diag socket and `/proc/net/netstat`.
pub struct Listening {
    sockets: Socket,
    counters: File,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

/// The listen queues of a network namespace.
#[derive(Clone, Debug, Default)]
pub struct Queues(HashMap<SocketAddr, ListenQueue>);

impl Queues {
    /// The queue of the socket that listens at this address, or at the wildcard address.
    #[must_use]
    pub fn of(&self, server: SocketAddr) -> Option<ListenQueue> {
        const ANY: [IpAddr; 2] =
            [IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)];
        let any = ANY.map(|any| SocketAddr::new(any, server.port()));
        [server].iter().chain(&any).find_map(|address| self.0.get(address)).copied()
    }
}

impl Listening {
    /// Opens the sources, in the network namespace of this thread.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn open() -> Result<Self> {
        let mut sockets = Socket::new(NETLINK_SOCK_DIAG).context("no socket for sock_diag")?;
        sockets.bind_auto().context("no address for sock_diag")?;
        sockets.connect(&NetlinkAddress::new(0, 0)).context("the kernel has no sock_diag")?;
        let counters = File::open("/proc/thread-self/net/netstat").context("no /proc/net/netstat")?;
        Ok(Self { sockets, counters })
    }

    /// The current queues and counters.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn read(&mut self) -> Result<(Queues, NamespaceCounters)> {
        let mut queues = Queues::default();
        for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            self.read_family(family, socket_id, &mut queues)?;
        }
        self.counters.rewind()?;
        let mut text = String::new();
        self.counters.read_to_string(&mut text)?;
        Ok((queues, counters(&text)))
    }

    fn read_family(&self, family: u8, socket_id: SocketId, queues: &mut Queues) -> Result<()> {
        self.sockets.send(&dump_request(family, socket_id), 0)?;
        for _ in 0..MAX_REPLIES {
            let mut reply = Vec::with_capacity(REPLY);
            self.sockets.recv(&mut reply, 0)?;
            let mut rest = reply.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)?;
                let len = message.header.length as usize;
                #[expect(
                    clippy::wildcard_enum_match_arm,
                    reason = "a dump of sockets answers with these only"
                )]
                match message.payload {
                    NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                        let (address, queue) = of_socket(&response);
                        queues.0.insert(address, queue);
                    }
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(error) => bail!("sock_diag: {error}"),
                    _ => {}
                }
                // Messages are aligned to 4 bytes.
                rest = rest.get(len.next_multiple_of(4).max(4)..).unwrap_or_default();
            }
        }
        bail!("sock_diag sends more than {MAX_REPLIES} replies to one request")
    }
}

fn dump_request(family: u8, socket_id: SocketId) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::LISTEN,
        socket_id,
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// For a listening socket, the kernel reports the length and the limit of the accept queue in the
/// fields that hold the bytes received and unsent of other sockets.
fn of_socket(response: &InetResponse) -> (SocketAddr, ListenQueue) {
    let socket = &response.header.socket_id;
    let queue =
        ListenQueue { length: response.header.recv_queue.into(), limit: response.header.send_queue.into() };
    (SocketAddr::new(socket.source_address, socket.source_port), queue)
}

/// Parses the `TcpExt` counters: a line of names, followed by a line of numbers.
fn counters(text: &str) -> NamespaceCounters {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, numbers) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let all: HashMap<&str, u64> = names
        .split_whitespace()
        .zip(numbers.split_whitespace())
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect();
    let get = |name| all.get(name).copied().unwrap_or(0);
    NamespaceCounters {
        listen_overflows: get("ListenOverflows"),
        listen_drops: get("ListenDrops"),
        syn_cookies_sent: get("SyncookiesSent"),
        syn_cookies_received: get("SyncookiesRecv"),
        syn_cookies_failed: get("SyncookiesFailed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent SyncookiesRecv Other ListenOverflows ListenDrops\n\
                    TcpExt: 5 4 9 2 3\nIpExt: ListenDrops\nIpExt: 7\n";
        let expected = NamespaceCounters {
            listen_overflows: 2,
            listen_drops: 3,
            syn_cookies_sent: 5,
            syn_cookies_received: 4,
            syn_cookies_failed: 0,
        };
        assert_eq!(counters(text), expected);
        assert_eq!(counters(""), NamespaceCounters::default());
    }

    #[test]
    fn a_listening_socket_has_a_queue() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let _waiting = std::net::TcpStream::connect(address).expect("it listens");
        let (queues, _) = Listening::open().and_then(|mut listening| listening.read()).expect("sock_diag");
        let queue = queues.of(address).expect("it listens");
        assert_eq!(queue.length, 1);
        assert!(queue.limit > 0, "{queue:?}");
    }
}
