//! Any bytes as ring buffer events: decoding and encoding are inverse, and the tracker stays within
//! its limits for any sequence of events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer_common::{
    event::{Event, SegmentEvent},
    flow::HalfCounters,
};
use tracer_core::{
    render::{Json, Render as _},
    tracker::{Tracker, TrackerOptions},
};
use tracer_fuzz::{MAX_CONNECTIONS, every_event, pieces};

/// Maximum of counters of bytes and nanoseconds: two years, or many petabytes. An overflow of sums
/// of larger values is no defect.
const MAX: u64 = (1 << 56) - 1;
/// Maximum of counters of segments.
const MAX_SEGMENTS: u32 = (1 << 20) - 1;

/// The event with its counters limited to values that a kernel can reach.
fn plausible(event: Event<'_>) -> Event<'_> {
    let half = |half: HalfCounters| HalfCounters {
        packets: half.packets & MAX,
        bytes: half.bytes & MAX,
        stream_end: half.stream_end & MAX,
        first_ack_ns: half.first_ack_ns & MAX,
        first_data_ns: half.first_data_ns & MAX,
        syn_ns: half.syn_ns & MAX,
        duplicate_acks: half.duplicate_acks & MAX_SEGMENTS,
        zero_windows: half.zero_windows & MAX_SEGMENTS,
        lost: half.lost & MAX_SEGMENTS,
        ..half
    };
    match event {
        Event::Connection(mut event) => {
            event.header.time &= MAX;
            Event::Connection(event)
        }
        Event::Icmp(mut event) => {
            event.header.time &= MAX;
            Event::Icmp(event)
        }
        Event::Owner(mut event) => {
            event.header.time &= MAX;
            Event::Owner(event)
        }
        Event::Segment(mut event) => {
            event.header.time &= MAX;
            Event::Segment(SegmentEvent { halves: event.halves.map(half), ..event })
        }
        Event::Http(mut facts, bytes) => {
            facts.header.time &= MAX;
            (facts.offset, facts.content) = (facts.offset & MAX, facts.content & MAX);
            Event::Http(facts, bytes)
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut tracker = Tracker::new(TrackerOptions {
        max_connections: MAX_CONNECTIONS,
        events: every_event(),
        ..TrackerOptions::default()
    });
    let mut renderer = Json::default();
    let mut line = Vec::new();
    let (mut records, mut now) = (0, 0);
    for (control, bytes) in pieces(input) {
        if let Ok(event) = Event::from_bytes(bytes) {
            assert_eq!(event.pieces().concat(), bytes, "encoding a decoded event");
            let event = plausible(event);
            now = event.header().time;
            tracker.on_event(&event);
        }
        if control & 1 != 0 {
            tracker.on_tick(now);
            // Lookups are answered before the next event.
            while let Some(key) = tracker.next_lookup() {
                tracker.on_lookup(&key, None, now);
            }
        }
        let totals = tracker.totals();
        // The limit applies to connections and to half-open handshakes separately.
        let max = MAX_CONNECTIONS as u64;
        assert!(totals.open <= max && totals.half_open <= max, "{totals:?}");
        while let Some(record) = tracker.next_record() {
            line.clear();
            renderer.render(&record, &mut line).expect("every record can be rendered");
            records += 1;
        }
    }
    tracker.finish(now);
    records += std::iter::from_fn(|| tracker.next_record()).count();
    let totals = tracker.totals();
    assert!(records > 0 || totals.opened == 0, "each connection has a record: {totals:?}");
});
