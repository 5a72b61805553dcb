//! Writes the seed inputs of the fuzz targets: the tests' frames, in the format that
//! `fuzz/src/lib.rs` reads.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tracer_common::{event::Hook, wire::LinkType};
use tracer_core::host::{HostObserver, Selection};

use crate::table::{conversations::conversations, random, rows};

/// Number of random conversations: enough for every kind of anomaly.
const RANDOM: u64 = 50;

/// One piece of an input: a control byte, its length, its bytes.
fn piece(control: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&[control][..], &len.to_be_bytes(), bytes].concat()
}

/// The payload after the headers of the tests' frames, and whether the server sent it.
fn payload(frame: &[u8]) -> Option<(bool, &[u8])> {
    let (ip, rest) = frame.get(14..)?.split_at_checked(20)?;
    let offset = usize::from(*rest.get(12)? >> 4) * 4;
    let is_plain_tcp = frame[12..14] == [8, 0] && ip[0] == 0x45 && ip[9] == 6;
    let from_server = rest[..2] == 80u16.to_be_bytes();
    Some((from_server, rest.get(offset..)?)).filter(|(_, payload)| is_plain_tcp && !payload.is_empty())
}

fn folder(root: &Path, target: &str) -> PathBuf {
    let folder = root.join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

#[test]
#[ignore = "writes files: run by cargo xtask fuzz"]
fn inputs_for_the_fuzz_targets() {
    let root = PathBuf::from(env::var_os("TRACER_FUZZ_SEEDS").expect("TRACER_FUZZ_SEEDS names a folder"));
    let write = |target: &str, number: usize, input: &[u8]| {
        fs::write(folder(&root, target).join(number.to_string()), input)
            .expect("the folder can be written to");
    };
    for (number, row) in rows().iter().enumerate() {
        for target in ["frame", "records"] {
            write(target, number, &piece(u8::from(row.link == LinkType::RawIp), &row.frame));
        }
    }
    let all = conversations().into_iter().chain((0..RANDOM).map(random::conversation));
    for (number, conversation) in all.enumerate() {
        let mut observer = HostObserver::new(Selection::default());
        let [mut frames, mut events, mut streams] = [const { Vec::new() }; 3];
        for (time, step) in (1..).zip(&conversation.steps) {
            let (frame, len) = (&step.frame, step.frame.len());
            frames.extend(piece(0, frame));
            streams.extend(
                payload(frame).map_or_else(Vec::new, |(server, bytes)| piece(64 | u8::from(server), bytes)),
            );
            let _ = observer.observe(frame, len, LinkType::Ethernet, 1, Hook::Capture, time);
        }
        while let Some(event) = observer.next_event() {
            events.extend(piece(0, &event));
        }
        for target in ["frame", "records"] {
            write(target, 10_000 + number, &frames);
        }
        write("event", number, &events);
        write("http_stream", number, &streams);
    }
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let captures = fs::read_dir(captures).into_iter().flatten().flatten().map(|entry| entry.path());
    for (number, path) in
        captures.filter(|path| path.extension().is_some_and(|kind| kind == "pcap")).enumerate()
    {
        write("capture", number, &fs::read(path).expect("a capture of the tests"));
    }
    // The bytes of these are choices.
    for number in 0..20u8 {
        let input: Vec<u8> =
            (0..48u8).map(|at| at.wrapping_mul(37).wrapping_add(number.wrapping_mul(91))).collect();
        write("dialogue", usize::from(number), &input);
    }
}
