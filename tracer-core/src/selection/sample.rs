//! A sample of connections.

use std::{net::SocketAddr, num::NonZeroU32, str::FromStr};

use super::InvalidPattern;

/// One of so many connections, chosen by their addresses and ports: the same in every run and on
/// every host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(NonZeroU32);

impl Sample {
    /// Of how many connections one is taken.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.0.get()
    }

    /// Whether the connection between these ends is in it, in whichever order.
    #[must_use]
    pub fn has(self, one: SocketAddr, other: SocketAddr) -> bool {
        let [low, high] = if one <= other { [one, other] } else { [other, one] };
        mixed(mixed(0, low), high).is_multiple_of(u64::from(self.of()))
    }
}

impl FromStr for Sample {
    type Err = InvalidPattern;

    fn from_str(typed: &str) -> Result<Self, InvalidPattern> {
        let wrong =
            |at| InvalidPattern::new("no sample", typed, at, "one of so many connections, like 1/100");
        let of = typed.strip_prefix("1/").ok_or_else(|| wrong(0))?;
        of.parse().map(Self).map_err(|_| wrong(2))
    }
}

/// A hash of `end`, after `before`. Each bit of the input changes about half of the output, so that
/// neighbouring ports fall into different samples.
fn mixed(before: u64, end: SocketAddr) -> u64 {
    let address = end.ip().to_canonical();
    let bits = match address {
        std::net::IpAddr::V4(v4) => u128::from(u32::from(v4)),
        std::net::IpAddr::V6(v6) => u128::from(v6),
    };
    [(bits >> 64) as u64, bits as u64, u64::from(end.port())].into_iter().fold(before, |hash, word| {
        // The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
        // Generators, 2014).
        let hash = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ hash >> 31
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client_port: u16) -> (SocketAddr, SocketAddr) {
        let end = |text: &str| text.parse().expect("an address and a port");
        (end(&format!("10.0.0.7:{client_port}")), end("10.0.0.1:80"))
    }

    #[test]
    fn about_one_of_so_many_connections_is_taken_whichever_way_it_is_seen() {
        for of in [1, 2, 10, 100] {
            let sample: Sample = format!("1/{of}").parse().expect("a sample");
            let taken = (10_000..60_000).filter(|port| {
                let (client, server) = ends(*port);
                assert_eq!(sample.has(client, server), sample.has(server, client));
                sample.has(client, server)
            });
            let (taken, expected) = (taken.count(), 50_000 / of);
            assert!(taken.abs_diff(expected) <= expected / 5, "1/{of}: {taken}");
        }
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for (typed, at) in
            [("", 1), ("10", 1), ("2/10", 1), ("1/0", 3), ("1/", 3), ("1/x", 3), ("1/99999999999", 3)]
        {
            let error = typed.parse::<Sample>().expect_err(typed).to_string();
            assert!(error.starts_with(&format!("no sample at character {at} of ")), "{error}");
            assert!(error.ends_with("like 1/100)"), "{error}");
        }
    }
}
