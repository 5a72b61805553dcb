//! Private network namespaces, and the demo that runs in them.

pub mod demo;
pub mod netns;
