//! The types that live in BPF maps, for aya.
#![expect(unsafe_code, reason = "aya::Pod is an unsafe trait: it promises plain bytes")]

use aya::Pod;

use crate::{
    config::Config,
    flow::{FlowKey, FlowState},
    target::{Target, TargetKey},
};

// SAFETY: repr(C), integers only, no padding between them.
unsafe impl Pod for FlowKey {}
// SAFETY: repr(C), integers only, padding spelled out.
unsafe impl Pod for FlowState {}
// SAFETY: repr(C), integers only, no padding between them.
unsafe impl Pod for Config {}
// SAFETY: repr(C), integers only, padding spelled out.
unsafe impl Pod for TargetKey {}
// SAFETY: repr(C), integers only, no padding between them.
unsafe impl Pod for Target {}
