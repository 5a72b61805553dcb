//! A captured frame.

use tracer_common::{
    event::{Event, HttpEvent},
    flow::Half,
    frame::{FrameBytes, WINDOW},
    http::{HttpSink, MAX_STEPS, Room, Scan, Steps},
    observe::Frame,
    wire::{LinkType, Segment, Skip, parse_segment},
};

use super::Told;

/// The bytes captured of a frame, and where its messages are told.
pub(super) struct HostFrame<'a> {
    /// From the link layer header on.
    pub(super) bytes: &'a [u8],
    /// Bytes on the wire; a capture may hold fewer.
    pub(super) wire_len: usize,
    /// The events.
    pub(super) told: &'a Told,
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
        let mut scan = Scan::new(self, self.told, half, peer, room);
        // As `bpf_loop` counts: when the last step allowed ends the work, it looks as if there were more to do.
        let mut left = MAX_STEPS;
        while left > 0 {
            left -= 1;
            if scan.step().is_break() {
                break;
            }
        }
        if left == 0 {
            scan.exhausted();
        }
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
