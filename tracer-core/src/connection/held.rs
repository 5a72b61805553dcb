//! Messages held until the segment that carries them is reported.

use tracer_common::{
    event::{EventHeader, HttpFacts, Marks},
    flow::End,
};

use crate::{
    http,
    record::{Bodies, Body, Purpose, heap_of},
};

/// The most records held for a segment, whose event may have been lost.
const MAX_HELD: usize = 256;

/// The messages in the segment whose event comes next.
#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    /// What the segment is for, because of them.
    pub(super) purposes: Vec<Purpose>,
    /// Their records.
    pub(super) records: Bodies,
    /// Who sent the segment, and when.
    of: Option<(End, u64)>,
}

impl HeldMessages {
    /// Reports what is held if it is more than one segment can carry: the events of segments must have been
    /// lost.
    pub(super) fn limit(&mut self, out: &mut Bodies) {
        if self.records.len() >= MAX_HELD {
            out.append(&mut self.records);
            self.purposes.clear();
        }
    }

    /// Reports what is held if the segment with `header` does not carry it: payload that a capture has in another order than
    /// that of the stream is read later.
    pub(super) fn release_others(&mut self, header: &EventHeader, out: &mut Bodies) {
        if self.of.is_some_and(|of| !is_same(of, (header.sender(), header.time))) {
            out.append(&mut self.records);
            self.purposes.clear();
        }
    }

    /// Adds the purposes of the records after the first `known`, and that of the end of a message.
    pub(super) fn note(&mut self, facts: &HttpFacts, known: usize) {
        let of = (facts.header.sender(), facts.header.time);
        if self.of.replace(of).is_some_and(|before| !is_same(before, of)) {
            self.purposes.clear();
        }
        let new = self.records.iter().skip(known);
        self.purposes.extend(new.filter_map(|(_, body)| purpose(body)));
        if facts.marks.contains(Marks::MESSAGE_END) {
            self.purposes.push(if facts.marks.contains(Marks::RESPONSE) {
                Purpose::ResponseComplete(http::status(facts))
            } else {
                Purpose::RequestComplete
            });
        }
    }

    /// Bytes of memory that the records take.
    pub(super) fn buffered(&self) -> usize {
        let fields: usize = self.records.iter().map(|(_, body)| heap_of(body.header_fields())).sum();
        self.records.len() * size_of::<(u64, Body)>() + fields
    }
}

/// Whether two events are of the same segment: the kernel reads the clock for each.
fn is_same(one: (End, u64), other: (End, u64)) -> bool {
    const NEAR_NS: u64 = 1_000_000;
    one.0 == other.0 && one.1.abs_diff(other.1) < NEAR_NS
}

fn purpose(body: &Body) -> Option<Purpose> {
    if let Body::Request(request) = body {
        Some(Purpose::Request(request.head.method.clone()?, request.head.target.clone()?))
    } else if let Body::Response(response) = body {
        response.status.map(Purpose::Response)
    } else {
        None
    }
}
