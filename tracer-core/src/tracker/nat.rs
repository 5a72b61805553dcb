//! Recognizes connections that this host translates (NAT): each is seen twice, with other addresses.

use std::{collections::VecDeque, sync::Arc};

use tracer_common::{
    event::SegmentEvent,
    flow::{HalfFlags, SegmentFlags},
    seq::Seq,
};

use super::{Tracker, slot::SlotIndex, tracked::Tracked};
use crate::{connection::Phase, record::Translated};

/// How many handshakes are remembered. Both sightings of one are microseconds apart.
const MAX_HANDSHAKES: usize = 256;
/// The longest time between the SYNs of a pair, in ns.
const MAX_DELAY: u64 = 100_000_000;

/// A handshake up to its SYN-ACK.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handshake {
    pub(super) slot: SlotIndex,
    /// Number of the connection.
    pub(super) number: u64,
    /// Time of the first segment, in ns.
    first: u64,
    /// Where the SYN-ACK was seen: the interface and the hook.
    seen_at: (u32, u8),
    /// The initial sequence numbers of client and server, which translation leaves alone.
    numbers: [Seq; 2],
}

/// The last handshakes, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Handshakes(VecDeque<Handshake>);

impl Handshake {
    /// The handshake of `tracked`, if the segment is its SYN-ACK.
    pub(super) fn of(slot: SlotIndex, tracked: &Tracked, segment: &SegmentEvent) -> Option<Self> {
        let has_syns = segment.halves.iter().all(|half| half.flags.contains(HalfFlags::SYN));
        if !segment.reasons.contains(SegmentFlags::SYN_ACK) || !has_syns {
            return None;
        }
        let client = tracked.connection.client();
        Some(Self {
            slot,
            number: tracked.number,
            first: tracked.connection.first,
            seen_at: (segment.header.interface, segment.header.hook),
            numbers: [client, client.other()].map(|end| segment.halves[end as usize].base),
        })
    }

    /// Whether both are of one connection. The initial sequence numbers are 64 bits that the two ends choose.
    /// A host that translates sees the SYN-ACK come in at one place and go out at another.
    fn is_same_connection(&self, other: &Self) -> bool {
        self.number != other.number
            && self.numbers == other.numbers
            && self.seen_at != other.seen_at
            && self.first.abs_diff(other.first) <= MAX_DELAY
    }
}

impl Handshakes {
    /// The other sighting of a handshake, if there is one; otherwise remembers this one.
    pub(super) fn pair(&mut self, handshake: Handshake) -> Option<Handshake> {
        let partner = self.0.iter().position(|other| other.is_same_connection(&handshake));
        if let Some(partner) = partner {
            return self.0.remove(partner);
        }
        if self.0.len() == MAX_HANDSHAKES {
            self.0.pop_front();
        }
        self.0.push_back(handshake);
        None
    }
}

impl Tracker {
    /// Recognizes a connection that this host translates (NAT), and that is thus seen under two pairs of
    /// addresses: reports it once, as it was seen first, with both.
    pub(super) fn pair_translated(&mut self, slot: SlotIndex, segment: &SegmentEvent) {
        let Some(tracked) = self.connections.get(slot) else { return };
        let Some(handshake) = Handshake::of(slot, tracked, segment) else { return };
        let Some(other) = self.handshakes.pair(handshake) else { return };
        let is_later = |tracked: &Tracked| (tracked.connection.first, tracked.number);
        let Some(partner) = self.connections.get(other.slot).filter(|it| it.number == other.number) else {
            return;
        };
        let (outer, inner) =
            if is_later(tracked) < is_later(partner) { (slot, other.slot) } else { (other.slot, slot) };
        let Some(translated) = self.connections.get_mut(inner) else { return };
        // Otherwise it has been reported.
        if translated.connection.phase() != Phase::HalfOpen || translated.half_open_reported {
            return;
        }
        translated.is_translated = true;
        let addresses = translated.identity(self.run, &self.interfaces);
        self.totals.opened -= 1;
        if let Some(tracked) = self.connections.get_mut(outer) {
            let nat = Translated { client: addresses.client(), server: addresses.server() };
            tracked.attributes.nat = Some(Arc::new(nat));
        }
    }
}
