//! The same frame for both, and what they say of it.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use tracer_common::{
    counter::Counter,
    event::{ConnectionEvent, Event, EventHeader, HttpFacts, SegmentEvent},
    flow::{HalfCounters, SegmentFlags},
    server::{Count, ServerCounters, ServerKey},
    wire::LinkType,
};
use tracer_core::host::HostObserver;

use super::{
    kernel::{Kernel, Program, Programs},
    table::talk::Step,
};

/// The loopback interface: what `BPF_PROG_TEST_RUN` says frames come from.
const INTERFACE: u32 = 1;

/// Frames of these lengths, in bytes, every kernel makes for a test: others end inside the IP header, which some refuse, or
/// do not fit into a page, which all but XDP need.
const POSSIBLE: std::ops::Range<usize> = 54..3_500;

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    frames: usize,
    events: usize,
    /// Frames that the kernel does not make for a test, by program and length.
    impossible: BTreeMap<&'static str, Vec<usize>>,
}

impl Seen {
    /// How many frames were left out so far.
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
    /// Both with nothing seen.
    pub(crate) fn new(kernel: &'a mut Kernel, programs: Programs, link: LinkType) -> Self {
        kernel.clear();
        let host = HostObserver::new(kernel.switches.selection());
        Self { kernel, host, programs, link, time: 0 }
    }

    /// Both observe a frame, and must tell the same; what the kernel told.
    pub(crate) fn observe(&mut self, place: &str, step: &Step, seen: &mut Seen) -> Vec<Bytes> {
        let program = if step.second { self.programs.second } else { self.programs.first };
        let Some(program) = self.run(program, step, place, seen) else { return Vec::new() };
        self.time += 1;
        let frame = &step.frame;
        let outcome = self.host.observe(frame, frame.len(), self.link, INTERFACE, program.hook, self.time);
        let of_host: Vec<Bytes> = std::iter::from_fn(|| self.host.next_event()).collect();
        let told = self.kernel.next_events();
        let (of_host, of_kernel) = (comparable(&of_host), comparable(&told));
        assert!(
            of_host == of_kernel,
            "{place}: {outcome:?}, {} bytes\nhost:   {of_host:#?}\nkernel: {of_kernel:#?}\n{:02x?}",
            frame.len(),
            &frame[..frame.len().min(200)],
        );
        seen.frames += 1;
        seen.events += of_kernel.len();
        told
    }

    /// The program that saw the frame: not every kernel makes long frames for every kind of program.
    fn run(&self, program: Program, step: &Step, place: &str, seen: &mut Seen) -> Option<Program> {
        if self.kernel.run(program, &step.frame, place) {
            return Some(program);
        }
        let len = step.frame.len();
        assert!(!POSSIBLE.contains(&len), "{place}: the kernel refuses a frame of {len} bytes");
        seen.impossible.entry(program.name).or_default().push(step.frame.len());
        None
    }

    /// Both must have counted the same and keep the same; what they counted.
    pub(crate) fn finish(mut self, place: &str) -> [u64; Counter::COUNT] {
        assert_eq!(self.host.counters(), self.kernel.counters(), "{place}: counters, host and kernel");
        let (of_host, of_kernel) = (counted(self.host.servers()), counted(self.kernel.servers()));
        assert_eq!(of_host, of_kernel, "{place}: servers, host and kernel");
        assert_eq!(self.host.kept(), self.kernel.kept(), "{place}: connections kept, host and kernel");
        self.host.counters()
    }
}

/// What is counted for each server, but for times, and for addresses: they are gathered anew from time to time.
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

/// Events without what must differ: times are told apart as 0 and not 0, and what was sent again fast is only sent again, because
/// the kernel's clock goes on while a busy machine does something else.
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
            halves: event.halves.map(half),
            reasons: event.reasons.difference(SegmentFlags::FAST_RETRANSMIT),
            ..event
        }),
        Ok(Event::Http(facts, bytes)) => {
            Event::Http(HttpFacts { header: header(facts.header), ..facts }, bytes)
        }
        Err(error) => panic!("{error:?}: {bytes:?}"),
    };
    events.iter().map(|bytes| decode(bytes)).collect()
}
