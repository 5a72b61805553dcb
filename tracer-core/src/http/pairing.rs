//! Which exchange an event is about, and what it changes there.

use tracer_common::{
    event::{HttpFacts, Marks},
    http1::{Framing, NO_STATUS, is_interim},
};

use super::{
    Conversation, Current, Direction, anomalies,
    assembly::Head,
    exchange::{Pending, Progress, StreamEnd, response_framing},
    head,
};
use crate::record::{Anomalies, Anomaly, Bodies, Body, Confidence, Request, Response};

impl Conversation {
    /// What one side sends.
    pub(super) const fn direction(&mut self, from_low: bool) -> &mut Direction {
        if from_low { &mut self.low } else { &mut self.high }
    }

    /// Whether that side is the client, if either is.
    pub(super) fn is_client(&self, from_low: bool) -> Option<bool> {
        Some(self.client_is_low? == from_low)
    }

    /// Tells the exchanges that are over, as far as all before them are.
    pub(super) fn tell_over(&mut self, time: u64, out: &mut Bodies) {
        while let Some(pending) = self.queue.pop() {
            out.push((time, Body::Exchange(Box::new(pending.into_record()))));
        }
    }

    /// A new head proves that the message before it is over, if its end was not told.
    pub(super) fn on_next_head(&mut self, facts: &HttpFacts, from_low: bool) {
        let direction = self.direction(from_low);
        let Some(current) = direction.current.take_if(|current| current.head != facts.head) else { return };
        let Some(client) = self.is_client(from_low) else { return };
        let Some(pending) = self.queue.get(current.index) else { return };
        if has(facts, Marks::RESYNCED) {
            pending.side(client).give_up();
        } else {
            pending.side(client).passed();
        }
        pending.weaken(Confidence::Inferred);
    }

    /// A head is complete.
    pub(super) fn on_head(&mut self, facts: &HttpFacts, head: &Head<'_>, from_low: bool, out: &mut Bodies) {
        let index = if has(facts, Marks::RESPONSE) {
            self.on_response_head(facts, head, out)
        } else {
            self.on_request_head(facts, head, out)
        };
        self.direction(from_low).current = index.map(|index| Current { head: facts.head, index });
    }

    fn on_request_head(&mut self, facts: &HttpFacts, head: &Head<'_>, out: &mut Bodies) -> Option<u32> {
        let pending = self.queue.by_number(facts.exchange)?;
        let (told, mut odd) = head::parse_request(&head.bytes, head.whole, self.redaction.as_deref());
        pending.head = told;
        pending.weaken(confidence(facts, head));
        if has(facts, Marks::EMPTY_LINE) {
            odd.insert(Anomaly::LeadingEmptyLine);
        }
        pending.anomalies.extend(odd);
        let (content_at, framing) = (content_at(facts), Framing::from_byte(facts.framing));
        pending.request.on_head(head.first, framing, content_at, facts.content);
        if framing == Some(Framing::Close) {
            // A request cannot be delimited so (RFC 9112, 6.3): where it ends, only its server decides.
            pending.request.give_up();
            pending.weaken(Confidence::Inferred);
        }
        let index = pending.index;
        if !self.exchanges_only {
            let (head, confidence) = (pending.head.clone(), pending.confidence);
            let request = Request { index, head, confidence, anomalies: odd };
            out.push((facts.header.time, Body::Request(request.into())));
        }
        self.queue.give_up_before(index, true);
        Some(index)
    }

    /// Returns the exchange of a final response.
    fn on_response_head(&mut self, facts: &HttpFacts, head: &Head<'_>, out: &mut Bodies) -> Option<u32> {
        let client_is_low = self.client_is_low?;
        let request_begun = self.direction(client_is_low).assembly.in_progress();
        let pending = if has(facts, Marks::UNSOLICITED) {
            self.queue.unsolicited()
        } else {
            self.queue.by_number(facts.exchange)?
        };
        pending.weaken(confidence(facts, head));
        let odd = response_anomalies(facts, head);
        pending.anomalies.extend(odd);
        if !pending.request.begun && !request_begun {
            // Its request was not told, and will not be.
            pending.request.give_up();
            pending.weaken(Confidence::Inferred);
            pending.head.version = head::response_version(&head.bytes);
        }
        let framing = Framing::from_byte(facts.framing);
        let interim = is_interim(facts.status);
        if interim {
            pending.on_interim(facts.status);
        } else {
            pending.status = status(facts);
            pending.response.on_head(head.first, framing, content_at(facts), facts.content);
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
                confidence: pending.confidence,
                anomalies: odd,
            };
            out.push((facts.header.time, Body::Response(response.into())));
        }
        self.queue.give_up_before(index, false);
        (!interim).then_some(index)
    }

    /// The last byte of a message was seen.
    pub(super) fn on_message_end(&mut self, facts: &HttpFacts, from_low: bool) {
        let Some(client) = self.is_client(from_low) else { return };
        let direction = self.direction(from_low);
        // The end of a head may have been lost.
        direction.assembly.clear();
        let current = direction.current.take();
        let pending = match current {
            Some(current) => self.queue.get(current.index),
            None if has(facts, Marks::HEAD_END) || client == has(facts, Marks::RESPONSE) => None,
            None => self.on_end_without_head(facts, client),
        };
        if let Some(pending) = pending {
            pending.side(client).complete(Some(facts.content), Some(facts.header.time));
        }
    }

    /// The head was lost on its way to userspace: what the kernel says of it with the end still holds.
    fn on_end_without_head(&mut self, facts: &HttpFacts, client: bool) -> Option<&mut Pending> {
        let index = if client {
            self.queue.by_number(facts.exchange)?.index
        } else {
            // Whether a request was seen for it is not told here, so only a pending one can be meant.
            self.queue.existing(facts.exchange).filter(|pending| !pending.response.begun)?.index
        };
        self.queue.give_up_before(index, client);
        let pending = self.queue.get(index)?;
        pending.weaken(Confidence::Inferred);
        if !client {
            pending.status = status(facts);
            pending.response.on_head(None, Framing::from_byte(facts.framing), facts.offset, facts.content);
        }
        Some(pending)
    }

    /// The message being sent has a chunk that is not one.
    pub(super) fn on_bad_chunk(&mut self, from_low: bool) {
        let Some(current) = self.direction(from_low).current else { return };
        if let Some(pending) = self.queue.get(current.index) {
            pending.anomalies.insert(Anomaly::InvalidChunk);
        }
    }

    /// Bytes of the direction were missed, so that messages may have passed unseen.
    pub(super) fn on_lost_sync(&mut self, from_low: bool) {
        self.direction(from_low).current = None;
        self.on_head_cut(from_low);
        let Some(client) = self.is_client(from_low) else { return };
        self.queue.each(client, |message| {
            message.missed = true;
            let lost = message.begun && message.progress == Progress::Open;
            if lost {
                message.give_up();
            }
            lost
        });
    }

    /// Nothing more will come from one side.
    pub(super) fn on_stream_end(&mut self, from_low: bool, how: StreamEnd) {
        self.direction(from_low).current = None;
        let Some(client) = self.is_client(from_low) else { return };
        self.queue.each(client, |message| message.on_stream_end(how));
    }

    /// A head will not be completed: what its start line says is known all the same.
    pub(super) fn on_head_cut(&mut self, from_low: bool) {
        let head = self.direction(from_low).assembly.give_up();
        match self.is_client(from_low) {
            Some(false) => self.on_response_head_cut(&head),
            // Only requests start without a mark that says so.
            Some(true) | None if head::is_request(&head.bytes) => self.on_request_head_cut(&head, from_low),
            Some(true) | None => {}
        }
    }

    /// Forgets the head of a request that is under way and has no response yet.
    pub(super) fn drop_unanswered_head(&mut self, from_low: bool) {
        let number = self.direction(from_low).assembly.exchange();
        if self.is_client(from_low) != Some(false) && self.queue.existing(number).is_none() {
            self.direction(from_low).assembly.clear();
        }
    }

    fn on_request_head_cut(&mut self, head: &Head<'_>, from_low: bool) {
        self.client_is_low = Some(from_low);
        let Some(pending) = self.queue.by_number(head.exchange) else { return };
        (pending.head, pending.anomalies) =
            head::parse_request(&head.bytes, false, self.redaction.as_deref());
        pending.request.on_head(head.first, None, 0, 0);
        pending.request.missed = head.missed;
    }

    fn on_response_head_cut(&mut self, head: &Head<'_>) {
        // Where events were lost it may as well answer a later request.
        let Some(pending) = self.queue.first_unanswered().filter(|pending| !pending.response.missed) else {
            return;
        };
        pending.status = head::response_status(&head.bytes).filter(|status| !is_interim(*status));
        if pending.status.is_some() {
            pending.response.on_head(head.first, None, 0, 0);
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

/// What is odd about a response.
fn response_anomalies(facts: &HttpFacts, head: &Head<'_>) -> Anomalies {
    let mut odd = anomalies::of_response(&head.bytes, status(facts));
    if has(facts, Marks::EMPTY_LINE) {
        odd.insert(Anomaly::LeadingEmptyLine);
    }
    if has(facts, Marks::UNSOLICITED) && !has(facts, Marks::RESYNCED) {
        odd.insert(Anomaly::ResponseBeforeRequest);
    }
    odd
}

/// Stream offset behind a complete head.
fn content_at(facts: &HttpFacts) -> u64 {
    facts.offset.saturating_add(u64::from(facts.len))
}

/// How much a head tells.
fn confidence(facts: &HttpFacts, head: &Head<'_>) -> Confidence {
    if !head.whole && !has(facts, Marks::TRUNCATED) {
        Confidence::Inferred
    } else if has(facts, Marks::RESYNCED) {
        Confidence::Resynced
    } else {
        Confidence::Exact
    }
}
