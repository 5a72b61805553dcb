//! Addresses as they are kept: 16 bytes in network byte order, as four words, for both versions of IP.
//!
//! IPv4 is kept as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). Such an address in an IPv6 header is not one that hosts accept, but
//! anybody can send it: it is kept under a prefix of its own, or it would be taken for the IPv4 connection that it imitates.

use core::net::{IpAddr, Ipv6Addr};

/// The third word of an IPv4-mapped IPv6 address, in network byte order.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
/// The third word under which such an address is kept when it came in an IPv6 header: ::fffe:0:0/96 is not assigned.
const IMITATED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xfe]);

/// An IPv4 address as it is kept.
#[inline(always)]
#[must_use]
pub const fn from_ipv4(address: u32) -> [u32; 4] {
    [0, 0, MAPPED, address]
}

/// An address of an IPv6 header as it is kept.
#[inline(always)]
pub(super) const fn from_ipv6(mut address: [u32; 4]) -> [u32; 4] {
    if address[2] == MAPPED && address[0] | address[1] == 0 {
        address[2] = IMITATED;
    }
    address
}

/// The address that is kept as `words`.
#[must_use]
pub fn address(words: [u32; 4]) -> IpAddr {
    let mut octets = [0; 16];
    for (four, word) in octets.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *four = word.to_ne_bytes();
    }
    if words[..3] == [0, 0, IMITATED] {
        octets[11] = 0xff;
        return IpAddr::V6(Ipv6Addr::from(octets));
    }
    Ipv6Addr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_its_header_said() {
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
            let said = text.parse::<Ipv6Addr>().unwrap();
            assert_eq!(address(from_ipv6(words(text))), IpAddr::V6(said), "{text}");
        }
        assert_ne!(from_ipv6(words("::ffff:10.0.0.1")), from_ipv4(u32::from_ne_bytes([10, 0, 0, 1])));
    }
}
