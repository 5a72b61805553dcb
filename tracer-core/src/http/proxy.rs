//! The PROXY protocol header before the first request (haproxy.org, "The PROXY protocol", versions 1 and 2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The signature of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The address of the client that the proxy connects for; `None` if the proxy connects for itself, or does not say.
pub(super) fn client(header: &[u8]) -> Option<IpAddr> {
    match header.strip_prefix(SIGNATURE) {
        Some(rest) => binary(rest),
        None => line(str::from_utf8(header).ok()?),
    }
}

/// Version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 51234 80".
fn line(header: &str) -> Option<IpAddr> {
    let mut words = header.trim_ascii_end().split(' ');
    let (name, family, address) = (words.next()?, words.next()?, words.next()?);
    let address: IpAddr = address.parse().ok()?;
    let is_proxy = name == "PROXY" && family == if address.is_ipv4() { "TCP4" } else { "TCP6" };
    is_proxy.then_some(address)
}

/// Version 2, after the signature: version and command, family, length, then the addresses.
fn binary(rest: &[u8]) -> Option<IpAddr> {
    const PROXY_COMMAND: u8 = 0x21;
    let (head, addresses) = rest.split_at_checked(4)?;
    if head.first() != Some(&PROXY_COMMAND) {
        return None;
    }
    match head.get(1)? >> 4 {
        1 => addresses.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        2 => addresses.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn the_address_of_the_client_is_read() {
        let v2 = |rest: &[u8]| [b"\r\n\r\n\0\r\nQUIT\n", rest].concat();
        let v6 = [&[0x21, 0x21, 0, 36][..], &[0x20, 1, 0xd, 0xb8], &[0; 11], &[1], &[0; 20]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 51234 80\r\n".to_vec(), Some("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 51234 80\r\n".to_vec(), Some("2001:db8::1")),
            (b"PROXY TCP6 192.0.2.1 192.0.2.2 51234 80\r\n".to_vec(), None),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY TCP4 nonsense\r\n".to_vec(), None),
            (v2(&[0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0xc8, 0x22, 0, 80]), Some("192.0.2.1")),
            (v2(&v6), Some("2001:db8::1")),
            (v2(&[0x20, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0xc8, 0x22, 0, 80]), None),
            (v2(&[0x21, 0x31, 0, 0]), None),
            (v2(&[0x21, 0x11, 0, 0]), None),
            (v2(&[]), None),
        ] {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(client(&header), expected, "{header:?}");
        }
    }
}
