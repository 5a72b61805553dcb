//! One exchange in progress, and its record.

use tracer_common::{flow::End, http1::Framing};

use super::{Gaps, order::Place};
use crate::record::{
    Anomalies, Confidence, Exchange, HeaderFields, Outcome, RequestHead, ResponseFraming, Side, heap_of,
};

/// The most interim responses listed of one exchange: a server may send any number.
const MAX_INTERIM: usize = 16;

/// How far a message has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of it may come.
    #[default]
    Open,
    /// All of it was seen, or must have been sent.
    Complete,
    /// The connection ended first.
    Truncated,
    /// Its end was not seen.
    Unknown,
}

/// How the stream that carries a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// With a FIN at stream offset `end`.
    Fin {
        /// Offset after the last byte.
        end: u64,
        /// Not all of the stream was seen.
        gap: bool,
        /// When the FIN was seen.
        time: u64,
    },
    /// With a RST.
    Reset {
        /// Offset after the last byte; `None` if not all of the stream was seen.
        at: Option<u64>,
    },
    /// It goes on, with another message.
    Abandoned {
        /// Offset of that.
        at: u64,
    },
    /// Unknown, because it was not observed.
    Unobserved,
}

/// A request or a final response.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// How far it has got.
    pub(super) progress: Progress,
    /// Part of it was seen.
    pub(super) started: bool,
    /// Part of its direction was not seen: it may have been missed.
    pub(super) missed: bool,
    /// When its first byte was seen.
    pub(super) first: Option<u64>,
    /// Where it starts.
    pub(super) place: Place,
    /// Stream offset after it, if its end was seen.
    pub(super) end: Option<u64>,
    /// It is no HTTP message.
    pub(super) invalid: bool,
    /// When its last byte was seen.
    last: Option<u64>,
    /// Bytes of content, so far if it was truncated.
    size: Option<u64>,
    framing: Option<Framing>,
    /// Stream offset of the content.
    content_at: u64,
    /// Content-Length, with [`Framing::Length`].
    content_length: u64,
}

impl Message {
    /// Bytes that are no HTTP message start at `place`, seen at `time`: only the end of the stream can end them.
    pub(super) fn on_invalid(&mut self, place: Place, time: Option<u64>) {
        self.on_head(time, Some(Framing::Close), place.start, 0);
        self.place = place;
        self.invalid = true;
    }

    /// The next message starts at stream offset `start`: where bytes that were none end.
    pub(super) fn end_invalid(&mut self, start: u64) {
        if self.invalid && self.progress == Progress::Open {
            self.complete(start.checked_sub(self.content_at), None);
        }
    }

    /// Whether its content is known to end after stream offset `offset`.
    pub(super) fn ends_after(&self, offset: u64) -> bool {
        self.framing == Some(Framing::Length) && offset < self.content_at.saturating_add(self.content_length)
    }

    /// Whether it may end after stream offset `offset`.
    fn goes_on_after(&self, offset: u64) -> bool {
        self.framing != Some(Framing::Length) || self.ends_after(offset)
    }

    /// Its head is complete.
    pub(super) fn on_head(
        &mut self,
        first: Option<u64>,
        framing: Option<Framing>,
        content_at: u64,
        content_length: u64,
    ) {
        self.started = true;
        // What was missed before it is irrelevant now.
        self.missed = false;
        self.first = first;
        self.framing = framing;
        self.content_at = content_at;
        self.content_length = content_length;
    }

    /// All of it was seen.
    pub(super) fn complete(&mut self, size: Option<u64>, last: Option<u64>) {
        self.progress = Progress::Complete;
        self.started = true;
        self.size = size;
        self.last = last;
    }

    /// Its end was not seen, but must have been sent.
    pub(super) fn complete_unseen(&mut self) {
        self.complete((self.framing == Some(Framing::Length)).then_some(self.content_length), None);
    }

    /// Whether some of its content was not seen.
    pub(super) fn has_gap(&self, sender: End, gaps: &impl Gaps) -> bool {
        let end = self.content_at.saturating_add(self.size.unwrap_or(self.content_length));
        gaps.are_between(sender, self.content_at, end)
    }

    /// Its end will not be seen.
    pub(super) fn mark_unknown(&mut self) {
        if self.progress == Progress::Open {
            self.progress = Progress::Unknown;
        }
    }

    /// Whether only a FIN ends it.
    pub(super) fn ends_with_fin(&self) -> bool {
        self.framing == Some(Framing::Close)
    }

    /// The stream has ended; returns true if the message is complete although its last byte was not seen.
    pub(super) fn on_stream_end(&mut self, how: StreamEnd) -> bool {
        if self.progress != Progress::Open {
            return false;
        }
        if let StreamEnd::Fin { end, gap, time } = how {
            if self.framing == Some(Framing::Close) {
                let size = end.checked_sub(self.content_at).filter(|_| !gap);
                self.complete(size, Some(time));
                return gap;
            }
            if self.framing == Some(Framing::Length) {
                // The offsets decide, whatever was missed.
                if self.content_at.saturating_add(self.content_length) <= end {
                    self.complete_unseen();
                    return true;
                }
                self.truncate(Some(end).filter(|_| !gap));
                return false;
            }
        }
        match how {
            _ if self.missed => self.progress = Progress::Unknown,
            StreamEnd::Unobserved => self.progress = Progress::Unknown,
            StreamEnd::Fin { end, gap, .. } => self.truncate(Some(end).filter(|_| !gap)),
            StreamEnd::Reset { at } => self.truncate(at),
            StreamEnd::Abandoned { at } => self.truncate(Some(at)),
        }
        false
    }

    /// The stream has ended within it, at stream offset `end` if all of it was seen. The size of chunked content is not known:
    /// only the kernel sees which bytes are content.
    fn truncate(&mut self, end: Option<u64>) {
        self.progress = Progress::Truncated;
        if matches!(self.framing, Some(Framing::Length | Framing::Close)) {
            self.size = end.and_then(|end| end.checked_sub(self.content_at));
        }
    }

    /// The Content-Length of a message that is not complete. One that is too large to count is not known.
    fn announced(&self) -> Option<u64> {
        let is_short = self.framing == Some(Framing::Length) && self.progress != Progress::Complete;
        (is_short && self.content_length < u64::MAX).then_some(self.content_length)
    }
}

/// An exchange in progress.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Its number in the records, from 1.
    pub(super) index: u32,
    /// Its number in the kernel, from 0; `None` for a response without a request.
    pub(super) number: Option<u32>,
    /// The head of the request.
    pub(super) head: RequestHead,
    /// The request.
    pub(super) request: Message,
    /// The final response.
    pub(super) response: Message,
    /// Its status code.
    pub(super) status: Option<u16>,
    /// Its head is longer than what was captured of it.
    pub(super) response_truncated: bool,
    /// The selected fields of its head.
    pub(super) response_fields: Option<Box<HeaderFields>>,
    /// The request line is malformed: it may be none of HTTP.
    pub(super) malformed: bool,
    /// The confidence.
    pub(super) confidence: Confidence,
    /// The anomalies of its messages.
    pub(super) anomalies: Anomalies,
    /// Who closed or reset the connection before it was complete, and when.
    pub(super) ended: Option<(Side, u64)>,
    interim: Vec<u16>,
}

impl Pending {
    /// A new exchange.
    pub(super) fn new(index: u32, number: Option<u32>) -> Self {
        Self { index, number, ..Self::default() }
    }

    /// The message of a side.
    pub(super) const fn message(&mut self, sender: Side) -> &mut Message {
        match sender {
            Side::Client => &mut self.request,
            Side::Server => &mut self.response,
        }
    }

    /// Lowers the confidence to `confidence`, if it is higher.
    pub(super) fn lower_confidence(&mut self, confidence: Confidence) {
        if confidence != Confidence::Exact && self.confidence != Confidence::Inferred {
            self.confidence = confidence;
        }
    }

    /// A side has sent a FIN. A client that sends it with its request still waits for the response.
    pub(super) fn on_fin(&mut self, sender: Side, time: u64) {
        if sender == Side::Server || self.request.last != Some(time) {
            self.end(sender, time);
        }
    }

    /// A side has ended it, unless that has happened before.
    pub(super) fn end(&mut self, sender: Side, time: u64) {
        self.ended.get_or_insert((sender, time));
    }

    /// An interim response (RFC 9110, 15.2).
    pub(super) fn on_interim(&mut self, status: u16) {
        if self.interim.len() < MAX_INTERIM {
            self.interim.push(status);
        }
    }

    /// Whether it is no exchange of HTTP: nothing of HTTP answers a request line that is not one of HTTP.
    pub(super) const fn is_other_protocol(&self) -> bool {
        self.malformed && (self.response.invalid || !self.response.started)
    }

    /// Whether it was waiting for its response when a request was sent that acknowledges up to `acked`.
    pub(super) fn waits(&self, acked: u64) -> bool {
        let response = &self.response;
        response.progress == Progress::Open
            && !response.missed
            && !response.invalid
            && if response.started {
                response.goes_on_after(acked)
            } else {
                acked <= self.request.place.acked
            }
    }

    /// Bytes of memory that it takes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.head.heap() + heap_of(self.response_fields.as_deref())
    }

    /// Whether both messages have ended.
    pub(super) fn is_finished(&self) -> bool {
        self.request.progress != Progress::Open && self.response.progress != Progress::Open
    }

    /// The outcome. A complete response counts, even if the end of its request was not seen.
    fn outcome(&self) -> Outcome {
        match (self.response.progress, self.request.progress) {
            _ if self.response.invalid => Outcome::InvalidResponse,
            (Progress::Complete, Progress::Truncated) => Outcome::EarlyResponse,
            (Progress::Complete, _) => Outcome::Complete,
            (Progress::Truncated, _) if self.response.started => Outcome::ResponseTruncated,
            (Progress::Truncated, Progress::Complete) => Outcome::NoResponse,
            (Progress::Truncated, Progress::Truncated) => Outcome::RequestAborted,
            (Progress::Truncated, Progress::Open | Progress::Unknown) => Outcome::NotObserved,
            (Progress::Open | Progress::Unknown, _) => Outcome::NotObserved,
        }
    }

    /// The record of it.
    pub(super) fn into_record(self) -> Exchange {
        let (request, response, outcome) = (&self.request, &self.response, self.outcome());
        let failed = matches!(
            outcome,
            Outcome::NoResponse
                | Outcome::RequestAborted
                | Outcome::ResponseTruncated
                | Outcome::InvalidResponse
        );
        let ended = self.ended.filter(|_| failed && response.progress == Progress::Truncated);
        let end = response.last.or(ended.map(|(_, time)| time));
        Exchange {
            index: self.index,
            outcome,
            initiator: ended.map(|(side, _)| side),
            request_content_length: request.announced(),
            response_content_length: response.announced(),
            confidence: self.confidence,
            anomalies: self.anomalies,
            status: self.status,
            request_body_size: request.size,
            response_body_size: response.size,
            response_truncated: self.response_truncated,
            response_fields: self.response_fields,
            framing: response.framing.filter(|_| !response.invalid).map(response_framing),
            request_ns: between(request.first, request.last),
            time_to_first_byte_ns: between(request.last, response.first),
            response_ns: between(response.first, response.last),
            duration_ns: between(request.first, end),
            interim_statuses: self.interim,
            request: self.head,
        }
    }
}

/// The time between two moments; 0 if the second one was earlier.
fn between(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    Some(to?.saturating_sub(from?))
}

/// The framing as in the records.
pub(super) const fn response_framing(framing: Framing) -> ResponseFraming {
    match framing {
        Framing::None => ResponseFraming::None,
        Framing::Length => ResponseFraming::ContentLength,
        Framing::Chunked => ResponseFraming::Chunked,
        Framing::Close => ResponseFraming::Close,
        Framing::Tunnel => ResponseFraming::Tunnel,
    }
}
