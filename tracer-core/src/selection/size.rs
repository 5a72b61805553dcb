//! How much memory a record takes.

use crate::record::{
    Body, Closed, Exchange, Flood, FloodEnded, IcmpError, Listener, Purpose, Record, Request, Response,
    SegmentSeen, Summary, heap_of,
};

/// Bytes that the allocator adds to each piece.
const ALLOCATION: usize = 16;

/// Bytes of a record, without what it shares with others of its connection.
pub(super) fn bytes(record: &Record) -> usize {
    let boxed = match &record.body {
        Body::Opened(_) | Body::State(_) | Body::HalfOpen(_) | Body::Degraded(_) => 0,
        Body::Request(request) => size_of::<Request>() + request.head.heap(),
        Body::Response(response) => size_of::<Response>() + heap_of(response.fields.as_deref()),
        Body::Exchange(exchange) => {
            let heads = exchange.request.heap() + heap_of(exchange.response_fields.as_deref());
            size_of::<Exchange>() + heads + 2 * exchange.interim_statuses.capacity()
        }
        Body::Segment(segment) => segment_bytes(segment),
        Body::Icmp(_) => size_of::<IcmpError>(),
        Body::Closed(closed) => size_of::<Closed>() + closed.history.capacity(),
        Body::FloodStarted(_) => size_of::<Flood>(),
        Body::FloodEnded(_) => size_of::<FloodEnded>(),
        Body::Listener(_) => size_of::<Listener>(),
        Body::Summary(_) => size_of::<Summary>(),
    };
    size_of::<Record>() + ALLOCATION + boxed
}

fn segment_bytes(segment: &SegmentSeen) -> usize {
    let texts = segment.purposes.iter().map(|purpose| {
        if let Purpose::Request(method, target) = purpose {
            method.as_str().len() + target.as_str().len() + 2 * ALLOCATION
        } else {
            0
        }
    });
    let lists = segment.flags.capacity() + segment.purposes.capacity() * size_of::<Purpose>();
    size_of::<SegmentSeen>() + lists + 2 * ALLOCATION + texts.sum::<usize>()
}
