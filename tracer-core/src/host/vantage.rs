//! Where a captured frame was seen, what is traced, and where its events go.

use std::cell::RefCell;

use tracer_common::{
    connection::FlowState,
    counter::Counter,
    event::{ConnectionEvent, Event, Hook, IcmpEvent, SegmentEvent},
    flow::{End, TcpHalf},
    observe::{self, Emit, Place},
    priority::Priority,
    server::{self, CountContext, Handshake},
    wire::{Segment, address},
};

use super::{
    EventQueue, Selection,
    servers::{NonAtomic, Servers},
};

use crate::record::EventName;

/// One frame's place and time.
#[derive(Clone, Copy)]
pub(crate) struct HostPlace {
    /// Index of the interface.
    pub(crate) interface: u32,
    /// The hook.
    pub(crate) hook: Hook,
    /// In ns.
    pub(crate) time: u64,
}

impl Place for HostPlace {
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
}

impl observe::Selection for &Selection {
    fn traces(&self, port: u16) -> bool {
        self.ports.iter().any(|ports| ports.contains(&port))
    }

    fn selects(&self, source: &[u32; 4], destination: &[u32; 4]) -> bool {
        self.hosts.is_empty()
            || [source, destination].into_iter().any(|words| {
                let address = address(*words);
                self.hosts.iter().any(|host| host.contains(&address))
            })
    }

    fn decapsulates(&self) -> bool {
        self.decapsulate
    }

    fn reports_every_segment(&self) -> bool {
        self.events.has(EventName::Segment)
    }
}

/// Where the events and counts of one frame go.
pub(super) struct HostEmit<'a> {
    /// How handshakes are counted.
    pub(super) context: CountContext,
    /// The events.
    pub(super) output: &'a EventQueue,
    /// The counters of servers.
    pub(super) servers: &'a RefCell<Servers>,
}

impl Emit for HostEmit<'_> {
    fn count(&self, counter: Counter) {
        self.output.count(counter as usize);
    }

    fn count_handshake(&self, handshake: Handshake<'_>, sender: &mut TcpHalf) -> bool {
        let mut servers = self.servers.borrow_mut();
        let counters = servers.get(handshake.server());
        counters.on_handshake::<NonAtomic>(self.context, handshake, sender)
    }

    fn count_confirmed(&self, segment: &Segment, flow: &FlowState, from: End) {
        if let Some(key) = server::confirmed_by(segment, &flow.tcp, from) {
            self.servers.borrow_mut().get(key).on_confirmed::<NonAtomic>(&flow.tcp, self.context.now);
        }
    }

    fn emit_connection(&self, fill: impl FnOnce(&mut ConnectionEvent)) -> bool {
        let mut event = ConnectionEvent::ZERO;
        fill(&mut event);
        self.output.emit(&Event::Connection(event));
        true
    }

    fn emit_segment(&self, _priority: Priority, fill: impl FnOnce(&mut SegmentEvent)) -> bool {
        let mut event = SegmentEvent::ZERO;
        fill(&mut event);
        self.output.emit(&Event::Segment(event));
        true
    }

    fn emit_icmp(&self, fill: impl FnOnce(&mut IcmpEvent)) {
        let mut event = IcmpEvent::ZERO;
        fill(&mut event);
        self.output.emit(&Event::Icmp(event));
    }
}
