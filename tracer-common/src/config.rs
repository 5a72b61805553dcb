//! What the loader tells the kernel programs.

/// Switches that are constant once the programs are loaded: the verifier removes what is switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// 1: tell every segment.
    pub every_segment: u8,
    /// 1: only connections with an address in the host table.
    pub select_hosts: u8,
    /// 1: enter tunnels; the connection is then the one inside.
    pub decapsulate: u8,
}

/// Words of the bitmap of traced ports: bit `port % 64` of word `port / 64`.
pub const PORT_WORDS: u32 = 65_536 / 64;

/// The most networks in the host table.
pub const MAX_HOSTS: u32 = 1024;
