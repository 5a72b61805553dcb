//! Two namespaces connected by a veth pair: the smallest network for tracing a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};

use super::Namespace;
use super::link::{self, VethEnd};

/// Prefix length of every IPv4 subnet here, in bits.
const PREFIX_V4: u8 = 24;
/// Prefix length of every IPv6 subnet here, in bits.
const PREFIX_V6: u8 = 64;
/// Name of the VLAN interface, the same at both ends.
const VLAN_INTERFACE: &str = "vlan";
/// The smallest MTU for IPv6 in bytes (RFC 8200 section 5).
const MIN_MTU: u32 = 1280;
/// Valid VLAN identifiers (IEEE 802.1Q): 0 and 4095 are reserved.
const VLAN_IDS: std::ops::RangeInclusive<u16> = 1..=4094;

/// Options of a [`VethPair`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PairOptions {
    /// Adds VLAN interfaces with this 802.1Q identifier, 1 to 4094.
    pub vlan_id: Option<u16>,
    /// MTU in bytes, at least 1280; 1500 if none.
    pub mtu: Option<u32>,
}

/// One end of the veth pair. Offloads (checksum, GSO, GRO) keep the kernel's defaults.
#[derive(Clone, Debug)]
pub struct PairEnd {
    /// The namespace this end is in.
    pub namespace: Namespace,
    /// The interface of this end.
    pub interface: &'static str,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its IPv4 address, in a /24.
    pub v4: Ipv4Addr,
    /// Its IPv6 address, in a /64, usable at once.
    pub v6: Ipv6Addr,
    /// The VLAN interface on top, if requested.
    pub vlan: Option<PairVlan>,
}

/// A VLAN interface on top of a [`PairEnd`].
#[derive(Clone, Copy, Debug)]
pub struct PairVlan {
    /// 802.1Q identifier.
    pub id: u16,
    /// Interface name.
    pub interface: &'static str,
    /// Its IPv4 address, in a /24 of its own.
    pub v4: Ipv4Addr,
    /// Its IPv6 address, in a /64 of its own.
    pub v6: Ipv6Addr,
}

/// A server's and a client's namespace, connected by a veth pair.
///
/// The kernel removes both namespaces, with everything in them, shortly after this value and all
/// clones of its [`Namespace`]s are dropped and no thread, child or socket is left in them.
#[derive(Debug)]
pub struct VethPair {
    /// `veth-server`, 10.77.0.1 and `fd77::1`; VLAN: 10.77.1.1 and `fd77:0:0:1::1`.
    pub server: PairEnd,
    /// `veth-client`, 10.77.0.2 and `fd77::2`; VLAN: 10.77.1.2 and `fd77:0:0:1::2`.
    pub client: PairEnd,
}

impl VethPair {
    /// Creates and connects both namespaces. All addresses are usable when this returns.
    pub fn new(options: PairOptions) -> Result<Self> {
        if let Some(id) = options.vlan_id {
            ensure!(VLAN_IDS.contains(&id), "VLAN id {id} is not within 1 to 4094");
        }
        if let Some(mtu) = options.mtu {
            ensure!(mtu >= MIN_MTU, "an MTU of {mtu} is below the minimum of IPv6, {MIN_MTU}");
        }
        let pair = Self {
            server: PairEnd::new("veth-server", 1, options)?,
            client: PairEnd::new("veth-client", 2, options)?,
        };
        pair.join(options.mtu)?;
        pair.server.configure()?;
        pair.client.configure()?;
        Ok(pair)
    }

    fn join(&self, mtu: Option<u32>) -> Result<()> {
        let near = VethEnd { name: self.server.interface, mac: self.server.mac, mtu };
        let far = VethEnd { name: self.client.interface, mac: self.client.mac, mtu };
        let far_namespace = self.client.namespace.file.as_fd();
        self.server.namespace.run(|| link::create_veth(near, far, far_namespace))??;
        // Set both up before adding addresses: an IPv6 address on a link without carrier stays
        // tentative.
        for end in [&self.server, &self.client] {
            end.namespace.run(|| link::set_up(end.interface))??;
        }
        for end in [&self.server, &self.client] {
            end.namespace.run(|| link::await_running(end.interface))??;
        }
        Ok(())
    }
}

impl PairEnd {
    /// The end with host number `host`, in a new namespace. Its interface is created later.
    fn new(interface: &'static str, host: u8, options: PairOptions) -> Result<Self> {
        let subnet_v4 = |subnet| Ipv4Addr::new(10, 77, subnet, host);
        let subnet_v6 = |subnet| Ipv6Addr::new(0xfd77, 0, 0, subnet, 0, 0, 0, u16::from(host));
        let namespace = Namespace::new().with_context(|| format!("no namespace for {interface}"))?;
        // The kernel copies the host's IPv4 settings into a new namespace. With forwarding on (as
        // on container hosts), an end would send packets for unknown addresses back, with ICMP
        // errors.
        namespace.change_setting("ipv4/ip_forward", "0")?;
        Ok(Self {
            namespace,
            interface,
            // The second lowest bit of the first byte marks a locally administered address.
            mac: [0x02, 0, 0, 0x77, 0, host],
            v4: subnet_v4(0),
            v6: subnet_v6(0),
            vlan: options.vlan_id.map(|id| PairVlan {
                id,
                interface: VLAN_INTERFACE,
                v4: subnet_v4(1),
                v6: subnet_v6(1),
            }),
        })
    }

    fn configure(&self) -> Result<()> {
        self.namespace.run(|| {
            add_addresses(self.interface, self.v4, self.v6)?;
            if let Some(vlan) = self.vlan {
                link::create_vlan(self.interface, vlan.interface, vlan.id)?;
                link::set_up(vlan.interface)?;
                add_addresses(vlan.interface, vlan.v4, vlan.v6)?;
            }
            Ok(())
        })?
    }
}

fn add_addresses(interface: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<()> {
    link::add_address(interface, IpAddr::V4(v4), PREFIX_V4)?;
    link::add_address(interface, IpAddr::V6(v6), PREFIX_V6)
}
