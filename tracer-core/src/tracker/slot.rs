//! Slots of the connection table, and the deadlines of the connections in them.

/// The index of a slot. A connection keeps its slot.
pub(super) type SlotIndex = u32;

/// When something may be due for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    /// The time, in ns; first, because it gives the order.
    pub(super) due: u64,
    /// The slot of the connection.
    pub(super) slot: SlotIndex,
    /// The low bits of the connection's number: the next connection in the slot has others.
    pub(super) number: u32,
}
