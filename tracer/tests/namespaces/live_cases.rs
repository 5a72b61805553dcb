//! The difficult captures of `tests/cases`, sent over a veth to the kernel programs.
//!
//! Only what does not depend on time is compared: the frames are sent as fast as they go. The kernel keeps no payload and
//! verifies no checksums.

use std::{collections::BTreeMap, fs, os::fd::AsRawFd as _, path::Path};

use nix::sys::socket::{MsgFlags, sendto};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tracer::lab::netns::PairEnd;

use crate::{
    check::{Object, compare_by_port},
    harness::Tracer,
    pair,
};

/// Cases of which the kernel programs see something else, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("gap-in-both-directions.pcap", "the request lies behind a gap, which might still be filled"),
    ("gre-with-802.11-frames.pcap", "the inner addresses are not moved, and tunnels not decapsulated"),
];

/// Bytes of the headers of a pcap file and of a frame in it.
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;
/// The longest frame that a veth takes.
const LONGEST: usize = 1514;
/// Link types: Ethernet, raw IP.
const ETHERNET: u32 = 1;
const RAW_IP: [u32; 2] = [12, 101];

/// The frames of a little-endian pcap file as Ethernet frames with IPv4; `None` if it has others, or too long ones.
fn frames(file: &[u8]) -> Option<Vec<Vec<u8>>> {
    let word = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let link = word(20)? & 0xffff;
    let mut frames = Vec::new();
    let mut at = FILE_HEADER;
    while at < file.len() {
        let (captured, sent) = (word(at + 8)?, word(at + 12)?);
        let bytes = file.get(at + FRAME_HEADER..at + FRAME_HEADER + captured as usize)?;
        let frame = match link {
            ETHERNET => bytes.to_vec(),
            _ if RAW_IP.contains(&link) => [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0], bytes].concat(),
            _ => return None,
        };
        if captured != sent || frame.len() > LONGEST || frame.get(12..15) != Some(&[8, 0, 0x45]) {
            return None;
        }
        frames.push(frame);
        at += FRAME_HEADER + captured as usize;
    }
    Some(frames)
}

/// Moves the addresses of a frame to networks of case `number`, so that cases do not meet.
fn move_addresses(frame: &mut [u8], number: u8) {
    for at in [26, 30] {
        frame[at] = 30 + frame[at] % 64;
        frame[at + 1] = number;
    }
}

/// Sends frames at one end.
fn send(end: &PairEnd, frames: &[Vec<u8>]) {
    let sent = end.namespace.run(|| {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        let there = nix::ifaddrs::getifaddrs()?.find_map(|interface| {
            let is_it = interface.interface_name == end.interface;
            interface.address.filter(|_| is_it)?.as_link_addr().copied()
        });
        let there = there.ok_or(nix::errno::Errno::ENODEV)?;
        for frame in frames {
            sendto(socket.as_raw_fd(), frame, &there, MsgFlags::empty())?;
        }
        Ok::<_, std::io::Error>(())
    });
    sent.expect("namespace").expect("frames can be sent");
}

/// The facts without times.
fn timeless(facts: &Value) -> Value {
    let Value::Object(facts) = facts else { return facts.clone() };
    let kept = facts.iter().filter(|(name, _)| !name.ends_with("_ns"));
    let timeless = kept.map(|(name, value)| {
        let choices = value.as_array().filter(|_| name == "any_of");
        let value = choices.map_or_else(|| value.clone(), |choices| choices.iter().map(timeless).collect());
        (name.clone(), value)
    });
    Value::Object(timeless.collect())
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_kernel_programs_report_the_exchanges_of_difficult_captures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let cases = fs::read_to_string(folder.join("cases.json")).expect("cases.json");
    let cases: Vec<Value> = serde_json::from_str(&cases).expect("a list of cases");
    let pair = pair();
    let ports: Vec<_> = cases.iter().filter_map(|case| case["ports"].as_str()).collect();
    let tracer = Tracer::at(&pair.server, &["--attach", "tc", "-p", &ports.join(",")]);
    let mut sent = BTreeMap::new();
    for (number, case) in (1u8..).zip(&cases) {
        let file = case["file"].as_str().expect("a file");
        let frames = frames(&fs::read(folder.join("captures").join(file)).expect("a capture"));
        let Some(mut frames) = frames.filter(|_| case["expect"].get("exchanges").is_some()) else { continue };
        frames.iter_mut().for_each(|frame| move_addresses(frame, number));
        send(&pair.client, &frames);
        sent.insert(number, (file, &case["expect"]["exchanges"]));
    }
    assert!(sent.len() > 50, "most cases can be sent: {}", sent.len());
    let trace = tracer.stop();
    let mut report = Vec::new();
    for (number, (file, expected)) in sent {
        let is_of_case = |record: &&Object| {
            let address = record["client.address"].as_str().unwrap_or_default();
            address.split('.').nth(1) == Some(&number.to_string())
        };
        let exchanges: Vec<_> =
            trace.exchanges().into_iter().filter_map(Value::as_object).filter(is_of_case).collect();
        let expected: Vec<_> = expected.as_array().expect("exchanges").iter().map(timeless).collect();
        let faults = compare_by_port(&expected, &exchanges, "exchange");
        let is_otherwise = OTHERWISE.iter().any(|(name, _)| *name == file);
        if faults.is_empty() == is_otherwise {
            report.push(format!("{file}: {faults:?}"));
        }
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}
