//! Conversations about HTTP.

use super::{
    build::*,
    conversations::{CACHED, GET, response},
    talk::{Conversation, Talk},
};

/// The largest payload in these frames, as receive offload creates it.
const LARGE: usize = 60 * 1024;

pub(super) fn conversations() -> Vec<Conversation> {
    vec![
        coalesced(),
        byte_by_byte(),
        head_out_of_order(),
        long_head(),
        chunked(),
        tiny_chunks(),
        empty_lines(),
        tunnel(),
        until_close(),
        head_request(),
        departures(),
    ]
}

fn coalesced() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &[GET, GET, GET, GET].concat());
    let mut responses = [response(&[b'y'; 30_000]), CACHED.to_vec(), response(b"")].concat();
    responses.extend(response(&vec![b'z'; LARGE - responses.len() - 300]));
    responses.extend(CACHED);
    talk.server(ACK, &responses);
    talk.client(ACK, b"");
    talk.done([4, 5], "pipelined requests with their responses coalesced in one large segment")
}

fn byte_by_byte() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    for byte in GET {
        talk.client(ACK | PSH, &[*byte]);
    }
    for byte in response(b"hello") {
        talk.server(ACK | PSH, &[byte]);
    }
    talk.client(ACK, b"");
    talk.done([1, 1], "heads split into segments of one byte")
}

fn head_out_of_order() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    let early = talk.segment(0, ACK | PSH, &GET[..12]);
    talk.next[0] += 12;
    talk.client(ACK | PSH, &GET[12..]);
    talk.put(&early);
    talk.server(ACK, b"");
    talk.server(ACK | PSH, CACHED);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([1, 2], "a head out of order, then one in order")
}

fn long_head() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    while head.len() < 20_000 {
        head.extend(b"X-Field: a value that is long, but of no importance\r\n");
    }
    head.extend(b"Content-Length: 3\r\n\r\nabc");
    head.extend(GET);
    for piece in head.chunks(1448) {
        talk.client(ACK, piece);
    }
    talk.client(ACK, &head);
    talk.done([4, 0], "a head longer than the limit, in many segments and in one")
}

fn chunked() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &[GET, GET].concat());
    let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_vec();
    response.extend(b"5;name=value\r\nhello\r\n");
    response.extend(b"400\r\n");
    response.extend([b'x'; 0x400]);
    response.extend(b"\r\n0\r\nTrailer: a\r\n\r\n");
    response.extend(CACHED);
    for piece in response.chunks(7) {
        talk.server(ACK, piece);
    }
    talk.client(ACK | PSH, &[GET, GET].concat());
    talk.server(ACK, &response);
    talk.client(ACK | PSH, GET);
    talk.server(ACK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n");
    talk.server(ACK, CACHED);
    talk.done([5, 6], "chunked content, in small segments, in one, and malformed")
}

/// A segment that takes more work than the scanner does for one.
fn tiny_chunks() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, GET);
    let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    while response.len() < LARGE - 100 {
        response.extend(b"1\r\nx\r\n");
    }
    talk.server(ACK, &response);
    talk.server(ACK, b"0\r\n\r\n");
    talk.client(ACK | PSH, GET);
    talk.server(ACK, CACHED);
    talk.done([2, 2], "ten thousand chunks of one byte in one segment")
}

/// Every byte takes two steps, which exceeds the scanner's limit.
fn empty_lines() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, &vec![b'\n'; LARGE - 100]);
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    talk.done([1, 1], "sixty thousand empty lines in one segment")
}

fn tunnel() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, b"CONNECT example:443 HTTP/1.1\r\nHost: example\r\n\r\n");
    talk.server(ACK | PSH, b"HTTP/1.1 200 OK\r\n\r\n");
    talk.client(ACK | PSH, GET);
    talk.server(ACK | PSH, CACHED);
    let mut upgrade = Talk::connected(40_001, [100, 200]);
    upgrade.client(ACK | PSH, b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    upgrade.server(ACK | PSH, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05hello");
    upgrade.client(ACK | PSH, b"\x81\x85abcdefghi");
    talk.steps.extend(upgrade.steps);
    talk.done([2, 2], "a tunnel and an upgrade")
}

fn until_close() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(ACK | PSH, b"GET / HTTP/1.0\r\n\r\n");
    talk.server(ACK | PSH, b"HTTP/1.0 200 OK\r\n\r\nhello");
    talk.server(FIN | ACK | PSH, b", world");
    talk.client(FIN | ACK, b"");
    talk.server(ACK, b"");
    talk.done([1, 1], "content until the close")
}

fn head_request() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    talk.client(
        ACK | PSH,
        b"HEAD / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    talk.server(ACK | PSH, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    talk.client(ACK | PSH, b"hello");
    talk.server(ACK | PSH, b"HTTP/1.1 201 Created\r\nContent-Length: 2, 2\r\n\r\nok");
    talk.close();
    talk.done([2, 3], "a response to HEAD, and an interim one")
}

/// What only the scanner sees: chunk lines, trailers, and bytes after a message.
fn departures() -> Conversation {
    let mut talk = Talk::connected(40_000, [100, 200]);
    let post = b"POST / HTTP/1.1\r\nHost: example\r\nTransfer-Encoding: \tchunked,\r\n\r\n";
    let chunks: [&[u8]; 5] = [
        b" 3;\r\nabc\r\n3 xyz\nabc\n0;a=\"b;\\\"\"\r\r\n\r\n",
        b"3;a=\0\r\nabc\r\n0\r\nHost: a\r\nno field\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n: a\r\n b\r\n\rc\r\n\r\n",
        b"0\r\nX-Content-Encoding: a\r\n\r\n\r\n",
        b"3\r3\r\nabc\r\n0\r\n\r\n",
    ];
    for chunks in chunks {
        talk.client(ACK | PSH, &[post, chunks].concat());
        talk.client(ACK | PSH, b"\r\n");
        talk.server(ACK | PSH, &[&response(b"ok"), &b"more"[..]].concat());
    }
    talk.done([5, 5], "departures in chunk lines and trailers, and bytes after messages")
}
