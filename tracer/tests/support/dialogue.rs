//! HTTP dialogues of which one message is damaged: whatever is reported as exact must be true all the same.
//!
//! Shared by a test and a fuzz target: the bytes of an input are the choices that a dialogue is made of.

use std::fmt;

use tracer_common::{
    event::{Event, Hook},
    wire::LinkType,
};
use tracer_core::{
    host::{HostObserver, Selection},
    record::{Body, Confidence, Exchange},
    tracker::{Tracker, TrackerOptions},
};

use crate::packet::{ACK, FIN, SYN, packet};

/// Statuses, of which one changed digit makes none of the others.
const STATUSES: [u16; 7] = [200, 211, 222, 233, 244, 255, 266];
/// What the paths are made of: of the path of an exchange, one changed byte still leaves most.
const CHARACTERS: [u8; 7] = *b"abcdefg";
/// Where the first digit of a status stands.
const STATUS_CLASS: usize = 9;
/// Bytes that the longest method takes.
const METHOD: usize = 4;
/// A millisecond, in ns.
const MS: u64 = 1_000_000;

/// The choices of an input; after its end all are the first one.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, number: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % number
    }
}

/// What happens to one message on the way into the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// It was not captured.
    Missing,
    /// Its end was not captured.
    Cut(usize),
    /// One byte is another one.
    Changed(usize, u8),
    /// Its head is nonsense.
    Junk,
}

/// A message.
#[derive(Clone)]
struct Message {
    server: bool,
    bytes: Vec<u8>,
    /// Bytes of it that were captured.
    seen: usize,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.server { "server" } else { "client" };
        let (seen, unseen) = self.bytes.split_at(self.seen);
        write!(f, "\n{side} {:?} unseen {:?}", String::from_utf8_lossy(seen), String::from_utf8_lossy(unseen))
    }
}

/// A dialogue and how it is sent.
#[derive(Debug)]
struct Dialogue {
    /// In the order in which they are sent.
    messages: Vec<Message>,
    /// Messages of one side that follow each other share a segment.
    joined: bool,
    /// Bytes of a segment.
    size: usize,
}

fn request(index: usize, choices: &mut Choices<'_>) -> Vec<u8> {
    let path = String::from_utf8(vec![CHARACTERS[index]; 5]).expect("ASCII");
    let body = "z".repeat(choices.below(40));
    let (method, framing) = match choices.below(4) {
        0 => ("HEAD", None),
        1 => ("POST", Some(format!("Content-Length: {}\r\n\r\n{body}", body.len()))),
        2 => (
            "PUT",
            Some(format!(
                "Transfer-Encoding: chunked\r\n\r\n4\r\nzzzz\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len().max(1)
            )),
        ),
        _ => ("GET", None),
    };
    let framing = if body.is_empty() && method == "PUT" { None } else { framing };
    let method = if framing.is_none() && method == "PUT" { "GET" } else { method };
    format!("{method} /{path} HTTP/1.1\r\nHost: example.org\r\n{}", framing.unwrap_or("\r\n".into()))
        .into_bytes()
}

fn response(index: usize, head: bool, choices: &mut Choices<'_>) -> Vec<u8> {
    let body = "y".repeat(choices.below(60));
    let framing = match choices.below(3) {
        0 if !body.is_empty() => {
            let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
            format!("Transfer-Encoding: chunked\r\n\r\n{}", if head { "" } else { &chunks })
        }
        _ => format!("Content-Length: {}\r\n\r\n{}", body.len(), if head { "" } else { &body }),
    };
    format!("HTTP/1.1 {} Fine\r\nServer: s\r\n{framing}", STATUSES[index]).into_bytes()
}

impl Dialogue {
    /// A dialogue of some exchanges with one damaged message.
    fn from(choices: &mut Choices<'_>) -> Self {
        let count = 2 + choices.below(CHARACTERS.len() - 1);
        let (most_waiting, drains) = (1 + choices.below(4), choices.below(2) == 1);
        let (joined, size) = (choices.below(2) == 1, [usize::MAX, 20, 64, 200][choices.below(4)]);
        let requests: Vec<_> = (0..count).map(|index| request(index, choices)).collect();
        let mut messages = Vec::new();
        let (mut asked, mut answered) = (0, 0);
        while answered < count {
            while asked < count && asked - answered < most_waiting {
                messages.push((false, requests[asked].clone()));
                asked += 1;
            }
            loop {
                let head = requests[answered].starts_with(b"HEAD");
                messages.push((true, response(answered, head, choices)));
                answered += 1;
                if !drains || answered == asked {
                    break;
                }
            }
        }
        let mut messages: Vec<_> = messages
            .into_iter()
            .map(|(server, bytes)| Message { server, seen: bytes.len(), bytes })
            .collect();
        let damaged = choices.below(messages.len());
        let message = &mut messages[damaged];
        let at = choices.below(256) % message.bytes.len();
        let damage = [
            Damage::Missing,
            Damage::Cut(at),
            Damage::Changed(at, 1 + choices.below(255) as u8),
            Damage::Junk,
        ][choices.below(4)];
        match damage {
            Damage::Missing => message.seen = 0,
            Damage::Cut(at) => message.seen = at,
            // With another length, another method than HEAD or an interim status, it is another dialogue, and as good as
            // the first.
            Damage::Changed(at, _) if is_length(&message.bytes, at) => {}
            Damage::Changed(at, _) if if message.server { at == STATUS_CLASS } else { at < METHOD } => {}
            Damage::Changed(at, mask) => message.bytes[at] ^= mask,
            Damage::Junk => {
                let head = message.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
                message.bytes[..head].fill(b'?');
            }
        }
        Self { messages, joined, size }
    }

    /// The exchanges that are reported of it.
    fn exchanges(&self) -> Vec<Exchange> {
        let mut wire = Wire::default();
        for (server, flags) in [(false, SYN), (true, SYN | ACK), (false, ACK)] {
            wire.segment(server, flags, &[]);
        }
        let mut messages = self.messages.iter().peekable();
        while let Some(first) = messages.next() {
            let mut run: Vec<_> = parts(first);
            while self.joined && messages.peek().is_some_and(|next| next.server == first.server) {
                run.extend(messages.next().map(parts).unwrap_or_default());
            }
            wire.send(first.server, &run, self.size);
        }
        for (server, flags) in [(true, FIN | ACK), (false, FIN | ACK), (true, ACK)] {
            wire.segment(server, flags, &[]);
        }
        wire.finish()
    }
}

/// The bytes of a message, and whether each was captured.
fn parts(message: &Message) -> Vec<(u8, bool)> {
    message.bytes.iter().enumerate().map(|(at, byte)| (*byte, at < message.seen)).collect()
}

/// Whether the byte at `at` belongs to the value of Content-Length, or to a chunk size, or to the line end of one of them.
fn is_length(bytes: &[u8], at: usize) -> bool {
    let find = |text: &[u8]| bytes.windows(text.len()).position(|window| window == text);
    let head = find(b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
    let value = find(b"Content-Length: ").map_or(head, |start| start + 16);
    let line_start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let line = bytes[line_start..].split(|byte| *byte == b'\r').next().unwrap_or_default();
    let is_size = at >= head && !line.is_empty() && line.iter().all(u8::is_ascii_hexdigit);
    (value..head).contains(&at) || is_size
}

/// A connection under observation.
struct Wire {
    observer: HostObserver,
    tracker: Tracker,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    now: u64,
    exchanges: Vec<Exchange>,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            observer: HostObserver::new(Selection { reassemble: true, ..Selection::default() }),
            tracker: Tracker::new(TrackerOptions::default()),
            next: [u32::MAX - 5, 77],
            now: MS,
            exchanges: Vec::new(),
        }
    }
}

impl Wire {
    /// Sends a run of bytes in segments of `size`; those that were not captured only take their numbers.
    fn send(&mut self, server: bool, run: &[(u8, bool)], size: usize) {
        for piece in run.chunks(size) {
            for part in piece.chunk_by(|one, other| one.1 == other.1) {
                let bytes: Vec<u8> = part.iter().map(|(byte, _)| *byte).collect();
                if part.first().is_some_and(|(_, seen)| *seen) {
                    self.segment(server, ACK, &bytes);
                } else {
                    self.next[usize::from(server)] =
                        self.next[usize::from(server)].wrapping_add(bytes.len() as u32);
                }
            }
        }
    }

    fn segment(&mut self, server: bool, flags: u8, payload: &[u8]) {
        let packet = packet(&mut self.next, server, flags, payload);
        self.now += MS;
        let _ = self.observer.observe(&packet, packet.len(), LinkType::RawIp, 1, Hook::Capture, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(bytes) = self.observer.next_event() {
            self.tracker.on_event(&Event::from_bytes(&bytes).expect("a valid event"));
        }
        while let Some(record) = self.tracker.next_record() {
            if let Body::Exchange(exchange) = record.body {
                self.exchanges.push(*exchange);
            }
        }
    }

    fn finish(mut self) -> Vec<Exchange> {
        self.observer.finish();
        self.drain();
        self.tracker.finish(self.now);
        self.drain();
        self.exchanges
    }
}

/// The number of the exchange with a path, if most of it is that of one.
fn by_path(path: &str) -> Option<usize> {
    let count = |character: u8| path.bytes().filter(|byte| *byte == character).count();
    CHARACTERS.iter().position(|character| path.len() == 6 && count(*character) >= 4)
}

/// Makes a dialogue of `input`, damages one message, and checks that no exchange is reported as exact with the status of
/// another one.
///
/// # Panics
/// If one is.
pub(crate) fn check(input: &[u8]) {
    let dialogue = Dialogue::from(&mut Choices(input));
    for exchange in dialogue.exchanges() {
        if exchange.confidence != Confidence::Exact {
            continue;
        }
        let asked = exchange.request.path.as_ref().and_then(|path| by_path(path.as_str()));
        let answered = exchange.status.and_then(|status| STATUSES.iter().position(|one| *one == status));
        if let (Some(asked), Some(answered)) = (asked, answered) {
            assert_eq!(asked, answered, "an exact exchange with the answer to another request: {dialogue:?}");
        }
    }
}
