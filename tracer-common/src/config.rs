//! What the loader passes to the kernel programs.

/// Switches that are constant once the programs are loaded: the verifier removes what is switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct Config {
    /// 1: report every segment.
    pub every_segment: u8,
    /// 1: only connections with an address in the host table.
    pub select_hosts: u8,
    /// 1: decapsulate tunnels; the connection is then the inner one.
    pub decapsulate: u8,
    /// 1: the traced ports are those of `ports`, and no others.
    pub few_ports: u8,
    /// With `few_ports`: the traced ports; each at least once.
    pub ports: [u16; FEW_PORTS],
    /// New attempts per server and window that are reported one by one: see [`crate::server`].
    pub max_reported_attempts: u32,
    /// Seed of the hash of client addresses, so that nobody can choose addresses that collide.
    pub seed: [u32; 2],
}

const _: () = assert!(size_of::<Config>() == 24);

/// The value of the map PAUSED that pauses the observation of every interface; other values pause one interface, by its
/// index, and 0 none.
pub const EVERY_INTERFACE: u32 = u32::MAX;

/// Ports that are compared one by one, which is cheaper than the bitmap.
pub const FEW_PORTS: usize = 4;

/// Words of the bitmap of traced ports: bit `port % 64` of word `port / 64`.
pub const PORT_WORDS: u32 = 65_536 / 64;

/// The most networks in the host table.
pub const MAX_HOSTS: u32 = 1024;
