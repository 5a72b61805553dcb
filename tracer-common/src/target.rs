//! What is counted for each server that is asked for connections: an address and a port.
//!
//! Only segments of handshakes are counted here, exactly and in one place, whatever becomes of the attempts. So a flood of
//! SYNs can be told from many honest connections without a word about each of them: above a rate, the segments of an
//! attempt are not told, until it is confirmed. Its first event then carries all that was not told (`syn_ns`, `packets`).
//!
//! Two CPUs may count for one server at once, so the counts are added to atomically. They are not kept one for each CPU:
//! that would multiply the memory by the number of CPUs for a number that changes a few times in a handshake.

use crate::{
    flow::{FlowState, Half, are_confirmed, cause, half},
    sketch::{self, REGISTERS, Sketch},
    wire::Segment,
};

/// The most servers counted for at once; the one not asked for the longest makes room.
pub const MAX_TARGETS: u32 = 4096;
/// Attempts told one by one are limited in windows of 2 to the power of so many ns: 134 ms.
const WINDOW_BITS: u32 = 27;
/// New attempts at one server that are told one by one in each window, about 1,900 in a second: a flood worth the name is
/// faster, and so many cost nothing yet.
pub const TOLD_ATTEMPTS: u32 = 250;
/// Addresses of clients are gathered for 2 to the power of so many ns, 8.6 s, and then anew.
const EPOCH_BITS: u32 = 33;
/// The causes of segments that may belong to a handshake.
pub const CAUSES: u32 = cause::SYN | cause::SYN_ACK | cause::RST;

/// The server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TargetKey {
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
    /// New attempts: SYNs that are no repetition.
    Attempts,
    /// SYNs sent again.
    SynRepeats,
    /// Attempts answered: first SYN-ACKs.
    Answered,
    /// SYN-ACKs sent again.
    AnswerRepeats,
    /// Attempts confirmed: the handshake is through.
    Completed,
    /// Attempts refused: a RST in answer to the SYN.
    Refused,
    /// Attempts that the client reset, or the server after its answer.
    Reset,
    /// Segments of handshakes not told one by one.
    Summarised,
    /// From the SYN to the confirmation, in ns, of all attempts confirmed together.
    HandshakeNs,
}

impl Count {
    /// How many there are.
    pub const COUNT: usize = 9;
}

/// What is counted for one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Target {
    counts: [u64; Count::COUNT],
    /// The number of the window of `in_window`.
    window: u64,
    /// New attempts in the window, and in the one before.
    in_window: u64,
    before: u64,
    /// The number of the time for which addresses are gathered: with another number, they are others.
    pub epoch: u64,
    /// The clients' addresses: see [`sketch`].
    pub sources: Sketch,
}

const _: () = assert!(size_of::<TargetKey>() == 20);

impl Target {
    /// Nothing counted.
    pub const BLANK: Self = Self {
        counts: [0; Count::COUNT],
        window: 0,
        in_window: 0,
        before: 0,
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

/// How numbers are added to.
pub trait Add {
    /// Adds to a number that others may add to at the same time.
    fn add(number: &mut u64, more: u64);
}

/// Which server a segment of a handshake is about.
#[inline(always)]
#[must_use]
pub fn target_of(causes: u32, segment: &Segment, receiver: &Half) -> TargetKey {
    // A RST in answer to the SYN, or behind the server's own answer.
    let refuses = causes & cause::SYN == 0 && receiver.has(half::SYN) && !receiver.has(half::SYN_ACK);
    server(segment, causes & cause::SYN_ACK != 0 || refuses)
}

/// The end that is the server: the one that sent the segment, or the other one.
#[inline(always)]
fn server(segment: &Segment, is_sender: bool) -> TargetKey {
    let (address, port) = if is_sender {
        (segment.source, segment.source_port)
    } else {
        (segment.destination, segment.destination_port)
    };
    TargetKey { address, port, padding: 0 }
}

/// Which server the connection is confirmed to that a segment has just confirmed; none where no SYN was seen.
#[inline(always)]
#[must_use]
pub fn confirmed_by(segment: &Segment, flow: &FlowState, from_low: bool) -> Option<TargetKey> {
    let asked = |half: &Half| half.has(half::SYN) && !half.has(half::SYN_ACK);
    let [low, high] = &flow.halves;
    if !asked(low) && !asked(high) {
        return None;
    }
    Some(server(segment, asked(low) != from_low))
}

/// Counts an attempt that was confirmed at `now`, in ns.
#[inline(always)]
pub fn confirmed<A: Add>(target: &mut Target, flow: &FlowState, now: u64) {
    let [low, high] = &flow.halves;
    let (low, high) = (low.counters.syn_ns, high.counters.syn_ns);
    // The SYN was before the SYN-ACK, which may not have been seen.
    let asked = if low == 0 || high != 0 && high < low { high } else { low };
    target.count::<A>(Count::Completed, 1);
    if asked != 0 {
        target.count::<A>(Count::HandshakeNs, now.saturating_sub(asked));
    }
}

/// Where and when a segment of a handshake was seen, and what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// In ns of the observer's clock.
    pub now: u64,
    /// See [`Config::told_attempts`](crate::config::Config::told_attempts).
    pub told_attempts: u32,
    /// See [`Config::seed`](crate::config::Config::seed).
    pub seed: [u32; 2],
}

/// Counts a segment that was just taken into its connection, and says whether it is not to be told.
#[inline(always)]
pub fn note<A: Add>(
    target: &mut Target,
    around: Circumstances,
    causes: u32,
    segment: &Segment,
    sender: &mut Half,
    receiver: &Half,
) -> bool {
    if causes & (cause::SYN | cause::SYN_ACK) != 0 {
        note_syn::<A>(target, around, causes, segment, sender, receiver);
    } else if causes & cause::AFTER_CLOSE == 0 && sender.has(half::RESET) && !are_confirmed(sender, receiver)
    {
        let refused = receiver.has(half::SYN) && !sender.has(half::SYN);
        target.count::<A>(if refused { Count::Refused } else { Count::Reset }, 1);
    }
    let untold = (sender.counters.flags | receiver.counters.flags) & half::UNTOLD != 0
        && !are_confirmed(sender, receiver);
    if untold {
        target.count::<A>(Count::Summarised, 1);
    }
    untold
}

#[inline(always)]
fn note_syn<A: Add>(
    target: &mut Target,
    around: Circumstances,
    causes: u32,
    segment: &Segment,
    sender: &mut Half,
    receiver: &Half,
) {
    let answer = causes & cause::SYN_ACK != 0;
    if causes & cause::REPEATED != 0 {
        target.count::<A>(if answer { Count::AnswerRepeats } else { Count::SynRepeats }, 1);
        return;
    }
    // Another one, which a live connection does not follow.
    if sender.counters.base != segment.payload_seq() {
        return;
    }
    sender.counters.syn_ns = around.now;
    if answer {
        target.count::<A>(Count::Answered, 1);
    } else {
        target.count::<A>(Count::Attempts, 1);
        target.gather(&segment.source, around);
    }
    if !receiver.has(half::STARTED) && !target.is_told::<A>(around) {
        sender.counters.flags |= half::UNTOLD;
    }
}

impl Target {
    #[inline(always)]
    fn count<A: Add>(&mut self, count: Count, more: u64) {
        if let Some(counter) = self.counts.get_mut(count as usize) {
            A::add(counter, more);
        }
    }

    /// Whether a new attempt is one of those told. Not any more when there were too many in the window before: in a flood
    /// that goes on, none is. Two CPUs may begin a window at once, and then a few more are told.
    #[inline(always)]
    fn is_told<A: Add>(&mut self, around: Circumstances) -> bool {
        let window = around.now >> WINDOW_BITS;
        if self.window != window {
            self.before = if window == self.window.wrapping_add(1) { self.in_window } else { 0 };
            self.window = window;
            self.in_window = 0;
        }
        A::add(&mut self.in_window, 1);
        let most = u64::from(around.told_attempts);
        self.in_window <= most && self.before <= most
    }

    /// Takes in the address of a client.
    #[inline(always)]
    fn gather(&mut self, source: &[u32; 4], around: Circumstances) {
        let epoch = around.now >> EPOCH_BITS;
        if self.epoch != epoch {
            self.epoch = epoch;
            self.sources = [0; REGISTERS];
        }
        sketch::add(&mut self.sources, source, around.seed);
    }
}
