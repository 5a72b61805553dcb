//! Addresses of both IP versions in one format: 16 bytes in network byte order, as four words.
//!
//! IPv4 is stored as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). Hosts do not accept such an address in an IPv6 header, but anybody
//! can send it: it is stored under a prefix of its own, so that it cannot be confused with the IPv4 address.

use core::net::{IpAddr, Ipv6Addr};

/// The third word of an IPv4-mapped IPv6 address, in network byte order.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
/// The third word that replaces it in an address of an IPv6 header: ::fffe:0:0/96 is not assigned.
const MAPPED_IN_IPV6: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xfe]);

/// Stores an IPv4 address.
#[inline(always)]
#[must_use]
pub const fn from_ipv4(address: u32) -> [u32; 4] {
    [0, 0, MAPPED, address]
}

/// Stores an address of an IPv6 header.
#[inline(always)]
pub(super) const fn from_ipv6(mut address: [u32; 4]) -> [u32; 4] {
    if address[2] == MAPPED && address[0] | address[1] == 0 {
        address[2] = MAPPED_IN_IPV6;
    }
    address
}

/// The address stored as `words`.
#[must_use]
pub fn address(words: [u32; 4]) -> IpAddr {
    let mut octets = [0; 16];
    for (four, word) in octets.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *four = word.to_ne_bytes();
    }
    if words[..3] == [0, 0, MAPPED_IN_IPV6] {
        octets[11] = 0xff;
        return IpAddr::V6(Ipv6Addr::from(octets));
    }
    Ipv6Addr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_stored() {
        let words = |text: &str| {
            let octets = text.parse::<Ipv6Addr>().unwrap().octets();
            let mut words = [0; 4];
            for (word, four) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
                *word = u32::from_ne_bytes(*four);
            }
            words
        };
        assert_eq!(address(from_ipv4(u32::from_ne_bytes([10, 0, 0, 1]))), IpAddr::from([10, 0, 0, 1]));
        for text in
            ["2001:db8::7", "::1", "::", "::ffff:10.0.0.1", "1::ffff:10.0.0.1", "::ff:0:1", "::10.0.0.1"]
        {
            let expected = text.parse::<Ipv6Addr>().unwrap();
            assert_eq!(address(from_ipv6(words(text))), IpAddr::V6(expected), "{text}");
        }
        assert_ne!(from_ipv6(words("::ffff:10.0.0.1")), from_ipv4(u32::from_ne_bytes([10, 0, 0, 1])));
    }
}
