//! HTTP/1.x: from the kernel's [`HttpFacts`] of one connection to requests, responses and exchanges.
//!
//! The kernel's scanner decides where heads and messages start and end, and which response answers which
//! request; see [`tracer_common::http1`]. This module assembles the fragments of heads (`assembly`), parses
//! them (`head`, `lines`, `fields`, `request_target`), assigns messages to exchanges (`pairing`), decides
//! whether that is proven (`order`), and keeps each exchange (`exchange`, in a `queue`) until it can be
//! reported, in the order of the requests.
//!
//! No clock, no I/O: time comes with the events.

mod anomalies;
mod assembly;
mod authority;
mod exchange;
mod fields;
mod head;
mod header_fields;
mod header_selection;
mod lines;
mod order;
mod pairing;
mod proxy;
mod queue;
mod redaction;
mod request_target;
#[cfg(test)]
mod tests;
mod traceparent;

use std::{net::IpAddr, sync::Arc};

use tracer_common::{
    event::{HttpFacts, Marks, ScanAnomalies},
    flow::End,
};

pub(crate) use self::pairing::status;
use self::{
    assembly::{Assembly, Head},
    exchange::StreamEnd,
    order::Order,
    pairing::has,
    queue::{ExchangeQueue, Numbers},
};
pub use self::{
    header_selection::{HeaderSelection, InvalidSelection},
    redaction::{Redact, Redaction},
};
use crate::record::{Anomalies, Anomaly, Bodies};

/// Knows which bytes were not seen.
pub trait Gaps {
    /// Whether bytes from stream offset `start` to `end` of an endpoint are missing.
    fn are_between(&self, from: End, start: u64, end: u64) -> bool;
}

#[cfg(test)]
impl Gaps for () {
    fn are_between(&self, _: End, _: u64, _: u64) -> bool {
        false
    }
}

/// Why a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Both sides closed, as passed to [`Conversation::on_fin`]. A direction without a FIN was not observed.
    Closed,
    /// A RST.
    Reset {
        /// The endpoint that sent it.
        by: Option<End>,
        /// Stream offset after the last byte of each endpoint; `None` if some of its bytes were not seen.
        sent: [Option<u64>; 2],
    },
    /// The connection expired or was evicted.
    NotObserved,
    /// The observation ended; the connection may continue. An incomplete head of a request does not count.
    ObservationOver,
}

/// The HTTP messages of one connection.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Of the lower endpoint, of the higher one.
    streams: [MessageStream; 2],
    /// The endpoint that sends the requests, once a message showed it.
    client: Option<End>,
    queue: ExchangeQueue,
    order: Order,
    /// What the client sent in place of a request, if no response to it was found yet.
    other: Option<Anomaly>,
    /// The address of the client, as a proxy reports it in a PROXY protocol header.
    forwarded: Option<Box<IpAddr>>,
    /// Report exchanges only, not each request and response.
    exchanges_only: bool,
    heads: HeadOptions,
}

/// How heads are recorded.
#[derive(Clone, Debug, Default)]
pub struct HeadOptions {
    /// How URLs are redacted; `None`: user information only.
    pub redaction: Option<Arc<Redaction>>,
    /// The header fields to record.
    pub headers: Option<Arc<HeaderSelection>>,
}

/// What is kept of a conversation while no message is in progress, as most of the time.
#[derive(Clone, Debug, Default)]
pub struct Idle {
    client: Option<End>,
    numbers: Numbers,
    order: Order,
    other: Option<Anomaly>,
    forwarded: Option<Box<IpAddr>>,
    last: [LastMessage; 2],
}

impl Idle {
    /// Events were lost.
    pub(crate) const fn on_lost(&mut self) {
        // Before the first message, the lost events need not be of messages.
        if self.exchanges() > 0 {
            self.numbers.on_lost();
        }
    }

    /// The kernel lost its state of the connection, and numbers messages from zero again.
    pub(crate) fn restart(&mut self) {
        self.numbers.restart();
        self.order = Order::default();
    }

    /// The number of exchanges reported.
    #[must_use]
    pub const fn exchanges(&self) -> u32 {
        self.numbers.exchanges()
    }

    /// The endpoint that sends the requests, once a SYN or a message showed it.
    pub(crate) const fn client(&self) -> Option<End> {
        self.client
    }

    /// The address of the client, as a proxy reports it.
    pub(crate) fn forwarded(&self) -> Option<IpAddr> {
        self.forwarded.as_deref().copied()
    }
}

/// The messages of one endpoint.
#[derive(Debug, Default)]
struct MessageStream {
    assembly: Assembly,
    /// The message in progress.
    current: Option<Current>,
    /// Its FIN.
    fin: Option<StreamEnd>,
    last: LastMessage,
}

/// What is kept of the last message of an endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct LastMessage {
    /// It, or one before, had Connection: close (RFC 9112, 9.6).
    closes: bool,
    /// The bytes that follow it were reported with it as excess.
    excess: bool,
}

/// A message whose head is complete.
#[derive(Clone, Copy, Debug)]
struct Current {
    /// Number of its head in its stream.
    head: u32,
    /// The exchange it belongs to.
    index: u32,
}

impl MessageStream {
    /// A head is complete. `closes`: it has Connection: close.
    fn on_close_option(&mut self, closes: bool, anomalies: &mut Anomalies) {
        if self.last.closes {
            anomalies.insert(Anomaly::AfterClose);
        }
        self.last.closes |= closes;
        self.last.excess = false;
    }

    const fn is_idle(&self) -> bool {
        !self.assembly.in_progress() && self.current.is_none() && self.fin.is_none()
    }
}

impl Conversation {
    /// Continues after `idle`; with `exchanges_only`, it reports no requests and responses.
    #[must_use]
    pub fn new(idle: Idle, exchanges_only: bool, heads: HeadOptions) -> Self {
        let Idle { client, numbers, order, other, forwarded, last } = idle;
        let queue = ExchangeQueue::after(numbers);
        let streams = last.map(|last| MessageStream { last, ..MessageStream::default() });
        Self { queue, client, order, other, forwarded, exchanges_only, heads, streams }
    }

    /// What to keep of it, if no message is in progress and neither side has closed.
    #[must_use]
    pub fn idle(&self) -> Option<Idle> {
        (self.streams.iter().all(MessageStream::is_idle) && self.queue.is_empty()).then(|| self.rest())
    }

    /// What to keep of it once it is finished.
    #[must_use]
    pub fn rest(&self) -> Idle {
        Idle {
            client: self.client,
            numbers: self.queue.numbers,
            order: self.order,
            other: self.other,
            forwarded: self.forwarded.clone(),
            last: [self.streams[0].last, self.streams[1].last],
        }
    }

    /// Takes in an event, with `bytes` of a head. `gaps` knows which bytes were not seen in the segments before.
    pub fn on_event(&mut self, facts: &HttpFacts, bytes: &[u8], gaps: &impl Gaps, out: &mut Bodies) {
        let from = facts.header.sender();
        let client = if has(facts, Marks::RESPONSE) { from.other() } else { from };
        if facts.header.lost > 0 {
            self.queue.numbers.on_lost();
        }
        if has(facts, Marks::RESPONSE | Marks::HEAD_END | Marks::MESSAGE_END) {
            self.client.get_or_insert(client);
        }
        self.on_next_head(facts, from);
        let head = Head::from_event(facts, bytes);
        if head.is_some() {
            self.stream(from).assembly.clear();
        } else {
            self.stream(from).assembly.push(facts, bytes);
        }
        if has(facts, Marks::PROXY) {
            let header = self.stream(from).assembly.take_partial();
            self.forwarded = proxy::client(&header.bytes).map(Box::new);
        }
        if has(facts, Marks::NOT_HTTP) {
            let head = self.stream(from).assembly.take_partial();
            self.on_not_http(facts, &head, from);
        }
        let is_excess = has(facts, Marks::NOT_HTTP) && has(facts, Marks::UNSOLICITED)
            || facts.anomalies.contains(ScanAnomalies::EXCESS) && !has(facts, Marks::MESSAGE_END);
        if is_excess {
            self.on_excess(facts, from);
        }
        if has(facts, Marks::BAD_CHUNK) {
            self.on_bad_chunk(facts, from);
        }
        if has(facts, Marks::LOST_SYNC) {
            self.on_lost_sync(from);
        }
        if has(facts, Marks::SUSPECT) {
            self.order.on_requests_missed();
            self.order.on_responses_missed();
        }
        if has(facts, Marks::HEAD_END) {
            let head = head.unwrap_or_else(|| self.stream(from).assembly.take(facts));
            // A client that sends responses has no exchanges.
            if self.client == Some(client) {
                self.on_head(facts, &head, from, gaps, out);
            }
        }
        if has(facts, Marks::MESSAGE_END) {
            self.on_message_end(facts, from, gaps);
        }
        self.report_finished(facts.header.time, out);
    }

    /// Events of an endpoint were lost before the next event: the messages expected from it may be among
    /// them.
    pub fn on_lost(&mut self, from: End) {
        self.queue.numbers.on_lost();
        self.stream(from).assembly.on_lost();
        let Some(side) = self.side(from) else { return };
        self.queue.for_each(side, |message| {
            message.missed = true;
            false
        });
    }

    /// An endpoint sent a FIN at stream offset `end`; `gap_bytes` before it were not seen.
    ///
    /// It may be called again when gaps were filled.
    pub fn on_fin(&mut self, from: End, end: u64, gap_bytes: u64, time: u64, out: &mut Bodies) {
        let how = StreamEnd::Fin { end, gap: gap_bytes > 0, time };
        self.stream(from).fin = Some(how);
        if let Some(side) = self.side(from) {
            self.queue.on_fin(side, time);
        }
        if gap_bytes == 0 {
            self.on_head_truncated(from);
            self.on_stream_end(from, how);
        } else if let Some(side) = self.side(from) {
            // The missing bytes may still come.
            self.queue.for_each(side, |message| {
                message.missed = true;
                message.ends_with_fin() && message.on_stream_end(how)
            });
        }
        self.report_finished(time, out);
    }

    /// The connection is over: reports what is in progress, oldest first.
    pub fn finish(&mut self, why: ConnectionEnd, time: u64, out: &mut Bodies) {
        // Heads first, because one may be of a request.
        for from in End::BOTH {
            if why == ConnectionEnd::ObservationOver {
                self.drop_unanswered_head(from);
            }
            self.on_head_truncated(from);
        }
        if let ConnectionEnd::Reset { by: Some(by), .. } = why
            && let Some(side) = self.side(by)
        {
            self.queue.on_reset(side, time);
        }
        for from in End::BOTH {
            let how = match (why, self.stream(from).fin) {
                (ConnectionEnd::Closed, Some(fin)) => fin,
                (ConnectionEnd::Reset { sent, .. }, _) => StreamEnd::Reset { at: *from.of(&sent) },
                (ConnectionEnd::Closed, None)
                | (ConnectionEnd::NotObserved | ConnectionEnd::ObservationOver, _) => StreamEnd::Unobserved,
            };
            self.on_stream_end(from, how);
        }
        self.report_finished(time, out);
    }

    /// Bytes of incomplete heads and exchanges in progress.
    pub(crate) fn buffered(&self) -> usize {
        let heads: usize = self.streams.iter().map(|stream| stream.assembly.buffered()).sum();
        heads + self.queue.buffered()
    }

    /// Drops incomplete heads, and reports the exchanges in progress as far as they are known.
    pub(crate) fn drop_buffers(&mut self, time: u64, out: &mut Bodies) {
        self.streams.iter_mut().for_each(|stream| stream.assembly.drop_bytes());
        self.queue.mark_all_unknown();
        self.report_finished(time, out);
    }

    /// The kernel lost its state of the connection, and numbers messages from zero again: those in progress
    /// will not end.
    pub(crate) fn restart(&mut self, time: u64, out: &mut Bodies) {
        self.drop_buffers(time, out);
        for from in End::BOTH {
            let stream = self.stream(from);
            stream.assembly.clear();
            stream.current = None;
        }
        self.queue.numbers.restart();
        self.order = Order::default();
    }

    /// The endpoint that sends the requests, once a SYN or a message showed it.
    #[must_use]
    pub const fn client(&self) -> Option<End> {
        self.client
    }

    /// The SYN shows that `client` sends the requests.
    pub const fn set_client(&mut self, client: End) {
        self.client = Some(client);
    }

    /// The address of the client, as a proxy reports it in a PROXY protocol header.
    #[must_use]
    pub fn forwarded(&self) -> Option<IpAddr> {
        self.forwarded.as_deref().copied()
    }

    /// The number of exchanges reported.
    #[must_use]
    pub fn exchanges(&self) -> u32 {
        self.queue.reported()
    }
}
