//! Gives the same frame to the kernel and the host, and compares their events.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use tracer_common::{
    counter::Counter,
    event::{ConnectionEvent, Event, EventHeader, HttpFacts, IcmpEvent, SegmentEvent},
    flow::{HalfCounters, SegmentFlags},
    server::{Count, ServerCounters, ServerKey},
    wire::LinkType,
};
use tracer_core::host::HostObserver;

use super::{
    kernel::{Kernel, Program, Programs},
    table::talk::Step,
};

/// The loopback interface, which `BPF_PROG_TEST_RUN` sets as the ingress interface.
const INTERFACE: u32 = 1;

/// Frame lengths in bytes that every kernel accepts for a test run. Shorter frames end inside the
/// IP header, which some kernels refuse; longer ones do not fit into a page, which all but XDP
/// need.
const POSSIBLE: std::ops::Range<usize> = 54..3_500;

/// Counts of what was compared.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    frames: usize,
    events: usize,
    /// Lengths of frames that the kernel refuses for a test run, by program.
    impossible: BTreeMap<&'static str, Vec<usize>>,
}

impl Seen {
    /// Number of frames left out so far.
    pub(crate) fn left_out(&self) -> usize {
        self.impossible.values().map(Vec::len).sum()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames and {} events are equal", self.frames, self.events)?;
        for (name, lengths) in &self.impossible {
            let largest_of_short = lengths.iter().filter(|len| **len < 100).max();
            let smallest_of_long = lengths.iter().filter(|len| **len >= 100).min();
            write!(
                f,
                "; {name}: {} left out (up to {largest_of_short:?} bytes, from {smallest_of_long:?})",
                lengths.len()
            )?;
        }
        Ok(())
    }
}

/// The kernel programs and the host.
pub(crate) struct Pair<'a> {
    kernel: &'a mut Kernel,
    host: HostObserver,
    programs: Programs,
    link: LinkType,
    time: u64,
}

impl<'a> Pair<'a> {
    /// Both observers with empty tables.
    pub(crate) fn new(kernel: &'a mut Kernel, programs: Programs, link: LinkType) -> Self {
        kernel.clear();
        let host = HostObserver::new(kernel.switches.selection());
        Self { kernel, host, programs, link, time: 0 }
    }

    /// Lets both observe a frame and checks that their events are equal. Returns the kernel's
    /// events.
    pub(crate) fn observe(&mut self, place: &str, step: &Step, seen: &mut Seen) -> Vec<Bytes> {
        let program = if step.second { self.programs.second } else { self.programs.first };
        let Some(program) = self.run(program, step, place, seen) else { return Vec::new() };
        self.time += 1;
        let frame = &step.frame;
        let outcome = self.host.observe(frame, frame.len(), self.link, INTERFACE, program.hook, self.time);
        let of_host: Vec<Bytes> = std::iter::from_fn(|| self.host.next_event()).collect();
        let emitted = self.kernel.next_events();
        let (of_host, of_kernel) = (comparable(&of_host), comparable(&emitted));
        assert!(
            of_host == of_kernel,
            "{place}: {outcome:?}, {} bytes\nhost:   {of_host:#?}\nkernel: {of_kernel:#?}\n{:02x?}",
            frame.len(),
            &frame[..frame.len().min(200)],
        );
        seen.frames += 1;
        seen.events += of_kernel.len();
        emitted
    }

    /// Runs a program on the frame. Returns none if the kernel refuses the frame's length.
    fn run(&self, program: Program, step: &Step, place: &str, seen: &mut Seen) -> Option<Program> {
        if self.kernel.run(program, &step.frame, place) {
            return Some(program);
        }
        let len = step.frame.len();
        assert!(!POSSIBLE.contains(&len), "{place}: the kernel refuses a frame of {len} bytes");
        seen.impossible.entry(program.name).or_default().push(step.frame.len());
        None
    }

    /// Checks that the counters and tables of both are equal. Returns the counters.
    pub(crate) fn finish(mut self, place: &str) -> [u64; Counter::COUNT] {
        assert_eq!(self.host.counters(), self.kernel.counters(), "{place}: counters, host and kernel");
        let (of_host, of_kernel) = (counted(self.host.servers()), counted(self.kernel.servers()));
        assert_eq!(of_host, of_kernel, "{place}: servers, host and kernel");
        assert_eq!(self.host.kept(), self.kernel.kept(), "{place}: connections kept, host and kernel");
        self.host.counters()
    }
}

/// The counters of each server, except times and address estimates, which are reset from time to
/// time.
fn counted(
    servers: impl IntoIterator<Item = (ServerKey, ServerCounters)>,
) -> BTreeMap<(u16, [u32; 4]), Vec<u64>> {
    const COUNTS: [Count; 8] = [
        Count::Attempts,
        Count::SynRetransmits,
        Count::Answered,
        Count::SynAckRetransmits,
        Count::Completed,
        Count::Refused,
        Count::Reset,
        Count::Aggregated,
    ];
    let counts = |server: &ServerCounters| COUNTS.map(|count| server.get(count)).to_vec();
    servers.into_iter().map(|(key, server)| ((key.port, key.address), counts(&server))).collect()
}

/// Events without the parts that must differ: times are reduced to 0 or 1, and fast retransmissions
/// to retransmissions, because they depend on the kernel's clock.
fn comparable(events: &[Bytes]) -> Vec<Event<'_>> {
    let half = |half: HalfCounters| HalfCounters {
        first_ack_ns: u64::from(half.first_ack_ns != 0),
        first_data_ns: u64::from(half.first_data_ns != 0),
        syn_ns: u64::from(half.syn_ns != 0),
        ..half
    };
    let header = |header: EventHeader| EventHeader { time: 0, flow: u64::from(header.flow != 0), ..header };
    let decode = |bytes| match Event::from_bytes(bytes) {
        Ok(Event::Connection(event)) => {
            Event::Connection(ConnectionEvent { header: header(event.header), ..event })
        }
        Ok(Event::Segment(event)) => Event::Segment(SegmentEvent {
            header: header(event.header),
            // A test run gives every frame a socket.
            socket: 0,
            halves: event.halves.map(half),
            reasons: event.reasons.difference(SegmentFlags::FAST_RETRANSMIT),
            ..event
        }),
        Ok(Event::Http(facts, bytes)) => {
            Event::Http(HttpFacts { header: header(facts.header), ..facts }, bytes)
        }
        Ok(Event::Icmp(event)) => Event::Icmp(IcmpEvent { header: header(event.header), ..event }),
        Ok(Event::Owner(event)) => panic!("no frame has an owner: {event:?}"),
        Err(error) => panic!("{error:?}: {bytes:?}"),
    };
    events.iter().map(|bytes| decode(bytes)).collect()
}
