//! Truncated and corrupt files: frames before the damage are processed, then one error is printed,
//! and the exit status is 1.

use std::io::{Cursor, Read};

use tracer::replay::capture::{Capture, CaptureError};

use crate::{
    Replayed, Temporary,
    containers::{ETHERNET, File, Frame, Interface, Order, gzip, pcap, pcapng},
    frames, recorded, replay, replay_bytes,
};

/// A capture of two frames.
const SHORT: &str = "refused.pcap";

/// Checks that one error line contains one of `words`, and that the exit status is 1.
#[track_caller]
fn check_error(replayed: &Replayed, words: &[&str], what: &str) {
    assert_eq!(replayed.code, Some(1), "{what}: {replayed:?}");
    assert_eq!(replayed.errors.lines().count(), 1, "{what}: {replayed:?}");
    let said = words.iter().any(|words| replayed.errors.contains(words));
    assert!(said && replayed.errors.starts_with("tracer: "), "{what}: {replayed:?}");
}

/// Where each frame ends in a file, and where a truncated file still looks complete.
struct Ends {
    frames: Vec<usize>,
    whole: Vec<usize>,
}

/// Replays a file truncated at every byte.
fn truncate_everywhere(file: &[u8], ends: &Ends) {
    for len in 0..file.len() {
        let what = format!("truncated to {len} of {} bytes", file.len());
        let replayed = replay_bytes(&file[..len]);
        let expected = ends.frames.iter().filter(|&&end| end <= len).count() as u64;
        if ends.whole.contains(&len) {
            assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""), "{what}");
        } else {
            check_error(
                &replayed,
                &["is empty", "is not a capture", "is truncated", "cannot be read"],
                &what,
            );
        }
        let processed =
            if replayed.output.is_empty() { 0 } else { replayed.summary("tracer.segments").unwrap_or(0) };
        assert_eq!(processed, expected, "{what}: frames before the damage are processed");
    }
}

#[test]
fn a_pcap_file_truncated_anywhere_is_processed_up_to_there() {
    let frames = frames(SHORT);
    let file = recorded(SHORT);
    let first = 24 + 16 + frames[0].bytes.len();
    truncate_everywhere(&file, &Ends { frames: vec![first], whole: vec![24, first] });
}

#[test]
fn a_pcapng_file_truncated_anywhere_is_processed_up_to_there() {
    let frames = frames(SHORT);
    let upto = |count: usize| pcapng(&frames[..count], Order::Little, &[Interface::default()]).len();
    let mut section = File::pcapng(Order::Little);
    let whole = vec![section.bytes.len(), upto(0), upto(1)];
    section.interface(&Interface::default());
    let file = pcapng(&frames, Order::Little, &[Interface::default()]);
    truncate_everywhere(&file, &Ends { frames: vec![upto(1)], whole });
}

#[test]
fn a_compressed_file_truncated_anywhere_is_an_error() {
    let file = gzip(&recorded("page_and_two_cached.pcap"));
    for len in (0..file.len()).step_by(13) {
        let words = ["is empty", "is not a capture", "is truncated", "cannot be read"];
        check_error(&replay_bytes(&file[..len]), &words, &format!("truncated to {len} of {}", file.len()));
    }
}

#[test]
fn a_file_that_is_not_a_capture_is_an_error() {
    let directory = std::env::temp_dir();
    let directory = directory.to_str().expect("a plain path");
    for (file, words) in [
        (directory, "cannot be read: is a directory"),
        ("/nonexistent/capture", "cannot be read: No such file"),
        ("/dev/null", "is empty"),
        ("/proc/self/mem", "cannot be read"),
    ] {
        let replayed = replay(&[file], b"");
        check_error(&replayed, &[words], file);
        assert!(replayed.errors.starts_with(&format!("tracer: {file} ")), "{replayed:?}");
        assert_eq!(replayed.output, "", "no records");
    }
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n\x1b[31m and more than twenty-four bytes"[..], b"\0", &[0xff; 4000]]
    {
        let replayed = replay_bytes(garbage);
        check_error(&replayed, &["is not a capture: it starts with "], "garbage");
        assert!(!replayed.errors.contains('\x1b') && replayed.output.is_empty(), "{replayed:?}");
    }
    check_error(&replay_bytes(&gzip(b"not at all")), &["is not a capture"], "garbage, compressed");
    check_error(&replay_bytes(b"\x1f\x8b and then garbage of some length"), &["cannot be read"], "not gzip");
}

#[test]
fn garbage_after_valid_frames_is_an_error() {
    let frames = frames(SHORT);
    let garbage = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff and so on";
    for file in [pcap(&frames, Order::Little, false), pcapng(&frames, Order::Big, &[Interface::default()])] {
        let replayed = replay_bytes(&[file.as_slice(), garbage].concat());
        check_error(&replayed, &["first 2 frames", "after the first 2"], "garbage after frames");
        assert_eq!(replayed.summary("tracer.segments"), Some(2));
    }
}

#[test]
fn a_frame_of_an_interface_without_a_description_is_corrupt() {
    let frames = frames(SHORT);
    let mut file = File::pcapng(Order::Little);
    file.interface(&Interface::default());
    for (number, frame) in frames.iter().enumerate() {
        file.packet(7 * number as u32, frame.time / 1000, frame);
    }
    let replayed = replay_bytes(&file.bytes);
    check_error(&replayed, &["is corrupt: there is no valid frame after the first 1"], "interface 7 of 1");
    assert_eq!(replayed.summary("tracer.segments"), Some(1));
}

#[test]
fn frames_of_an_unknown_link_layer_are_counted() {
    let mut file = File::pcap(Order::Little, false, 147);
    for frame in frames(SHORT) {
        file.record(1, 2, frame.wire_len, &frame);
    }
    let replayed = replay_bytes(&file.bytes);
    assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""));
    assert_eq!(replayed.summary("tracer.skipped.unknown_link"), Some(2));
}

#[test]
fn absurd_timestamps_are_accepted() {
    let frames = frames(SHORT);
    for (resolution, offset) in [
        (None, None),
        (Some(0), None),
        (Some(0), Some(i64::MAX)),
        (Some(0xff), Some(i64::MIN)),
        (Some(0x7f), Some(-1)),
        (Some(0xbf), None),
    ] {
        let mut file = File::pcapng(Order::Little);
        file.interface(&Interface { resolution, offset, ..Interface::default() });
        for (frame, ticks) in frames.iter().cycle().zip([u64::MAX, 0, 1, u64::MAX / 2, u64::MAX, 5]) {
            file.packet(0, ticks, frame);
        }
        let replayed = replay_bytes(&file.bytes);
        let what = format!("{resolution:?} {offset:?}: {replayed:?}");
        assert_eq!((replayed.code, replayed.errors.as_str()), (Some(0), ""), "{what}");
        assert_eq!(replayed.summary("tracer.frames"), Some(6), "{what}");
    }
    let mut file = File::pcap(Order::Big, false, ETHERNET);
    for frame in &frames {
        file.record(u32::MAX, u32::MAX, frame.bytes.len() as u32, frame);
    }
    assert_eq!(replay_bytes(&file.bytes).code, Some(0));
}

/// A frame of `len` bytes between two ordinary ones.
fn long(len: usize) -> [Frame; 3] {
    let ordinary = frames(SHORT).swap_remove(0);
    let bytes = vec![0xaa; len];
    let long = Frame { time: ordinary.time, wire_len: u32::try_from(len).expect("short"), bytes };
    [ordinary.clone(), long, ordinary]
}

#[test]
fn long_frames_are_read() {
    for len in [300 << 10, 10 << 20] {
        let frames = long(len);
        for file in
            [pcap(&frames, Order::Little, false), pcapng(&frames, Order::Big, &[Interface::default()])]
        {
            for small_reads in [false, true] {
                let capture = if small_reads {
                    Capture::new(SmallReads(Cursor::new(file.clone())))
                } else {
                    Capture::new(Cursor::new(file.clone()))
                };
                let mut capture = capture.expect("a capture");
                for frame in &frames {
                    let captured = capture.next_frame().expect("whole").expect("three frames");
                    assert_eq!(captured.bytes.len(), frame.bytes.len());
                    assert!(captured.bytes == frame.bytes, "{len} bytes");
                }
                assert_eq!(capture.next_frame().expect("whole"), None);
            }
        }
    }
}

/// A reader that returns a few bytes at a time, as a pipe may.
struct SmallReads(Cursor<Vec<u8>>);

impl Read for SmallReads {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(4097);
        self.0.read(&mut buffer[..len])
    }
}

/// A file followed by endless zeros. Counts the bytes read.
struct Endless {
    front: Cursor<Vec<u8>>,
    read: std::rc::Rc<std::cell::Cell<usize>>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = match self.front.read(buffer)? {
            0 => {
                buffer.fill(0);
                buffer.len()
            }
            len => len,
        };
        self.read.set(self.read.get() + len);
        Ok(len)
    }
}

#[test]
fn a_frame_that_claims_a_gigabyte_is_corrupt_and_is_not_read() {
    let ordinary = frames(SHORT).swap_remove(0);
    let claimed = 1_100_000_000_u32;
    let mut plain = pcap(std::slice::from_ref(&ordinary), Order::Little, false);
    plain.extend([1_u32, 2, claimed, claimed].map(u32::to_le_bytes).as_flattened());
    let mut next = pcapng(std::slice::from_ref(&ordinary), Order::Little, &[Interface::default()]);
    next.extend([6_u32, claimed, 0, 0, 0, claimed - 40, claimed - 40].map(u32::to_le_bytes).as_flattened());
    for file in [plain, next] {
        let read = std::rc::Rc::default();
        let source = Endless { front: Cursor::new(file), read: std::rc::Rc::clone(&read) };
        let mut capture = Capture::new(source).expect("a capture");
        assert!(capture.next_frame().expect("the first is whole").is_some());
        let error = capture.next_frame().expect_err("the second is corrupt");
        assert!(matches!(error, CaptureError::Corrupt { after: 1 }), "{error:?}");
        assert!(read.get() < 64 << 20, "{} bytes were read", read.get());
    }
}

#[test]
fn the_next_file_is_replayed_after_a_truncated_one() {
    let whole = recorded(SHORT);
    let cut = Temporary::new(&whole[..whole.len() - 1]);
    let cut = cut.0.to_str().expect("a plain path");
    let replayed = replay(&[cut, "unanswered.pcap", "-o", "json"], b"");
    check_error(&replayed, &["is truncated"], "the first of two");
    // One frame of the first file, and all of the second.
    assert_eq!(replayed.summary("tracer.segments"), Some(1 + frames("unanswered.pcap").len() as u64));
}
