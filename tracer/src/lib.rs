//! tracer.

pub mod demo;
pub mod netns;
