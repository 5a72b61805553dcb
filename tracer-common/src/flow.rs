//! The TCP state of a connection as a passive observer sees it: two halves, one per direction.
//!
//! The halves live in a BPF map. Two CPUs may update a connection at once, one per direction, so a segment writes
//! only its sender's half and at most reads the other one.

mod advance;
mod end;
mod half;
mod half_flags;
mod key;
mod removal;
mod segment_flags;

pub use self::{
    end::End,
    half::{HalfCounters, TcpHalf, are_closed, are_confirmed, owner},
    half_flags::HalfFlags,
    key::FlowKey,
    removal::{MAX_REMOVALS, Removal},
    segment_flags::SegmentFlags,
};
