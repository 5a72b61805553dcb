//! Telling userspace: events into the ring, counters, and the rare log line.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE},
    helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
    maps::lpm_trie::Key,
};
use tracer_common::{
    counter::Counter,
    event::{Hook, HttpEvent, HttpFacts, SegmentEvent},
    flow::{FlowState, Half},
    frame::WINDOW,
    http::{FRAGMENT, HttpSink},
    observe::Vantage,
    value::Value,
    wire::{Segment, Skip},
};

use crate::{
    maps::{self, EVENTS, HOSTS},
    stages,
};

/// One hook of one interface.
pub(crate) struct KernelVantage {
    interface: u32,
    hook: Hook,
}

impl KernelVantage {
    #[inline(always)]
    pub(crate) fn new(interface: u32, hook: Hook) -> Self {
        Self { interface, hook }
    }
}

/// The ring buffer, for what the message scanner finds.
pub(crate) struct Ring;

impl HttpSink for Ring {
    #[inline(always)]
    fn tell(&self, event: &HttpEvent) -> bool {
        // The verifier needs the bound, and the compiler must not reason it away.
        let len = core::hint::black_box(event.facts.len as usize) & (2 * FRAGMENT - 1);
        if len > FRAGMENT + WINDOW {
            return false;
        }
        // SAFETY: an event is its facts and then a buffer longer than `len`, as checked.
        let bytes = unsafe {
            core::slice::from_raw_parts(core::ptr::from_ref(event).cast::<u8>(), size_of::<HttpFacts>() + len)
        };
        let told = EVENTS.output::<[u8]>(bytes, 0).is_ok();
        maps::count(if told { Counter::HttpEvents } else { Counter::HttpEventsLost } as u32);
        told
    }
}

impl Vantage for KernelVantage {
    #[inline(always)]
    fn interface(&self) -> u32 {
        self.interface
    }

    #[inline(always)]
    fn hook(&self) -> Hook {
        self.hook
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn coarse_now(&self) -> u64 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline(always)]
    fn traces(&self, port: u16) -> bool {
        maps::traces(port)
    }

    #[inline(always)]
    fn selects(&self, source: &[u32; 4], destination: &[u32; 4]) -> bool {
        !maps::select_hosts()
            || HOSTS.get(Key::new(128, *source)).is_some()
            || HOSTS.get(Key::new(128, *destination)).is_some()
    }

    #[inline(always)]
    fn decapsulates(&self) -> bool {
        maps::decapsulate()
    }

    #[inline(always)]
    fn every_segment(&self) -> bool {
        maps::every_segment()
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        maps::count(counter as u32);
    }

    #[inline(always)]
    fn note_handshake(&self, causes: u32, segment: &Segment, sender: &mut Half, receiver: &Half) -> bool {
        stages::note_handshake(segment, sender, receiver, causes) != 0
    }

    #[inline(always)]
    fn note_confirmed(&self, segment: &Segment, flow: &FlowState, from_low: bool) {
        stages::note_confirmed(segment, flow, u32::from(from_low));
    }

    #[inline(always)]
    fn tell_segment(&self, value: Value, fill: impl FnOnce(&mut SegmentEvent)) -> bool {
        if gives_way(value) {
            maps::count(value.lost() as u32);
            return false;
        }
        let Some(mut entry) = EVENTS.reserve::<SegmentEvent>(0) else {
            maps::count(value.lost() as u32);
            return false;
        };
        // SAFETY: the entry has the size and alignment of a SegmentEvent, which consists of integers only, and every
        // field is written here or by `fill`.
        let event = unsafe { &mut *entry.as_mut_ptr() };
        fill(event);
        event.encapsulation = stages::encapsulation();
        event.padding = 0;
        entry.submit(0);
        maps::count(Counter::SegmentEvents as u32);
        true
    }
}

/// Whether the ring is too full for an event of this worth. What is worth most does not even ask.
#[inline(always)]
fn gives_way(value: Value) -> bool {
    value < Value::Control
        && value.gives_way(EVENTS.query(BPF_RB_AVAIL_DATA.into()), EVENTS.query(BPF_RB_RING_SIZE.into()))
}

/// Counts what became of a frame.
#[inline(always)]
pub(crate) fn count<C: EbpfContext>(ctx: &C, outcome: Result<(), Skip>) {
    match outcome {
        Ok(()) => {
            maps::count(Counter::Matched as u32);
        }
        Err(reason) => {
            let times = maps::count(reason as u32);
            warn(ctx, reason, times);
        }
    }
}

/// A log line for what should not happen, at the first, second, fourth … time only.
#[inline(always)]
fn warn<C: EbpfContext>(ctx: &C, reason: Skip, times: u64) {
    if times & times.wrapping_sub(1) != 0 {
        return;
    }
    match reason {
        Skip::TableFull => aya_log_ebpf::warn!(ctx, "connection table full, {} times on this CPU", times),
        Skip::MalformedIp => aya_log_ebpf::warn!(ctx, "malformed IP header, {} times on this CPU", times),
        Skip::MalformedTcp => aya_log_ebpf::warn!(ctx, "malformed TCP header, {} times on this CPU", times),
        Skip::NotIp
        | Skip::NotTcp
        | Skip::OtherPort
        | Skip::OtherHost
        | Skip::Fragment
        | Skip::Truncated
        | Skip::TooManyHeaders
        | Skip::Duplicate => {}
    }
}
