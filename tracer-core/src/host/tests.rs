//! Connections whose segments are cut, reordered and repeated at random have the same exchanges.

use tracer_common::event::{Event, Hook};
use tracer_common::wire::{LinkType, TcpFlags};

use super::{HostObserver, Selection};
use crate::{
    http::{ConnectionEnd, Conversation},
    record::{Bodies, Body},
};

const CLIENT_ISN: u32 = 0xffff_ff00;
const SERVER_ISN: u32 = 77;

/// A pseudo-random number generator (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A segment: whether the client sends it, its stream offset, its payload.
type Piece<'a> = (bool, u32, &'a [u8]);

/// An IPv4 packet without checksums.
fn packet(from_client: bool, seq: u32, ack: u32, flags: TcpFlags, payload: &[u8]) -> Vec<u8> {
    let (client, server): ([u8; 6], [u8; 6]) = ([10, 0, 0, 1, 0x9c, 0x40], [10, 0, 0, 2, 0, 80]);
    let (from, to) = if from_client { (client, server) } else { (server, client) };
    let len = (40 + payload.len()) as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    bytes.extend(&from[..4]);
    bytes.extend(&to[..4]);
    bytes.extend(&from[4..]);
    bytes.extend(&to[4..]);
    bytes.extend(seq.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    bytes.extend([0x50, flags.bits(), 2, 0, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// The exchanges of these segments, in this order, after a handshake.
fn exchanges(reassemble: bool, pieces: &[Piece<'_>]) -> Vec<String> {
    let mut observer = HostObserver::new(Selection { reassemble, ..Selection::default() });
    let mut conversation = Conversation::default();
    let mut out = Bodies::new();
    let mut time = 0;
    let mut observe = |observer: &mut HostObserver, packet: &[u8]| {
        time += 1;
        let outcome = observer.observe(packet, packet.len(), LinkType::RawIp, 1, Hook::Capture, time);
        assert_eq!(outcome, Ok(()));
    };
    let handshake = TcpFlags::SYN | TcpFlags::ACK;
    observe(&mut observer, &packet(true, CLIENT_ISN - 1, 0, TcpFlags::SYN, b""));
    observe(&mut observer, &packet(false, SERVER_ISN - 1, CLIENT_ISN, handshake, b""));
    observe(&mut observer, &packet(true, CLIENT_ISN, SERVER_ISN, TcpFlags::ACK, b""));
    for &(from_client, at, bytes) in pieces {
        // Nothing is acknowledged, so that every gap may still be filled.
        let (seq, ack) = if from_client { (CLIENT_ISN, SERVER_ISN) } else { (SERVER_ISN, CLIENT_ISN) };
        observe(&mut observer, &packet(from_client, seq.wrapping_add(at), ack, TcpFlags::ACK, bytes));
    }
    observer.finish();
    assert!(observer.reassembly.as_mut().is_none_or(|held| !held.get_mut().is_holding()));
    while let Some(bytes) = observer.next_event() {
        if let Ok(Event::Http(facts, head)) = Event::from_bytes(&bytes) {
            conversation.on_event(&facts, head, &(), &mut out);
        }
    }
    conversation.finish(ConnectionEnd::NotObserved, 1000, &mut out);
    let mut exchanges = Vec::new();
    for (_, body) in out {
        if let Body::Exchange(mut exchange) = body {
            exchange.request_ns = None;
            exchange.response_ns = None;
            exchange.time_to_first_byte_ns = None;
            exchange.duration_ns = None;
            exchanges.push(format!("{exchange:?}"));
        }
    }
    exchanges
}

/// The streams of client and server.
const REQUESTS: &str = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n\r\nHEAD /3 HTTP/1.1\nHost: a\n\nPUT /4 HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 4\r\n\r\nbodyGET /5\r\n";
const RESPONSES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789HTTP/1.1 100 Continue\r\n\r\n\
    HTTP/1.1 201\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n\
    HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end";

/// The stream in consecutive pieces of up to `most` bytes.
fn cut<'a>(random: &mut Random, from_client: bool, stream: &'a str, most: usize) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let end = stream.len().min(at + 1 + random.below(most));
        pieces.push((from_client, at as u32, &stream.as_bytes()[at..end]));
        at = end;
    }
    pieces
}

#[test]
fn exchanges_are_the_same_however_streams_are_cut() {
    let whole = [(true, 0, REQUESTS.as_bytes()), (false, 0, RESPONSES.as_bytes())];
    let expected = exchanges(false, &whole);
    assert_eq!(expected.len(), 5);
    let mut random = Random(1);
    for round in 0..300 {
        let most = 1 + random.below(80);
        let mut pieces = cut(&mut random, true, REQUESTS, most);
        pieces.extend(cut(&mut random, false, RESPONSES, most));
        for reassemble in [false, true] {
            assert_eq!(exchanges(reassemble, &pieces), expected, "round {round}, reassembly: {reassemble}");
        }
    }
}

#[test]
fn exchanges_are_the_same_in_whatever_order_segments_arrive() {
    let expected = exchanges(false, &[(true, 0, REQUESTS.as_bytes()), (false, 0, RESPONSES.as_bytes())]);
    let mut random = Random(2);
    for round in 0..300 {
        let mut pieces = Vec::new();
        for (from_client, stream) in [(true, REQUESTS), (false, RESPONSES)] {
            let mut side = Vec::new();
            // Several cuts of the same stream overlap in every way.
            for _ in 0..=random.below(3) {
                let most = 2 + random.below(80);
                side.extend(cut(&mut random, from_client, stream, most));
            }
            // Any observer takes a single byte before the next one for a keep-alive.
            side.retain(|(_, _, bytes)| bytes.len() > 1);
            side.extend(
                cut(&mut random, from_client, stream, 80).into_iter().filter(|piece| piece.2.len() > 1),
            );
            side.push((from_client, 0, stream.as_bytes()));
            for last in (1..side.len() - 1).rev() {
                let other = random.below(last + 1);
                side.swap(last, other);
            }
            pieces.extend(side);
        }
        assert_eq!(exchanges(true, &pieces), expected, "round {round}");
    }
}

#[test]
fn arbitrary_segments_are_observed_without_a_panic() {
    let mut random = Random(3);
    for _ in 0..300 {
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        for _ in 0..random.below(40) {
            let stream = [REQUESTS, RESPONSES][random.below(2)].as_bytes();
            let start = random.below(stream.len());
            let end = start + random.below(stream.len() - start);
            pieces.push((random.below(2) == 0, random.below(2000) as u32, &stream[start..end]));
        }
        let _ = exchanges(true, &pieces);
    }
}
