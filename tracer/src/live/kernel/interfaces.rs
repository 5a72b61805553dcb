//! Lists and watches the interfaces of this thread's network namespace, by netlink:
//! `/sys/class/net` shows the namespace in which it was mounted, which may be another one.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    pin::Pin,
};

use anyhow::{Context as _, Result};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder,
    packet_route::{
        link::{LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached},
        route::{RouteAttribute, RouteHeader, RouteMessage, RouteType},
    },
};
use tracer_common::wire::LinkType;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Interface index (ifindex).
    pub index: u32,
    /// Its current name.
    pub name: String,
    /// Its link layer.
    pub link: Link,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its driver, such as "virtio_net", or the kind of a virtual interface, such as "veth".
    pub driver: Option<String>,
    /// The XDP program attached to it.
    pub xdp: Option<XdpAttachment>,
}

/// The link layer of an interface: the header that its frames start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// An Ethernet header; every packet passes egress and then ingress.
    Loopback,
    /// The IP header.
    RawIp,
    /// Any other link layer, by its ARPHRD number (`linux/if_arp.h`).
    Other(u16),
}

impl Link {
    /// How the kernel programs read the frames, if they can.
    #[must_use]
    pub const fn frames(self) -> Option<LinkType> {
        match self {
            Self::Ethernet | Self::Loopback => Some(LinkType::Ethernet),
            Self::RawIp => Some(LinkType::RawIp),
            Self::Other(_) => None,
        }
    }

    fn from_layer(layer: LinkLayerType) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "there are a hundred link layers, and more will be added"
        )]
        match layer {
            LinkLayerType::Ether => Self::Ethernet,
            LinkLayerType::Loopback => Self::Loopback,
            // tun and wireguard, ppp, ipip, ip6tnl, sit, gre.
            LinkLayerType::None
            | LinkLayerType::Ppp
            | LinkLayerType::Tunnel
            | LinkLayerType::Tunnel6
            | LinkLayerType::Sit
            | LinkLayerType::Ipgre => Self::RawIp,
            other => Self::Other(other.into()),
        }
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ethernet => f.write_str("Ethernet"),
            Self::Loopback => f.write_str("loopback"),
            Self::RawIp => f.write_str("raw IP"),
            Self::Other(number) => write!(f, "link type {number}"),
        }
    }
}

/// An attached XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpAttachment {
    /// The program's id, if there is exactly one.
    pub id: Option<u32>,
    /// "native", "generic", "offloaded" or "several".
    pub mode: &'static str,
}

/// All interfaces, ordered by index.
///
/// # Errors
/// Netlink does not answer.
pub async fn list() -> Result<Vec<Interface>> {
    let netlink = connect()?;
    let links = netlink.link().get().execute().try_collect::<Vec<_>>().await;
    let links = links.context("cannot list the network interfaces")?;
    let mut interfaces: Vec<_> = links.into_iter().filter_map(interface).collect();
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// The indexes of the interfaces with an IPv4 or IPv6 default route.
///
/// # Errors
/// Netlink does not answer.
pub async fn with_default_route() -> Result<BTreeSet<u32>> {
    let netlink = connect()?;
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    let mut indices = BTreeSet::new();
    for request in [v4, v6] {
        let routes = netlink.route().get(request).execute().try_collect::<Vec<_>>().await;
        let routes = routes.context("cannot list the routes")?;
        indices.extend(routes.iter().filter(|route| is_default(route)).flat_map(outgoing));
    }
    Ok(indices)
}

fn connect() -> Result<Handle> {
    let (connection, netlink, _) = rtnetlink::new_connection().context("cannot open netlink")?;
    // The task ends when the handle is dropped.
    tokio::spawn(connection);
    Ok(netlink)
}

fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0
        && route.header.kind == RouteType::Unicast
        && route.header.table == RouteHeader::RT_TABLE_MAIN
}

fn outgoing(route: &RouteMessage) -> Vec<u32> {
    let mut indices = Vec::new();
    for attribute in &route.attributes {
        if let RouteAttribute::Oif(index) = attribute {
            indices.push(*index);
        }
        if let RouteAttribute::MultiPath(hops) = attribute {
            indices.extend(hops.iter().map(|hop| hop.interface_index));
        }
    }
    indices
}

fn interface(message: LinkMessage) -> Option<Interface> {
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        link: Link::from_layer(message.header.link_layer_type),
        up: message.header.flags.contains(LinkFlags::Up),
        driver: None,
        xdp: None,
    };
    let (mut bus, mut device) = (None, None);
    for attribute in message.attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "most attributes are not needed")]
        match attribute {
            LinkAttribute::IfName(name) => interface.name = name,
            LinkAttribute::LinkInfo(infos) => interface.driver = infos.iter().find_map(kind),
            LinkAttribute::ParentDevBusName(name) => bus = Some(name),
            LinkAttribute::ParentDevName(name) => device = Some(name),
            LinkAttribute::Xdp(xdp) => interface.xdp = attached_xdp(&xdp),
            _ => {}
        }
    }
    if let (None, Some(bus), Some(device)) = (&interface.driver, bus, device) {
        interface.driver = driver(&bus, &device);
    }
    (!interface.name.is_empty()).then_some(interface)
}

/// The driver of a device. Unlike `/sys/class/net`, `/sys/bus` does not depend on the network
/// namespace.
fn driver(bus: &str, device: &str) -> Option<String> {
    let driver = fs::read_link(format!("/sys/bus/{bus}/devices/{device}/driver")).ok()?;
    Some(driver.file_name()?.to_string_lossy().into_owned())
}

fn kind(info: &LinkInfo) -> Option<String> {
    if let LinkInfo::Kind(kind) = info { Some(kind.to_string()) } else { None }
}

fn attached_xdp(attributes: &[LinkXdp]) -> Option<XdpAttachment> {
    let mut mode = None;
    let mut id = None;
    for attribute in attributes {
        if let LinkXdp::Attached(attached) = attribute {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "no program, or a mode that is not known here"
            )]
            let word = match attached {
                XdpAttached::Driver => Some("native"),
                XdpAttached::SocketBuffer => Some("generic"),
                XdpAttached::Hardware => Some("offloaded"),
                XdpAttached::Multiple => Some("several"),
                _ => None,
            };
            mode = word;
        }
        if let LinkXdp::ProgId(number) = attribute {
            id = Some(*number);
        }
    }
    mode.map(|mode| XdpAttachment { id, mode })
}

/// Notifies of interfaces that appear, disappear or change.
pub struct Watch {
    changes: Pin<Box<dyn Stream<Item = ()> + Send>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Starts watching this thread's network namespace.
    ///
    /// # Errors
    /// Netlink cannot be opened.
    pub fn new() -> Result<Self> {
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
            .context("cannot watch interfaces")?;
        tokio::spawn(connection);
        Ok(Self { changes: Box::pin(messages.map(drop)) })
    }

    /// Waits for a change. Call [`list`] to find out what changed: netlink may drop messages when
    /// many arrive at once.
    pub async fn changed(&mut self) {
        if self.changes.next().await.is_none() {
            // Netlink has ended, so there will be no more changes.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_layers_are_recognised_by_their_arphrd_number() {
        for (number, link) in [
            (1, Link::Ethernet),
            (772, Link::Loopback),
            (65_534, Link::RawIp),
            (512, Link::RawIp),
            (768, Link::RawIp),
            (769, Link::RawIp),
            (776, Link::RawIp),
            (778, Link::RawIp),
            (32, Link::Other(32)),
            (803, Link::Other(803)),
        ] {
            assert_eq!(Link::from_layer(LinkLayerType::from(number)), link, "{number}");
        }
    }
}
