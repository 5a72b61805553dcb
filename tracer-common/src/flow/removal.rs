//! What userspace wants taken out of the connection tables.

use super::FlowKey;

/// The most removals at once: the kernel takes them in place of a frame, which lies in one page with room before and behind it.
pub const MAX_REMOVALS: usize = 64;

/// One incarnation of a connection that userspace does not need in the tables any more.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "host", derive(zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct Removal {
    /// Its name: [`FlowState::id`](super::FlowState::id). Under the same key there may be another one by now.
    pub flow: u64,
    /// Its endpoints.
    pub key: FlowKey,
    /// 1: it was told from the tables, which do not know: if it is not there any more, it was counted as lost.
    pub looked_up: u32,
}

impl Removal {
    /// All zero.
    pub const BLANK: Self = Self { flow: 0, key: FlowKey::BLANK, looked_up: 0 };
}

#[cfg(feature = "host")]
impl Removal {
    /// A list of them as the kernel reads it.
    #[must_use]
    pub fn bytes(list: &[Self]) -> &[u8] {
        zerocopy::IntoBytes::as_bytes(list)
    }
}
