//! Captures of all interfaces of a host that forwards.

use serde_json::Value;

use crate::{
    containers::{File, Frame, Order},
    frames, replay, replay_bytes,
};

const CAPTURE: &str = "page_and_two_cached.pcap";
/// LINKTYPE_LINUX_SLL2.
const COOKED: u16 = 276;
/// Bytes of its header.
const COOKED_HEADER: usize = 20;
/// Bytes of an Ethernet header.
const ETHERNET_HEADER: usize = 14;

/// The packet of an Ethernet frame, received or sent on an interface.
fn cooked(frame: &Frame, interface: u8, is_sent: bool) -> Frame {
    let packet_type = if is_sent { 4 } else { 0 };
    let mut bytes = vec![8, 0, 0, 0, 0, 0, 0, interface, 0, 1, packet_type, 6];
    bytes.resize(COOKED_HEADER, 0);
    bytes.extend(&frame.bytes[ETHERNET_HEADER..]);
    Frame { time: frame.time, wire_len: frame.wire_len + 6, bytes }
}

/// The capture as a router has it: each packet comes in on an interface, and, after `change`, goes out on the other.
fn forwarded(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut file = File::pcap(Order::Little, true, COOKED);
    let frames = frames(CAPTURE);
    // The first frame is the client's SYN.
    let client = frames[0].bytes[ETHERNET_HEADER + 12..][..4].to_vec();
    for frame in &frames {
        let is_client = frame.bytes[ETHERNET_HEADER + 12..][..4] == client;
        let (from, to) = if is_client { (2, 3) } else { (3, 2) };
        let mut views = [cooked(frame, from, false), cooked(frame, to, true)];
        // The packets of the capture are those between the client and this host.
        let translated = if is_client { &mut views[1] } else { &mut views[0] };
        change(&mut translated.bytes[COOKED_HEADER..]);
        for view in &views {
            let (seconds, fraction) = (view.time / 1_000_000_000, view.time % 1_000_000_000);
            file.record(seconds as u32, fraction as u32, view.bytes.len() as u32, view);
        }
    }
    file.bytes
}

/// The records, without the summary.
fn records(output: &str) -> Vec<Value> {
    let records = output.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    records.filter(|record| record["event.name"] != "tracer.summary").collect()
}

#[test]
fn forwarded_packets_count_once() {
    let once = replay(&[CAPTURE, "-o", "json"], b"");
    let twice = replay_bytes(&forwarded(|_| ()));
    let closed = |output: &str| {
        let closed = records(output).pop().expect("records");
        ["client.bytes", "client.packets", "client.retransmits", "server.bytes", "server.packets"]
            .map(|name| closed[name].clone())
    };
    assert_eq!(closed(&twice.output), closed(&once.output));
    assert_eq!(twice.summary("tracer.skipped.duplicate"), Some(frames(CAPTURE).len() as u64));
}

#[test]
fn translated_connections_are_reported_once_with_both_views() {
    let translated = replay_bytes(&forwarded(|packet| {
        packet[15] ^= 0x40;
        packet[19] ^= 0x40;
    }));
    let once = records(&replay(&[CAPTURE, "-o", "json"], b"").output);
    let records = records(&translated.output);
    assert_eq!(records.len(), once.len());
    for (record, once) in records.iter().zip(&once) {
        for name in ["event.name", "client.address", "server.address", "server.port", "http.outcome"] {
            assert_eq!(record[name], once[name], "{name} of {record}");
        }
        assert_eq!(record["network.nat.server.port"], once["server.port"]);
        assert_ne!(record["network.nat.server.address"], once["server.address"]);
    }
    assert_eq!(translated.summary("tracer.connections.opened"), Some(1));
}
