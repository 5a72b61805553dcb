//! Stub, replaced at merge.
#![expect(missing_docs, reason = "stub, replaced at merge")]

use std::{collections::VecDeque, time::Duration};

use tracer_common::{
    event::Event,
    flow::{FlowKey, FlowState},
};

use crate::record::{Body, Purpose, Record, SegmentSeen, Side, TcpState, Text, Timestamp};

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_connections: usize,
    pub half_open_timeout: Duration,
    pub idle_timeout: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub opened: u64,
    pub closed: u64,
    pub open: u64,
    pub half_open: u64,
    pub evicted: u64,
    pub exchanges: u64,
}

#[derive(Debug)]
pub struct Tracker {
    offset: i64,
    records: VecDeque<Record>,
}

impl Tracker {
    #[must_use]
    pub fn new(_limits: Limits) -> Self {
        Self { offset: 0, records: VecDeque::new() }
    }

    pub fn set_clock(&mut self, epoch_offset_ns: i64) {
        self.offset = epoch_offset_ns;
    }

    pub fn name_interface(&mut self, _index: u32, _name: &str) {}

    pub fn on_event(&mut self, event: &Event<'_>) {
        let told = match event {
            Event::Segment(segment) => format!(
                "causes {:#x} flags {:#x} len {} from_low {} hook {} if {}",
                segment.causes,
                segment.flags,
                segment.payload_len,
                segment.header.from_low,
                segment.header.hook,
                segment.header.interface
            ),
            Event::Http(facts, bytes) => {
                format!("http marks {:#x} status {} {}", facts.marks, facts.status, bytes.escape_ascii())
            }
        };
        let body = Body::Segment(Box::new(SegmentSeen {
            sender: Side::Client,
            since_start_ns: 0,
            flags: told,
            seq: 0,
            ack: None,
            len: 0,
            window: 0,
            purposes: vec![Purpose::Request(Text::default(), Text::default())],
            client_state: TcpState::Listen,
            server_state: TcpState::Listen,
        }));
        let timestamp = Timestamp(event.header().time.wrapping_add_signed(self.offset));
        self.records.push_back(Record { timestamp, connection: None, body });
    }

    pub fn on_tick(&mut self, _now: u64) {}

    pub fn next_record(&mut self) -> Option<Record> {
        self.records.pop_front()
    }

    pub fn next_question(&mut self) -> Option<FlowKey> {
        None
    }

    pub fn on_flow(&mut self, _key: &FlowKey, _flow: Option<&FlowState>, _now: u64) {}

    pub fn next_forgotten(&mut self) -> Option<FlowKey> {
        None
    }

    pub fn finish(&mut self, _now: u64) {}

    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::default()
    }
}
