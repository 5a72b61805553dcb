//! Where a captured frame was seen, and what is asked for.

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
    Selection, Told,
    targets::{Plain, Targets},
};
use crate::record::EventName;

/// One frame's place and time.
pub(super) struct HostVantage<'a> {
    /// What is asked for.
    pub(super) selection: &'a Selection,
    /// Index of the interface.
    pub(super) interface: u32,
    /// The hook.
    pub(super) hook: Hook,
    /// In ns.
    pub(super) time: u64,
    /// What the frame is carried in, once it is parsed.
    pub(super) within: &'a Cell<Encapsulations>,
    /// The events.
    pub(super) told: &'a Told,
    /// The servers asked.
    pub(super) targets: &'a RefCell<Targets>,
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
        self.told.count(counter as usize);
    }

    fn note_handshake(&self, causes: u32, segment: &Segment, sender: &mut Half, receiver: &Half) -> bool {
        let Selection { told_attempts, seed, .. } = *self.selection;
        let around = Circumstances { now: self.time, told_attempts, seed };
        self.targets.borrow_mut().with(target::target_of(causes, segment, receiver), |target| {
            target::note::<Plain>(target, around, causes, segment, sender, receiver)
        })
    }

    fn note_confirmed(&self, segment: &Segment, flow: &FlowState, from_low: bool) {
        if let Some(key) = target::confirmed_by(segment, flow, from_low) {
            self.targets.borrow_mut().with(key, |target| target::confirmed::<Plain>(target, flow, self.time));
        }
    }

    fn tell_segment(&self, _value: Value, fill: impl FnOnce(&mut SegmentEvent)) -> bool {
        let mut event = SegmentEvent::BLANK;
        fill(&mut event);
        event.encapsulation = self.within.get().0;
        self.told.tell(&Event::Segment(event));
        true
    }
}
