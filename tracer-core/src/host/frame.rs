//! A captured frame.

use std::cell::{Cell, RefCell};

use tracer_common::{
    event::Event,
    frame::{FrameBytes, WINDOW},
    http1::{HttpEvent, HttpHalf, HttpSink, ScanBuffer},
    observe::Frame,
    wire::{Encapsulations, LinkType, Segment, Skip, can_walk, parse_segment, step, walk},
};

use super::{
    EventQueue, Packet, Selection, checksum,
    reassembly::{Reassembly, Scanner},
};

/// The captured bytes of a frame, and where its HTTP events go.
pub(super) struct HostFrame<'a> {
    packet: Packet<'a>,
    /// What is traced.
    selection: &'a Selection,
    /// The events.
    output: &'a EventQueue,
    /// Where payload out of order is held; `None`: it is scanned as it comes.
    reassembly: Option<&'a RefCell<Reassembly>>,
    fragment: Cell<Option<(usize, Encapsulations)>>,
}

impl<'a> HostFrame<'a> {
    pub(super) fn new(
        packet: Packet<'a>,
        selection: &'a Selection,
        output: &'a EventQueue,
        reassembly: Option<&'a RefCell<Reassembly>>,
    ) -> Self {
        Self { packet, selection, output, reassembly, fragment: Cell::new(None) }
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
        let outcome = parse_segment(self, link, segment);
        segment.encapsulation = self.packet.within;
        // The first of them may be too short for a TCP header.
        let fragmented = segment.first_fragment || outcome == Err(Skip::Fragment);
        if self.selection.reassemble && fragmented
            || self.selection.decapsulate && outcome.is_err_and(can_walk)
        {
            return self.walk(link, segment);
        }
        outcome
    }

    fn scan(&self, half: &mut HttpHalf, peer: &HttpHalf, buffer: &mut ScanBuffer) {
        let mut scanner = Scanner { output: self.output, half, peer, buffer };
        match self.reassembly {
            Some(reassembly) => reassembly.borrow_mut().on_segment(self.packet.bytes, &mut scanner),
            None => scanner.scan(self.packet.bytes),
        }
    }

    fn has_bad_checksum(&self, segment: &Segment) -> bool {
        self.selection.verify && checksum::is_wrong(self.packet.bytes, segment)
    }
}

impl HostFrame<'_> {
    /// Walks to the segment, or to a fragment that must wait for others.
    fn walk(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip> {
        segment.first_fragment = false;
        walk(link, self.packet.within, segment, |walk, segment| {
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
        })
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
    fn emit(&self, event: &HttpEvent) -> bool {
        match event.bytes.get(..usize::from(event.facts.len)) {
            Some(bytes) => {
                self.emit(&Event::Http(event.facts, bytes));
                true
            }
            None => false,
        }
    }
}
