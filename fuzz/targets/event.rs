//! Bytes as the ring may carry them: what can be read as an event is an event again when it is written, and whatever a
//! sequence of events says, the tracker stays within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer_common::{event::{Event, SegmentEvent}, flow::HalfCounters};
use tracer_core::tracker::{Limits, Tracker};
use tracer_fuzz::{MAX_CONNECTIONS, pieces};

/// What counters of bytes and nanoseconds reach in two years and by many petabytes: that sums of more overflow is no
/// finding.
const MOST: u64 = (1 << 56) - 1;
/// The same for counters of segments.
const MOST_SEGMENTS: u32 = (1 << 20) - 1;

/// The event with counters that a kernel may have reached.
fn plausible(event: Event<'_>) -> Event<'_> {
    let half = |half: HalfCounters| HalfCounters {
        packets: half.packets & MOST,
        bytes: half.bytes & MOST,
        stream_end: half.stream_end & MOST,
        first_ack_ns: half.first_ack_ns & MOST,
        first_data_ns: half.first_data_ns & MOST,
        syn_ns: half.syn_ns & MOST,
        duplicate_acks: half.duplicate_acks & MOST_SEGMENTS,
        zero_windows: half.zero_windows & MOST_SEGMENTS,
        lost: half.lost & MOST_SEGMENTS,
        ..half
    };
    match event {
        Event::Connection(mut event) => {
            event.header.time &= MOST;
            Event::Connection(event)
        }
        Event::Segment(mut event) => {
            event.header.time &= MOST;
            Event::Segment(SegmentEvent { halves: event.halves.map(half), ..event })
        }
        Event::Http(mut facts, bytes) => {
            facts.header.time &= MOST;
            (facts.offset, facts.content) = (facts.offset & MOST, facts.content & MOST);
            Event::Http(facts, bytes)
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut tracker =
        Tracker::new(Limits { max_connections: MAX_CONNECTIONS, segments: true, ..Limits::default() });
    let mut sink = tracer_core::render::new(tracer_core::render::Format::Json, Box::new(std::io::sink()));
    let (mut records, mut now) = (0, 0);
    for (say, bytes) in pieces(input) {
        if let Ok(event) = Event::from_bytes(bytes) {
            assert_eq!(event.pieces().concat(), bytes, "written and read again");
            let event = plausible(event);
            now = event.header().time;
            tracker.on_event(&event);
        }
        if say & 1 != 0 {
            tracker.on_tick(now);
            // A question is answered before more happens.
            while let Some(key) = tracker.next_question() {
                tracker.on_flow(&key, None, now);
            }
        }
        let totals = tracker.totals();
        // As many handshakes as connections, each for itself.
        let most = MAX_CONNECTIONS as u64;
        assert!(totals.open <= most && totals.half_open <= most, "{totals:?}");
        while let Some(record) = tracker.next_record() {
            sink.write(record).expect("nothing takes everything");
            records += 1;
        }
    }
    tracker.finish(now);
    records += std::iter::from_fn(|| tracker.next_record()).count();
    let totals = tracker.totals();
    assert_eq!((totals.open, totals.half_open, totals.opened), (0, 0, totals.closed), "{records} records");
});
