//! Bytes as the ring may carry them: what can be read as an event is an event again when it is written, and whatever a
//! sequence of events says, the tracker stays within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tracker::{Limits, Tracker};
use tracer_common::event::Event;
use tracer_fuzz::{MAX_CONNECTIONS, pieces};

fuzz_target!(|input: &[u8]| {
    let mut tracker =
        Tracker::new(Limits { max_connections: MAX_CONNECTIONS, segments: true, ..Limits::default() });
    let mut sink = tracer::sink::new(tracer::sink::Format::Json, Box::new(std::io::sink()));
    let (mut records, mut now) = (0, 0);
    for (say, bytes) in pieces(input) {
        if let Ok(event) = Event::from_bytes(bytes) {
            let mut again = Vec::new();
            event.encode(&mut again);
            assert_eq!(Event::from_bytes(&again), Ok(event), "written and read again");
            now = event.header().time;
            tracker.on_event(&event);
        }
        if say & 1 != 0 {
            tracker.on_tick(now);
        }
        if say & 2 != 0 {
            while let Some(key) = tracker.next_question() {
                tracker.on_flow(&key, None, now);
            }
        }
        let totals = tracker.totals();
        assert!(totals.open.max(totals.half_open) <= MAX_CONNECTIONS as u64, "{totals:?}");
        while let Some(record) = tracker.next_record() {
            sink.write(&record).expect("nothing takes everything");
            records += 1;
        }
    }
    tracker.finish(now);
    records += std::iter::from_fn(|| tracker.next_record()).count();
    let totals = tracker.totals();
    assert_eq!((totals.open, totals.half_open, totals.opened), (0, 0, totals.closed), "{records} records");
});
