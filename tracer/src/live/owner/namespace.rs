//! The network namespace of this process.

use nix::{
    errno::Errno,
    getsockopt_impl, libc, sockopt_impl,
    sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket},
};

sockopt_impl!(NamespaceCookie, GetOnly, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, u64);

/// Its cookie, which the kernel's structures carry, too (`SO_NETNS_COOKIE`; Linux 5.14).
///
/// # Errors
/// No socket can be opened, or the kernel has no such cookies.
pub fn cookie() -> Result<u64, Errno> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    getsockopt(&socket, NamespaceCookie)
}
