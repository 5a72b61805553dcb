//! Assigns events to exchanges.

use tracer_common::{
    event::{HttpFacts, Marks, ScanAnomalies},
    flow::End,
    http1::{Framing, NO_STATUS, is_interim},
};

use super::{
    Conversation, Current, Gaps, MessageStream, anomalies,
    assembly::Head,
    exchange::{Pending, Progress, StreamEnd, response_framing},
    head,
};
use crate::record::{Anomalies, Anomaly, Bodies, Body, Confidence, Request, Response, Side};

impl Conversation {
    /// The messages of an endpoint.
    pub(super) const fn stream(&mut self, from: End) -> &mut MessageStream {
        from.of_mut(&mut self.streams)
    }

    /// The side of an endpoint, if that is known.
    pub(super) fn side(&self, from: End) -> Option<Side> {
        Some(if self.client? == from { Side::Client } else { Side::Server })
    }

    /// Reports the finished exchanges, in order.
    pub(super) fn report_finished(&mut self, time: u64, out: &mut Bodies) {
        while let Some(pending) = self.queue.pop() {
            out.push((time, Body::Exchange(Box::new(pending.into_record()))));
        }
    }

    /// A new head proves that the message before it has ended, if its end was not seen.
    pub(super) fn on_next_head(&mut self, facts: &HttpFacts, from: End) {
        let stream = self.stream(from);
        if has(facts, Marks::HEAD_START) && stream.assembly.in_progress() {
            // Its sender goes on with another head.
            self.on_head_truncated(from);
            self.on_stream_end(from, StreamEnd::Abandoned { at: facts.offset });
        }
        let stream = self.stream(from);
        let Some(current) = stream.current.take_if(|current| current.head != facts.head) else { return };
        let Some(side) = self.side(from) else { return };
        let Some(pending) = self.queue.get(current.index) else { return };
        if has(facts, Marks::RESYNCED) {
            pending.message(side).mark_unknown();
        } else if pending.message(side).ends_after(facts.offset) {
            pending.message(side).on_stream_end(StreamEnd::Abandoned { at: facts.offset });
            return;
        } else {
            pending.message(side).complete_unseen();
        }
        pending.lower_confidence(Confidence::Inferred);
    }

    /// A head is complete.
    pub(super) fn on_head(
        &mut self,
        facts: &HttpFacts,
        head: &Head<'_>,
        from: End,
        gaps: &impl Gaps,
        out: &mut Bodies,
    ) {
        let index = if has(facts, Marks::RESPONSE) {
            self.on_response_head(facts, head, gaps, out)
        } else {
            self.on_request_head(facts, head, out)
        };
        self.stream(from).current = index.map(|index| Current { head: facts.head, index });
    }

    fn on_request_head(&mut self, facts: &HttpFacts, head: &Head<'_>, out: &mut Bodies) -> Option<u32> {
        if has(facts, Marks::EMPTY_LINE | Marks::LEADING_SPACE)
            && let Some(before) = self.queue.existing(facts.exchange.wrapping_sub(1))
        {
            // They belong to this request, although their segment ended before it.
            before.anomalies.remove(Anomaly::ExcessBytes);
        }
        let pending = self.queue.by_number(facts.exchange)?;
        let (parsed, mut anomalies, closes) = head::parse_request(&head.bytes, head.whole, &self.heads);
        facts.header.sender().of_mut(&mut self.streams).on_close_option(closes, &mut anomalies);
        let joined = head::has_joined_method(&parsed);
        pending.head = parsed;
        pending.lower_confidence(confidence(facts, head));
        add_leading(facts, &mut anomalies);
        add_bad_length(facts, &mut anomalies);
        if has(facts, Marks::MALFORMED) {
            anomalies.remove(Anomaly::Http09);
            anomalies.insert(Anomaly::InvalidRequestLine);
            pending.malformed = true;
            // Where its server took it to end is a guess.
            pending.lower_confidence(Confidence::Inferred);
        }
        pending.request.place = head.place;
        let (content_at, framing) = (content_at(facts), Framing::from_byte(facts.framing));
        pending.request.on_head(head.first, framing, content_at, facts.content);
        if framing == Some(Framing::Close) {
            // A request cannot end with the connection (RFC 9112, 6.3): only its server decides where it
            // ends.
            if !has(facts, Marks::BAD_LENGTH) {
                anomalies.insert(Anomaly::FinalCodingNotChunked);
            }
            pending.request.mark_unknown();
            pending.lower_confidence(Confidence::Inferred);
        }
        pending.anomalies.extend(anomalies);
        let index = pending.index;
        if !self.exchanges_only {
            let (head, confidence) = (pending.head.clone(), pending.confidence);
            let request = Request { index, head, confidence, anomalies };
            out.push((facts.header.time, Body::Request(request.into())));
        }
        if has(facts, Marks::RESYNCED) {
            self.order.on_requests_missed();
        }
        let missed = has(facts, Marks::ACKS_UNSEEN);
        if missed {
            self.order.on_responses_missed();
        }
        let waits = !missed && self.queue.waits_before(index, head.place.acked);
        self.order.on_request(head.place, waits);
        let hides = anomalies.contains(Anomaly::InvalidField) && head::hides_message(&head.bytes);
        if anomalies.contains(Anomaly::Http09) {
            // No other request can follow one of HTTP/0.9 (RFC 1945, 1.3); what follows is not known.
            self.order.on_requests_hidden();
        }
        // Nor is it known what lies behind a request whose end cannot be read.
        if hides || joined || framing == Some(Framing::Close) {
            self.doubt(index, Side::Client);
        }
        if has(facts, Marks::MALFORMED) {
            self.order.on_requests_missed();
        }
        self.queue.mark_unknown_before(index, Side::Client);
        Some(index)
    }

    /// A complete head of a response; returns the exchange of a final one.
    fn on_response_head(
        &mut self,
        facts: &HttpFacts,
        head: &Head<'_>,
        gaps: &impl Gaps,
        out: &mut Bodies,
    ) -> Option<u32> {
        let client = self.client?;
        let other = self.other.take_if(|_| !is_interim(facts.status));
        let request_in_progress = self.stream(client).assembly.place();
        self.queue.end_invalid(head.place.start);
        if has(facts, Marks::RESYNCED) {
            self.order.on_responses_missed();
        }
        if has(facts, Marks::ACKS_UNSEEN) || other.is_some() {
            self.order.on_requests_missed();
        }
        let index = if has(facts, Marks::UNSOLICITED) {
            self.queue.unsolicited().index
        } else {
            self.queue.by_number(facts.exchange)?.index
        };
        let request = &self.queue.get(index)?.request;
        let request = if request.started { Some(request.place) } else { request_in_progress };
        let waits = request.is_some_and(|request| self.queue.waits_before(index, request.acked));
        let proven = self.order.on_response(head.place, request, waits);
        let pending = self.queue.get(index)?;
        pending.lower_confidence(confidence(facts, head));
        let (mut anomalies, closes) = response_anomalies(facts, head);
        if let Some(other) = other {
            anomalies.remove(Anomaly::ResponseBeforeRequest);
            anomalies.insert(other);
        }
        facts.header.sender().of_mut(&mut self.streams).on_close_option(closes, &mut anomalies);
        pending.anomalies.extend(anomalies);
        if request.is_none() {
            // Its request was not seen; it may still come if it stands behind its response in a capture.
            if !has(facts, Marks::ACKS_UNSEEN) || other.is_some() {
                pending.request.mark_unknown();
            }
            pending.head.version = head::response_version(&head.bytes);
        }
        // Of a request, all that was to come had come when it was answered.
        let hides = anomalies.contains(Anomaly::InvalidField) && head::hides_message(&head.bytes);
        if !proven || pending.request.has_gap(client, gaps) {
            pending.lower_confidence(Confidence::Inferred);
        }
        let framing = Framing::from_byte(facts.framing);
        if has(facts, Marks::BAD_LENGTH) && matches!(framing, Some(Framing::Close | Framing::Length)) {
            // Where its receiver took it to end is a guess.
            pending.lower_confidence(Confidence::Inferred);
        }
        let interim = is_interim(facts.status);
        let fields = head::response_fields(&head.bytes, &self.heads);
        if interim {
            pending.on_interim(facts.status);
        } else {
            // A client that closed its side before waited for it.
            pending.ended = None;
            pending.status = status(facts);
            pending.response.on_head(head.first, framing, content_at(facts), facts.content);
            pending.response.place = head.place;
            if framing == Some(Framing::Tunnel) {
                pending.response.complete(None, Some(facts.header.time));
            }
        }
        let index = pending.index;
        if !self.exchanges_only {
            let response = Response {
                index,
                status: status(facts),
                framing: framing.map(response_framing),
                truncated: !head.whole,
                fields: fields.clone(),
                confidence: pending.confidence,
                anomalies,
            };
            out.push((facts.header.time, Body::Response(response.into())));
        }
        if !interim {
            pending.response_fields = fields;
            pending.response_truncated = !head.whole;
        }
        if hides {
            self.doubt(index, Side::Server);
        }
        self.queue.mark_unknown_before(index, Side::Server);
        (!interim).then_some(index)
    }

    /// The last byte of a message was seen.
    pub(super) fn on_message_end(&mut self, facts: &HttpFacts, from: End, gaps: &impl Gaps) {
        let Some(side) = self.side(from) else { return };
        // The client has sent something after its request that is no request.
        let follows = self.client.and_then(|client| self.stream(client).assembly.exchange_before_junk());
        let stream = self.stream(from);
        // The end of a head may have been lost.
        stream.assembly.clear();
        stream.last.excess = facts.anomalies.contains(ScanAnomalies::EXCESS);
        let current = stream.current.take();
        let pending = match current {
            Some(current) => self.queue.get(current.index),
            None if has(facts, Marks::HEAD_END) || (side == Side::Client) == has(facts, Marks::RESPONSE) => {
                None
            }
            None => self.on_end_without_head(facts, side),
        };
        if let Some(pending) = pending {
            pending.anomalies.extend(anomalies::of_scan(facts.anomalies));
            if side == Side::Server && follows.is_some() && follows == pending.number {
                pending.anomalies.insert(Anomaly::ExcessBytes);
            }
            pending.message(side).complete(Some(facts.content), Some(facts.header.time));
            let index = pending.index;
            // A trailer that is no field may be the start line of another message.
            if has(facts, Marks::SUSPECT) || facts.anomalies.contains(ScanAnomalies::INVALID_TRAILER) {
                self.doubt(index, side);
            }
            let Some(pending) = self.queue.get(index) else { return };
            if side == Side::Server {
                // The gap before the segment that ends it is only known with that.
                let spans = pending.response.first != Some(facts.header.time);
                let after_gap = has(facts, Marks::AFTER_GAP) && spans;
                if after_gap || pending.response.has_gap(from, gaps) {
                    pending.lower_confidence(Confidence::Inferred);
                }
                let (acked, request_end) = (pending.response.place.acked, pending.request.end);
                self.order.on_response_end(acked, message_end(facts), request_end);
            } else {
                pending.request.end = Some(message_end(facts));
            }
        }
    }

    /// The message of `side` in the exchange `index` may contain others.
    fn doubt(&mut self, index: u32, side: Side) {
        if let Some(pending) = self.queue.get(index) {
            pending.lower_confidence(Confidence::Inferred);
        }
        match side {
            Side::Client => self.order.on_requests_hidden(),
            Side::Server => self.order.on_responses_missed(),
        }
    }

    /// An endpoint sends something that is no HTTP message; `head` is what was emitted of it.
    pub(super) fn on_not_http(&mut self, facts: &HttpFacts, head: &Head<'_>, from: End) {
        if !has(facts, Marks::UNSOLICITED) && !has(facts, Marks::HEAD_END) {
            self.order.on_responses_missed();
            if let Some(pending) = self.queue.by_number(facts.exchange) {
                pending.response.on_invalid(head.place, head.first);
            }
        } else if self.side(from) != Some(Side::Server) {
            self.order.on_requests_hidden();
            self.other = Some(anomalies::of_other(&head.bytes));
        }
    }

    /// The event of the head was lost: the facts with the end of the message still hold.
    fn on_end_without_head(&mut self, facts: &HttpFacts, side: Side) -> Option<&mut Pending> {
        let index = match side {
            Side::Client => self.queue.by_number(facts.exchange)?.index,
            // These facts do not say whether there was a request, so that it must be one in progress.
            Side::Server => {
                self.queue.existing(facts.exchange).filter(|pending| !pending.response.started)?.index
            }
        };
        self.queue.mark_unknown_before(index, side);
        let pending = self.queue.get(index)?;
        pending.lower_confidence(Confidence::Inferred);
        if side == Side::Server {
            pending.status = status(facts);
            pending.response.on_head(None, Framing::from_byte(facts.framing), facts.offset, facts.content);
        }
        Some(pending)
    }

    /// The message in progress has a malformed chunk.
    pub(super) fn on_bad_chunk(&mut self, facts: &HttpFacts, from: End) {
        let Some(current) = self.stream(from).current else { return };
        if let Some(pending) = self.queue.get(current.index) {
            pending.anomalies.extend(anomalies::of_scan(facts.anomalies));
            pending.anomalies.insert(Anomaly::InvalidChunk);
        }
    }

    /// After a message, the endpoint sent bytes that start no other: they count with its exchange if that is not over, else with
    /// the next one.
    pub(super) fn on_excess(&mut self, facts: &HttpFacts, from: End) {
        let is_reported = std::mem::take(&mut self.stream(from).last.excess);
        let excess = match self.side(from) {
            _ if has(facts, Marks::RESYNCED) || is_reported => None,
            // Empty lines may belong to the next response.
            Some(Side::Server) if has(facts, Marks::NOT_HTTP) && self.queue.reported() > 0 => {
                self.queue.first_unanswered()
            }
            Some(Side::Client) => {
                self.queue.existing(facts.exchange).filter(|pending| pending.request.started)
            }
            Some(Side::Server) | None => None,
        };
        if let Some(pending) = excess {
            pending.anomalies.insert(Anomaly::ExcessBytes);
        }
    }

    /// Bytes of the endpoint were missed, so that messages may be missing.
    pub(super) fn on_lost_sync(&mut self, from: End) {
        self.stream(from).current = None;
        self.on_head_truncated(from);
        let Some(side) = self.side(from) else { return };
        match side {
            Side::Client => {
                self.order.on_requests_hidden();
                self.queue.give_up_requests();
            }
            Side::Server => self.order.on_responses_missed(),
        }
        self.queue.for_each(side, |message| {
            message.missed = true;
            let lost = message.started && message.progress == Progress::Open;
            if lost {
                message.mark_unknown();
            }
            lost
        });
    }

    /// The stream of an endpoint has ended.
    pub(super) fn on_stream_end(&mut self, from: End, how: StreamEnd) {
        self.stream(from).current = None;
        let Some(side) = self.side(from) else { return };
        self.queue.for_each(side, |message| message.on_stream_end(how));
    }

    /// A head will not be completed, but its start line is known.
    pub(super) fn on_head_truncated(&mut self, from: End) {
        let head = self.stream(from).assembly.take_partial();
        match self.side(from) {
            Some(Side::Server) => self.on_response_head_truncated(&head),
            // The head has no mark that it is a response.
            Some(Side::Client) | None if head::is_request(&head.bytes) => {
                self.on_request_head_truncated(&head, from);
            }
            Some(Side::Client) | None => {}
        }
    }

    /// Drops the incomplete head of a request without a response.
    pub(super) fn drop_unanswered_head(&mut self, from: End) {
        let number = self.stream(from).assembly.exchange();
        if self.side(from) != Some(Side::Server) && self.queue.existing(number).is_none() {
            self.stream(from).assembly.clear();
        }
    }

    fn on_request_head_truncated(&mut self, head: &Head<'_>, from: End) {
        self.client = Some(from);
        let Some(pending) = self.queue.by_number(head.exchange) else { return };
        (pending.head, pending.anomalies, _) = head::parse_request(&head.bytes, false, &self.heads);
        pending.request.on_head(head.first, None, 0, 0);
        pending.request.place = head.place;
        pending.request.missed = head.missed;
    }

    fn on_response_head_truncated(&mut self, head: &Head<'_>) {
        // If events were lost, it may answer a later request.
        let Some(pending) = self.queue.first_unanswered().filter(|pending| !pending.response.missed) else {
            return;
        };
        if !head::is_response(&head.bytes) {
            pending.response.on_invalid(head.place, head.first);
            return;
        }
        pending.status = head::response_status(&head.bytes).filter(|status| !is_interim(*status));
        if pending.status.is_some() {
            pending.response.on_head(head.first, None, 0, 0);
            pending.response_fields = head::response_fields(&head.bytes, &self.heads);
            pending.response_truncated = true;
        }
    }
}

/// Whether any of `marks` is set.
pub(super) fn has(facts: &HttpFacts, marks: Marks) -> bool {
    facts.marks.intersects(marks)
}

/// The status code of a response, if it has one.
pub(crate) fn status(facts: &HttpFacts) -> Option<u16> {
    Some(facts.status).filter(|status| *status != NO_STATUS)
}

/// The anomalies of a response, and whether its sender closes after it.
fn response_anomalies(facts: &HttpFacts, head: &Head<'_>) -> (Anomalies, bool) {
    let framing = Framing::from_byte(facts.framing);
    let (mut anomalies, closes) = anomalies::of_response(&head.bytes, status(facts), framing);
    add_leading(facts, &mut anomalies);
    add_bad_length(facts, &mut anomalies);
    // Not if the requests were not captured.
    if has(facts, Marks::UNSOLICITED) && !has(facts, Marks::RESYNCED) && facts.acked != u64::MAX {
        anomalies.insert(Anomaly::ResponseBeforeRequest);
    }
    (anomalies, closes)
}

/// Adds what came before a head.
fn add_leading(facts: &HttpFacts, anomalies: &mut Anomalies) {
    if has(facts, Marks::EMPTY_LINE) {
        anomalies.insert(Anomaly::LeadingEmptyLine);
    }
    if has(facts, Marks::LEADING_SPACE) {
        anomalies.insert(Anomaly::LeadingSpace);
    }
}

/// Adds that the scanner found no length that it can count, as in a folded field.
fn add_bad_length(facts: &HttpFacts, anomalies: &mut Anomalies) {
    if has(facts, Marks::BAD_LENGTH) && !anomalies.contains(Anomaly::ConflictingLength) {
        anomalies.insert(Anomaly::InvalidLength);
    }
}

/// Stream offset after a message that an event ends.
fn message_end(facts: &HttpFacts) -> u64 {
    content_at(facts).saturating_add(if has(facts, Marks::HEAD_END) { facts.content } else { 0 })
}

/// Stream offset after a complete head.
fn content_at(facts: &HttpFacts) -> u64 {
    facts.offset.saturating_add(u64::from(facts.len))
}

/// The confidence in a head.
fn confidence(facts: &HttpFacts, head: &Head<'_>) -> Confidence {
    if !head.whole && !has(facts, Marks::TRUNCATED) {
        Confidence::Inferred
    } else if has(facts, Marks::RESYNCED) {
        Confidence::Resynced
    } else {
        Confidence::Exact
    }
}
