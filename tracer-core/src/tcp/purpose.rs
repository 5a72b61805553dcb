//! What a segment is for, from the reasons of its event and its place in the connection.

use tracer_common::{event::SegmentEvent, flow::SegmentFlags, wire::TcpFlags};

use crate::record::Purpose;

/// What was found out about a segment besides its causes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circumstances {
    /// It filled a gap soon enough to have been overtaken, not sent again.
    pub(super) out_of_order: bool,
    /// It is one of the sender's repeated acknowledgments.
    pub(super) duplicate_ack: bool,
    /// The connection was not open yet.
    pub(super) opening: bool,
}

/// All that the segment is for, the most telling first; `http` are the messages in it.
pub(super) fn purposes(
    event: &SegmentEvent,
    circumstances: Circumstances,
    http: impl IntoIterator<Item = Purpose>,
) -> Vec<Purpose> {
    let has = |flag| event.reasons.contains(flag);
    let flags = event.flags;
    let mut purposes = Vec::new();
    let mut add = |condition: bool, purpose: Purpose| {
        if condition {
            purposes.push(purpose);
        }
    };
    let old = has(SegmentFlags::OLD_DATA) && !circumstances.out_of_order;
    add(old || has(SegmentFlags::REPEATED), Purpose::Retransmission);
    add(has(SegmentFlags::SYN), Purpose::AsksForConnection);
    add(has(SegmentFlags::SYN_ACK), Purpose::AcceptsConnection);
    add(has(SegmentFlags::RST) && circumstances.opening, Purpose::Refuses);
    add(has(SegmentFlags::RST) && !circumstances.opening, Purpose::Resets);
    add(has(SegmentFlags::HANDSHAKE_ACK), Purpose::ConfirmsConnection);
    add(has(SegmentFlags::GAP), Purpose::AfterGap);
    add(circumstances.out_of_order, Purpose::OutOfOrder);
    add(has(SegmentFlags::KEEP_ALIVE), Purpose::KeepAlive);
    add(has(SegmentFlags::FIN_ACKED), Purpose::ConfirmsClose);
    let mut messages = false;
    for purpose in http {
        messages = true;
        add(true, purpose);
    }
    let data = event.payload_len > 0 && !has(SegmentFlags::KEEP_ALIVE);
    add(data && !messages, Purpose::Data);
    add(has(SegmentFlags::FIN), Purpose::ReadyToClose);
    add(has(SegmentFlags::ZERO_WINDOW), Purpose::WindowFull);
    add(has(SegmentFlags::WINDOW_UPDATE), Purpose::WindowOpen);
    add(has(SegmentFlags::ACKED_UNSEEN), Purpose::AcknowledgesUnseen);
    add(circumstances.duplicate_ack, Purpose::DuplicateAck);
    let pure_ack = event.payload_len == 0
        && flags.contains(TcpFlags::ACK)
        && !flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
    if purposes.is_empty() {
        purposes.push(if pure_ack { Purpose::Acknowledges } else { Purpose::Other });
    }
    purposes
}

/// The control bits as text, in the order of the header from its end: "SYN, ACK".
pub(super) fn flags_text(flags: TcpFlags) -> String {
    const NAMES: [(TcpFlags, &str); 8] = [
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::FIN, "FIN"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::PSH, "PSH"),
        (TcpFlags::ACK, "ACK"),
        (TcpFlags::URG, "URG"),
        (TcpFlags::ECE, "ECE"),
        (TcpFlags::CWR, "CWR"),
    ];
    let set: Vec<&str> =
        NAMES.iter().filter(|(bit, _)| flags.contains(*bit)).map(|(_, name)| *name).collect();
    set.join(", ")
}
