//! Implements aya's `Pod` for the types that live in BPF maps.
#![expect(unsafe_code, reason = "aya::Pod is an unsafe trait: it promises plain bytes")]

use aya::Pod;
use zerocopy::IntoBytes;

use crate::{
    config::{Config, Offsets},
    connection::FlowState,
    flow::FlowKey,
    server::{ServerCounters, ServerKey},
};

/// Holds only for types without padding, which zerocopy has checked.
const fn has_no_padding<T: IntoBytes>() {}

/// Implements `Pod` for types without padding.
macro_rules! pod {
    ($($type:ty),+) => {
        $(
            const _: () = has_no_padding::<$type>();
            // SAFETY: `IntoBytes` holds: repr(C), no padding; integers only.
            unsafe impl Pod for $type {}
        )+
    };
}

pod!(Config, Offsets, FlowKey, FlowState, ServerCounters, ServerKey);
