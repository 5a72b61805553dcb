//! One connection: what its events say, put together.

use std::sync::Arc;

use tracer_common::{
    event::{Hook, HttpFacts, SegmentEvent, mark},
    flow::{FlowKey, FlowState, HalfCounters, cause, half},
    wire::TcpFlags,
};

use super::{
    analysis::Place,
    completeness::completeness,
    conn_state::Course,
    direction::{Direction, window_scale},
    endpoints::{self, Endpoints},
    history::{History, News},
    known::Known,
    purpose::{Circumstances, flags_text, purposes},
    untold,
};
use crate::{
    http::{self, Conversation, End, Quiet, Redaction},
    record::{Body, CloseReason, Closed, HalfOpen, Opened, Purpose, Said, SegmentSeen, Side, SideTotals},
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
        if facts.marks & mark::MESSAGE_END != 0 {
            self.messages.push(if facts.marks & mark::RESPONSE != 0 {
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
        self.directions.iter().any(|direction| direction.flags() & half::SYN != 0)
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
        let low = facts.header.from_low != 0;
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

    /// Bytes kept of its messages.
    pub(crate) fn buffered(&self) -> usize {
        let held = self.carried.as_ref().map_or(0, |carried| carried.held.len() * size_of::<(u64, Body)>());
        self.http.as_ref().map_or(0, |http| http.buffered()) + held
    }

    /// Gives up what is kept of its messages: there is no room.
    pub(crate) fn give_up_buffers(&mut self, now: u64, said: &mut Said) {
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
        let low = event.header.from_low != 0;
        let sender = self.side(low);
        let previous = self.ends.clone();
        let duplicates = self.direction(sender).duplicate_acks();
        let opening = self.direction(Side::Server).flags() & half::SYN == 0 && self.has_syn();

        let zero_windows = self.direction(sender).zero_windows();
        let round_trip = self.syn_ack_ns.get().unwrap_or(0);
        let place = self.directions[usize::from(!low)].note_segment(event, round_trip);
        self.note_handshake(event, low);
        for low in [true, false] {
            let lost = event.halves[usize::from(!low)].lost;
            self.note_lost(low, lost);
        }
        let mut news = News::default();
        self.take_counters(&event.halves, Some(event), &mut news);
        self.note_history(event, low, zero_windows, &mut news);
        self.history.add(news, time);
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
        self.tell_opened(event.causes & cause::HANDSHAKE_ACK != 0, time, said);
        said.append(&mut carried.held);
        self.note_end(event, low, said);
    }

    /// SYN and SYN-ACK: when, and how often again.
    fn note_handshake(&mut self, event: &SegmentEvent, low: bool) {
        let time = event.header.time;
        if event.causes & (cause::SYN | cause::SYN_ACK) == 0 {
            return;
        }
        self.directions[usize::from(!low)].window_scale = window_scale(event);
        let repeated = event.causes & cause::REPEATED != 0;
        let answer = event.causes & cause::SYN_ACK != 0;
        if !self.has_syn() {
            // Until now it was a guess who is the client.
            self.turn(low != answer);
        }
        if repeated {
            *if answer { &mut self.syn_ack_retransmits } else { &mut self.syn_retransmits } += 1;
        } else if answer {
            self.syn_ack_at = Some(time).into();
            self.syn_ack_ns = self.syn_at.get().map(|syn| time.saturating_sub(syn)).into();
        } else {
            self.syn_at = self.syn_at.get().or(Some(time)).into();
        }
    }

    /// What Zeek's history says of a segment besides its control bits; `zero_windows` were known before.
    fn note_history(&mut self, event: &SegmentEvent, low: bool, zero_windows: u64, news: &mut News) {
        let (time, own, other) = (event.header.time, usize::from(!low), usize::from(low));
        if self.course.heeds_window(low) {
            let quiet = self.directions[own].zero_windows().saturating_sub(zero_windows);
            let closing = event.window == 0
                && event.flags & (TcpFlags::SYN | TcpFlags::FIN) != 0
                && event.flags & TcpFlags::RST == 0;
            self.history.logarithmic(news, low, b'W', quiet + u64::from(closing), time);
        }
        if event.causes & cause::NO_NEWS != 0 && !self.course.has_reset(low) {
            self.history.logarithmic(news, low, b'T', 1, time);
        }
        if event.flags & TcpFlags::ACK != 0 {
            let unseen = self.directions[other].note_acked(event.ack);
            if self.course.is_clean() {
                self.history.logarithmic(news, !low, b'G', unseen, time);
            }
        }
    }

    /// What Zeek makes of the control bits: of those of `event`, and before it of those `new` ones whose own event was lost.
    fn note_flags(&mut self, low: bool, new: u32, event: Option<&SegmentEvent>, time: u64, news: &mut News) {
        let told = event.map_or(0, |event| event.flags);
        let direction = &self.directions[usize::from(!low)];
        let (base, end) = (direction.base(), direction.end());
        let is_client = low == self.client_is_low;
        let is_lost = |flag: u32, bit: u8| new & flag != 0 && told & bit == 0;
        if is_lost(half::SYN, TcpFlags::SYN) {
            let bits = if new & half::SYN_ACK == 0 { TcpFlags::SYN } else { TcpFlags::SYN | TcpFlags::ACK };
            let mut first = News::default();
            self.history.on_flags(&mut first, low, TcpFlags(bits), (base, base), self.first);
            self.history.add_first(first);
            self.course.on_segment(low, is_client, TcpFlags(bits), 0);
        }
        for (flag, bits) in [(half::FIN, TcpFlags::FIN), (half::RST, TcpFlags::RST)] {
            if is_lost(flag, bits) {
                self.history.on_flags(news, low, TcpFlags(bits), (end, end), time);
                self.course.on_segment(low, is_client, TcpFlags(bits), 0);
            }
        }
        if let Some(event) = event {
            let seq = event.payload_seq();
            let numbers = (seq, seq.add(event.payload_len));
            self.history.on_flags(news, low, TcpFlags(event.flags), numbers, time);
            self.course.on_segment(low, is_client, TcpFlags(event.flags), event.payload_len);
        }
    }

    /// Takes in what both directions have shown, and advances the endpoints by what is new in it. Also right when events
    /// were lost in between. `event` is the segment that brought the news, if one did.
    fn take_counters(
        &mut self,
        halves: &[HalfCounters; 2],
        event: Option<&SegmentEvent>,
        letters: &mut News,
    ) {
        let had_started = self.directions.each_ref().map(|direction| direction.flags() & half::STARTED != 0);
        let mut news = [0; 2];
        for ((direction, told), news) in self.directions.iter_mut().zip(halves).zip(&mut news) {
            *news = direction.take(told);
        }
        let sender = event.map(|event| event.header.from_low != 0);
        let time = event.map_or(self.last, |event| event.header.time);
        // What the sender shows comes first.
        let first = sender.unwrap_or(true);
        let order = [first, !first];
        let causes = |low| event.filter(|_| sender == Some(low)).map_or(0, |event| event.causes);
        self.ends.on_news(order.map(|low| {
            let index = usize::from(!low);
            // A SYN that was overtaken changes nothing any more.
            let flags = if had_started[index] { news[index] & !half::SYN } else { news[index] };
            let fresh_syn_ack = flags & half::SYN != 0 && halves[index].flags & half::SYN_ACK != 0;
            endpoints::News {
                side: self.side(low),
                flags,
                answers: fresh_syn_ack || causes(low) & cause::SYN_ACK != 0,
                syn_acked: self.directions[1 - index].flags() & half::ACKED_SYN != 0,
            }
        }));
        for low in order {
            let index = usize::from(!low);
            let (side, new, now) = (self.side(low), news[index], causes(low));
            self.note_flags(low, new, event.filter(|_| sender == Some(low)), time, letters);
            for (letter, at) in [(b'A', halves[index].first_ack_ns), (b'D', halves[index].first_data_ns)] {
                if at != 0 {
                    self.history.once(letters, low, letter, at);
                }
            }
            if now & cause::RST != 0 || event.is_none() && new & half::RESET != 0 {
                let peer = &self.directions[1 - index];
                // A RST out of nothing ends nothing that is known.
                let is_known = self.directions[index].flags() & half::STARTED != 0;
                if is_known && event.is_none_or(|event| peer.accepts_reset(event.seq)) {
                    self.ends.on_reset(side);
                }
            }
        }
    }

    fn tell_change(&self, previous: &Endpoints, time: u64, said: &mut Said) {
        if self.wanted.states
            && let Some(change) = self.ends.change_since(previous)
        {
            said.push((time, Body::State(change)));
        }
    }

    /// `confirmed` by the segment at `time`; it may also have been opened by one that was not told.
    fn tell_opened(&mut self, confirmed: bool, time: u64, said: &mut Said) {
        if self.opened || !self.ends.are_open() {
            return;
        }
        self.opened = true;
        let midstream = !self.has_syn();
        let answered = self.syn_ack_at.get().filter(|_| confirmed);
        self.ack_ns = answered.map(|at| time.saturating_sub(at)).into();
        let body = Body::Opened(Opened {
            syn_ack_ns: self.syn_ack_ns.get(),
            ack_ns: self.ack_ns.get(),
            syn_retransmits: self.syn_retransmits,
            syn_ack_retransmits: self.syn_ack_retransmits,
            midstream,
        });
        said.push((time, body));
    }

    /// How long the server was in SYN-RECEIVED, as far as the wire shows it: until the confirmation, or at least until the
    /// last segment. Not known where the SYN-ACK or the confirmation was not seen.
    fn syn_received_ns(&self) -> Option<u64> {
        let answered = self.syn_ack_at.get()?;
        if self.opened { self.ack_ns.get() } else { Some(self.last.saturating_sub(answered)) }
    }

    /// What there is to say at `now` about a handshake that is not confirmed.
    #[must_use]
    pub fn half_open(&self, now: u64) -> HalfOpen {
        HalfOpen {
            since_ns: now.saturating_sub(self.first),
            syn_received_ns: self.syn_ack_at.get().map(|at| now.saturating_sub(at)),
            syn_retransmits: self.syn_retransmits,
            syn_ack_retransmits: self.syn_ack_retransmits,
        }
    }

    fn segment_seen(&self, event: &SegmentEvent, sender: Side, purposes: Vec<Purpose>) -> SegmentSeen {
        let own = self.direction(sender);
        let other = self.direction(sender.other());
        let scale = if event.flags & TcpFlags::SYN == 0 { own.window_scale.unwrap_or(0) } else { 0 };
        let acknowledges = event.flags & TcpFlags::ACK != 0 && other.flags() & half::STARTED != 0;
        SegmentSeen {
            sender,
            since_start_ns: event.header.time.saturating_sub(self.first),
            flags: flags_text(event.flags),
            seq: own.relative(event.seq),
            ack: acknowledges.then(|| other.relative(event.ack)),
            len: event.payload_len,
            window: u64::from(event.window) << scale,
            purposes,
            client_state: self.ends.state(Side::Client),
            server_state: self.ends.state(Side::Server),
        }
    }

    /// FIN, RST, and both sides closed: what that means for the exchanges.
    fn note_end(&mut self, event: &SegmentEvent, low: bool, said: &mut Said) {
        let time = event.header.time;
        let direction = &self.directions[usize::from(!low)];
        // One out of the window ends nothing.
        let counts = direction.has(half::FIN);
        if counts && event.causes & cause::FIN != 0 && event.causes & cause::REPEATED == 0 {
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
        let halves = [flow.halves[0].counters, flow.halves[1].counters];
        for low in [true, false] {
            self.note_lost(low, halves[usize::from(!low)].lost);
        }
        let previous = self.ends.clone();
        self.last = flow.halves.iter().fold(self.last, |last, half| last.max(half.last_ns));
        let mut news = News::default();
        self.take_counters(&halves, None, &mut news);
        self.history.add(news, self.last);
        self.tell_change(&previous, now, said);
        self.tell_opened(false, now, said);
        if self.phase() == Phase::Closed && self.closed_at == 0 {
            self.closed_at = self.last;
        }
    }

    /// The connection is over for `reason`, at `now`: what is pending, and then the record of its end.
    pub fn close(&mut self, reason: CloseReason, now: u64, said: &mut Said) {
        let end = match reason {
            CloseReason::Fin => End::Closed,
            CloseReason::Reset | CloseReason::Refused => End::Reset,
            CloseReason::Unanswered
            | CloseReason::HalfOpenTimeout
            | CloseReason::IdleTimeout
            | CloseReason::Evicted => End::NotObserved,
            CloseReason::EndOfCapture => End::ObservationOver,
        };
        if let Some(carried) = &mut self.carried {
            said.append(&mut carried.held);
        }
        self.finish_http(end, now, said);
        said.push((now, Body::Closed(Box::new(self.closed(reason)))));
    }

    /// Why it is over although it was not seen to close: of the last acknowledgments one was missed, or of all of it nothing
    /// but RSTs was seen.
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        let all = |bits| self.directions.iter().all(|direction| direction.flags() & bits != 0);
        let any = |bits| self.directions.iter().any(|direction| direction.flags() & bits != 0);
        if all(half::FIN) {
            Some(CloseReason::Fin)
        } else {
            (any(half::RST) && !any(half::STARTED)).then_some(CloseReason::Reset)
        }
    }

    /// Why it is over, if it closed by itself.
    #[must_use]
    pub fn close_reason(&self) -> CloseReason {
        let server_silent = self.direction(Side::Server).flags() & half::SYN == 0;
        match self.phase() {
            Phase::Closed if self.ends.reset_by.is_none() => CloseReason::Fin,
            Phase::Closed if self.ends.reset_by == Some(Side::Server) && self.has_syn() && server_silent => {
                CloseReason::Refused
            }
            Phase::Closed => CloseReason::Reset,
            phase @ (Phase::Open | Phase::HalfOpen) => self.ended().unwrap_or(match phase {
                Phase::Open | Phase::Closed => CloseReason::IdleTimeout,
                Phase::HalfOpen if server_silent => CloseReason::Unanswered,
                Phase::HalfOpen => CloseReason::HalfOpenTimeout,
            }),
        }
    }

    fn closed(&self, reason: CloseReason) -> Closed {
        let (client, server) = (self.direction(Side::Client), self.direction(Side::Server));
        let empty = client.stream_bytes() == 0 && server.stream_bytes() == 0;
        let packets = client.packets() + server.packets();
        let verified = |totals: SideTotals| SideTotals {
            checksum_errors: totals.checksum_errors.filter(|_| self.captured),
            ..totals
        };
        Closed {
            conn_state: self.course.conn_state(self.client_is_low, empty),
            history: self.history.text(self.client_is_low),
            completeness: completeness(client.flags(), server.flags(), packets),
            reason,
            initiator: match reason {
                CloseReason::Reset | CloseReason::Refused => self.ends.reset_by,
                CloseReason::Fin => self.ends.fin_by,
                CloseReason::Unanswered
                | CloseReason::HalfOpenTimeout
                | CloseReason::IdleTimeout
                | CloseReason::Evicted
                | CloseReason::EndOfCapture => None,
            },
            duration_ns: self.last.saturating_sub(self.first),
            syn_received_ns: self.syn_received_ns(),
            client: verified(client.side_totals(server)),
            server: verified(server.side_totals(client)),
            exchanges: self.exchanges(),
            events_lost: client.lost() + server.lost(),
        }
    }
}
