//! Live tracing: the kernel programs, the event loop, and privileges.

pub mod confine;
pub mod kernel;
pub mod memory;
pub mod owner;
pub mod pipeline;
pub mod privilege;
mod promiscuous;
