//! What the fuzz targets share: the pieces of an input, and the way of frames into records.

use tracer_common::{counter::Counter, event::{Event, Hook}, flow::Removal, wire::LinkType};
use tracer_core::{host::{HostObserver, Selection}, record::Record, render::{Format, Sink, self}, tracker::{Limits, Tracker}};

/// Connections kept at most: so few that every input may reach the bound.
pub const MAX_CONNECTIONS: usize = 4;

/// The pieces of an input. Each has a byte that says what to do with it, its length in two bytes, the highest first, and
/// its bytes; the last may be shorter than it says.
pub fn pieces(mut input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([say, high, low], rest) = input.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (piece, rest) = rest.split_at(len.min(rest.len()));
        input = rest;
        Some((*say, piece))
    })
}

/// The path of frames: observer, tracker, sinks, all with little room.
pub struct Path {
    observer: HostObserver,
    tracker: Tracker,
    sinks: [Box<dyn Sink>; 3],
    /// Frames so far.
    frames: u64,
    /// Events so far.
    events: u64,
    /// The latest time.
    now: u64,
}

impl Default for Path {
    fn default() -> Self {
        Self::into_sinks(Format::ALL.map(|format| render::new(format, Box::new(std::io::sink()))))
    }
}

impl Path {
    /// A path that ends in these sinks.
    pub fn into_sinks(sinks: [Box<dyn Sink>; 3]) -> Self {
        let observer = HostObserver::new(Selection {
            ports: vec![0..=u16::MAX],
            every_segment: true,
            max_connections: MAX_CONNECTIONS,
            max_unconfirmed: MAX_CONNECTIONS,
            ..Selection::default()
        });
        let limits = Limits { max_connections: MAX_CONNECTIONS, segments: true, ..Limits::default() };
        Self { observer, tracker: Tracker::new(limits), sinks, frames: 0, events: 0, now: 1 }
    }

    /// A frame, some time after the one before; `told` gets the events and the records.
    pub fn frame(&mut self, frame: &[u8], wire_len: usize, link: LinkType, after: u64, told: &mut Told) {
        self.now = self.now.saturating_add(after);
        self.frames += 1;
        // Why it was passed over is counted.
        let _ = self.observer.observe(frame, wire_len, link, 1, Hook::Capture, self.now);
        while let Some(bytes) = self.observer.next_event() {
            self.events += 1;
            self.event(&Event::from_bytes(&bytes).expect("what is told can be read"), told);
        }
        self.settle(told);
        let (connections, attempts) = self.observer.kept();
        assert!(connections.max(attempts) <= MAX_CONNECTIONS, "{connections} and {attempts} kept");
    }

    /// An event that came from somewhere.
    pub fn event(&mut self, event: &Event<'_>, told: &mut Told) {
        told.events(event);
        self.tracker.on_event(event);
        self.records(told);
    }

    /// Does what is due after some time.
    pub fn tick(&mut self, after: u64, told: &mut Told) {
        self.now = self.now.saturating_add(after);
        self.tracker.on_tick(self.now);
        self.settle(told);
    }

    /// Ends it, and looks whether everything was counted.
    pub fn finish(mut self, told: &mut Told) {
        self.tracker.question_all();
        self.settle(told);
        self.tracker.finish(self.now);
        self.records(told);
        let counters = self.observer.counters();
        let outcomes: u64 = counters[..=Counter::Matched as usize].iter().sum();
        assert_eq!(outcomes, self.frames, "each frame has one outcome");
        let events: u64 = Counter::EMITTED.iter().map(|counter| counters[*counter as usize]).sum();
        assert_eq!(events, self.events, "each event is counted");
        let totals = self.tracker.totals();
        assert_eq!((totals.open, totals.half_open), (0, 0), "all is over");
        assert_eq!(totals.opened, totals.closed, "what was opened is over");
        assert_eq!(totals.exchanges, told.exchanges, "each exchange is counted");
    }

    fn settle(&mut self, told: &mut Told) {
        while let Some(key) = self.tracker.next_question() {
            let flow = self.observer.find(&key);
            self.tracker.on_flow(&key, flow.as_ref(), self.now);
            self.records(told);
        }
        while let Some(Removal { key, flow, .. }) = self.tracker.next_removal() {
            self.observer.forget(&key, flow);
        }
        self.records(told);
    }

    fn records(&mut self, told: &mut Told) {
        while let Some(record) = self.tracker.next_record() {
            for sink in &mut self.sinks {
                sink.write(record.clone()).expect("nothing takes everything");
            }
            told.record(record);
        }
    }
}

/// What was told.
#[derive(Debug, Default)]
pub struct Told {
    /// Heads that were told to their end.
    pub heads: u64,
    /// Marks of all HTTP events together.
    pub marks: u16,
    /// Exchanges, those included of which only the number is known.
    pub exchanges: u64,
    /// Method, target and status of each exchange.
    pub story: Vec<[Option<String>; 3]>,
}

impl Told {
    fn events(&mut self, event: &Event<'_>) {
        if let Event::Http(facts, _) = event {
            self.marks |= facts.marks;
            self.heads += u64::from(facts.marks & tracer_common::event::Marks::HEAD_START != 0);
        }
    }

    fn record(&mut self, record: Record) {
        if let tracer_core::record::Body::Exchange(exchange) = record.body {
            self.exchanges += 1;
            let text = |text: &Option<tracer_core::record::Text>| text.as_ref().map(ToString::to_string);
            let status = exchange.status.map(|status| status.to_string());
            self.story.push([text(&exchange.request.method), text(&exchange.request.target), status]);
        }
    }
}
