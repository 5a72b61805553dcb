//! One exchange while it is under way, and what is told of it in the end.

use tracer_common::http1::Framing;

use crate::record::{Anomalies, Confidence, Exchange, Outcome, RequestHead, ResponseFraming};

/// Interim responses that are listed of one exchange: a server may send any number of them.
const MAX_INTERIM: usize = 16;

/// How far a message got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of it may come.
    #[default]
    Open,
    /// All of it was seen, or it is certain that all of it was sent.
    Complete,
    /// The connection ended first.
    Cut,
    /// What became of it was not seen.
    Unknown,
}

/// How the stream that carries a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// With a FIN at stream offset `end`.
    Fin {
        /// Offset behind the last byte.
        end: u64,
        /// Not all of the stream was seen.
        gap: bool,
        /// When the FIN was seen.
        time: u64,
    },
    /// With a RST.
    Reset,
    /// Not that anybody saw.
    Unobserved,
}

/// A request or a final response.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// How far it got.
    pub(super) progress: Progress,
    /// Something of it was seen.
    pub(super) begun: bool,
    /// Something of its direction was not seen: that nothing came proves nothing.
    pub(super) missed: bool,
    /// When its first byte was seen.
    pub(super) first: Option<u64>,
    /// When its last byte was seen.
    last: Option<u64>,
    /// Bytes of content.
    size: Option<u64>,
    framing: Option<Framing>,
    /// Stream offset of the content.
    content_at: u64,
    /// Content-Length, with [`Framing::Length`].
    stated: u64,
}

impl Message {
    /// Its head is complete.
    pub(super) fn on_head(
        &mut self,
        first: Option<u64>,
        framing: Option<Framing>,
        content_at: u64,
        stated: u64,
    ) {
        self.begun = true;
        // What was missed before it does not matter any more.
        self.missed = false;
        self.first = first;
        self.framing = framing;
        self.content_at = content_at;
        self.stated = stated;
    }

    /// All of it was seen.
    pub(super) fn complete(&mut self, size: Option<u64>, last: Option<u64>) {
        self.progress = Progress::Complete;
        self.begun = true;
        self.size = size;
        self.last = last;
    }

    /// The end was not seen, but a later message was: then it is certain that it was sent.
    pub(super) fn passed(&mut self) {
        self.complete((self.framing == Some(Framing::Length)).then_some(self.stated), None);
    }

    /// Nothing more will be seen of it.
    pub(super) fn give_up(&mut self) {
        if self.progress == Progress::Open {
            self.progress = Progress::Unknown;
        }
    }

    /// Whether only a FIN ends it.
    pub(super) fn ends_with_fin(&self) -> bool {
        self.framing == Some(Framing::Close)
    }

    /// The stream is over; true when the message was found complete without its last byte being told.
    pub(super) fn on_stream_end(&mut self, how: StreamEnd) -> bool {
        if self.progress != Progress::Open {
            return false;
        }
        if let StreamEnd::Fin { end, gap, time } = how {
            if self.framing == Some(Framing::Close) {
                let size = end.checked_sub(self.content_at).filter(|_| !gap);
                self.complete(size, Some(time));
                return false;
            }
            if self.framing == Some(Framing::Length) {
                // The offsets tell, whatever was missed.
                if self.content_at.saturating_add(self.stated) <= end {
                    self.passed();
                    return true;
                }
                self.progress = Progress::Cut;
                return false;
            }
        }
        self.progress =
            if self.missed || how == StreamEnd::Unobserved { Progress::Unknown } else { Progress::Cut };
        false
    }
}

/// An exchange under way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Its number in the records, from 1.
    pub(super) index: u32,
    /// Its number for the kernel, from 0; `None` for a response without a request.
    pub(super) number: Option<u32>,
    /// What the head of the request says.
    pub(super) head: RequestHead,
    /// The request.
    pub(super) request: Message,
    /// The final response.
    pub(super) response: Message,
    /// Its status code.
    pub(super) status: Option<u16>,
    /// How much is known.
    pub(super) confidence: Confidence,
    /// What is odd about its messages.
    pub(super) anomalies: Anomalies,
    interim: Vec<u16>,
}

impl Pending {
    /// Nothing of it was told yet.
    pub(super) fn new(index: u32, number: Option<u32>) -> Self {
        Self { index, number, ..Self::default() }
    }

    /// The part of it that the client, or the server, sends.
    pub(super) const fn side(&mut self, client: bool) -> &mut Message {
        if client { &mut self.request } else { &mut self.response }
    }

    /// Less is known than one may think.
    pub(super) fn weaken(&mut self, confidence: Confidence) {
        if confidence != Confidence::Exact && self.confidence != Confidence::Inferred {
            self.confidence = confidence;
        }
    }

    /// An interim response (RFC 9110, 15.2).
    pub(super) fn on_interim(&mut self, status: u16) {
        if self.interim.len() < MAX_INTERIM {
            self.interim.push(status);
        }
    }

    /// Whether nothing more is expected of it.
    pub(super) fn is_over(&self) -> bool {
        self.request.progress != Progress::Open && self.response.progress != Progress::Open
    }

    /// How it ended. An early response that is complete counts, even if the request never became so.
    fn outcome(&self) -> Outcome {
        match (self.response.progress, self.request.progress) {
            (Progress::Complete, _) => Outcome::Complete,
            (Progress::Cut, _) if self.response.begun => Outcome::ResponseTruncated,
            (Progress::Cut, Progress::Complete) => Outcome::NoResponse,
            (Progress::Cut, Progress::Cut) => Outcome::RequestAborted,
            (Progress::Cut, Progress::Open | Progress::Unknown) => Outcome::NotObserved,
            (Progress::Open | Progress::Unknown, _) => Outcome::NotObserved,
        }
    }

    /// What is told of it.
    pub(super) fn into_record(self) -> Exchange {
        let (request, response) = (&self.request, &self.response);
        Exchange {
            index: self.index,
            outcome: self.outcome(),
            confidence: self.confidence,
            anomalies: self.anomalies,
            status: self.status,
            request_body_size: request.size,
            response_body_size: response.size,
            framing: response.framing.map(response_framing),
            request_ns: between(request.first, request.last),
            time_to_first_byte_ns: between(request.last, response.first),
            response_ns: between(response.first, response.last),
            duration_ns: between(request.first, response.last),
            interim_statuses: self.interim,
            request: self.head,
        }
    }
}

/// The time between two moments; 0 where the second one was earlier.
fn between(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    Some(to?.saturating_sub(from?))
}

/// The word of the records for a framing.
pub(super) const fn response_framing(framing: Framing) -> ResponseFraming {
    match framing {
        Framing::None => ResponseFraming::None,
        Framing::Length => ResponseFraming::ContentLength,
        Framing::Chunked => ResponseFraming::Chunked,
        Framing::Close => ResponseFraming::Close,
        Framing::Tunnel => ResponseFraming::Tunnel,
    }
}
