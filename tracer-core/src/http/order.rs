//! Whether the order of messages proves which response answers which request.
//!
//! As long as all bytes of both directions were read, it does: the nth final response answers the nth request (RFC 9112,
//! 9.3.2). After bytes were missed, or could not be read, messages may be among them, and the order is a guess. The
//! acknowledgment numbers then show when requests and responses have taken turns again: a request that acknowledges exactly
//! what the last response ended with, which acknowledged exactly what came before the request, with nothing else waiting.
//! A client that pipelines takes no turns, so that there is no such proof in its connection; nor if bytes of the client were
//! missed, of which nobody knows how many requests they were.
//!
//! One case does not show: a client that keeps one request, sent before it was first seen, in flight all the time looks as if
//! it took turns.

/// Offset in the stream of the other side, up to which a message acknowledges; of a message without acknowledgment, or where
/// the other side was not seen.
const UNKNOWN: u64 = u64::MAX;

/// Where a message lies in the two streams of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Stream offset of its first byte.
    pub(super) start: u64,
    /// Offset in the stream of the other side, up to which its first segment acknowledges.
    pub(super) acked: u64,
}

/// What is known of the order of the messages so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// Where the last response that was read ends, and what it acknowledges.
    turn: Turn,
    /// Requests may have been missed.
    requests_missed: bool,
    /// Responses may have been missed.
    responses_missed: bool,
    /// The client has sent a request while another one waited, or may have.
    pipelines: bool,
}

/// The end of a response.
#[derive(Clone, Copy, Debug)]
struct Turn {
    end: u64,
    acked: u64,
    /// It acknowledges its request, and nothing after it.
    is_last: bool,
}

impl Default for Order {
    fn default() -> Self {
        // At the start of both streams, everything is answered.
        let turn = Turn { end: 0, acked: 0, is_last: true };
        Self { turn, requests_missed: false, responses_missed: false, pipelines: false }
    }
}

impl Order {
    /// Requests may have been missed before here.
    pub(super) const fn on_requests_missed(&mut self) {
        self.requests_missed = true;
    }

    /// Bytes of the client were missed, or are no request: any number of requests among them may wait for a response.
    pub(super) const fn on_requests_hidden(&mut self) {
        self.requests_missed = true;
        self.pipelines = true;
    }

    /// Responses may have been missed from here on.
    pub(super) const fn on_responses_missed(&mut self) {
        self.responses_missed = true;
    }

    /// A request starts at `place`. `waits`: another one is waiting for its response.
    pub(super) const fn on_request(&mut self, place: Place, waits: bool) {
        let Turn { end, acked, is_last } = self.turn;
        let follows = end == place.acked;
        // What was missed before it was not answered when it was sent.
        let follows_unanswered = self.requests_missed && follows && acked < place.start;
        self.pipelines |= waits || follows_unanswered;
        if !self.pipelines && follows && is_last && acked == place.start {
            self.requests_missed = false;
            self.responses_missed = false;
        }
    }

    /// A final response starts at `place`, the answer to the request at `request`, if that was seen. `waits`: another request
    /// before it is waiting. Returns whether it is proven to be the answer.
    pub(super) const fn on_response(&mut self, place: Place, request: Option<Place>, waits: bool) -> bool {
        let Some(request) = request else { return false };
        // A response comes after its request, and acknowledges some of it.
        let asked_later = request.acked != UNKNOWN && request.acked > place.start;
        let not_received = place.acked != UNKNOWN && place.acked <= request.start;
        if asked_later || not_received {
            self.requests_missed = true;
            self.responses_missed = true;
        }
        let is_next = request.acked == place.start && place.acked != UNKNOWN && !not_received;
        if is_next && !waits && !self.pipelines {
            self.responses_missed = false;
        }
        !self.requests_missed && !self.responses_missed
    }

    /// A final response that acknowledges up to `acked` ends at stream offset `end`; its request, if that was seen whole, at
    /// `request_end` in the stream of the client.
    pub(super) fn on_response_end(&mut self, acked: u64, end: u64, request_end: Option<u64>) {
        // If it acknowledges more, something else was waiting when it was sent.
        self.pipelines |= request_end.is_some_and(|request_end| acked != UNKNOWN && acked > request_end);
        self.turn = Turn { end, acked, is_last: request_end == Some(acked) };
    }
}

#[cfg(test)]
mod tests {
    use super::{Order, Place, UNKNOWN};

    const fn place(start: u64, acked: u64) -> Place {
        Place { start, acked }
    }

    #[test]
    fn as_long_as_nothing_is_missed_the_order_is_proof() {
        let mut order = Order::default();
        order.on_request(place(0, 0), false);
        order.on_request(place(40, 0), true);
        assert!(order.on_response(place(0, 80), Some(place(0, 0)), false));
        assert!(order.on_response(place(90, 80), Some(place(40, 0)), false));
    }

    #[test]
    fn a_turn_ends_the_doubt_unless_the_client_pipelines() {
        for (waits, proven) in [(false, true), (true, false)] {
            let mut order = Order::default();
            order.on_request(place(0, 0), waits);
            order.on_requests_missed();
            assert!(!order.on_response(place(0, 100), Some(place(60, 0)), false));
            order.on_response_end(100, 50, Some(100));
            order.on_request(place(100, 50), false);
            assert_eq!(order.on_response(place(50, 140), Some(place(100, 50)), false), proven);
        }
    }

    #[test]
    fn a_response_right_after_its_request_is_its_answer_whatever_was_missed_before() {
        for (request, response, waits, proven) in [
            (place(40, 100), place(100, 80), false, true),
            (place(40, 90), place(100, 80), false, false),
            (place(40, 100), place(100, 80), true, false),
            (place(40, 100), place(100, 40), false, false),
            (place(40, UNKNOWN), place(100, 80), false, false),
        ] {
            let mut order = Order::default();
            order.on_responses_missed();
            assert_eq!(order.on_response(response, Some(request), waits), proven, "{request:?} {response:?}");
        }
    }

    #[test]
    fn a_response_before_its_request_is_none_of_it() {
        let mut order = Order::default();
        assert!(!order.on_response(place(10, 80), Some(place(40, 20)), false));
        let mut order = Order::default();
        assert!(!order.on_response(place(10, 40), Some(place(40, 10)), false));
        let mut order = Order::default();
        assert!(!order.on_response(place(10, 40), None, false));
    }

    #[test]
    fn a_request_right_behind_missed_ones_that_wait_is_pipelined() {
        let mut order = Order::default();
        order.on_response_end(40, 100, Some(40));
        order.on_requests_missed();
        order.on_request(place(80, 100), false);
        order.on_response_end(120, 200, Some(120));
        order.on_request(place(120, 200), false);
        assert!(!order.on_response(place(200, 160), Some(place(120, 200)), false));
    }
}
