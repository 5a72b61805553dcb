//! Hostile conversations: spoofed segments, contradicting retransmissions, absurd messages.

use super::{
    build::*,
    conversations::{GET, response},
    talk::{Conversation, Talk},
};

/// Distances of a spoofed segment from the next sequence number: before it, and beyond any window.
const OUT_OF_WINDOW: [i32; 4] = [-100_000, -0x4000_0000, 0x4000_0000, 0x7000_0000];

/// Every conversation.
pub(super) fn conversations() -> Vec<Conversation> {
    let mut all = vec![contradicting(), long_target(), pipelined()];
    all.extend(OUT_OF_WINDOW.map(|distance| spoofed(RST, distance, "resets")));
    all.extend(OUT_OF_WINDOW.map(|distance| spoofed(RST | ACK, distance, "resets with an ACK")));
    all.extend(OUT_OF_WINDOW.map(|distance| spoofed(FIN | ACK, distance, "ends")));
    all.extend(["18446744073709551615", "18446744073709551616", "-1", "5, 6", "0x10", "1e9"].map(absurd));
    all.extend(["20x", "20000", "0200", ""].map(unreadable));
    all.extend(TARGETS.iter().map(|target| hostile_target(target)));
    all
}

/// Request targets that would control a terminal, break a line or hide text.
pub(crate) const TARGETS: [&[u8]; 10] = [
    b"/\x1b[2J\x1b[31mred",
    b"/\x1b]0;title\x07",
    b"/a\rb",
    b"/a\x00b\x08\x08",
    b"/\xff\xfe\xc0\xaf",
    b"/\xed\xa0\x80",
    b"/\xc2\x9b31m",
    "/\u{202e}gpj.exe\u{200b}\u{feff}\u{2066}".as_bytes(),
    "/\u{2028}\u{2029}\u{85}\u{61c}\u{e0041}".as_bytes(),
    b"/\"\\\",\"event.name\":\"x",
];

/// Spoofed resets or FINs of both sides during an exchange, `distance` from the next sequence
/// number.
fn spoofed(flags: u8, distance: i32, what: &str) -> Conversation {
    let mut talk = Talk::connected(40_101, [1_000, 5_000]);
    talk.client(ACK | PSH, GET);
    for side in [0, 1] {
        let next = talk.segment(side, flags, b"");
        talk.put(&Tcp { seq: next.seq.wrapping_add_signed(distance), ..next });
    }
    talk.server(ACK | PSH, &response(b"hello"));
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, &response(b"hello"));
    talk.close();
    talk.done([2, 2], format!("spoofed {what}, {distance} from the window"))
}

/// Retransmissions with different bytes, in whole and in part: the first bytes count.
fn contradicting() -> Conversation {
    let mut talk = Talk::connected(40_102, [1_000, 5_000]);
    let (first, rest) = GET.split_at(20);
    for (sent, lie) in [(first, &b"POST /spoofed HTTP/1.1"[..20]), (rest, &[b'\n'; 8])] {
        let before = talk.segment(0, ACK | PSH, lie);
        talk.client(ACK | PSH, sent);
        talk.put(&before);
        talk.put(&Tcp { seq: before.seq.wrapping_sub(1), ..before });
    }
    talk.server(ACK | PSH, &response(b"hello"));
    talk.close();
    talk.done([1, 1], "retransmissions with other content")
}

/// A response with an absurd Content-Length.
fn absurd(length: &str) -> Conversation {
    let mut talk = Talk::connected(40_103, [1_000, 5_000]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello").as_bytes());
    talk.client(ACK | PSH, GET);
    talk.close();
    talk.done([2, 1], format!("Content-Length: {length}"))
}

/// A response with an invalid status code.
fn unreadable(status: &str) -> Conversation {
    let mut talk = Talk::connected(40_107, [1_000, 5_000]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, format!("HTTP/1.1 {status} OK\r\nContent-Length: 5\r\n\r\nhello").as_bytes());
    talk.close();
    talk.done([1, 1], format!("the status {status:?}"))
}

/// A request line and a field of 9 KiB each, in segments of 1,400 bytes.
fn long_target() -> Conversation {
    let mut talk = Talk::connected(40_104, [1_000, 5_000]);
    let text = "x\u{1b}".repeat(4_600);
    let head = format!("GET /{text} HTTP/1.1\r\nHost: a\r\nX: {text}\r\n\r\n");
    for piece in head.as_bytes().chunks(1_400) {
        talk.client(ACK | PSH, piece);
    }
    talk.server(ACK | PSH, &response(b"hello"));
    talk.close();
    talk.done([1, 1], "a head of more than 16 KiB")
}

/// More pipelined requests than are kept.
fn pipelined() -> Conversation {
    let mut talk = Talk::connected(40_105, [1_000, 5_000]);
    for _ in 0..10 {
        talk.client(ACK | PSH, &b"GET / HTTP/1.1\r\n\r\n".repeat(70));
    }
    talk.close();
    talk.done([700, 0], "seven hundred requests without a response")
}

fn hostile_target(target: &[u8]) -> Conversation {
    let mut talk = Talk::connected(40_106, [1_000, 5_000]);
    let head = [b"GET ", target, b"?", target, b" HTTP/1.1\r\nHost: ", &target[1..], b"\r\n\r\n"].concat();
    talk.client(ACK | PSH, &head);
    talk.server(ACK | PSH, &response(b"hello"));
    talk.close();
    talk.done([1, 1], format!("the target {}", target.escape_ascii()))
}
