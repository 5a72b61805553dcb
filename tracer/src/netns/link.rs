//! Links, addresses and routes of the calling thread's network namespace.
//!
//! Each function is one netlink transaction on a runtime of its own, so call them from plain threads, as
//! [`super::Namespace::run`] starts them, and not from inside an asynchronous task.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{Error, Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVlan, RouteMessageBuilder};

/// One end of a veth pair to be made.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Interface name, at most 15 bytes.
    pub name: &'a str,
    /// Ethernet address, chosen by us so that two runs give the same frames.
    pub mac: [u8; 6],
    /// Largest IP packet in bytes; the kernel's own choice (1500) if none.
    pub mtu: Option<u32>,
}

impl VethEnd<'_> {
    fn describe<T>(&self, message: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        let message = message.address(self.mac.to_vec());
        match self.mtu {
            Some(mtu) => message.mtu(mtu),
            None => message,
        }
    }
}

/// The interface number of `name`.
pub fn index(name: &str) -> Result<u32> {
    if_nametoindex(name).with_context(|| format!("no interface {name} in this network namespace"))
}

/// Makes a veth pair: `near` in this namespace, `far` in the one that `far_namespace` is open on.
pub fn create_veth(near: VethEnd<'_>, far: VethEnd<'_>, far_namespace: BorrowedFd<'_>) -> Result<()> {
    // Born in its own namespace: `far` never appears in this one, so nobody can mistake it for a new link here.
    let peer = LinkMessageBuilder::<LinkUnspec>::new().name(far.name).setns_by_fd(far_namespace.as_raw_fd());
    let peer = InfoData::Veth(InfoVeth::Peer(far.describe(peer).build()));
    let message = near.describe(LinkVeth::new(near.name, far.name)).set_info_data(peer).build();
    transact(|netlink| netlink.link().add(message).execute())
        .with_context(|| format!("cannot make the veth pair {} and {}", near.name, far.name))
}

/// Makes `name`, which sends and takes the frames of `parent` that carry the 802.1Q tag `id`. Not every kernel can.
pub fn create_vlan(parent: &str, name: &str, id: u16) -> Result<()> {
    let message = LinkVlan::new(name, index(parent)?, id).build();
    transact(|netlink| netlink.link().add(message).execute()).with_context(|| {
        format!("cannot make the VLAN interface {name} on {parent} (needs CONFIG_VLAN_8021Q)")
    })
}

/// Sets the interface up.
pub fn set_up(name: &str) -> Result<()> {
    let message = LinkUnspec::new_with_index(index(name)?).up().build();
    transact(|netlink| netlink.link().change(message).execute())
        .with_context(|| format!("cannot set {name} up"))
}

/// Changes the largest IP packet, in bytes, that the interface sends.
pub fn set_mtu(name: &str, mtu: u32) -> Result<()> {
    let message = LinkUnspec::new_with_index(index(name)?).mtu(mtu).build();
    transact(|netlink| netlink.link().change(message).execute())
        .with_context(|| format!("cannot set the MTU of {name} to {mtu}"))
}

/// Removes the interface; the other end of a veth pair goes with it.
pub fn delete(name: &str) -> Result<()> {
    let index = index(name)?;
    transact(|netlink| netlink.link().del(index).execute()).with_context(|| format!("cannot remove {name}"))
}

/// Gives the interface an address that is usable at once.
pub fn add_address(name: &str, address: IpAddr, prefix: u8) -> Result<()> {
    let index = index(name)?;
    transact(|netlink| {
        let mut request = netlink.address().add(index, address, prefix);
        if address.is_ipv6() {
            // Nobody else is on this wire: duplicate address detection would only cost a second.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute()
    })
    .with_context(|| format!("cannot give {name} the address {address}/{prefix}"))
}

/// Sends what is for `destination`/`prefix` to `gateway`, which must be a neighbour.
pub fn add_route(destination: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) -> Result<()> {
    let message = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(destination, prefix)
        .gateway(gateway)
        .build();
    transact(|netlink| netlink.route().add(message).execute())
        .with_context(|| format!("cannot route {destination}/{prefix} by {gateway}"))
}

/// Opens netlink in the calling thread's namespace, sends one request, waits for the kernel's answer.
fn transact<F: Future<Output = Result<(), Error>>>(request: impl FnOnce(Handle) -> F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("cannot start a runtime for netlink")?;
    runtime.block_on(async {
        let (connection, netlink, _) = rtnetlink::new_connection().context("cannot open netlink")?;
        tokio::spawn(connection);
        Ok(request(netlink).await?)
    })
}
