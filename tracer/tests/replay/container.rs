//! The same frames give the same records in every file format.

use std::io::Cursor;

use tracer::replay::capture::Capture;

use crate::{
    Temporary,
    containers::{ETHERNET, File, Frame, Interface, Order, gzip, pcap, pcapng},
    frames,
    golden::normalised,
    recorded, replay, replay_bytes,
};

const CAPTURE: &str = "page_and_two_cached.pcap";
const ORDERS: [Order; 2] = [Order::Little, Order::Big];

/// The records of a capture, without the file name and the interface.
fn records_of(arguments: &[&str], input: &[u8]) -> String {
    let replayed = replay(&[arguments, &["-o", "json"]].concat(), input);
    assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""));
    let (records, summary) =
        normalised(&replayed.output).rsplit_once(r#""tracer.attachments":"#).map_or_else(
            || panic!("no summary: {}", replayed.output),
            |(before, after)| (before.to_owned(), after.to_owned()),
        );
    let (_, rest) = summary.split_once(']').expect("a list of attachments");
    (records + rest).replace(r#""network.interface.name":"eth7","#, "")
}

/// Files of every format with these frames, each with its description.
fn files(frames: &[Frame]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for order in ORDERS {
        for nanoseconds in [false, true] {
            files.push((format!("pcap, {order:?}, ns: {nanoseconds}"), pcap(frames, order, nanoseconds)));
        }
        // Powers of ten and of two; the default is microseconds.
        for resolution in [None, Some(6), Some(9), Some(10), Some(0x80 | 30)] {
            for offset in [None, Some(1_700_000_000)] {
                let interface = Interface { resolution, offset, ..Interface::default() };
                let what = format!("pcapng, {order:?}, if_tsresol {resolution:?}, if_tsoffset {offset:?}");
                files.push((what, pcapng(frames, order, &[interface])));
            }
        }
        let other = Interface { link: 147, name: Some("other"), resolution: Some(3), ..Interface::default() };
        let second = Interface { name: Some("eth7"), ..Interface::default() };
        files.push((format!("pcapng, {order:?}, two interfaces"), pcapng(frames, order, &[other, second])));
    }
    for (order, counts_padding) in
        [(Order::Little, true), (Order::Big, true), (Order::Little, false), (Order::Big, false)]
    {
        let mut file = File::pcapng(order);
        file.interface(&Interface::default());
        frames.iter().for_each(|frame| file.old_packet(0, frame.time / 1000, frame, counts_padding));
        files.push((
            format!("pcapng, {order:?}, obsolete blocks, padding counted: {counts_padding}"),
            file.bytes,
        ));
    }
    files.push(("pcapng, a section for each half".into(), sections(frames)));
    files.push(("pcapng, with blocks of other kinds".into(), with_other_blocks(frames)));
    files
}

/// Two sections, the second in the other byte order, as in concatenated files.
fn sections(frames: &[Frame]) -> Vec<u8> {
    let (first, second) = frames.split_at(frames.len() / 2);
    let interface = [Interface::default()];
    [pcapng(first, Order::Little, &interface), pcapng(second, Order::Big, &interface)].concat()
}

fn with_other_blocks(frames: &[Frame]) -> Vec<u8> {
    let mut file = File::pcapng(Order::Little);
    file.interface(&Interface::default());
    for frame in frames {
        // A name resolution block, an interface statistics block, and an unknown one.
        file.block(4, |file| file.bytes.extend([0; 4]));
        file.block(5, |file| file.bytes.extend([0; 12]));
        file.block(0x0bad_beef, |file| file.bytes.extend(b"who knows"));
        file.packet(0, frame.time / 1000, frame);
    }
    file.bytes
}

#[test]
fn the_same_frames_give_the_same_records_in_every_file_format() {
    let frames = frames(CAPTURE);
    assert!(frames.len() > 10, "{} frames", frames.len());
    let expected = records_of(&[CAPTURE], b"");
    assert_eq!(expected.lines().count(), 6, "opened, three exchanges, closed, summary:\n{expected}");
    for (what, file) in files(&frames) {
        assert_eq!(records_of(&["-"], &file), expected, "{what}, through a pipe");
        let packed = gzip(&file);
        assert_eq!(records_of(&["-"], &packed), expected, "{what}, compressed, through a pipe");
        let packed = Temporary::new(&packed);
        assert_eq!(
            records_of(&[packed.0.to_str().expect("a plain path")], b""),
            expected,
            "{what}, compressed"
        );
    }
    let original = recorded(CAPTURE);
    let (front, back) = original.split_at(original.len() / 2);
    assert_eq!(
        records_of(&["-"], &[gzip(front), gzip(back)].concat()),
        expected,
        "compressed in two members"
    );
}

#[test]
fn the_interface_has_its_name_in_the_file() {
    let named = Interface { name: Some("eth7"), ..Interface::default() };
    let file = pcapng(&frames(CAPTURE), Order::Little, &[Interface::default(), named]);
    let replayed = replay_bytes(&file);
    let of_connections = replayed.output.lines().filter(|line| !line.contains("tracer.summary"));
    assert_eq!(of_connections.clone().count(), 5);
    assert!(of_connections.into_iter().all(|line| line.contains(r#""network.interface.name":"eth7""#)));
}

#[test]
fn connections_on_two_interfaces_are_reported_with_their_own() {
    let mut file = File::pcapng(Order::Big);
    for name in ["eth0", "eth1"] {
        file.interface(&Interface { name: Some(name), ..Interface::default() });
    }
    for (number, name) in [(0, "refused.pcap"), (1, "unanswered.pcap")] {
        for frame in frames(name) {
            file.packet(number, frame.time / 1000, &frame);
        }
    }
    let replayed = replay_bytes(&file.bytes);
    for (reason, name) in [("refused", "eth0"), ("unanswered", "eth1")] {
        let line = replayed.output.lines().find(|line| line.contains(name)).expect("a record");
        assert!(line.contains(&format!(r#""tcp.close.reason":"{reason}""#)), "{line}");
    }
}

#[test]
fn packets_captured_on_two_interfaces_count_once() {
    let mut file = File::pcapng(Order::Little);
    file.interface(&Interface::default());
    file.interface(&Interface { name: Some("eth7"), ..Interface::default() });
    let frames = frames(CAPTURE);
    for frame in &frames {
        for interface in [0, 1] {
            file.packet(interface, frame.time / 1000, frame);
        }
    }
    let twice = replay_bytes(&file.bytes);
    let closed = |output: &str| {
        let line = output.lines().find(|line| line.contains("connection.closed")).expect("it closes");
        line.replace(r#""network.interface.name":"eth7","#, "")
    };
    let once = replay(&[CAPTURE, "-o", "json"], b"");
    assert_eq!(closed(&normalised(&twice.output)), closed(&normalised(&once.output)));
    assert_eq!(twice.summary("tracer.skipped.duplicate"), Some(frames.len() as u64));
}

#[test]
fn a_simple_packet_block_has_bytes_but_no_time() {
    let frame = &frames(CAPTURE)[0];
    let mut file = File::pcapng(Order::Little);
    file.interface(&Interface { link: ETHERNET, ..Interface::default() });
    file.block(3, |file| {
        file.bytes.extend(frame.wire_len.to_le_bytes());
        file.bytes.extend(&frame.bytes);
    });
    let mut capture = Capture::new(Cursor::new(file.bytes)).expect("a capture");
    let captured = capture.next_frame().expect("whole").expect("one frame");
    assert_eq!((captured.bytes, captured.time, captured.interface), (&frame.bytes[..], 1, 1));
    assert_eq!(capture.next_frame().expect("whole"), None);
}
