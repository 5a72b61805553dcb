//! Connections that userspace removes from the tables.

use super::FlowKey;

/// The most removals at once: the kernel takes them in place of a frame, which must fit into one page with its headroom
/// and tailroom.
pub const MAX_REMOVALS: usize = 64;

/// One incarnation of a connection that userspace does not need in the tables any more.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "host", derive(zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct Removal {
    /// Which incarnation: [`FlowState::id`](crate::connection::FlowState::id). The key may belong to another one by now.
    pub flow: u64,
    /// Its endpoints.
    pub key: FlowKey,
    /// 1: userspace learned of its end from the tables; if it is no longer there, the kernel has counted it as lost.
    pub recovered: u32,
}

const _: () = assert!(size_of::<Removal>() == 48);

impl Removal {
    /// All zero.
    pub const ZERO: Self = Self { flow: 0, key: FlowKey::ZERO, recovered: 0 };
}

#[cfg(feature = "host")]
impl Removal {
    /// A list of removals as the kernel reads it.
    #[must_use]
    pub fn bytes(list: &[Self]) -> &[u8] {
        zerocopy::IntoBytes::as_bytes(list)
    }
}
