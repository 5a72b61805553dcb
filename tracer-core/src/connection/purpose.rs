//! The purposes of a segment, from its [`cause`]s, its context and the messages in it.

use tracer_common::{event::SegmentEvent, flow::SegmentFlags, wire::TcpFlags};

use crate::{record::Purpose, tcp::SegmentContext};

/// The purposes of a segment, the most important first; `messages` are those of the application protocol.
pub(super) fn purposes(
    event: &SegmentEvent,
    context: SegmentContext,
    messages: impl IntoIterator<Item = Purpose>,
) -> Vec<Purpose> {
    let has = |flag| event.reasons.contains(flag);
    let flags = event.flags;
    let mut purposes = Vec::new();
    let mut add = |condition: bool, purpose: Purpose| {
        if condition {
            purposes.push(purpose);
        }
    };
    let old = has(SegmentFlags::OLD_DATA) && !context.out_of_order;
    add(old || has(SegmentFlags::REPEATED), Purpose::Retransmission);
    add(has(SegmentFlags::SYN), Purpose::RequestsConnection);
    add(has(SegmentFlags::SYN_ACK), Purpose::AcceptsConnection);
    add(has(SegmentFlags::RST) && context.opening, Purpose::Refuses);
    add(has(SegmentFlags::RST) && !context.opening, Purpose::Resets);
    add(has(SegmentFlags::HANDSHAKE_ACK), Purpose::ConfirmsConnection);
    add(has(SegmentFlags::GAP), Purpose::PreviousSegmentNotCaptured);
    add(context.out_of_order, Purpose::OutOfOrder);
    add(has(SegmentFlags::KEEP_ALIVE), Purpose::KeepAlive);
    add(has(SegmentFlags::FIN_ACKED), Purpose::ConfirmsClose);
    let mut has_messages = false;
    for purpose in messages {
        has_messages = true;
        add(true, purpose);
    }
    let data = event.payload_len > 0 && !has(SegmentFlags::KEEP_ALIVE);
    add(data && !has_messages, Purpose::Data);
    add(has(SegmentFlags::FIN), Purpose::ReadyToClose);
    add(has(SegmentFlags::ZERO_WINDOW), Purpose::ZeroWindow);
    add(has(SegmentFlags::WINDOW_UPDATE), Purpose::WindowUpdate);
    add(has(SegmentFlags::ACKED_UNSEEN), Purpose::AckedUnseenSegment);
    add(has(SegmentFlags::STRAY), Purpose::Stray);
    add(context.duplicate_ack, Purpose::DuplicateAck);
    let pure_ack = event.payload_len == 0
        && flags.contains(TcpFlags::ACK)
        && !flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
    if purposes.is_empty() {
        purposes.push(if pure_ack { Purpose::Acknowledges } else { Purpose::Other });
    }
    purposes
}

/// The control bits as text, as in "SYN, ACK".
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
