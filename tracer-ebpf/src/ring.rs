//! Events into the ring buffer.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE};
use tracer_common::{
    counter::Counter,
    event::{ConnectionEvent, HttpFacts, IcmpEvent, OwnerEvent, SegmentEvent},
    frame::WINDOW,
    http1::{FRAGMENT, HttpEvent, HttpSink},
    priority::Priority,
};

use crate::maps::{self, EVENTS};

/// The ring buffer.
pub(crate) struct Ring;

impl HttpSink for Ring {
    #[inline(always)]
    fn emit(&self, event: &HttpEvent) -> bool {
        // The verifier needs the bound, and the compiler must not optimize it away.
        let len = core::hint::black_box(event.facts.len as usize) & (2 * FRAGMENT - 1);
        if len > FRAGMENT + WINDOW {
            return false;
        }
        // SAFETY: an event is its facts and then a buffer longer than `len`, as checked.
        let bytes = unsafe {
            core::slice::from_raw_parts(core::ptr::from_ref(event).cast::<u8>(), size_of::<HttpFacts>() + len)
        };
        let emitted = EVENTS.output::<[u8]>(bytes, 0).is_ok();
        maps::count(if emitted { Counter::HttpEvents } else { Counter::HttpEventsLost } as u32);
        emitted
    }
}

impl Ring {
    /// Emits a connection event that `fill` sets every field of; false when it was lost.
    #[inline(always)]
    pub(crate) fn emit_connection(fill: impl FnOnce(&mut ConnectionEvent)) -> bool {
        let Some(mut entry) = EVENTS.reserve::<ConnectionEvent>(0) else {
            maps::count(Priority::Control.lost() as u32);
            return false;
        };
        // SAFETY: the entry has the size and alignment of the event, which consists of integers only; `fill` sets them all.
        fill(unsafe { &mut *entry.as_mut_ptr() });
        entry.submit(0);
        maps::count(Counter::ConnectionEvents as u32);
        true
    }

    /// Emits a segment event that `fill` sets every field of; false when it was lost.
    #[inline(always)]
    pub(crate) fn emit_segment(priority: Priority, fill: impl FnOnce(&mut SegmentEvent)) -> bool {
        if is_shed(priority) {
            maps::count(priority.lost() as u32);
            return false;
        }
        let Some(mut entry) = EVENTS.reserve::<SegmentEvent>(0) else {
            maps::count(priority.lost() as u32);
            return false;
        };
        // SAFETY: the entry has the size and alignment of the event, which consists of integers only; `fill` sets them all.
        fill(unsafe { &mut *entry.as_mut_ptr() });
        entry.submit(0);
        maps::count(Counter::SegmentEvents as u32);
        true
    }

    /// Emits an owner event; false when it was lost.
    #[inline(always)]
    pub(crate) fn emit_owner(event: &OwnerEvent) -> bool {
        let emitted = EVENTS.output::<OwnerEvent>(event, 0).is_ok();
        maps::count(if emitted { Counter::OwnerEvents } else { Priority::Control.lost() } as u32);
        emitted
    }

    /// Emits an event about an ICMP error that `fill` sets every field of.
    #[inline(always)]
    pub(crate) fn emit_icmp(fill: impl FnOnce(&mut IcmpEvent)) {
        let priority = Priority::Anomaly;
        if is_shed(priority) {
            maps::count(priority.lost() as u32);
            return;
        }
        let Some(mut entry) = EVENTS.reserve::<IcmpEvent>(0) else {
            maps::count(priority.lost() as u32);
            return;
        };
        // SAFETY: the entry has the size and alignment of the event, which consists of integers only; `fill` sets them all.
        fill(unsafe { &mut *entry.as_mut_ptr() });
        entry.submit(0);
        maps::count(Counter::IcmpEvents as u32);
    }
}

/// Whether the ring is too full for an event of this priority. The highest one does not even query it.
#[inline(always)]
fn is_shed(priority: Priority) -> bool {
    priority < Priority::Control
        && priority.is_shed_at(EVENTS.query(BPF_RB_AVAIL_DATA.into()), EVENTS.query(BPF_RB_RING_SIZE.into()))
}
