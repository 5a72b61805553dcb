//! One connection: its TCP session and its application protocol, joined.
//!
//! ```text
//!   segment event ─► tcp::Handshake, tcp::Session ─► Update ─► App::on_lost, on_fin, finish ─► records
//!   HTTP event ───────────────────────────────────────────────► App::on_event ───────────────► records
//!   ICMP event ──────────────────────────────────────────────────────────────────────────────► records
//! ```

mod app;
mod held;
mod icmp;
mod purpose;
mod records;

use std::{net::IpAddr, sync::Arc};

use tracer_common::{
    connection::FlowState,
    event::{Hook, HttpFacts, SegmentEvent},
    flow::{End, FlowKey, SegmentFlags},
};

use self::{
    app::{App, AppOptions},
    held::HeldMessages,
    icmp::IcmpErrors,
    purpose::purposes,
};
use crate::{
    http::{ConnectionEnd, Gaps, HeadOptions},
    record::{Bodies, Body, CloseReason, EventName, Events, Side},
    tcp::{Handshake, Session, Update, unreported},
};

/// How far a connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The handshake is not complete.
    HalfOpen,
    /// The handshake is complete, or the connection was first seen midstream.
    Open,
    /// Both sides have closed, or one has reset it.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// The endpoints.
    pub key: FlowKey,
    /// The kernel's identifier of this incarnation.
    pub flow: u64,
    /// When its first segment was seen, in ns.
    pub first: u64,
    /// When its last event happened, in ns.
    pub last: u64,
    /// When it closed, in ns; 0 before.
    pub closed_at: u64,
    handshake: Handshake,
    session: Session,
    app: App,
    /// Messages held for the next segment, if segments are reported.
    held: Option<Box<HeldMessages>>,
    /// Boxed, because there are rarely any.
    icmp: Option<Box<IcmpErrors>>,
    options: Arc<ReportOptions>,
    opened: bool,
    /// It was seen in a capture, whose checksums are verified.
    captured: bool,
}

/// What is reported of a connection. Exchanges, and opened and closed connections, always are.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// The records to make.
    pub events: Events,
    /// How heads are recorded.
    pub heads: HeadOptions,
}

impl ReportOptions {
    /// `client`: the client, if a SYN shows it.
    fn app(&self, client: Option<End>) -> AppOptions<'_> {
        // The purposes of a segment name the messages in it.
        let exchanges_only =
            !self.events.has_any(&[EventName::Request, EventName::Response, EventName::Segment]);
        AppOptions { client, exchanges_only, heads: &self.heads }
    }
}

impl Gaps for Session {
    fn are_between(&self, from: End, start: u64, end: u64) -> bool {
        self.direction(self.side(from)).has_gap(start, end)
    }
}

impl Connection {
    /// The most bytes that one allocates besides its messages and its gaps, with what the allocator adds to
    /// each piece.
    pub const MAX_HEAP: usize = Session::MAX_HEAP + size_of::<IcmpErrors>() + 16;

    /// A connection first seen at `time`.
    #[must_use]
    pub fn new(key: FlowKey, flow: u64, client: End, time: u64, options: Arc<ReportOptions>) -> Self {
        Self {
            key,
            flow,
            first: time,
            last: time,
            closed_at: 0,
            handshake: Handshake::default(),
            session: Session::new(client),
            app: App::default(),
            held: None,
            icmp: None,
            options,
            opened: false,
            captured: false,
        }
    }

    /// How far it has got.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.session.endpoints().are_closed() {
            Phase::Closed
        } else if self.opened {
            Phase::Open
        } else {
            Phase::HalfOpen
        }
    }

    /// Which endpoint is the client.
    #[must_use]
    pub const fn client(&self) -> End {
        self.session.client()
    }

    /// The address of the client that a proxy connects for, as it says.
    #[must_use]
    pub fn forwarded(&self) -> Option<IpAddr> {
        self.app.forwarded()
    }

    /// Whether a RST ends it if its sender sends nothing more.
    #[must_use]
    pub const fn is_reset_doubtful(&self) -> bool {
        self.session.is_reset_doubtful()
    }

    /// Exchanges reported so far.
    #[must_use]
    pub fn exchanges(&self) -> u32 {
        self.app.exchanges()
    }

    /// Whether a SYN or a SYN-ACK of the connection was seen.
    #[must_use]
    pub fn has_syn(&self) -> bool {
        self.session.has_syn()
    }

    /// The client, if a SYN shows it.
    fn syn_client(&self) -> Option<End> {
        self.has_syn().then(|| self.client())
    }

    /// Whether `event` is the first event of a connection whose handshake was not reported.
    #[must_use]
    pub fn lacks_handshake(&self, event: &SegmentEvent) -> bool {
        !self.has_syn() && unreported::is_unreported(event)
    }

    /// The kernel lost its state of the connection, and counts from zero again under another identifier, with
    /// an event at `time`.
    pub(crate) fn restart(&mut self, flow: u64, time: u64, out: &mut Bodies) {
        self.flow = flow;
        self.session.restart();
        self.release_held(out);
        self.app.restart(time, out);
    }

    /// The events of its end were lost; their number is unknown.
    pub fn on_end_lost(&mut self) {
        self.session.count_lost();
        self.on_lost([true, true]);
    }

    /// Events of the lower and of the higher endpoint were lost.
    fn on_lost(&mut self, lost: [bool; 2]) {
        for (from, is_lost) in End::BOTH.into_iter().zip(lost) {
            if is_lost {
                self.app.on_lost(from);
            }
        }
    }

    /// Takes in an HTTP event.
    pub fn on_http(&mut self, facts: &HttpFacts, bytes: &[u8], out: &mut Bodies) {
        self.last = facts.header.time;
        let from = facts.header.sender();
        self.session.on_message(from);
        if self.session.on_lost(from, facts.header.lost) {
            self.app.on_lost(from);
        }
        let options = self.options.app(self.syn_client());
        if self.options.events.has(EventName::Segment) {
            // The records of a message follow that of the segment that carries it.
            let held = self.held.get_or_insert_default();
            held.limit(out);
            let known = held.records.len();
            self.app.on_event(&options, facts, bytes, &self.session, &mut held.records);
            held.note(facts, known);
        } else {
            self.app.on_event(&options, facts, bytes, &self.session, out);
        }
        if let Some(client) = self.app.client()
            && !self.session.has_syn()
        {
            self.session.set_client(client);
        }
    }

    /// Takes in a segment event.
    pub fn on_segment(&mut self, event: &SegmentEvent, out: &mut Bodies) {
        if self.lacks_handshake(event) {
            self.rebuild_handshake(event, out);
        }
        let time = event.header.time;
        let update = self.apply_segment(event);
        let mut held = self.held.take().map(|held| *held).unwrap_or_default();
        held.release_others(&event.header, out);
        if self.options.events.has(EventName::Segment) {
            let purposes = purposes(event, update.context, held.purposes);
            out.push((time, Body::Segment(Box::new(self.segment_seen(event, purposes)))));
        }
        self.report_progress(&update, event.reasons.contains(SegmentFlags::HANDSHAKE_ACK), time, out);
        out.extend(held.records);
        if let Some(fin) = update.fin {
            self.app.on_fin(&self.options.app(self.syn_client()), event.header.sender(), fin, time, out);
        }
        if self.phase() != Phase::Closed {
            // A refused attempt may be made again.
            self.closed_at = 0;
        } else if self.closed_at == 0 {
            self.closed_at = time;
            let is_reset = self.session.endpoints().reset_by.is_some();
            let end = if is_reset { self.reset() } else { ConnectionEnd::Closed };
            self.app.finish(end, time, out);
        }
    }

    /// Takes in the segments of the handshake before `event`, which were not reported.
    fn rebuild_handshake(&mut self, event: &SegmentEvent, out: &mut Bodies) {
        for segment in unreported::handshake(event) {
            self.first = self.first.min(segment.header.time);
            let update = self.apply_segment(&segment);
            self.report_progress(&update, false, segment.header.time, out);
        }
    }

    fn apply_segment(&mut self, event: &SegmentEvent) -> Update {
        self.last = event.header.time;
        self.captured |= Hook::from_byte(event.header.hook) == Some(Hook::Capture);
        let update = self.session.on_segment(event, self.handshake.syn_ack_ns().unwrap_or(0));
        self.handshake.on_segment(event);
        self.on_lost(update.lost);
        update
    }

    /// Takes in the last counters, before the kernel drops them.
    pub fn on_last_counters(&mut self, event: &SegmentEvent, out: &mut Bodies) {
        self.last = self.last.max(event.header.time);
        let update = self.session.on_lookup(&event.halves, self.last);
        self.on_lost(update.lost);
        self.report_progress(&update, false, self.last, out);
    }

    /// Takes in the entry of the kernel's table, after events may have been lost.
    pub fn on_lookup(&mut self, flow: &FlowState, now: u64, out: &mut Bodies) {
        if flow.id != self.flow {
            return;
        }
        if !self.has_syn() {
            self.rebuild_handshake(&unreported::event_of(&self.key, flow), out);
        }
        self.last = flow.tcp.iter().fold(self.last, |last, half| last.max(half.last_ns));
        let halves = [flow.tcp[0].counters, flow.tcp[1].counters];
        let update = self.session.on_lookup(&halves, self.last);
        self.on_lost(update.lost);
        self.report_progress(&update, false, now, out);
        if self.phase() == Phase::Closed && self.closed_at == 0 {
            self.closed_at = self.last;
        }
    }

    /// Reports a change of state, and that the connection is open. `is_confirmed`: the segment at `time`
    /// completes the handshake; if not, an unreported one did.
    fn report_progress(&mut self, update: &Update, is_confirmed: bool, time: u64, out: &mut Bodies) {
        if self.options.events.has(EventName::State)
            && let Some(change) = &update.state_change
        {
            out.push((time, Body::State(change.clone())));
        }
        if !self.opened && self.session.endpoints().are_open() {
            self.opened = true;
            if is_confirmed {
                self.handshake.on_confirmed(time);
            }
            out.push((time, Body::Opened(self.opened())));
        }
    }

    /// Closes the connection at `now`: reports what is in progress, and then the record of its end.
    pub fn close(&mut self, reason: CloseReason, now: u64, out: &mut Bodies) {
        let end = match reason {
            CloseReason::Fin => ConnectionEnd::Closed,
            CloseReason::Reset | CloseReason::Refused => self.reset(),
            CloseReason::Unanswered
            | CloseReason::HalfOpenTimeout
            | CloseReason::IdleTimeout
            | CloseReason::PortsReused
            | CloseReason::Evicted => ConnectionEnd::NotObserved,
            CloseReason::EndOfCapture | CloseReason::EndOfTrace => ConnectionEnd::ObservationOver,
        };
        if reason == CloseReason::Reset {
            self.session.conclude_reset();
        }
        self.release_held(out);
        self.app.finish(end, now, out);
        out.push((now, Body::Closed(Box::new(self.closed(reason)))));
    }

    /// The end by a RST.
    fn reset(&self) -> ConnectionEnd {
        let client = self.client();
        let end_of = |side| if side == Side::Client { client } else { client.other() };
        let by = self.session.endpoints().reset_by.map(end_of);
        let sent = End::BOTH.map(|end| self.session.direction(self.session.side(end)).seen_until());
        ConnectionEnd::Reset { by, sent }
    }

    /// Bytes of memory that its messages and its gaps take.
    pub(crate) fn buffered(&self) -> usize {
        let held = self.held.as_ref().map_or(0, |held| held.buffered());
        self.app.buffered() + held + self.session.buffered()
    }

    /// Drops its messages in progress and its gaps, to free memory.
    pub(crate) fn drop_buffers(&mut self, now: u64, out: &mut Bodies) {
        self.session.drop_buffers();
        self.release_held(out);
        self.app.drop_buffers(now, out);
    }

    /// Reports the messages whose segment was not reported.
    fn release_held(&mut self, out: &mut Bodies) {
        if let Some(held) = self.held.take() {
            out.extend(held.records);
        }
    }
}
