//! Whose sockets are at the ends of a connection.

use std::sync::Arc;

use tracer_common::{
    event::{Event, EventHeader, Hook, Kind, OwnerEvent, OwnerEvidence, SegmentEvent},
    flow::{End, FlowKey, SegmentFlags},
    wire::TcpFlags,
};

use super::options;
use crate::{
    record::{Body, Owner},
    tracker::{Processes, Tracker},
};

/// The network namespace of the observer.
const HERE: u64 = 1;
const ELSEWHERE: u64 = 2;
const LOOPBACK: u32 = 1;
const ETHERNET: u32 = 2;
const MS: u64 = 1_000_000;
const KEY: FlowKey = FlowKey { low: [0, 0, 1, 1], high: [0, 0, 1, 2], low_port: 40_000, high_port: 80 };
const CLIENT: End = End::Low;
const SERVER: End = End::High;

struct ByPid;

impl Processes for ByPid {
    fn owner(&mut self, event: &OwnerEvent) -> Arc<Owner> {
        Arc::new(Owner { pid: event.pid, ..Owner::default() })
    }
}

/// What happens, in order.
enum Step {
    /// A SYN, or data without one, from this end: its hook, its socket.
    Syn(End, Hook, u64),
    Data(End, Hook, u64),
    /// A process with this number and socket, in this namespace.
    Owner(End, OwnerEvidence, u32, u64, u64),
    /// So many milliseconds pass.
    Pause(u64),
}

use Step::{Data, Owner as Owned, Pause, Syn};
use tracer_common::event::{
    Hook::{TcEgress, TcIngress},
    OwnerEvidence::{Connects, Holds, Reads},
};

/// The processes of client and server in the last record.
fn owners(interface: u32, steps: &[Step]) -> [Option<u32>; 2] {
    let mut tracker = Tracker::new(options());
    tracker.set_processes(Box::new(ByPid), HERE);
    let mut now = 10_000 * MS;
    let segment = |now, end: End, hook: &Hook, socket, is_syn| {
        let header = EventHeader {
            kind: Kind::Segment as u8,
            hook: *hook as u8,
            sender: end as u8,
            interface,
            time: now,
            flow: 7,
            key: KEY,
            ..EventHeader::ZERO
        };
        let (reasons, flags, payload_len) = match (is_syn, end) {
            (true, CLIENT) => (SegmentFlags::SYN, TcpFlags::SYN, 0),
            (true, _) => (SegmentFlags::SYN_ACK, TcpFlags::SYN | TcpFlags::ACK, 0),
            (false, _) => (SegmentFlags::MIDSTREAM, TcpFlags::ACK, 10),
        };
        Event::Segment(SegmentEvent { header, socket, reasons, flags, payload_len, ..SegmentEvent::ZERO })
    };
    for step in steps {
        now += MS;
        match step {
            Syn(end, hook, socket) => tracker.on_event(&segment(now, *end, hook, *socket, true)),
            Data(end, hook, socket) => tracker.on_event(&segment(now, *end, hook, *socket, false)),
            Owned(end, evidence, pid, socket, namespace) => {
                let header = EventHeader {
                    kind: Kind::Owner as u8,
                    sender: *end as u8,
                    time: now,
                    key: KEY,
                    ..EventHeader::ZERO
                };
                tracker.on_event(&Event::Owner(OwnerEvent {
                    header,
                    evidence: *evidence as u8,
                    pid: *pid,
                    socket: *socket,
                    namespace: *namespace,
                    ..OwnerEvent::default()
                }));
            }
            Pause(ms) => now += ms * MS,
        }
    }
    tracker.finish(now);
    let mut last = None;
    while let Some(record) = tracker.next_record() {
        if matches!(record.body, Body::Closed(_)) {
            last = record.connection;
        }
    }
    let attributes = last.expect("a connection").attributes;
    [attributes.client_owner, attributes.server_owner].map(|owner| owner.map(|owner| owner.pid))
}

#[test]
fn a_process_owns_an_end_if_it_owns_the_socket_that_sends() {
    for (what, steps, expected) in [
        (
            "both ends of this host",
            &[
                Owned(CLIENT, Connects, 5, 50, HERE),
                Syn(CLIENT, TcEgress, 50),
                Syn(SERVER, TcIngress, 60),
                Owned(SERVER, Reads, 6, 60, ELSEWHERE),
            ][..],
            [Some(5), Some(6)],
        ),
        (
            "a client of another host",
            &[Syn(CLIENT, TcIngress, 0), Owned(CLIENT, Reads, 5, 50, ELSEWHERE)],
            [None, None],
        ),
        (
            "another socket with these addresses",
            &[Syn(CLIENT, TcEgress, 50), Owned(CLIENT, Reads, 5, 51, ELSEWHERE)],
            [None, None],
        ),
        (
            "a later reader",
            &[
                Syn(CLIENT, TcEgress, 50),
                Owned(CLIENT, Reads, 5, 50, HERE),
                Owned(CLIENT, Reads, 6, 50, HERE),
            ],
            [Some(5), None],
        ),
        (
            "a reader instead of who connected",
            &[
                Owned(CLIENT, Connects, 5, 50, HERE),
                Syn(CLIENT, TcEgress, 50),
                Owned(CLIENT, Reads, 6, 50, HERE),
            ],
            [Some(6), None],
        ),
        (
            "a SYN long after connect, by its socket",
            &[Owned(CLIENT, Connects, 5, 50, HERE), Pause(3000), Syn(CLIENT, TcEgress, 50)],
            [Some(5), None],
        ),
        (
            "another SYN long after connect",
            &[Owned(CLIENT, Connects, 5, 50, HERE), Pause(3000), Syn(CLIENT, TcEgress, 51)],
            [None, None],
        ),
        (
            "a holder from before",
            &[Owned(SERVER, Holds, 6, 0, HERE), Data(CLIENT, TcIngress, 0), Data(SERVER, TcEgress, 60)],
            [None, Some(6)],
        ),
        (
            "a holder that then reads",
            &[
                Owned(SERVER, Holds, 6, 0, HERE),
                Data(CLIENT, TcIngress, 0),
                Owned(SERVER, Reads, 7, 60, HERE),
                Data(SERVER, TcEgress, 60),
            ],
            [None, Some(7)],
        ),
        (
            "a holder with another socket",
            &[Owned(SERVER, Holds, 6, 61, HERE), Data(CLIENT, TcIngress, 0), Data(SERVER, TcEgress, 60)],
            [None, None],
        ),
        (
            "two holders",
            &[
                Owned(SERVER, Holds, 6, 60, HERE),
                Owned(SERVER, Holds, 7, 60, HERE),
                Data(SERVER, TcEgress, 60),
            ],
            [None, None],
        ),
        (
            "two holders, and one reads",
            &[
                Owned(SERVER, Holds, 6, 60, HERE),
                Owned(SERVER, Holds, 7, 60, HERE),
                Data(SERVER, TcEgress, 60),
                Owned(SERVER, Reads, 7, 60, HERE),
            ],
            [None, Some(7)],
        ),
        (
            "a holder from before a new connection",
            &[Owned(SERVER, Holds, 6, 0, HERE), Syn(CLIENT, TcIngress, 0), Syn(SERVER, TcEgress, 60)],
            [None, None],
        ),
        (
            "a SYN-ACK without a socket",
            &[Syn(CLIENT, TcIngress, 0), Syn(SERVER, TcEgress, 0), Owned(SERVER, Reads, 6, 60, HERE)],
            [None, Some(6)],
        ),
    ] {
        assert_eq!(owners(ETHERNET, steps), expected, "{what}");
    }
}

#[test]
fn on_the_loopback_interface_namespace_and_time_decide() {
    for (what, steps, expected) in [
        (
            "both ends",
            &[
                Owned(CLIENT, Connects, 5, 50, HERE),
                Syn(CLIENT, TcIngress, 0),
                Syn(SERVER, TcIngress, 0),
                Owned(SERVER, Reads, 6, 60, HERE),
            ][..],
            [Some(5), Some(6)],
        ),
        (
            "another namespace",
            &[Syn(CLIENT, TcIngress, 0), Owned(SERVER, Reads, 6, 60, ELSEWHERE)],
            [None, None],
        ),
        (
            "another namespace connects",
            &[Owned(CLIENT, Connects, 5, 50, ELSEWHERE), Syn(CLIENT, TcIngress, 0)],
            [None, None],
        ),
        (
            "too early",
            &[Owned(CLIENT, Connects, 5, 50, HERE), Pause(3000), Syn(CLIENT, TcIngress, 0)],
            [None, None],
        ),
        (
            "the next connection",
            &[Syn(CLIENT, TcIngress, 0), Owned(CLIENT, Connects, 5, 50, HERE)],
            [None, None],
        ),
    ] {
        assert_eq!(owners(LOOPBACK, steps), expected, "{what}");
    }
}

#[test]
fn an_end_without_an_owner_is_looked_for_once() {
    let mut tracker = Tracker::new(options());
    tracker.set_processes(Box::new(ByPid), HERE);
    let header =
        EventHeader { hook: TcEgress as u8, interface: ETHERNET, time: MS, key: KEY, ..EventHeader::ZERO };
    let syn = SegmentEvent {
        header,
        socket: 50,
        reasons: SegmentFlags::SYN,
        flags: TcpFlags::SYN,
        ..SegmentEvent::ZERO
    };
    tracker.on_event(&Event::Segment(syn));
    assert!(!tracker.lacks_owner(500 * MS), "its process may still read");
    assert!(tracker.lacks_owner(2000 * MS));
    assert!(!tracker.lacks_owner(4000 * MS), "once");
}
