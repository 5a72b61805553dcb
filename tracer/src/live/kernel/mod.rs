//! Everything that talks to the kernel: aya is used here and nowhere else.
//!
//! ```text
//!   object ─► load ──► attach: XDP, TCX, clsact ◄── interfaces (netlink)
//!              │ maps
//!              ├──► ring      events, as they come
//!              ├──► counters  what was passed over and lost
//!              ├──► tables    a connection by its key
//!              │    removal   what is over, a list at once
//!              ├──► servers   what is counted for each server
//!              └──► log       the rare message of a kernel program
//! ```
//!
//! [`support`] says what this kernel has.

pub mod attach;
pub mod counters;
pub mod interfaces;
pub mod listen;
pub mod load;
pub mod log;
pub mod object;
mod readiness;
pub mod refusal;
mod removal;
pub mod ring;
pub mod servers;
pub mod support;
pub mod tables;

pub use load::{Kernel, Sources};
