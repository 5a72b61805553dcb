//! A captured frame.

use std::cell::{Cell, RefCell};

use tracer_common::{
    event::{Event, HttpEvent},
    flow::Half,
    frame::{FrameBytes, WINDOW},
    http::{HttpSink, Room},
    observe::Frame,
    wire::{Encapsulations, LinkType, Segment, Skip, leads_on, parse_segment, step, walk},
};

use super::{
    EventQueue, Packet, Selection, checksum,
    reassembly::{self, Reassembly},
};

/// The captured bytes of a frame, and the queue for the events of its messages.
pub(super) struct HostFrame<'a> {
    packet: Packet<'a>,
    /// The selection: tunnels, fragments.
    selection: &'a Selection,
    /// The events.
    output: &'a EventQueue,
    /// Holds payload that is out of order; `None`: payload is scanned as it arrives.
    reassembly: Option<&'a RefCell<Reassembly>>,
    fragment: Cell<Option<(usize, Encapsulations)>>,
    within: Cell<Encapsulations>,
}

impl<'a> HostFrame<'a> {
    pub(super) fn new(
        packet: Packet<'a>,
        selection: &'a Selection,
        output: &'a EventQueue,
        reassembly: Option<&'a RefCell<Reassembly>>,
    ) -> Self {
        Self { packet, selection, output, reassembly, fragment: Cell::new(None), within: Cell::default() }
    }

    /// The encapsulation, once the frame is parsed.
    pub(super) fn within(&self) -> &Cell<Encapsulations> {
        &self.within
    }

    /// The fragment that was found and must wait for others: the offset of its IP header, and its
    /// encapsulation.
    pub(super) fn fragment(&self) -> Option<(usize, Encapsulations)> {
        self.fragment.get()
    }
}

impl FrameBytes for HostFrame<'_> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.packet.bytes.read(offset)
    }

    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize {
        self.packet.bytes.copy(offset, into, len)
    }

    fn wire_len(&self) -> usize {
        self.packet.wire_len.max(self.packet.bytes.len())
    }
}

impl Frame for HostFrame<'_> {
    fn parse(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip> {
        self.within.set(self.packet.within);
        let fast = parse_segment(self, link, segment);
        // The first fragment may be too short for a TCP header.
        let fragmented = segment.first_fragment || fast == Err(Skip::Fragment);
        if self.selection.reassemble && fragmented || self.selection.decapsulate && fast.is_err_and(leads_on)
        {
            return self.walk(link, segment);
        }
        fast
    }

    fn scan(&self, half: &mut Half, peer: &Half, buffer: &mut Room) {
        match self.reassembly {
            Some(reassembly) => {
                reassembly.borrow_mut().on_segment(self.packet.bytes, self.output, half, peer, buffer);
            }
            None => reassembly::scan(self.packet.bytes, self.output, half, peer, buffer),
        }
    }

    fn is_damaged(&self, segment: &Segment) -> bool {
        self.selection.verify && checksum::is_wrong(self.packet.bytes, segment)
    }
}

impl HostFrame<'_> {
    /// Walks to the segment, or to a fragment that must wait for others.
    fn walk(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip> {
        segment.first_fragment = false;
        let within = walk(link, self.packet.within, segment, |walk, segment| {
            let start = walk.offset();
            let outcome = step(self, walk, segment);
            let fragmented = match outcome {
                Ok(()) => segment.first_fragment && !walk.is_over(),
                Err(reason) => reason == Skip::Fragment,
            };
            if self.selection.reassemble && fragmented && self.has_fragment(start) {
                self.fragment.set(Some((start, walk.within())));
                return Err(Skip::Fragment);
            }
            outcome
        })?;
        self.within.set(within);
        Ok(())
    }

    /// Whether a fragment was captured in full. Otherwise at least its headers can be read.
    fn has_fragment(&self, start: usize) -> bool {
        let Some(header) = self.packet.bytes.read::<6>(start) else { return false };
        let field = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let len = if header[0] >> 4 == 4 { field(2) } else { 40 + field(4) };
        start + len <= self.packet.bytes.len()
    }
}

impl HttpSink for EventQueue {
    fn tell(&self, event: &HttpEvent) -> bool {
        match event.bytes.get(..usize::from(event.facts.len)) {
            Some(bytes) => {
                self.emit(&Event::Http(event.facts, bytes));
                true
            }
            None => false,
        }
    }
}
