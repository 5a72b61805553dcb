//! Checks the host's outcome for each frame of a table. `tests/kernel/differential.rs` compares the
//! kernel programs with it, using the same table.
#![forbid(unsafe_code)]

mod damaged;
#[path = "../support/dialogue.rs"]
mod dialogue;
mod hostile;
#[path = "../support/packet.rs"]
mod packet;
#[path = "../support/schema.rs"]
mod schema;
mod seeds;
mod table;

use bytes::Bytes;
use table::{
    Facts, Row,
    build::{DATA_OFFSET, Tcp, with},
    complete_heads,
    conversations::conversations,
    decoded, icmp, random, rows, transport,
};
use tracer_common::{
    counter::Counter,
    event::Hook,
    wire::{LinkType, Skip},
};
use tracer_core::host::{HostObserver, Selection};

/// More than the comparison with the kernel runs: they are cheap here.
const RANDOM_CONVERSATIONS: u64 = 5_000;

fn drain(observer: &mut HostObserver) -> Vec<Bytes> {
    std::iter::from_fn(|| observer.next_event()).collect()
}

fn check(row: &Row) {
    let selection = Selection { decapsulate: row.tunnel, ..Selection::default() };
    let mut observer = HostObserver::new(selection);
    let outcome = observer.observe(&row.frame, row.frame.len(), row.link, 1, Hook::Capture, 1);
    assert_eq!(outcome, row.outcome, "{}: {:02x?}", row.name, row.frame);
    let index = outcome.map_or_else(|reason| reason as usize, |()| Counter::Matched as usize);
    assert_eq!(observer.counters()[index], 1, "{}: counted once", row.name);
    let events = drain(&mut observer);
    let facts = Facts::of(&decoded(&events));
    if outcome.is_err() {
        assert_eq!(facts, Facts::default(), "{}: no events", row.name);
    }
    if let Some(expected) = &row.facts {
        assert_eq!(&facts, expected, "{}", row.name);
    }
}

#[test]
fn every_frame_of_the_table_has_the_outcome_of_its_row() {
    let rows = rows();
    assert!(rows.len() >= 80, "{} rows", rows.len());
    let failed = rows.iter().filter(|row| std::panic::catch_unwind(|| check(row)).is_err()).count();
    assert_eq!(failed, 0, "rows that failed, of {}", rows.len());
}

#[test]
fn the_ninth_control_bit_changes_nothing() {
    let observe = |frame: &[u8]| {
        let mut observer = HostObserver::new(Selection::default());
        let outcome = observer.observe(frame, frame.len(), LinkType::Ethernet, 1, Hook::Capture, 1);
        (outcome, drain(&mut observer))
    };
    for row in transport::flags() {
        let other = with(row.frame.clone(), DATA_OFFSET, &[row.frame[DATA_OFFSET] ^ 1]);
        assert_eq!(observe(&row.frame), observe(&other), "{}, and the other way", row.name);
    }
}

#[test]
fn a_first_fragment_is_counted_as_a_first_fragment() {
    let mut observer = HostObserver::new(Selection::default());
    for row in rows().iter().filter(|row| row.name.ends_with("the first of several fragments")) {
        let _ = observer.observe(&row.frame, row.frame.len(), row.link, 1, Hook::Capture, 1);
    }
    assert_eq!(observer.counters()[Counter::FirstFragment as usize], 2, "one of IPv4, one of IPv6");
}

#[test]
fn conversations_and_random_frames_are_all_counted_and_their_events_decode() {
    let random = (0..RANDOM_CONVERSATIONS).map(random::conversation);
    for conversation in conversations().into_iter().chain(random) {
        let mut observer = HostObserver::new(Selection::default());
        for (time, step) in (1..).zip(&conversation.steps) {
            let interface = 1 + u32::from(step.second);
            let _ = observer.observe(
                &step.frame,
                step.frame.len(),
                LinkType::Ethernet,
                interface,
                Hook::Xdp,
                time,
            );
        }
        let counters = observer.counters();
        let outcomes: u64 = counters[..=Counter::Matched as usize].iter().sum();
        assert_eq!(outcomes, conversation.steps.len() as u64, "{}: one outcome a frame", conversation.name);
        let events = drain(&mut observer);
        if let Some(heads) = conversation.heads {
            assert_eq!(complete_heads(&decoded(&events)), heads, "{}: complete heads", conversation.name);
        }
        let emitted: u64 = Counter::EMITTED.iter().map(|counter| counters[*counter as usize]).sum();
        assert_eq!(emitted, events.len() as u64, "{}: every event is counted", conversation.name);
    }
}

#[test]
fn icmp_errors_are_reported_with_the_connection_whose_segment_they_quote() {
    for (conversation, expected) in icmp::conversations() {
        let mut observer = HostObserver::new(Selection::default());
        for (time, step) in (1..).zip(&conversation.steps) {
            let frame = &step.frame;
            let _ = observer.observe(frame, frame.len(), LinkType::Ethernet, 1, Hook::Capture, time);
        }
        let events = drain(&mut observer);
        assert_eq!(Facts::of(&decoded(&events)).icmp, expected, "{}", conversation.name);
        assert_eq!(observer.kept().0 + observer.kept().1, 1, "{}: no other connection", conversation.name);
    }
}

#[test]
fn a_frame_truncated_by_the_capture_counts_with_its_length_on_the_wire() {
    let frame = Tcp::sending(b"GET / HTTP/1.1\r\n\r\n").frame();
    let mut observer = HostObserver::new(Selection::default());
    let captured = &frame[..60];
    let outcome = observer.observe(captured, frame.len(), LinkType::Ethernet, 1, Hook::Capture, 1);
    assert_eq!(outcome, Ok(()), "all headers are there");
    let events = drain(&mut observer);
    let facts = Facts::of(&decoded(&events));
    assert_eq!(facts.payload_len, 18, "as sent, not as captured");
    let outcome = observer.observe(captured, captured.len(), LinkType::Ethernet, 1, Hook::Capture, 2);
    assert_eq!(outcome, Err(Skip::Truncated), "cut on the wire");
}

/// Splits `packet` (IPv4 with a header of 20 bytes) into fragments with `size` bytes of payload.
fn fragments(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let pieces = payload.chunks(size).enumerate();
    pieces
        .map(|(number, piece)| {
            let offset = number * size / 8;
            let more = number * size + piece.len() < payload.len();
            let mut fragment = [header, piece].concat();
            fragment[2..4].copy_from_slice(&((20 + piece.len()) as u16).to_be_bytes());
            fragment[6..8].copy_from_slice(&(offset as u16 | u16::from(more) << 13).to_be_bytes());
            fragment
        })
        .collect()
}

#[test]
fn fragments_are_reassembled_into_a_segment_also_around_a_tunnel() {
    use table::build::{IPV4, ethernet, ipv4};
    let inner = Tcp::sending(b"GET / HTTP/1.1\r\n\r\n").packet();
    let tunnel = ipv4(&[], 4, &inner);
    let both = ipv4(&[], 4, &fragments(&inner, 24)[0]);
    let rest = fragments(&inner, 24)[1].clone();
    let whole = |packets: Vec<Vec<u8>>| packets.into_iter().map(|packet| ethernet(IPV4, &packet));
    for (name, frames, heads) in [
        ("fragments", whole(fragments(&inner, 24)).collect::<Vec<_>>(), 1),
        ("fragments shorter than the TCP header", whole(fragments(&inner, 8)).collect(), 1),
        ("the last one first", whole(fragments(&inner, 24)).rev().collect(), 1),
        ("one is missing", whole(fragments(&inner, 8)).skip(1).collect(), 0),
        ("fragments of a tunnel", whole(fragments(&tunnel, 16)).collect(), 1),
        (
            "fragments of a tunnel of fragments",
            whole(fragments(&both, 16)).chain(whole(fragments(&ipv4(&[], 4, &rest), 16))).collect(),
            1,
        ),
    ] {
        let selection = Selection { decapsulate: true, reassemble: true, ..Selection::default() };
        let mut observer = HostObserver::new(selection);
        let last = frames.len() - 1;
        for (number, frame) in frames.iter().enumerate() {
            let outcome = observer.observe(frame, frame.len(), LinkType::Ethernet, 1, Hook::Capture, 1);
            let expected = if heads == 1 && number == last { Ok(()) } else { Err(Skip::Fragment) };
            assert_eq!(outcome, expected, "{name}, frame {number}");
        }
        let events = drain(&mut observer);
        assert_eq!(complete_heads(&decoded(&events)), [heads, 0], "{name}");
    }
}
