//! Two namespaces joined by one virtual Ethernet cable: the smallest network in which a connection can be watched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use anyhow::{Context, Result, ensure};

use super::Namespace;
use super::link::{self, VethEnd};

/// Prefix length of every IPv4 subnet here, in bits.
const PREFIX_V4: u8 = 24;
/// Prefix length of every IPv6 subnet here, in bits.
const PREFIX_V6: u8 = 64;
/// Name of the tagged interface, the same at both ends.
const VLAN_INTERFACE: &str = "vlan";
/// The smallest MTU that IPv6 works with (RFC 8200 section 5), in bytes.
const MIN_MTU: u32 = 1280;
/// The VLAN identifiers that may name a network (IEEE 802.1Q): 0 and 4095 are reserved.
const VLAN_IDS: std::ops::RangeInclusive<u16> = 1..=4094;

/// What may differ from the plain pair.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairOptions {
    /// Also join the ends by tagged interfaces with this 802.1Q identifier, 1 to 4094.
    pub vlan_id: Option<u16>,
    /// Largest IP packet in bytes, at least 1280; 1500 if none.
    pub mtu: Option<u32>,
}

/// One end of the cable. Offloads (checksum, GSO, GRO) stay as the kernel sets them.
#[derive(Clone, Debug)]
pub struct End {
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
    /// The tagged interface on top, if the options asked for one.
    pub vlan: Option<PairVlan>,
}

/// A tagged interface on top of an [`End`].
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

/// A server's and a client's namespace joined by a veth pair.
///
/// Both are gone, with everything in them, once this value and its clones of [`Namespace`] are dropped and no
/// thread, child or socket is left inside. The kernel does the removal a moment later.
#[derive(Debug)]
pub struct VethPair {
    /// `veth-server`, 10.77.0.1 and `fd77::1`; tagged: 10.77.1.1 and `fd77:0:0:1::1`.
    pub server: End,
    /// `veth-client`, 10.77.0.2 and `fd77::2`; tagged: 10.77.1.2 and `fd77:0:0:1::2`.
    pub client: End,
}

impl VethPair {
    /// Makes both namespaces and joins them; every address answers when this returns.
    pub fn new(options: PairOptions) -> Result<Self> {
        if let Some(id) = options.vlan_id {
            ensure!(VLAN_IDS.contains(&id), "VLAN id {id} is not within 1 to 4094");
        }
        if let Some(mtu) = options.mtu {
            ensure!(mtu >= MIN_MTU, "an MTU of {mtu} is below IPv6's least, {MIN_MTU}");
        }
        let pair = Self {
            server: End::new("veth-server", 1, options)?,
            client: End::new("veth-client", 2, options)?,
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
        // Both up before any address: an IPv6 address on a link without carrier waits for the carrier.
        for end in [&self.server, &self.client] {
            end.namespace.run(|| link::set_up(end.interface))??;
        }
        for end in [&self.server, &self.client] {
            end.namespace.run(|| link::await_running(end.interface))??;
        }
        Ok(())
    }
}

impl End {
    /// The end with host number `host`, in a new namespace; the interface is not made yet.
    fn new(interface: &'static str, host: u8, options: PairOptions) -> Result<Self> {
        let subnet_v4 = |subnet| Ipv4Addr::new(10, 77, subnet, host);
        let subnet_v6 = |subnet| Ipv6Addr::new(0xfd77, 0, 0, subnet, 0, 0, 0, u16::from(host));
        let namespace = Namespace::new().with_context(|| format!("no namespace for {interface}"))?;
        // The kernel copies the host's IPv4 settings into a new namespace. A host that forwards (as with
        // containers) would make an end send packets for unknown addresses back, with ICMP errors beside them.
        namespace.change_setting("ipv4/ip_forward", "0")?;
        Ok(Self {
            namespace,
            interface,
            // The second lowest bit of the first byte marks an address that no manufacturer gave.
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
