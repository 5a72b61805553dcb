//! Sets interfaces promiscuous for a run.
//!
//! By membership of a packet socket (packet(7), `PACKET_MR_PROMISC`): the kernel counts who wants
//! an interface to be promiscuous, and ends this membership when the socket closes, also after a
//! crash. A flag that is set on the interface would stay, or end what somebody else has set.

use anyhow::{Context as _, Result};
use nix::{libc, setsockopt_impl, sockopt_impl, sys::socket::SetSockOpt as _};
use socket2::{Domain, Socket, Type};

sockopt_impl!(
    /// Adds a membership of an interface.
    AddMembership,
    SetOnly,
    libc::SOL_PACKET,
    libc::PACKET_ADD_MEMBERSHIP,
    libc::packet_mreq
);

/// The interfaces that are promiscuous as long as this lives.
#[derive(Debug)]
pub(crate) struct Promiscuous(Socket);

impl Promiscuous {
    /// None yet. Needs CAP_NET_RAW; adding interfaces later needs no privileges.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub(crate) fn new() -> Result<Self> {
        // Without a protocol it receives no frames.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None);
        Ok(Self(socket.context("--promiscuous needs a packet socket")?))
    }

    /// Sets the interface with this index promiscuous.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn add(&self, interface: u32) -> Result<()> {
        let membership = libc::packet_mreq {
            mr_ifindex: interface.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        AddMembership.set(&self.0, &membership).context("it cannot be set promiscuous")
    }
}
