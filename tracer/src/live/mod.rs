//! Live tracing: the kernel programs, the loop that reads their events, and the privileges around both.

pub mod confine;
pub mod kernel;
pub mod memory;
pub mod pipeline;
pub mod privilege;
