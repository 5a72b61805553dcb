//! A table of frames with their expected outcomes, for the host and for the kernel programs.

pub(crate) mod build;
pub(crate) mod conversations;
mod hostile;
pub(crate) mod icmp;
mod link;
mod messages;
mod network;
pub(crate) mod random;
pub(crate) mod talk;
pub(crate) mod transport;
mod tunnel;

use bytes::Bytes;
use tracer_common::{
    event::{Event, Marks},
    flow::{End, SegmentFlags},
    wire::{Encapsulations, LinkType, Skip, address},
};

/// One frame, observed with empty tables.
pub(crate) struct Row {
    /// Description of the frame.
    pub(crate) name: String,
    /// Its link type.
    pub(crate) link: LinkType,
    /// Whether tunnels are decapsulated for this row.
    pub(crate) tunnel: bool,
    /// Its bytes.
    pub(crate) frame: Vec<u8>,
    /// The expected outcome.
    pub(crate) outcome: Result<(), Skip>,
    /// The expected facts, for rows that check them.
    pub(crate) facts: Option<Facts>,
}

/// The events of one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Causes of the segment event; 0 if there is none.
    pub(crate) reasons: SegmentFlags,
    /// Payload bytes of the segment.
    pub(crate) payload_len: u32,
    /// Options of the segment.
    pub(crate) options: Vec<u8>,
    /// Encapsulations of the segment.
    pub(crate) encapsulation: Encapsulations,
    /// Type, code, MTU, quoted sequence number and source of ICMP errors.
    pub(crate) icmp: Vec<icmp::Reported>,
    /// Marks and bytes of the HTTP events.
    pub(crate) heads: Vec<(Marks, Vec<u8>)>,
}

impl Facts {
    /// The facts in these events.
    pub(crate) fn of(events: &[Event<'_>]) -> Self {
        let mut facts = Self::default();
        for event in events {
            match event {
                Event::Connection(event) => facts.encapsulation = event.encapsulation,
                Event::Segment(event) => {
                    facts.reasons = event.reasons;
                    facts.payload_len = event.payload_len;
                    facts.options = event.options[..usize::from(event.options_len)].to_vec();
                }
                Event::Icmp(event) => {
                    facts.icmp.push((event.kind, event.code, event.mtu, event.seq.0, address(event.source)));
                }
                Event::Owner(_) => {}
                Event::Http(http, bytes) => facts.heads.push((http.marks, bytes.to_vec())),
            }
        }
        facts
    }
}

impl Row {
    fn new(name: impl Into<String>, frame: Vec<u8>, outcome: Result<(), Skip>) -> Self {
        Self { name: name.into(), link: LinkType::Ethernet, tunnel: false, frame, outcome, facts: None }
    }

    /// A row for a frame that is analysed.
    fn matched(name: impl Into<String>, frame: Vec<u8>) -> Self {
        Self::new(name, frame, Ok(()))
    }

    /// A row for a frame that is skipped.
    fn skipped(name: impl Into<String>, frame: Vec<u8>, reason: Skip) -> Self {
        Self::new(name, frame, Err(reason))
    }

    fn raw_ip(mut self) -> Self {
        self.link = LinkType::RawIp;
        self
    }

    fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = Some(facts);
        self
    }
}

/// The events in these bytes.
pub(crate) fn decoded(bytes: &[Bytes]) -> Vec<Event<'_>> {
    let decode = |bytes| Event::from_bytes(bytes).unwrap_or_else(|error| panic!("no event: {error:?}"));
    bytes.iter().map(|bytes| decode(bytes)).collect()
}

/// Number of complete heads in the events, of the client and of the server.
pub(crate) fn complete_heads(events: &[Event<'_>]) -> [usize; 2] {
    let mut heads = [0, 0];
    for event in events {
        let Event::Http(http, _) = event else { continue };
        let from_port = if http.header.sender() == End::Low {
            http.header.key.low_port
        } else {
            http.header.key.high_port
        };
        heads[usize::from(from_port == 80)] += usize::from(http.marks.contains(Marks::HEAD_END));
    }
    heads
}

/// Every row.
pub(crate) fn rows() -> Vec<Row> {
    [link::rows(), network::rows(), transport::rows(), tunnel::rows()].into_iter().flatten().collect()
}
