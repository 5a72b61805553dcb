//! Loads and attaches the kernel programs and reads their maps. Only this module uses aya.
//!
//! ```text
//!   object ─► load ──► attach: XDP, TCX, clsact ◄── interfaces (netlink)
//!              │ maps
//!              ├──► ring      events, as they come
//!              ├──► counters  skipped packets and lost events
//!              ├──► tables    connections by key
//!              │    removal   deletes closed connections in batches
//!              ├──► servers   the counters of each server
//!              └──► log       log messages of the kernel programs
//!   types (btf) ─► owners       programs that learn whose sockets there are
//! ```
//!
//! [`support`] detects what this kernel supports.

pub mod attach;
mod btf;
pub mod counters;
pub mod interfaces;
pub mod listen;
pub mod load;
pub mod log;
pub mod object;
pub mod owners;
mod readiness;
pub mod refusal;
mod removal;
pub mod ring;
pub mod servers;
pub mod support;
pub mod tables;

pub use load::{Kernel, Loaded, Paused, Sources};
