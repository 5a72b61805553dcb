//! A full ring buffer.

use bytes::Bytes;
use tracer_common::counter::Counter;

use super::{
    kernel::{Kernel, Programs, RING, Switches},
    table::{build::*, decoded},
};

/// Least bytes of a segment event in the ring buffer.
const EVENT: u32 = 256;

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn events_lost_on_a_full_ring_are_counted_and_reported_afterwards() {
    let mut kernel = Kernel::load(Switches {
        every_segment: false,
        select_hosts: false,
        decapsulate: false,
        max_reported_attempts: u32::MAX,
    });
    kernel.clear();
    let syn = Tcp { flags: SYN, ack: 0, ..Tcp::default() }.frame();
    let program = Programs::XDP.first;
    for _ in 0..=RING / EVENT {
        assert!(kernel.run(program, &syn, "a retransmitted SYN"), "the kernel accepts the frame");
    }
    let counters = kernel.counters();
    let lost = counters[Counter::ControlEventsLost as usize];
    assert!(lost > 0, "the ring buffer is too small for all events");
    assert_eq!(
        kernel.next_events().len() as u64,
        counters[Counter::SegmentEvents as usize],
        "the others are in the ring buffer"
    );

    kernel.run(program, &syn, "one more");
    let events: Vec<Bytes> = kernel.next_events();
    let events = decoded(&events);
    assert_eq!(events.len(), 1, "there is room again");
    assert_eq!(u64::from(events[0].header().lost), lost, "the loss is reported");
}
