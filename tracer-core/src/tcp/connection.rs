//! One connection: what its events say, put together.

mod news;
mod telling;

use std::sync::Arc;

use tracer_common::{
    connection::FlowState,
    event::{Hook, HttpFacts, Marks, SegmentEvent},
    flow::{self, FlowKey, HalfFlags, SegmentFlags},
};

use super::{
    analysis::Place,
    conn_state::Course,
    direction::{self, Direction},
    endpoints::Endpoints,
    history::{self, History, Letters},
    known::Known,
    purpose::{Circumstances, purposes},
    untold,
};
use crate::{
    http::{self, Conversation, End, Quiet, Redaction},
    record::{Body, Purpose, Said, Side},
};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The handshake is not through.
    HalfOpen,
    /// The handshake is through, or the connection was picked up in its middle.
    Open,
    /// Both sides have closed, or one has reset it.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// The endpoints.
    pub key: FlowKey,
    /// The kernel's name of this incarnation.
    pub flow: u64,
    /// The lower endpoint of the key is the client.
    pub client_is_low: bool,
    /// When its first segment was seen, in ns.
    pub first: u64,
    /// When its last event happened, in ns.
    pub last: u64,
    /// When it closed, in ns.
    pub closed_at: u64,
    /// From the lower endpoint, from the higher one.
    directions: [Direction; 2],
    ends: Endpoints,
    syn_at: Known,
    syn_ack_at: Known,
    syn_ack_ns: Known,
    ack_ns: Known,
    syn_retransmits: u32,
    syn_ack_retransmits: u32,
    opened: bool,
    /// It was seen in a capture, whose checksums are verified.
    captured: bool,
    history: History,
    course: Course,
    /// Its messages, while one is under way.
    http: Option<Box<Conversation>>,
    /// What is left of them while none is.
    quiet: Quiet,
    /// What is told with the segment whose own event comes next, if segments are told.
    carried: Option<Box<Carried>>,
    wanted: Arc<Wanted>,
}

/// What is asked for besides exchanges and the course of connections.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Each segment told.
    pub segments: bool,
    /// The head of each message.
    pub messages: bool,
    /// Each change of an endpoint's state.
    pub states: bool,
    /// What request targets lose; `None`: nothing but user information.
    pub redaction: Option<Arc<Redaction>>,
}

/// The messages in a segment.
#[derive(Debug, Default)]
struct Carried {
    messages: Vec<Purpose>,
    /// What they say, held back until that segment is told.
    held: Said,
}

impl Carried {
    /// Notes what the bodies held behind the first `known`, and the end of a message, say of the segment.
    fn note(&mut self, facts: &HttpFacts, known: usize) {
        let purpose = |body: &Body| {
            if let Body::Request(request) = body {
                Some(Purpose::Request(request.head.method.clone()?, request.head.target.clone()?))
            } else if let Body::Response(response) = body {
                response.status.map(Purpose::Response)
            } else {
                None
            }
        };
        let new = self.held.iter().skip(known);
        self.messages.extend(new.filter_map(|(_, body)| purpose(body)));
        if facts.marks.contains(Marks::MESSAGE_END) {
            self.messages.push(if facts.marks.contains(Marks::RESPONSE) {
                Purpose::ResponseComplete(http::status(facts))
            } else {
                Purpose::RequestComplete
            });
        }
    }
}

/// What is held back at most for a segment whose event may have been lost.
const MAX_HELD: usize = 256;

impl Connection {
    /// The most that is allocated for one besides its place, its messages and its gaps: each piece with what the allocator adds.
    pub const BESIDES: usize = 2 * (direction::BESIDES + 16) + history::BESIDES + 2 * 16;

    /// A connection first seen at `time`.
    #[must_use]
    pub fn new(key: FlowKey, flow: u64, client_is_low: bool, time: u64, wanted: Arc<Wanted>) -> Self {
        Self {
            key,
            flow,
            client_is_low,
            first: time,
            last: time,
            closed_at: 0,
            directions: Default::default(),
            ends: Endpoints::default(),
            syn_at: Known::default(),
            syn_ack_at: Known::default(),
            syn_ack_ns: Known::default(),
            ack_ns: Known::default(),
            syn_retransmits: 0,
            syn_ack_retransmits: 0,
            opened: false,
            captured: false,
            history: History::default(),
            course: Course::default(),
            http: None,
            quiet: Quiet::default(),
            carried: None,
            wanted,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.ends.are_closed() {
            Phase::Closed
        } else if self.opened {
            Phase::Open
        } else {
            Phase::HalfOpen
        }
    }

    /// Exchanges reported so far.
    #[must_use]
    pub fn exchanges(&self) -> u32 {
        self.http.as_ref().map_or(self.quiet.exchanges(), |http| http.exchanges())
    }

    /// What is known of its messages.
    fn http(&mut self) -> &mut Conversation {
        let tells_heads = self.wanted.messages || self.wanted.segments;
        self.http.get_or_insert_with(|| {
            Box::new(Conversation::new(self.quiet, !tells_heads, self.wanted.redaction.clone()))
        })
    }

    /// Keeps no more of its messages than there is need for.
    fn settle(&mut self) {
        if let Some(quiet) = self.http.as_ref().and_then(|http| http.quiet()) {
            self.quiet = quiet;
            self.http = None;
        }
    }

    /// A SYN that the connection is said to have sent or answered was seen.
    #[must_use]
    pub fn has_syn(&self) -> bool {
        self.directions.iter().any(|direction| direction.flags().contains(HalfFlags::SYN))
    }

    /// The kernel lost its state of the connection and starts counting anew, under another name, with an event at `time`.
    pub(crate) fn adopt(&mut self, flow: u64, time: u64, said: &mut Said) {
        self.flow = flow;
        for direction in &mut self.directions {
            direction.start_anew();
        }
        if let Some(carried) = self.carried.take() {
            said.extend(carried.held);
        }
        match &mut self.http {
            Some(http) => http.start_anew(time, said),
            None => self.quiet.start_anew(),
        }
        self.settle();
    }

    fn side(&self, low: bool) -> Side {
        if low == self.client_is_low { Side::Client } else { Side::Server }
    }

    fn direction(&self, side: Side) -> &Direction {
        let low = (side == Side::Client) == self.client_is_low;
        &self.directions[usize::from(!low)]
    }

    /// Takes in an HTTP event of this connection.
    pub fn on_http(&mut self, facts: &HttpFacts, bytes: &[u8], said: &mut Said) {
        self.last = facts.header.time;
        let low = facts.header.sender() == flow::End::Low;
        self.note_lost(low, facts.header.lost);
        // What a message says comes after the segment that carried it, if segments are told.
        if self.wanted.segments {
            let mut carried = self.carried.take().unwrap_or_default();
            if carried.held.len() >= MAX_HELD {
                // The events of segments that carried as many must be lost.
                said.append(&mut carried.held);
                carried.messages.clear();
            }
            let known = carried.held.len();
            self.http().on_event(facts, bytes, &mut carried.held);
            carried.note(facts, known);
            self.carried = Some(carried);
        } else {
            self.http().on_event(facts, bytes, said);
        }
        if let Some(client_is_low) = self.http().client_is_low()
            && !self.has_syn()
        {
            self.turn(client_is_low);
        }
        self.settle();
    }

    /// Bytes kept of its messages and its gaps.
    pub(crate) fn buffered(&self) -> usize {
        let held = self.carried.as_ref().map_or(0, |carried| carried.held.len() * size_of::<(u64, Body)>());
        let gaps: usize = self.directions.iter().map(Direction::buffered).sum();
        self.http.as_ref().map_or(0, |http| http.buffered()) + held + gaps
    }

    /// Gives up what is kept of its messages and its gaps: there is no room.
    pub(crate) fn give_up_buffers(&mut self, now: u64, said: &mut Said) {
        self.directions.iter_mut().for_each(Direction::give_up_buffers);
        if let Some(carried) = self.carried.take() {
            said.extend(carried.held);
        }
        if let Some(http) = &mut self.http {
            http.give_up_buffers(now, said);
        }
        self.settle();
    }

    /// Repairs the direction of a connection whose SYN was not seen.
    fn turn(&mut self, client_is_low: bool) {
        if client_is_low != self.client_is_low {
            self.client_is_low = client_is_low;
            self.ends.turn();
        }
    }

    /// What was told of its end was lost; how many events that were is not known any more.
    pub fn lose_end(&mut self) {
        self.directions[0].count_lost();
        for low in [true, false] {
            self.lose_http(low);
        }
    }

    fn lose_http(&mut self, low: bool) {
        match &mut self.http {
            Some(http) => http.on_lost(low),
            None => self.quiet.on_lost(),
        }
    }

    fn note_lost(&mut self, low: bool, lost: u32) {
        if self.directions[usize::from(!low)].take_lost(lost) {
            self.lose_http(low);
        }
    }

    /// The handshake was not told: `event` is the first to say something of it.
    #[must_use]
    pub fn lacks_handshake(&self, event: &SegmentEvent) -> bool {
        !self.has_syn() && untold::is_untold(event)
    }

    /// Takes in a segment event of this connection.
    pub fn on_segment(&mut self, event: &SegmentEvent, said: &mut Said) {
        if self.lacks_handshake(event) {
            self.make_up_handshake(event, said);
        }
        self.take_segment(event, true, said);
    }

    /// Takes in the segments of the handshake that were not told before `event`.
    fn make_up_handshake(&mut self, event: &SegmentEvent, said: &mut Said) {
        let carried = self.carried.take();
        for earlier in untold::handshake(event) {
            self.first = self.first.min(earlier.header.time);
            self.take_segment(&earlier, false, said);
        }
        self.carried = carried;
    }

    /// Takes in a segment that was told, or should have been.
    fn take_segment(&mut self, event: &SegmentEvent, is_told: bool, said: &mut Said) {
        let time = event.header.time;
        self.last = time;
        self.captured |= Hook::from_byte(event.header.hook) == Some(Hook::Capture);
        let low = event.header.sender() == flow::End::Low;
        let sender = self.side(low);
        let previous = self.ends.clone();
        let duplicates = self.direction(sender).duplicate_acks();
        let opening = !self.direction(Side::Server).flags().contains(HalfFlags::SYN) && self.has_syn();

        let zero_windows = self.direction(sender).zero_windows();
        let round_trip = self.syn_ack_ns.get().unwrap_or(0);
        let place = self.directions[usize::from(!low)].note_segment(event, round_trip);
        self.note_handshake(event, low);
        for low in [true, false] {
            let lost = event.halves[usize::from(!low)].lost;
            self.note_lost(low, lost);
        }
        let mut letters = Letters::default();
        self.take_counters(&event.halves, Some(event), &mut letters);
        self.note_history(event, low, zero_windows, &mut letters);
        self.history.add(letters, time);
        self.directions[usize::from(!low)].window = event.window;
        let mut carried = self.carried.take().map(|carried| *carried).unwrap_or_default();
        if self.wanted.segments && is_told {
            let duplicate_ack = self.direction(sender).duplicate_acks() > duplicates;
            let out_of_order = place == Place::Overtaken;
            let circumstances = Circumstances { out_of_order, duplicate_ack, opening };
            let body = self.segment_seen(event, sender, purposes(event, circumstances, carried.messages));
            said.push((time, Body::Segment(Box::new(body))));
        }
        self.tell_change(&previous, time, said);
        self.tell_opened(event.reasons.contains(SegmentFlags::HANDSHAKE_ACK), time, said);
        said.append(&mut carried.held);
        self.note_end(event, low, said);
    }

    /// FIN, RST, and both sides closed: what that means for the exchanges.
    fn note_end(&mut self, event: &SegmentEvent, low: bool, said: &mut Said) {
        let time = event.header.time;
        let direction = &self.directions[usize::from(!low)];
        // One out of the window ends nothing.
        let counts = direction.has(HalfFlags::FIN);
        if counts
            && event.reasons.contains(SegmentFlags::FIN)
            && !event.reasons.contains(SegmentFlags::REPEATED)
        {
            // The FIN also says how much there was before it.
            let end = direction.fin_offset(event);
            let missing = direction.missing_before(end);
            self.http().on_fin(low, end, missing, time, said);
        }
        if self.phase() == Phase::Closed && self.closed_at == 0 {
            self.closed_at = time;
            self.finish_http(if self.ends.reset_by.is_some() { End::Reset } else { End::Closed }, time, said);
        }
        self.carried = None;
    }

    /// Tells what is under way; nothing of it is kept.
    fn finish_http(&mut self, end: End, time: u64, said: &mut Said) {
        if let Some(mut http) = self.http.take() {
            http.finish(end, time, said);
            self.quiet = http.rest();
        }
    }

    /// Takes in what the kernel's table says, where events may have been lost.
    pub fn on_flow(&mut self, flow: &FlowState, now: u64, said: &mut Said) {
        if flow.id != self.flow {
            return;
        }
        if !self.has_syn() {
            self.make_up_handshake(&untold::event(&self.key, flow), said);
        }
        let halves = [flow.tcp[0].counters, flow.tcp[1].counters];
        for low in [true, false] {
            self.note_lost(low, halves[usize::from(!low)].lost);
        }
        let previous = self.ends.clone();
        self.last = flow.tcp.iter().fold(self.last, |last, half| last.max(half.last_ns));
        let mut letters = Letters::default();
        self.take_counters(&halves, None, &mut letters);
        self.history.add(letters, self.last);
        self.tell_change(&previous, now, said);
        self.tell_opened(false, now, said);
        if self.phase() == Phase::Closed && self.closed_at == 0 {
            self.closed_at = self.last;
        }
    }
}
