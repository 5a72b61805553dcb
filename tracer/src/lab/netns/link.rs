//! Links, addresses and routes of the calling thread's network namespace.
//!
//! Each function is one netlink transaction on its own runtime. Call them from plain threads, such
//! as those of [`super::Namespace::run`], not from an async task.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, State};
use rtnetlink::{Error, Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVlan, RouteMessageBuilder};

/// The longest wait for an interface or address. The kernel checks carriers at least once a second.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between two checks.
const READY_CHECK: Duration = Duration::from_millis(1);
/// The kernel's list of the IPv6 addresses of the calling thread's namespace.
const ADDRESSES_V6: &str = "/proc/thread-self/net/if_inet6";
/// `IFA_F_TENTATIVE`: the address is not usable yet.
const TENTATIVE: u8 = 0x40;

/// Options for one end of a new veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Interface name, at most 15 bytes.
    pub name: &'a str,
    /// MAC address, fixed so that every run gives the same frames.
    pub mac: [u8; 6],
    /// MTU in bytes; the kernel's default (1500) if none.
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

/// The index of the interface `name`.
pub fn index(name: &str) -> Result<u32> {
    if_nametoindex(name).with_context(|| format!("no interface {name} in this network namespace"))
}

/// Creates a veth pair: `near` in this namespace, `far` in the namespace of `far_namespace`.
pub fn create_veth(near: VethEnd<'_>, far: VethEnd<'_>, far_namespace: BorrowedFd<'_>) -> Result<()> {
    // Created directly in its own namespace: `far` never appears as a new link in this one.
    let peer = LinkMessageBuilder::<LinkUnspec>::new().name(far.name).setns_by_fd(far_namespace.as_raw_fd());
    let peer = InfoData::Veth(InfoVeth::Peer(far.describe(peer).build()));
    let message = near.describe(LinkVeth::new(near.name, far.name)).set_info_data(peer).build();
    transact(|netlink| netlink.link().add(message).execute())
        .with_context(|| format!("cannot create the veth pair {} and {}", near.name, far.name))
}

/// Creates the VLAN interface `name` on `parent`, with the 802.1Q tag `id`. Requires
/// CONFIG_VLAN_8021Q.
pub fn create_vlan(parent: &str, name: &str, id: u16) -> Result<()> {
    let message = LinkVlan::new(name, index(parent)?, id).build();
    transact(|netlink| netlink.link().add(message).execute()).with_context(|| {
        format!("cannot create the VLAN interface {name} on {parent} (needs CONFIG_VLAN_8021Q)")
    })
}

/// Sets the interface up.
pub fn set_up(name: &str) -> Result<()> {
    let message = LinkUnspec::new_with_index(index(name)?).up().build();
    transact(|netlink| netlink.link().change(message).execute())
        .with_context(|| format!("cannot set {name} up"))
}

/// Waits until the interface can send: the kernel starts its queue a moment after the carrier is
/// up, and silently drops packets before that.
pub fn await_running(name: &str) -> Result<()> {
    let index = index(name)?;
    await_ready(name, || is_running(index))
}

/// Waits until `is_ready` returns true, up to [`READY_TIMEOUT`].
fn await_ready(what: &str, is_ready: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while !is_ready()? {
        ensure!(Instant::now() < deadline, "{what} is not ready after {READY_TIMEOUT:?}");
        thread::sleep(READY_CHECK);
    }
    Ok(())
}

fn is_running(index: u32) -> Result<bool> {
    let links = transact(async |netlink: Handle| {
        netlink.link().get().match_index(index).execute().try_collect::<Vec<_>>().await
    })
    .with_context(|| format!("cannot query interface {index}"))?;
    // The kernel sets this in the same step that starts the queue (`linkwatch_do_dev`).
    Ok(links.iter().any(|link| link.attributes.contains(&LinkAttribute::OperState(State::Up))))
}

/// Sets the MTU of the interface, in bytes.
pub fn set_mtu(name: &str, mtu: u32) -> Result<()> {
    let message = LinkUnspec::new_with_index(index(name)?).mtu(mtu).build();
    transact(|netlink| netlink.link().change(message).execute())
        .with_context(|| format!("cannot set the MTU of {name} to {mtu}"))
}

/// Deletes the interface, and with it the other end of a veth pair.
pub fn delete(name: &str) -> Result<()> {
    let index = index(name)?;
    transact(|netlink| netlink.link().del(index).execute()).with_context(|| format!("cannot delete {name}"))
}

/// Adds an address to the interface, and waits until it is usable.
pub fn add_address(name: &str, address: IpAddr, prefix: u8) -> Result<()> {
    let index = index(name)?;
    transact(|netlink| {
        let mut request = netlink.address().add(index, address, prefix);
        if address.is_ipv6() {
            // The link has no other hosts: duplicate address detection would only take a second.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute()
    })
    .with_context(|| format!("cannot add the address {address}/{prefix} to {name}"))?;
    match address {
        IpAddr::V4(_) => Ok(()),
        // Even without the detection, the kernel sets up an IPv6 address in the background.
        IpAddr::V6(address) => await_ready(&format!("the address {address}"), || is_usable(address)),
    }
}

/// Whether the address is usable, according to the kernel's list of IPv6 addresses.
fn is_usable(address: Ipv6Addr) -> Result<bool> {
    let list = fs::read_to_string(ADDRESSES_V6).with_context(|| format!("cannot read {ADDRESSES_V6}"))?;
    Ok(list.lines().any(|line| is_usable_in(line, address)))
}

/// Whether a line of that list shows `address` without the flag [`TENTATIVE`].
fn is_usable_in(line: &str, address: Ipv6Addr) -> bool {
    // Address, interface index, prefix length, scope and flags, all in hexadecimal; then the
    // interface name.
    let mut columns = line.split_whitespace();
    let is_it = columns.next() == Some(format!("{:032x}", address.to_bits()).as_str());
    let flags = columns.nth(3).and_then(|flags| u8::from_str_radix(flags, 16).ok());
    is_it && flags.is_some_and(|flags| flags & TENTATIVE == 0)
}

/// Routes `destination`/`prefix` via `gateway`, which must be a neighbour.
pub fn add_route(destination: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) -> Result<()> {
    let message = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(destination, prefix)
        .gateway(gateway)
        .build();
    transact(|netlink| netlink.route().add(message).execute())
        .with_context(|| format!("cannot route {destination}/{prefix} via {gateway}"))
}

/// Opens netlink in the calling thread's namespace, sends one request and waits for the kernel's
/// answer.
fn transact<T, F: Future<Output = Result<T, Error>>>(request: impl FnOnce(Handle) -> F) -> Result<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_usable_once_it_is_not_tentative() {
        let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
        let line = |flags| format!("fd770000000000000000000000000001 02 40 00 {flags} veth-server");
        assert!(is_usable_in(&line("80"), address));
        assert!(is_usable_in(&line("82"), address));
        assert!(!is_usable_in(&line("c2"), address));
        assert!(!is_usable_in(&line("80"), Ipv6Addr::LOCALHOST));
        assert!(!is_usable_in("", address));
    }
}
