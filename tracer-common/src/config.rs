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

/// Where the running kernel keeps the fields that name the owner of a socket: offsets in bytes, from its BTF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(C)]
pub struct Offsets {
    /// `sock.__sk_common.skc_daddr`.
    pub remote: u32,
    /// `sock.__sk_common.skc_rcv_saddr`.
    pub local: u32,
    /// `sock.__sk_common.skc_v6_daddr`.
    pub remote6: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`.
    pub local6: u32,
    /// `sock.__sk_common.skc_dport`.
    pub remote_port: u32,
    /// `sock.__sk_common.skc_num`.
    pub local_port: u32,
    /// `sock.__sk_common.skc_family`.
    pub family: u32,
    /// `sock.__sk_common.skc_state`.
    pub state: u32,
    /// `sock.__sk_common.skc_net`.
    pub net: u32,
    /// `sock.__sk_common.skc_cookie`.
    pub cookie: u32,
    /// `sock.sk_protocol`.
    pub protocol: u32,
    /// `sock.sk_lock.owned`.
    pub owned: u32,
    /// `net.net_cookie`.
    pub net_cookie: u32,
    /// `socket.sk`.
    pub socket_sk: u32,
    /// `task_struct.flags`.
    pub task_flags: u32,
    /// `task_struct.group_leader`.
    pub leader: u32,
    /// `task_struct.tgid`.
    pub pid: u32,
    /// `task_struct.comm`.
    pub name: u32,
    /// `task_struct.start_boottime`.
    pub started: u32,
    /// `task_struct.cred`.
    pub cred: u32,
    /// `cred.euid`.
    pub user: u32,
    /// `task_struct.cgroups`.
    pub cgroups: u32,
    /// `css_set.dfl_cgrp`.
    pub default_cgroup: u32,
    /// `cgroup.kn`.
    pub cgroup_node: u32,
    /// `kernfs_node.id`.
    pub node_id: u32,
}

impl Offsets {
    /// All zero.
    pub const ZERO: Self = Self {
        remote: 0,
        local: 0,
        remote6: 0,
        local6: 0,
        remote_port: 0,
        local_port: 0,
        family: 0,
        state: 0,
        net: 0,
        cookie: 0,
        protocol: 0,
        owned: 0,
        net_cookie: 0,
        socket_sk: 0,
        task_flags: 0,
        leader: 0,
        pid: 0,
        name: 0,
        started: 0,
        cred: 0,
        user: 0,
        cgroups: 0,
        default_cgroup: 0,
        cgroup_node: 0,
        node_id: 0,
    };
}

/// The most processes that connect sockets at once; more only lose their names.
pub const MAX_CONNECTING: u32 = 2048;

/// The value of the map PAUSED that pauses the observation of every interface; other values pause one interface, by its
/// index, and 0 none.
pub const EVERY_INTERFACE: u32 = u32::MAX;

/// Ports that are compared one by one, which is cheaper than the bitmap.
pub const FEW_PORTS: usize = 4;

/// Words of the bitmap of traced ports: bit `port % 64` of word `port / 64`.
pub const PORT_WORDS: u32 = 65_536 / 64;

/// The most networks in the host table.
pub const MAX_HOSTS: u32 = 1024;
