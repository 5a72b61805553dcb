//! The hooks as [`tracer_common::observe`] sees them: frames, place, selection, and where events go.

use aya_ebpf::{
    helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
    maps::lpm_trie::Key,
};
use tracer_common::{
    connection::FlowState,
    counter::Counter,
    event::{ConnectionEvent, Hook, IcmpEvent, SegmentEvent},
    flow::{End, SegmentFlags, TcpHalf},
    http1::{HttpHalf, ScanBuffer},
    observe::{Emit, Frame, Place, Selection},
    priority::Priority,
    server::Handshake,
    wire::{LinkType, Segment, Skip, can_walk, prefilter},
};

use crate::{
    frame::{TcFrame, XdpFrame, XdpHeaders},
    maps::{self, HOSTS},
    ring::Ring,
    stages,
};

/// One hook of one interface.
pub(crate) struct KernelPlace {
    interface: u32,
    hook: Hook,
}

impl KernelPlace {
    #[inline(always)]
    pub(crate) fn new(interface: u32, hook: Hook) -> Self {
        Self { interface, hook }
    }
}

impl Place for KernelPlace {
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
}

/// The switches and maps that the loader has set.
pub(crate) struct KernelSelection;

impl Selection for KernelSelection {
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
    fn reports_every_segment(&self) -> bool {
        maps::every_segment()
    }
}

impl Emit for Ring {
    #[inline(always)]
    fn count(&self, counter: Counter) {
        maps::count(counter as u32);
    }

    #[inline(always)]
    fn count_handshake(&self, handshake: Handshake<'_>, sender: &mut TcpHalf) -> bool {
        let Handshake { flags, segment, receiver } = handshake;
        stages::count_handshake(segment, sender, receiver, flags.bits()) != 0
    }

    #[inline(always)]
    fn count_confirmed(&self, segment: &Segment, flow: &FlowState, from: End) {
        stages::count_confirmed(segment, flow, from as u32);
    }

    #[inline(always)]
    fn emit_connection(&self, fill: impl FnOnce(&mut ConnectionEvent)) -> bool {
        Self::emit_connection(fill)
    }

    #[inline(always)]
    fn emit_segment(&self, priority: Priority, fill: impl FnOnce(&mut SegmentEvent)) -> bool {
        Self::emit_segment(priority, fill)
    }

    #[inline(always)]
    fn emit_icmp(&self, fill: impl FnOnce(&mut IcmpEvent)) {
        Self::emit_icmp(fill);
    }
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn prefilter(&self, link: LinkType, traces: impl Fn(u16) -> bool) -> Result<(), Skip> {
        prefilter(&XdpHeaders::<false>(self.same()), link, traces)
    }

    #[inline(always)]
    fn parse(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip> {
        let raw_ip = u32::from(link == LinkType::RawIp);
        let ctx = self.context();
        let mut outcome = stages::outcome(stages::parse_xdp(ctx, segment, raw_ip));
        // Some drivers leave the linear part empty.
        if outcome == Err(Skip::Truncated) && !self.is_linear() {
            outcome = stages::outcome(stages::parse_far_xdp(ctx, segment, raw_ip));
        }
        if must_walk(outcome) { stages::outcome(stages::walk_xdp(ctx, segment, raw_ip)) } else { outcome }
    }

    #[inline(always)]
    fn advance(
        &self,
        flow: &mut FlowState,
        segment: &Segment,
        from: End,
        _now: impl Fn() -> u64,
    ) -> SegmentFlags {
        advance(flow, segment, from)
    }

    #[inline(always)]
    fn scan(&self, half: &mut HttpHalf, peer: &HttpHalf, buffer: &mut ScanBuffer) {
        stages::scan_xdp(self.context(), half, peer, buffer);
    }
}

impl Frame for TcFrame {
    #[inline(always)]
    fn prefilter(&self, link: LinkType, traces: impl Fn(u16) -> bool) -> Result<(), Skip> {
        prefilter(self, link, traces)
    }

    #[inline(always)]
    fn parse(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip> {
        let raw_ip = u32::from(link == LinkType::RawIp);
        let ctx = self.context();
        let outcome = stages::outcome(stages::parse_tc(ctx, segment, raw_ip));
        if must_walk(outcome) { stages::outcome(stages::walk_tc(ctx, segment, raw_ip)) } else { outcome }
    }

    #[inline(always)]
    fn advance(
        &self,
        flow: &mut FlowState,
        segment: &Segment,
        from: End,
        _now: impl Fn() -> u64,
    ) -> SegmentFlags {
        advance(flow, segment, from)
    }

    #[inline(always)]
    fn socket(&self) -> u64 {
        TcFrame::socket(self)
    }

    #[inline(always)]
    fn scan(&self, half: &mut HttpHalf, peer: &HttpHalf, buffer: &mut ScanBuffer) {
        stages::scan_tc(self.context(), half, peer, buffer);
    }
}

/// Whether to walk through a frame after the fast path. The verifier removes the walk if tunnels are not decapsulated.
#[inline(always)]
fn must_walk(outcome: Result<(), Skip>) -> bool {
    maps::decapsulate() && outcome.is_err_and(can_walk)
}

/// Takes a segment into its connection.
#[inline(always)]
fn advance(flow: &mut FlowState, segment: &Segment, from: End) -> SegmentFlags {
    SegmentFlags::from_bits(stages::advance(flow, segment, from as u32).cast_unsigned())
}
