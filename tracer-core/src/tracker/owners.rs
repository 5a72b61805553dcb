//! Whose sockets are at the ends of a connection.
//!
//! Addresses and ports are used again within seconds, and in several network namespaces at once. So a process is believed to
//! own an end only if its socket is the one that sends the segments; where these do not show their socket (on the loopback
//! interface, or before the first one), if the addresses, the namespace and the time agree.

use std::{collections::VecDeque, sync::Arc};

use hashlink::LruCache;
use tracer_common::{
    event::{Event, Hook, OwnerEvent, OwnerEvidence, SegmentEvent},
    flow::{End, FlowKey, SegmentFlags},
    wire::TcpFlags,
};

use super::{Tracker, slot::SlotIndex};
use crate::record::Owner;

/// Index of the loopback interface in every network namespace (`LOOPBACK_IFINDEX`). The kernel takes the socket off its
/// packets before they come in.
const LOOPBACK: u32 = 1;
/// The longest time from connect(2) to its SYN on the loopback interface, in ns.
const MAX_CONNECT_DELAY: u64 = 100_000_000;
/// How long after its first segment an end is without an owner before it is looked for, in ns: a process that reads was
/// reported long before.
const PATIENCE: u64 = 1_000_000_000;
/// How long a pass over all open files takes at most, in ns.
const MAX_PASS: u64 = 1_000_000_000;
/// The cookie of no socket.
const NO_SOCKET: u64 = u64::MAX;
/// The most ends whose owners are looked for at once: one pass over the open files finds them all.
const MAX_UNOWNED: usize = 1024;

/// Processes, by what the kernel says of them.
pub trait Processes {
    /// The process of a socket.
    fn owner(&mut self, event: &OwnerEvent) -> Arc<Owner>;
}

/// The socket that sends the segments of one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Socket {
    /// Not seen.
    #[default]
    Unknown,
    /// None of this host.
    Remote,
    /// The one with this cookie.
    Local(u64),
}

/// What is known of the owner of one end.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    socket: Socket,
    claim: Option<Claim>,
}

/// A process that is believed to own an end.
#[derive(Clone, Debug)]
struct Claim {
    evidence: OwnerEvidence,
    /// The cookie of the socket; 0 until it is first requested.
    socket: u64,
    /// The cookie of its network namespace, in which no other socket has these addresses.
    namespace: u64,
    /// `None`: several processes hold the socket, or several sockets have these addresses.
    owner: Option<Arc<Owner>>,
}

impl Claim {
    /// Whether both are about one socket.
    fn is_of_socket(&self, other: &Self) -> bool {
        self.socket == other.socket || self.socket == 0 && self.namespace == other.namespace
    }
}

impl Ownership {
    /// The owner.
    pub(super) fn owner(&self) -> Option<Arc<Owner>> {
        self.claim.as_ref()?.owner.clone()
    }

    /// Learns the socket from a segment that this end sent; returns whether it is one of this host.
    fn learn(&mut self, event: &SegmentEvent) -> bool {
        // Other segments may be sent on behalf of a socket that is gone.
        let is_own = event.flags.contains(TcpFlags::SYN) || event.payload_len > 0;
        if self.socket != Socket::Unknown || !is_own || event.header.interface == LOOPBACK {
            return false;
        }
        let is_egress = event.header.hook == Hook::TcEgress as u8;
        self.socket = match event.socket {
            // As answers to SYNs without a socket of their own (SYN cookies).
            0 if is_egress => Socket::Unknown,
            0 => Socket::Remote,
            cookie => Socket::Local(cookie),
        };
        match (self.socket, &mut self.claim) {
            // The socket had no cookie yet when its holder was found.
            (Socket::Local(cookie), Some(claim)) if claim.socket == 0 => claim.socket = cookie,
            (Socket::Local(cookie), Some(claim)) if claim.socket == cookie => {}
            (Socket::Local(_) | Socket::Remote, claim) => *claim = None,
            (Socket::Unknown, _) => {}
        }
        matches!(self.socket, Socket::Local(_))
    }

    /// Takes in what is known of a socket, if it may be the one at this end; returns whether it is.
    fn take(&mut self, claim: Claim, agrees: bool) -> bool {
        let believed = match self.socket {
            Socket::Unknown => agrees,
            Socket::Remote => false,
            Socket::Local(cookie) => claim.socket == cookie,
        };
        if !believed {
            return false;
        }
        match &mut self.claim {
            // Two sockets: no other event about one of them decides it.
            Some(known) if !known.is_of_socket(&claim) => (known.socket, known.owner) = (NO_SOCKET, None),
            Some(known) if known.evidence == claim.evidence && claim.evidence == OwnerEvidence::Holds => {
                known.owner.take_if(|owner| Some(owner.pid) != claim.owner.as_ref().map(|owner| owner.pid));
            }
            // The first one that reads remains the owner.
            Some(known) if known.evidence >= claim.evidence => {}
            Some(known) => *known = claim,
            None => self.claim = Some(claim),
        }
        true
    }
}

/// What is known of a socket whose connection was not seen yet.
struct Waiting {
    time: u64,
    claim: Claim,
}

impl Waiting {
    /// Whether both are of processes that hold sockets, found in the same pass.
    fn is_as_good_as(&self, known: &Self) -> bool {
        let both_hold = [self, known].iter().all(|waiting| waiting.claim.evidence == OwnerEvidence::Holds);
        both_hold && self.time.saturating_sub(known.time) < MAX_PASS
    }
}

/// The owners of all connections.
pub(super) struct Owners {
    processes: Box<dyn Processes>,
    /// Cookie of the observer's network namespace.
    namespace: u64,
    waiting: LruCache<(FlowKey, End), Waiting>,
    /// Ends whose socket is of this host, since when, the oldest first.
    local: VecDeque<(u64, SlotIndex, u64, End)>,
}

/// Bytes of the memory for each connection.
pub(super) const MAX_BYTES: usize = 2 * (size_of::<((FlowKey, End), Waiting)>() + 4 * size_of::<usize>());

impl Owners {
    pub(super) fn new(processes: Box<dyn Processes>, namespace: u64, max_connections: usize) -> Self {
        let waiting = LruCache::new(max_connections);
        Self { processes, namespace, waiting, local: VecDeque::new() }
    }

    /// The owner of `end` of a connection that starts at `time`, at its first event: with a SYN of that end, or midstream.
    fn claim(&mut self, key: FlowKey, end: End, start: &Start) -> Option<Claim> {
        if self.waiting.is_empty() {
            return None;
        }
        let waiting = self.waiting.peek(&(key, end))?;
        let is_here = start.interface != LOOPBACK || waiting.claim.namespace == self.namespace;
        let is_now = start.time.saturating_sub(waiting.time) < MAX_CONNECT_DELAY
            || start.socket == waiting.claim.socket;
        let is_it = match waiting.claim.evidence {
            OwnerEvidence::Connects => start.syn_from == Some(end) && is_now,
            OwnerEvidence::Holds | OwnerEvidence::Reads => start.syn_from.is_none(),
        };
        if is_here && is_it { self.waiting.remove(&(key, end)).map(|waiting| waiting.claim) } else { None }
    }
}

/// How a connection starts.
struct Start {
    interface: u32,
    time: u64,
    /// Cookie of the socket that sent the first segment, or 0.
    socket: u64,
    /// Who sent the SYN, if it was seen.
    syn_from: Option<End>,
}

impl Tracker {
    /// Names the processes of sockets from now on. `namespace` is the cookie of this network namespace.
    pub fn set_processes(&mut self, processes: Box<dyn Processes>, namespace: u64) {
        self.owners = Some(Owners::new(processes, namespace, self.options.max_connections));
    }

    /// Takes in what is known of the process of a socket.
    pub(super) fn on_owner(&mut self, event: &OwnerEvent) {
        let Some(owners) = &mut self.owners else { return };
        let Some(evidence) = OwnerEvidence::from_byte(event.evidence) else { return };
        let (key, end) = (event.header.key, event.header.sender());
        let owner = Some(owners.processes.owner(event));
        let claim = Claim { evidence, socket: event.socket, namespace: event.namespace, owner };
        let slot = self.connections.find(&key);
        if let Some(tracked) = slot.and_then(|slot| self.connections.get_mut(slot)) {
            let is_here = tracked.interface != LOOPBACK || event.namespace == owners.namespace;
            // One that connects is about to start the next connection.
            let is_now = event.header.time >= tracked.connection.first && evidence != OwnerEvidence::Connects;
            if tracked.owners[end as usize].take(claim.clone(), is_here && is_now) || is_now {
                return;
            }
        }
        let waiting = Waiting { time: event.header.time, claim };
        match owners.waiting.get_mut(&(key, end)) {
            // Of several processes that hold a socket, or several sockets with these addresses, none is known to be the one.
            Some(known) if waiting.is_as_good_as(known) => {
                let pid = waiting.claim.owner.map(|owner| owner.pid);
                known.claim.owner.take_if(|owner| Some(owner.pid) != pid);
            }
            _ => {
                owners.waiting.insert((key, end), waiting);
            }
        }
    }

    /// Takes in the first event of a connection: what is known of the sockets at its ends.
    pub(super) fn claim_ends(&mut self, slot: SlotIndex, event: &Event<'_>) {
        let Some(owners) = &mut self.owners else { return };
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        let header = event.header();
        let (socket, is_syn) = match event {
            Event::Segment(segment) => (segment.socket, segment.reasons.contains(SegmentFlags::SYN)),
            Event::Connection(_) | Event::Http(..) | Event::Icmp(_) | Event::Owner(_) => (0, false),
        };
        let syn_from = is_syn.then(|| header.sender());
        let start = Start { interface: header.interface, time: header.time, socket, syn_from };
        for end in [End::Low, End::High] {
            tracked.owners[end as usize].claim = owners.claim(tracked.connection.key, end, &start);
        }
    }

    /// Learns the sender's socket from a segment.
    pub(super) fn learn_socket(&mut self, slot: SlotIndex, event: &SegmentEvent) {
        let Some(owners) = &mut self.owners else { return };
        let Some(tracked) = self.connections.get_mut(slot) else { return };
        let sender = event.header.sender();
        if tracked.owners[sender as usize].learn(event) && owners.local.len() < MAX_UNOWNED {
            owners.local.push_back((event.header.time, slot, tracked.number, sender));
        }
    }

    /// Whether a connection at `now` has an end of this host whose owner is not known, although its process would have read
    /// from it by now. Each end counts once.
    pub fn lacks_owner(&mut self, now: u64) -> bool {
        let Some(owners) = &mut self.owners else { return false };
        let mut lacks = false;
        while let Some(&(since, slot, number, end)) = owners.local.front()
            && now.saturating_sub(since) > PATIENCE
        {
            owners.local.pop_front();
            let tracked = self.connections.get(slot).filter(|tracked| tracked.number == number);
            lacks |= tracked.is_some_and(|tracked| tracked.owners[end as usize].claim.is_none());
        }
        lacks
    }
}
