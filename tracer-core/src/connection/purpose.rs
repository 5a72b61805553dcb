//! The purposes of a segment, from its [`cause`]s, its context and the messages in it.

use tracer_common::{event::SegmentEvent, flow::cause, wire::TcpFlags};

use crate::{record::Purpose, tcp::SegmentContext};

/// The purposes of a segment, the most important first; `messages` are those of the application protocol.
pub(super) fn purposes(
    event: &SegmentEvent,
    context: SegmentContext,
    messages: impl IntoIterator<Item = Purpose>,
) -> Vec<Purpose> {
    let has = |bits: u32| event.causes & bits != 0;
    let flags = TcpFlags(event.flags);
    let mut purposes = Vec::new();
    let mut add = |condition: bool, purpose: Purpose| {
        if condition {
            purposes.push(purpose);
        }
    };
    let old = has(cause::OLD_DATA) && !context.out_of_order;
    add(old || has(cause::REPEATED), Purpose::Retransmission);
    add(has(cause::SYN), Purpose::RequestsConnection);
    add(has(cause::SYN_ACK), Purpose::AcceptsConnection);
    add(has(cause::RST) && context.opening, Purpose::Refuses);
    add(has(cause::RST) && !context.opening, Purpose::Resets);
    add(has(cause::HANDSHAKE_ACK), Purpose::ConfirmsConnection);
    add(has(cause::GAP), Purpose::PreviousSegmentNotCaptured);
    add(context.out_of_order, Purpose::OutOfOrder);
    add(has(cause::KEEP_ALIVE), Purpose::KeepAlive);
    add(has(cause::FIN_ACKED), Purpose::ConfirmsClose);
    let mut has_messages = false;
    for purpose in messages {
        has_messages = true;
        add(true, purpose);
    }
    let data = event.payload_len > 0 && !has(cause::KEEP_ALIVE);
    add(data && !has_messages, Purpose::Data);
    add(has(cause::FIN), Purpose::ReadyToClose);
    add(has(cause::ZERO_WINDOW), Purpose::ZeroWindow);
    add(has(cause::WINDOW_OPEN), Purpose::WindowUpdate);
    add(has(cause::ACKED_UNSEEN), Purpose::AckedUnseenSegment);
    add(context.duplicate_ack, Purpose::DuplicateAck);
    let pure_ack = event.payload_len == 0
        && flags.has(TcpFlags::ACK)
        && !flags.has(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
    if purposes.is_empty() {
        purposes.push(if pure_ack { Purpose::Acknowledges } else { Purpose::Other });
    }
    purposes
}

/// The control bits as text, as in "SYN, ACK".
pub(super) fn flags_text(flags: u8) -> String {
    const NAMES: [(u8, &str); 8] = [
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::FIN, "FIN"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::PSH, "PSH"),
        (TcpFlags::ACK, "ACK"),
        (TcpFlags::URG, "URG"),
        (TcpFlags::ECE, "ECE"),
        (TcpFlags::CWR, "CWR"),
    ];
    let set: Vec<&str> = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    set.join(", ")
}
