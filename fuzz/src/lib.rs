//! Shared parts of the fuzz targets: splitting an input into pieces, and processing frames into
//! records.

use tracer::output::Format;
use tracer_common::{
    counter::Counter,
    event::{Event, Hook},
    flow::Removal,
    wire::LinkType,
};
use tracer_core::{
    host::{HostObserver, Selection},
    record::{EventName, Events, Record},
    render::{Actors, Render, Style},
    tracker::{Tracker, TrackerOptions},
};

/// Maximum number of connections: so low that every input can reach it.
pub const MAX_CONNECTIONS: usize = 4;

/// Splits an input into pieces. Each piece has a control byte that the target interprets, a length
/// of two bytes in network byte order, and its bytes; the last piece may be shorter than its
/// length.
pub fn pieces(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([control, high, low], rest) = input.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (piece, rest) = rest.split_at(len.min(rest.len()));
        input = rest;
        Some((*control, piece))
    })
}

/// The path of frames through observer, tracker and renderers, all with low limits.
pub struct Path {
    observer: HostObserver,
    tracker: Tracker,
    renderers: [Box<dyn Render>; 3],
    /// Called with the bytes of each record in each format.
    check: fn(Format, &[u8]),
    /// Number of frames.
    frames: u64,
    /// Number of events.
    events: u64,
    /// The current time.
    now: u64,
}

/// All records of the tracker except those of half-open handshakes.
pub const fn every_event() -> Events {
    Events::of(&[EventName::Request, EventName::Response, EventName::State, EventName::Segment])
}

impl Default for Path {
    fn default() -> Self {
        Self::checked_by(|_, _| {})
    }
}

impl Path {
    /// A path that calls `check` with the bytes of each record in each format.
    pub fn checked_by(check: fn(Format, &[u8])) -> Self {
        let renderers = Format::ALL.map(|format| format.renderer(Actors::default(), Style::default()));
        let observer = HostObserver::new(Selection {
            ports: vec![0..=u16::MAX],
            events: every_event(),
            max_connections: MAX_CONNECTIONS,
            max_unconfirmed: MAX_CONNECTIONS,
            ..Selection::default()
        });
        let limits = TrackerOptions {
            max_connections: MAX_CONNECTIONS,
            events: every_event(),
            ..TrackerOptions::default()
        };
        Self { observer, tracker: Tracker::new(limits), renderers, check, frames: 0, events: 0, now: 1 }
    }

    /// Processes a frame, `after` ns after the previous one, and adds its events and records to
    /// `reported`.
    pub fn frame(
        &mut self,
        frame: &[u8],
        wire_len: usize,
        link: LinkType,
        after: u64,
        reported: &mut Reported,
    ) {
        self.now = self.now.saturating_add(after);
        self.frames += 1;
        // The reason for a skipped frame is counted.
        let _ = self.observer.observe(frame, wire_len, link, 1, Hook::Capture, self.now);
        while let Some(bytes) = self.observer.next_event() {
            self.events += 1;
            self.event(&Event::from_bytes(&bytes).expect("a valid event"), reported);
        }
        self.drain(reported);
        let (connections, attempts) = self.observer.kept();
        assert!(
            connections.max(attempts) <= MAX_CONNECTIONS,
            "{connections} connections, {attempts} half-open"
        );
    }

    /// Processes an event.
    pub fn event(&mut self, event: &Event<'_>, reported: &mut Reported) {
        reported.events(event);
        self.tracker.on_event(event);
        self.records(reported);
    }

    /// Advances the time by `after` ns and lets timers expire.
    pub fn tick(&mut self, after: u64, reported: &mut Reported) {
        self.now = self.now.saturating_add(after);
        self.tracker.on_tick(self.now);
        self.drain(reported);
    }

    /// Finishes all connections and checks that everything was counted.
    pub fn finish(mut self, reported: &mut Reported) {
        self.tracker.look_up_all();
        self.drain(reported);
        self.tracker.finish(self.now);
        self.records(reported);
        let counters = self.observer.counters();
        let outcomes: u64 = counters[..=Counter::Matched as usize].iter().sum();
        assert_eq!(outcomes, self.frames, "each frame is counted once");
        let events = Counter::EMITTED.iter().map(|counter| counters[*counter as usize]).sum::<u64>();
        assert_eq!(events, self.events, "each event is counted");
        let totals = self.tracker.totals();
        let ended = totals.closed + totals.open + totals.half_open;
        assert_eq!(totals.opened, ended, "each connection has closed, or was open in the end");
        assert_eq!(totals.exchanges, reported.exchanges, "each exchange is counted");
    }

    fn drain(&mut self, reported: &mut Reported) {
        while let Some(key) = self.tracker.next_lookup() {
            let flow = self.observer.find(&key);
            self.tracker.on_lookup(&key, flow.as_ref(), self.now);
            self.records(reported);
        }
        while let Some(Removal { key, flow, .. }) = self.tracker.next_removal() {
            self.observer.forget(&key, flow);
        }
        self.records(reported);
    }

    fn records(&mut self, reported: &mut Reported) {
        while let Some(record) = self.tracker.next_record() {
            for (format, renderer) in Format::ALL.into_iter().zip(&mut self.renderers) {
                let mut bytes = Vec::new();
                renderer.render(&record, &mut bytes).expect("every record can be rendered");
                (self.check)(format, &bytes);
            }
            reported.record(record);
        }
    }
}

/// What the path reported.
#[derive(Debug, Default)]
pub struct Reported {
    /// Number of message headers that were reported completely.
    pub heads: u64,
    /// Union of the marks of all HTTP events.
    pub marks: tracer_common::event::Marks,
    /// Number of exchanges, including those of which only the number is known.
    pub exchanges: u64,
    /// Method, target and status code of each exchange.
    pub transcript: Vec<[Option<String>; 3]>,
}

impl Reported {
    fn events(&mut self, event: &Event<'_>) {
        if let Event::Http(facts, _) = event {
            self.marks |= facts.marks;
            self.heads += u64::from(facts.marks.contains(tracer_common::event::Marks::HEAD_START));
        }
    }

    fn record(&mut self, record: Record) {
        if let tracer_core::record::Body::Exchange(exchange) = record.body {
            self.exchanges += 1;
            let text = |text: &Option<tracer_core::record::Text>| text.as_ref().map(ToString::to_string);
            let status = exchange.status.map(|status| status.to_string());
            self.transcript.push([text(&exchange.request.method), text(&exchange.request.target), status]);
        }
    }
}
