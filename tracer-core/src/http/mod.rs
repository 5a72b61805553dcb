//! HTTP/1.x: from the kernel's [`HttpFacts`] of one connection to requests, responses and exchanges.
//!
//! The kernel's scanner has decided where heads and messages start and end, and which response answers which request;
//! see [`tracer_common::http1`]. Left to do here: put the fragments of heads together (`assembly`), parse them (`head`,
//! `target`), find the exchange of each message (`pairing`), and keep each (`exchange`, in a `queue`) until it can be
//! told, in the order of the requests.
//!
//! No clock, no I/O: time comes with the events.

mod anomalies;
mod assembly;
mod exchange;
mod fields;
mod head;
mod lines;
mod pairing;
mod queue;
mod redaction;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tracer_common::{
    event::{HttpFacts, Marks},
    flow::End,
};

pub(crate) use self::pairing::status;
pub use self::redaction::{Redact, Redaction};
use self::{
    assembly::{Assembly, Head},
    exchange::StreamEnd,
    pairing::has,
    queue::{Numbers, Queue},
};
use crate::record::Bodies;

/// Why nothing more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Both sides closed. What [`Conversation::on_fin`] said counts; a direction without a FIN was not observed.
    Closed,
    /// A RST.
    Reset,
    /// The connection went silent, or is not followed any more.
    NotObserved,
    /// The connection may go on; it is the observation that ends. A request whose head is under way is none yet.
    ObservationOver,
}

/// All HTTP of one connection.
#[derive(Debug, Default)]
pub struct Conversation {
    low: Direction,
    high: Direction,
    client_is_low: Option<bool>,
    queue: Queue,
    /// Nobody asks for requests and responses.
    exchanges_only: bool,
    /// What request targets lose; `None`: nothing but user information.
    redaction: Option<Arc<Redaction>>,
}

/// What is left of a conversation while no message is under way, as most of the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle {
    client_is_low: Option<bool>,
    numbers: Numbers,
}

impl Idle {
    /// Events were lost.
    pub(crate) const fn on_lost(&mut self) {
        // Before there was a message, nothing says that one of those is missing.
        if self.exchanges() > 0 {
            self.numbers.on_lost();
        }
    }

    /// The kernel lost its state of the connection, and numbers messages anew.
    pub(crate) const fn restart(&mut self) {
        self.numbers.restart();
    }

    /// How many exchanges were told.
    #[must_use]
    pub const fn exchanges(&self) -> u32 {
        self.numbers.exchanges()
    }

    /// Whether the lower endpoint sends the requests, once a message showed it.
    pub(crate) const fn client_is_low(&self) -> Option<bool> {
        self.client_is_low
    }
}

/// What one side is sending.
#[derive(Debug, Default)]
struct Direction {
    assembly: Assembly,
    /// The message whose end is awaited.
    current: Option<Current>,
    /// Its FIN.
    fin: Option<StreamEnd>,
}

/// A message whose head is complete.
#[derive(Clone, Copy, Debug)]
struct Current {
    /// Number of its head in its direction.
    head: u32,
    /// The exchange it belongs to.
    index: u32,
}

impl Direction {
    const fn is_idle(&self) -> bool {
        !self.assembly.in_progress() && self.current.is_none() && self.fin.is_none()
    }
}

impl Conversation {
    /// Goes on where one was `quiet`; with `exchanges_only` there is nothing but exchanges to tell.
    #[must_use]
    pub fn new(idle: Idle, exchanges_only: bool, redaction: Option<Arc<Redaction>>) -> Self {
        let queue = Queue::after(idle.numbers);
        Self { queue, client_is_low: idle.client_is_low, exchanges_only, redaction, ..Self::default() }
    }

    /// What is left of it if no message is under way, and neither side has closed.
    #[must_use]
    pub fn idle(&self) -> Option<Idle> {
        (self.low.is_idle() && self.high.is_idle() && self.queue.is_empty()).then(|| self.rest())
    }

    /// What is left of it once both sides have closed.
    #[must_use]
    pub const fn rest(&self) -> Idle {
        Idle { client_is_low: self.client_is_low, numbers: self.queue.numbers }
    }

    /// Takes in what the kernel tells, with `bytes` of a head.
    pub fn on_event(&mut self, facts: &HttpFacts, bytes: &[u8], out: &mut Bodies) {
        let from_low = facts.header.sender() == End::Low;
        let response = has(facts, Marks::RESPONSE);
        if facts.header.lost > 0 {
            self.queue.numbers.on_lost();
        }
        if self.client_is_low.is_none() && has(facts, Marks::RESPONSE | Marks::HEAD_END | Marks::MESSAGE_END)
        {
            self.client_is_low = Some(from_low != response);
        }
        self.on_next_head(facts, from_low);
        let at_once = Head::at_once(facts, bytes);
        if at_once.is_some() {
            self.direction(from_low).assembly.clear();
        } else {
            self.direction(from_low).assembly.push(facts, bytes);
        }
        if has(facts, Marks::NOT_HTTP) {
            self.direction(from_low).assembly.clear();
        }
        if has(facts, Marks::BAD_CHUNK) {
            self.on_bad_chunk(from_low);
        }
        if has(facts, Marks::LOST_SYNC) {
            self.on_lost_sync(from_low);
        }
        if has(facts, Marks::HEAD_END) {
            let head = at_once.unwrap_or_else(|| self.direction(from_low).assembly.take(facts));
            // A client that sends responses has no exchanges.
            if self.client_is_low == Some(from_low != response) {
                self.on_head(facts, &head, from_low, out);
            }
        }
        if has(facts, Marks::MESSAGE_END) {
            self.on_message_end(facts, from_low);
        }
        self.tell_over(facts.header.time, out);
    }

    /// Events of the direction `from_low` were lost before the next event: what is awaited from it may have passed.
    pub fn on_lost(&mut self, from_low: bool) {
        self.queue.numbers.on_lost();
        self.direction(from_low).assembly.on_lost();
        let Some(client) = self.is_client(from_low) else { return };
        self.queue.each(client, |message| {
            message.missed = true;
            false
        });
    }

    /// The direction has ended with a FIN at stream offset `end`; `gap_bytes` before it were not seen.
    ///
    /// May be called again when gaps were filled.
    pub fn on_fin(&mut self, from_low: bool, end: u64, gap_bytes: u64, time: u64, out: &mut Bodies) {
        let how = StreamEnd::Fin { end, gap: gap_bytes > 0, time };
        self.direction(from_low).fin = Some(how);
        if gap_bytes == 0 {
            self.on_head_cut(from_low);
            self.on_stream_end(from_low, how);
        } else if let Some(client) = self.is_client(from_low) {
            // What is missing may still come.
            self.queue.each(client, |message| {
                message.missed = true;
                message.ends_with_fin() && message.on_stream_end(how)
            });
        }
        self.tell_over(time, out);
    }

    /// The connection is over: what is under way is told now, oldest first.
    pub fn finish(&mut self, why: ConnectionEnd, time: u64, out: &mut Bodies) {
        // First of all, because a request may turn up.
        for from_low in [true, false] {
            if why == ConnectionEnd::ObservationOver {
                self.drop_unanswered_head(from_low);
            }
            self.on_head_cut(from_low);
        }
        for from_low in [true, false] {
            let how = match (why, self.direction(from_low).fin) {
                (ConnectionEnd::Closed, Some(fin)) => fin,
                (ConnectionEnd::Reset, _) => StreamEnd::Reset,
                (ConnectionEnd::Closed, None)
                | (ConnectionEnd::NotObserved | ConnectionEnd::ObservationOver, _) => StreamEnd::Unobserved,
            };
            self.on_stream_end(from_low, how);
        }
        self.tell_over(time, out);
    }

    /// Bytes kept of heads and exchanges under way.
    pub(crate) fn buffered(&self) -> usize {
        self.low.assembly.buffered() + self.high.assembly.buffered() + self.queue.buffered()
    }

    /// Gives up the heads and the exchanges under way, and tells of these what is known: there is no room.
    pub(crate) fn drop_buffers(&mut self, time: u64, out: &mut Bodies) {
        self.low.assembly.give_up_bytes();
        self.high.assembly.give_up_bytes();
        self.queue.give_up_all();
        self.tell_over(time, out);
    }

    /// The kernel lost its state of the connection, and numbers messages anew: what is under way will not be told.
    pub(crate) fn restart(&mut self, time: u64, out: &mut Bodies) {
        self.drop_buffers(time, out);
        for from_low in [true, false] {
            let direction = self.direction(from_low);
            direction.assembly.clear();
            direction.current = None;
        }
        self.queue.numbers.restart();
    }

    /// Which side sends the requests, once a message said so.
    #[must_use]
    pub const fn client_is_low(&self) -> Option<bool> {
        self.client_is_low
    }

    /// How many exchanges were told.
    #[must_use]
    pub fn exchanges(&self) -> u32 {
        self.queue.told()
    }
}
