//! Handshake counters of each server: an address and a port.
//!
//! Only segments of handshakes are counted here, exactly and in one place, whatever becomes of the attempts. So a SYN flood
//! can be distinguished from many honest connections without an event for each of them: above a rate, the segments of an
//! attempt are only counted until it is confirmed. Its first event then carries what was not reported (`syn_ns`, `packets`).
//!
//! Two CPUs may count for one server at once, so counters are added to atomically. They are not per CPU: that
//! would multiply the memory by the number of CPUs for numbers that change a few times per handshake.

use crate::{
    flow::{End, HalfFlags, SegmentFlags, TcpHalf, are_confirmed},
    sketch::{self, REGISTERS, Sketch},
    wire::Segment,
};

/// The most servers at once; a new one replaces the least recently used one.
pub const MAX_SERVERS: u32 = 4096;
/// Reported attempts are limited per window of 2 to the power of this many ns: 134 ms.
const WINDOW_BITS: u32 = 27;
/// New attempts per server and window that are reported one by one, about 1,900 per second: a real flood is faster, and this
/// many cost next to nothing.
pub const MAX_REPORTED_ATTEMPTS: u32 = 250;
/// Client addresses are collected for 2 to the power of this many ns, 8.6 s, and then cleared.
const EPOCH_BITS: u32 = 33;
/// The flags of segments that may belong to a handshake.
pub const HANDSHAKE: SegmentFlags = SegmentFlags::SYN.union(SegmentFlags::SYN_ACK).union(SegmentFlags::RST);

/// A server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct ServerKey {
    /// Its address, as in a [`FlowKey`](crate::flow::FlowKey).
    pub address: [u32; 4],
    /// Its port.
    pub port: u16,
    /// Zero.
    pub padding: u16,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Count {
    /// New attempts: SYNs that are not retransmissions.
    Attempts,
    /// SYNs retransmitted.
    SynRetransmits,
    /// Attempts answered: first SYN-ACKs.
    Answered,
    /// SYN-ACKs retransmitted.
    SynAckRetransmits,
    /// Attempts confirmed: the handshake is complete.
    Completed,
    /// Attempts refused: a RST in response to the SYN.
    Refused,
    /// Attempts reset by the client, or by the server after its SYN-ACK.
    Reset,
    /// Segments of handshakes not reported one by one.
    Aggregated,
    /// Time from the SYN to the confirmation, in ns, summed over all confirmed attempts.
    HandshakeNs,
}

impl Count {
    /// How many there are.
    pub const COUNT: usize = 9;
}

/// The counters of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct ServerCounters {
    counts: [u64; Count::COUNT],
    /// The number of the current window.
    window: u64,
    /// New attempts in the current window.
    in_window: u64,
    /// New attempts in the window before.
    in_previous_window: u64,
    /// The number of the current epoch of `sources`.
    pub epoch: u64,
    /// The clients' addresses: see [`sketch`].
    pub sources: Sketch,
}

const _: () = assert!(size_of::<ServerKey>() == 20);
const _: () = assert!(size_of::<ServerCounters>() == 104 + REGISTERS);

impl ServerCounters {
    /// Nothing counted.
    pub const ZERO: Self = Self {
        counts: [0; Count::COUNT],
        window: 0,
        in_window: 0,
        in_previous_window: 0,
        epoch: 0,
        sources: [0; REGISTERS],
    };

    /// A count.
    #[must_use]
    pub const fn get(&self, count: Count) -> u64 {
        self.counts[count as usize]
    }

    /// The same with a count changed: for scripts.
    #[must_use]
    pub const fn with(mut self, count: Count, number: u64) -> Self {
        self.counts[count as usize] = number;
        self
    }
}

/// How counters are added to.
pub trait Add {
    /// Adds to a number that others may add to at the same time.
    fn add(number: &mut u64, more: u64);
}

/// A segment of a handshake that was just taken into its connection.
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a> {
    /// What it means for its connection.
    pub flags: SegmentFlags,
    /// The segment.
    pub segment: &'a Segment,
    /// The half of the other side.
    pub receiver: &'a TcpHalf,
}

impl Handshake<'_> {
    /// The server that the segment is to or from.
    #[inline(always)]
    #[must_use]
    pub fn server(&self) -> ServerKey {
        // A RST in response to the SYN, or after the server's own SYN-ACK.
        let refuses = !self.flags.contains(SegmentFlags::SYN)
            && self.receiver.has(HalfFlags::SYN)
            && !self.receiver.has(HalfFlags::SYN_ACK);
        server(self.segment, self.flags.contains(SegmentFlags::SYN_ACK) || refuses)
    }
}

/// The server of a segment: its sender, or else its receiver.
#[inline(always)]
fn server(segment: &Segment, is_sender: bool) -> ServerKey {
    let (address, port) = if is_sender {
        (segment.source, segment.source_port)
    } else {
        (segment.destination, segment.destination_port)
    };
    ServerKey { address, port, padding: 0 }
}

/// The server of a connection that `segment`, from the end `from`, has just confirmed; `None` where no SYN was seen.
#[inline(always)]
#[must_use]
pub fn confirmed_by(segment: &Segment, halves: &[TcpHalf; 2], from: End) -> Option<ServerKey> {
    let is_client = |half: &TcpHalf| half.has(HalfFlags::SYN) && !half.has(HalfFlags::SYN_ACK);
    let [low, high] = halves;
    if !is_client(low) && !is_client(high) {
        return None;
    }
    let client_sent = is_client(low) == (from == End::Low);
    Some(server(segment, !client_sent))
}

/// Where and when a segment of a handshake was seen.
#[derive(Clone, Copy, Debug)]
pub struct CountContext {
    /// In ns of the observer's clock.
    pub now: u64,
    /// See [`Config::max_reported_attempts`](crate::config::Config::max_reported_attempts).
    pub max_reported_attempts: u32,
    /// See [`Config::seed`](crate::config::Config::seed).
    pub seed: [u32; 2],
}

impl ServerCounters {
    /// Counts a segment of a handshake sent by `sender`; returns whether it is only counted, and not to be reported.
    #[inline(always)]
    pub fn on_handshake<A: Add>(
        &mut self,
        context: CountContext,
        handshake: Handshake<'_>,
        sender: &mut TcpHalf,
    ) -> bool {
        let Handshake { flags, receiver, .. } = handshake;
        if flags.intersects(SegmentFlags::SYN | SegmentFlags::SYN_ACK) {
            self.on_syn::<A>(context, handshake, sender);
        } else if !flags.contains(SegmentFlags::AFTER_CLOSE)
            && sender.has(HalfFlags::RESET)
            && !are_confirmed(sender, receiver)
        {
            let refused = receiver.has(HalfFlags::SYN) && !sender.has(HalfFlags::SYN);
            self.count::<A>(if refused { Count::Refused } else { Count::Reset }, 1);
        }
        let unreported = (sender.has(HalfFlags::UNREPORTED) || receiver.has(HalfFlags::UNREPORTED))
            && !are_confirmed(sender, receiver);
        if unreported {
            self.count::<A>(Count::Aggregated, 1);
        }
        unreported
    }

    /// Counts an attempt that was confirmed at `now`, in ns.
    #[inline(always)]
    pub fn on_confirmed<A: Add>(&mut self, halves: &[TcpHalf; 2], now: u64) {
        let [low, high] = halves;
        let (low, high) = (low.counters.syn_ns, high.counters.syn_ns);
        // The SYN was before the SYN-ACK, which may not have been seen.
        let start = if low == 0 || high != 0 && high < low { high } else { low };
        self.count::<A>(Count::Completed, 1);
        if start != 0 {
            self.count::<A>(Count::HandshakeNs, now.saturating_sub(start));
        }
    }

    #[inline(always)]
    fn on_syn<A: Add>(&mut self, context: CountContext, handshake: Handshake<'_>, sender: &mut TcpHalf) {
        let Handshake { flags, segment, receiver } = handshake;
        let is_answer = flags.contains(SegmentFlags::SYN_ACK);
        if flags.contains(SegmentFlags::REPEATED) {
            self.count::<A>(if is_answer { Count::SynAckRetransmits } else { Count::SynRetransmits }, 1);
            return;
        }
        // Another SYN, which a live connection ignores.
        if sender.counters.base != segment.payload_seq() {
            return;
        }
        sender.counters.syn_ns = context.now;
        if is_answer {
            self.count::<A>(Count::Answered, 1);
        } else {
            self.count::<A>(Count::Attempts, 1);
            self.add_source(&segment.source, context);
        }
        if !receiver.has(HalfFlags::STARTED) && !self.is_reported::<A>(context) {
            sender.counters.flags |= HalfFlags::UNREPORTED;
        }
    }

    #[inline(always)]
    fn count<A: Add>(&mut self, count: Count, more: u64) {
        if let Some(counter) = self.counts.get_mut(count as usize) {
            A::add(counter, more);
        }
    }

    /// Whether a new attempt is reported. It is not if the previous window had too many: in a lasting flood, none is. If two
    /// CPUs begin a window at once, a few more are reported.
    #[inline(always)]
    fn is_reported<A: Add>(&mut self, context: CountContext) -> bool {
        let window = context.now >> WINDOW_BITS;
        if self.window != window {
            self.in_previous_window = if window == self.window.wrapping_add(1) { self.in_window } else { 0 };
            self.window = window;
            self.in_window = 0;
        }
        A::add(&mut self.in_window, 1);
        let most = u64::from(context.max_reported_attempts);
        self.in_window <= most && self.in_previous_window <= most
    }

    /// Adds the address of a client.
    #[inline(always)]
    fn add_source(&mut self, source: &[u32; 4], context: CountContext) {
        let epoch = context.now >> EPOCH_BITS;
        if self.epoch != epoch {
            self.epoch = epoch;
            self.sources = [0; REGISTERS];
        }
        sketch::add(&mut self.sources, source, context.seed);
    }
}
