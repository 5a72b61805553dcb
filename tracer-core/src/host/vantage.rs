//! The vantage of a captured frame: where it was seen, and the selection.

use std::cell::{Cell, RefCell};

use tracer_common::{
    counter::Counter,
    event::{Event, Hook, SegmentEvent},
    flow::{FlowState, Half},
    observe::Vantage,
    target::{self, Circumstances},
    value::Value,
    wire::{Encapsulations, Segment, address},
};

use super::{
    EventQueue, Selection,
    servers::{HostServers, NonAtomic},
};
use crate::record::EventName;

/// Where and when one frame was seen.
pub(super) struct HostVantage<'a> {
    /// The selection.
    pub(super) selection: &'a Selection,
    /// Index of the interface.
    pub(super) interface: u32,
    /// The hook.
    pub(super) hook: Hook,
    /// Time in ns.
    pub(super) time: u64,
    /// The encapsulation of the frame, once it is parsed.
    pub(super) within: &'a Cell<Encapsulations>,
    /// The events and counters.
    pub(super) output: &'a EventQueue,
    /// The counters of the servers.
    pub(super) servers: &'a RefCell<HostServers>,
}

impl Vantage for HostVantage<'_> {
    fn interface(&self) -> u32 {
        self.interface
    }

    fn hook(&self) -> Hook {
        self.hook
    }

    fn now(&self) -> u64 {
        self.time
    }

    fn coarse_now(&self) -> u64 {
        self.time
    }

    fn traces(&self, port: u16) -> bool {
        self.selection.ports.iter().any(|ports| ports.contains(&port))
    }

    fn selects(&self, source: &[u32; 4], destination: &[u32; 4]) -> bool {
        let hosts = &self.selection.hosts;
        hosts.is_empty()
            || [source, destination].into_iter().any(|words| {
                let address = address(*words);
                hosts.iter().any(|host| host.contains(&address))
            })
    }

    fn decapsulates(&self) -> bool {
        self.selection.decapsulate
    }

    fn every_segment(&self) -> bool {
        self.selection.events.has(EventName::Segment)
    }

    fn count(&self, counter: Counter) {
        self.output.count(counter as usize);
    }

    fn note_handshake(&self, causes: u32, segment: &Segment, sender: &mut Half, receiver: &Half) -> bool {
        let Selection { told_attempts, seed, .. } = *self.selection;
        let around = Circumstances { now: self.time, told_attempts, seed };
        self.servers.borrow_mut().with(target::target_of(causes, segment, receiver), |target| {
            target::note::<NonAtomic>(target, around, causes, segment, sender, receiver)
        })
    }

    fn note_confirmed(&self, segment: &Segment, flow: &FlowState, from_low: bool) {
        if let Some(key) = target::confirmed_by(segment, flow, from_low) {
            self.servers
                .borrow_mut()
                .with(key, |target| target::confirmed::<NonAtomic>(target, flow, self.time));
        }
    }

    fn tell_segment(&self, _value: Value, fill: impl FnOnce(&mut SegmentEvent)) -> bool {
        let mut event = SegmentEvent::BLANK;
        fill(&mut event);
        event.encapsulation = self.within.get().0;
        self.output.emit(&Event::Segment(event));
        true
    }
}
