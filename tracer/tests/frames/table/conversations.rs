//! Conversations about TCP.

use super::{
    build::*,
    hostile, icmp, messages,
    talk::{Conversation, Talk},
};

/// A request without content.
pub(super) const GET: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example\r\n\r\n";
/// A response without content.
pub(super) const CACHED: &[u8] = b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n";

/// A response with this content.
pub(super) fn response(content: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
    [head.as_bytes(), content].concat()
}

/// Every conversation.
pub(crate) fn conversations() -> Vec<Conversation> {
    let mut all = messages::conversations();
    all.extend(hostile::conversations());
    all.extend(icmp::conversations().into_iter().map(|(conversation, _)| conversation));
    all.extend([
        page(0),
        page(0xffff_fff0),
        flood(),
        reuse(),
        refused(),
        content_out_of_order(),
        retransmissions(),
    ]);
    all.extend([
        windows(),
        resets(),
        twice_seen(),
        taken_over(),
        midstream(),
        older_than_the_first_segment(),
        missed_syn_ack(),
    ]);
    all.extend([
        simultaneous_open(),
        spoofed_syn(),
        closing_with_old_acknowledgment(),
        reuse_on_two_interfaces(),
    ]);
    all
}

fn page(first: u32) -> Conversation {
    let mut talk = Talk::connected(40_000, [first, first.wrapping_add(3)]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK, b"");
    let page = response(&[b'x'; 4000]);
    for piece in page.chunks(1448) {
        talk.server(ACK, piece);
        talk.client(ACK, b"");
    }
    for _ in 0..2 {
        talk.client(ACK | PSH, GET);
        talk.server(ACK | PSH, CACHED);
    }
    talk.close();
    talk.done([3, 3], format!("a page and two cached pictures, from sequence number {first:#x}"))
}

fn flood() -> Conversation {
    let mut talk = Talk::new(0, [0, 0]);
    for number in 0..1000u16 {
        talk.put(&Tcp {
            from: 20_000 + number,
            flags: SYN,
            seq: u32::from(number) << 20,
            ack: 0,
            ..Tcp::default()
        });
    }
    talk.done([0, 0], "a thousand half-open handshakes")
}

fn reuse() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.close();
    talk.next = [70_000, 90_000];
    for (side, flags) in [(0, SYN), (1, SYN | ACK), (0, ACK)] {
        talk.send(side, flags, b"");
    }
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, &response(b"again"));
    talk.close();
    talk.done([2, 2], "the same ports again, after the close")
}

fn refused() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 0]);
    talk.client(SYN, b"");
    talk.server(RST | ACK, b"");
    talk.next = [900, 0];
    talk.client(SYN, b"");
    talk.server(RST | ACK, b"");
    talk.done([0, 0], "two connections refused")
}

fn content_out_of_order() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    let page = response(&[b'x'; 5000]);
    let pieces: Vec<Tcp> = page
        .chunks(1000)
        .map(|piece| {
            let tcp = talk.segment(1, ACK, piece);
            talk.next[1] = talk.next[1].wrapping_add(piece.len() as u32);
            tcp
        })
        .collect();
    for index in [0, 2, 1, 4, 3, 5] {
        talk.put(&pieces[index]);
    }
    talk.client(ACK, b"");
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([2, 2], "content out of order")
}

fn retransmissions() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    let syn = talk.segment(0, SYN, b"");
    talk.put(&syn);
    talk.client(SYN, b"");
    let response = talk.segment(1, SYN | ACK, b"");
    talk.put(&response);
    talk.server(SYN | ACK, b"");
    talk.client(ACK, b"");
    let request = talk.segment(0, ACK | PSH, GET);
    talk.put(&request);
    talk.client(ACK | PSH, GET);
    talk.put(&Tcp { payload: GET[10..].to_vec(), seq: request.seq + 10, ..request.clone() });
    talk.put(&Tcp { payload: [GET, GET].concat(), ..request });
    talk.next[0] += GET.len() as u32;
    for _ in 0..4 {
        talk.server(ACK, b"");
    }
    talk.server(ACK | PSH, CACHED);
    let fin = talk.segment(1, FIN | ACK, b"");
    talk.put(&fin);
    talk.server(FIN | ACK, b"");
    talk.done([2, 1], "everything retransmitted, once with new data after the old")
}

fn windows() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, &response(&[b'x'; 1000])[..500]);
    let closed = Tcp { window: 0, ..talk.segment(0, ACK, b"") };
    talk.put(&closed);
    talk.put(&closed);
    let probe = talk.segment(1, ACK, b"");
    for payload in [b"".as_slice(), b"x"] {
        talk.put(&Tcp { seq: probe.seq - 1, payload: payload.to_vec(), ..probe.clone() });
    }
    talk.client(ACK, b"");
    talk.server(ACK | PSH, &[b'x'; 500]);
    for _ in 0..4 {
        talk.client(ACK, b"");
    }
    talk.done([1, 1], "a zero window, probes and keep-alives, and a window update")
}

fn resets() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(RST | ACK, b"no such thing");
    talk.client(ACK, b"");
    talk.client(RST, b"");
    talk.next = [5_000, 6_000];
    talk.client(SYN, b"");
    talk.client(RST, b"");
    talk.server(SYN | ACK, b"");
    talk.done([1, 0], "resets, with data and twice, and a segment after them")
}

fn twice_seen() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    for (side, flags, payload) in [
        (0, SYN, b"".as_slice()),
        (1, SYN | ACK, b""),
        (0, ACK, b""),
        (0, ACK | PSH, GET),
        (1, ACK | PSH, CACHED),
    ] {
        let tcp = talk.segment(side, flags, payload);
        talk.send(side, flags, payload);
        talk.on_second(true);
        talk.put(&tcp);
        talk.on_second(false);
    }
    talk.close();
    talk.done([1, 1], "every segment on two interfaces")
}

fn taken_over() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &GET[..20]);
    talk.on_second(true);
    talk.client(ACK | PSH, &GET[20..]);
    talk.server(ACK | PSH, CACHED);
    talk.on_second(false);
    // Old by now, and not on the interface that owns the direction.
    let again = talk.segment(0, ACK, b"");
    talk.put(&again);
    talk.client(ACK | PSH, GET);
    talk.on_second(true);
    talk.close();
    talk.done([2, 1], "new data on the second interface takes a direction over")
}

fn midstream() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    talk.server(ACK, &[b'x'; 700]);
    talk.client(ACK, b"");
    talk.server(ACK, &[b'x'; 700]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, &response(b"hello"));
    talk.close();
    talk.done([2, 2], "a connection seen midstream")
}

fn older_than_the_first_segment() -> Conversation {
    let mut talk = Talk::new(40_000, [10_000, 200]);
    talk.client(ACK | PSH, GET);
    let old = Tcp { seq: 9_000, ..talk.segment(0, ACK | PSH, &[0; 1020]) };
    talk.put(&old);
    talk.put(&Tcp { seq: 5_000, ..old });
    talk.client(ACK | PSH, GET);
    talk.done([2, 0], "retransmissions from before the first segment seen")
}

fn missed_syn_ack() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    talk.client(SYN, b"");
    talk.next[1] = 201;
    talk.client(ACK, b"");
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.close();
    talk.done([1, 1], "the SYN-ACK was missed")
}

fn simultaneous_open() -> Conversation {
    let mut talk = Talk::new(40_000, [100, 200]);
    talk.client(SYN, b"");
    talk.server(SYN, b"");
    talk.next = [100, 200];
    talk.put(&Tcp { ack: 201, ..talk.segment(0, SYN | ACK, b"") });
    talk.put(&Tcp { ack: 101, ..talk.segment(1, SYN | ACK, b"") });
    talk.next = [101, 201];
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([1, 1], "a simultaneous open")
}

fn spoofed_syn() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    for side in [0, 1] {
        let spoofed = Tcp { seq: 77_777, ..talk.segment(side, SYN, b"") };
        talk.put(&spoofed);
    }
    talk.server(ACK | PSH, CACHED);
    talk.close();
    let mut flood = Talk::connected(40_001, [100, 200]);
    let spoofed = Tcp { seq: 88_888, ..flood.segment(0, SYN, b"") };
    flood.put(&spoofed);
    flood.client(ACK | PSH, GET);
    talk.steps.extend(flood.steps);
    talk.done([2, 1], "spoofed SYNs: a connection does not follow them, with or without data after them")
}

fn closing_with_old_acknowledgment() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.client(FIN | ACK, b"");
    let old = Tcp { ack: 120, ..talk.segment(1, FIN | ACK, b"") };
    talk.put(&old);
    talk.next[1] += 1;
    talk.client(ACK, b"");
    talk.server(ACK, b"");
    talk.server(ACK, b"");
    talk.done([1, 1], "a FIN with an old acknowledgment closes nothing")
}

fn reuse_on_two_interfaces() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(RST, b"");
    talk.next = [70_000, 90_000];
    for second in [true, false] {
        talk.on_second(second);
        let syn = talk.segment(0, SYN, b"");
        talk.put(&syn);
    }
    talk.next[0] += 1;
    talk.server(SYN | ACK, b"");
    talk.client(ACK, b"");
    talk.done([0, 0], "the same ports again, seen on two interfaces")
}
