//! A captured frame.

use std::cell::RefCell;

use tracer_common::{
    event::{Event, HttpEvent},
    flow::Half,
    frame::{FrameBytes, WINDOW},
    http::{HttpSink, Room},
    observe::Frame,
    wire::{LinkType, Segment, Skip, parse_segment},
};

use super::{
    Told, checksum,
    reassembly::{self, Reassembly},
};

/// The bytes captured of a frame, and where its messages are told.
pub(super) struct HostFrame<'a> {
    /// From the link layer header on.
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire; a capture may hold fewer.
    pub(super) wire_len: usize,
    /// The events.
    pub(super) told: &'a Told,
    /// Where payload out of order is held; `None`: it is scanned as it comes.
    pub(super) reassembly: Option<&'a RefCell<Reassembly>>,
    /// Whether the checksum is verified.
    pub(super) verify: bool,
}

impl FrameBytes for HostFrame<'_> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.read(offset)
    }

    fn copy(&self, offset: usize, into: &mut [u8; WINDOW], len: usize) -> usize {
        self.bytes.copy(offset, into, len)
    }

    fn wire_len(&self) -> usize {
        self.wire_len.max(self.bytes.len())
    }
}

impl Frame for HostFrame<'_> {
    fn parse(&self, link: LinkType, segment: &mut Segment) -> Result<(), Skip> {
        parse_segment(self, link, segment)
    }

    fn scan(&self, half: &mut Half, peer: &Half, room: &mut Room) {
        match self.reassembly {
            Some(reassembly) => reassembly.borrow_mut().on_segment(self.bytes, self.told, half, peer, room),
            None => reassembly::scan(self.bytes, self.told, half, peer, room),
        }
    }

    fn is_damaged(&self, segment: &Segment) -> bool {
        self.verify && checksum::is_wrong(self.bytes, segment)
    }
}

impl HttpSink for Told {
    fn tell(&self, event: &HttpEvent) -> bool {
        match event.bytes.get(..usize::from(event.facts.len)) {
            Some(bytes) => {
                self.tell(&Event::Http(event.facts, bytes));
                true
            }
            None => false,
        }
    }
}
