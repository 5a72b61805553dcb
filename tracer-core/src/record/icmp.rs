//! ICMP errors about a connection.

use std::{fmt, net::IpAddr};

use serde::{Serialize, Serializer};
use tracer_common::wire::icmp::{v4, v6};

use super::Side;

/// `icmp.error`: a router or a host could not deliver a segment (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IcmpError {
    /// What is wrong.
    #[serde(flatten)]
    pub cause: IcmpCause,
    /// Who sent the quoted segment.
    #[serde(rename = "icmp.quoted.sender")]
    pub sender: Side,
    /// Sequence number of the quoted segment, relative to its sender's initial one.
    #[serde(rename = "icmp.quoted.seq")]
    pub seq: i64,
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IcmpCause {
    /// Who reports it.
    #[serde(rename = "icmp.source.address")]
    pub source: IpAddr,
    /// Type and code.
    #[serde(flatten)]
    pub kind: IcmpKind,
    /// The MTU of the next hop.
    #[serde(rename = "icmp.mtu", skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// The ICMP errors about a connection: a part of `connection.closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IcmpTotals {
    /// How many were reported.
    #[serde(rename = "icmp.errors")]
    pub errors: u32,
    /// The last one.
    #[serde(flatten)]
    pub last: IcmpCause,
}

/// Type and code of an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpKind {
    /// Of ICMPv6, not of ICMP.
    pub is_v6: bool,
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
}

impl IcmpKind {
    /// The words for type and code; empty where the RFCs have none.
    const fn words(self) -> (&'static str, &'static str) {
        if self.is_v6 { self.words6() } else { self.words4() }
    }

    /// RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1.
    const fn words4(self) -> (&'static str, &'static str) {
        match self.kind {
            v4::UNREACHABLE => (
                "destination unreachable",
                match self.code {
                    0 => "network unreachable",
                    1 => "host unreachable",
                    2 => "protocol unreachable",
                    3 => "port unreachable",
                    v4::FRAGMENTATION_NEEDED => "fragmentation needed",
                    5 => "source route failed",
                    6 => "destination network unknown",
                    7 => "destination host unknown",
                    8 => "source host isolated",
                    9 => "destination network administratively prohibited",
                    10 => "destination host administratively prohibited",
                    11 => "network unreachable for type of service",
                    12 => "host unreachable for type of service",
                    13 => "communication administratively prohibited",
                    14 => "host precedence violation",
                    15 => "precedence cutoff in effect",
                    _ => "",
                },
            ),
            v4::TIME_EXCEEDED => (
                "time exceeded",
                match self.code {
                    0 => "time to live exceeded in transit",
                    1 => "fragment reassembly time exceeded",
                    _ => "",
                },
            ),
            v4::PARAMETER_PROBLEM => ("parameter problem", ""),
            _ => ("", ""),
        }
    }

    /// RFC 4443, 3.
    const fn words6(self) -> (&'static str, &'static str) {
        match self.kind {
            v6::UNREACHABLE => (
                "destination unreachable",
                match self.code {
                    0 => "no route to destination",
                    1 => "communication administratively prohibited",
                    2 => "beyond scope of source address",
                    3 => "address unreachable",
                    4 => "port unreachable",
                    5 => "source address failed ingress/egress policy",
                    6 => "reject route to destination",
                    _ => "",
                },
            ),
            // Its code is 0 and says nothing.
            v6::TOO_BIG => ("packet too big", "packet too big"),
            v6::TIME_EXCEEDED => (
                "time exceeded",
                match self.code {
                    0 => "hop limit exceeded in transit",
                    1 => "fragment reassembly time exceeded",
                    _ => "",
                },
            ),
            v6::PARAMETER_PROBLEM => (
                "parameter problem",
                match self.code {
                    0 => "erroneous header field",
                    1 => "unrecognized next header",
                    2 => "unrecognized option",
                    _ => "",
                },
            ),
            _ => ("", ""),
        }
    }
}

/// `destination unreachable, host unreachable`; an unknown code is its number.
impl fmt::Display for IcmpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            ("", _) => write!(f, "type {}, code {}", self.kind, self.code),
            (kind, "") => write!(f, "{kind}, code {}", self.code),
            (kind, code) if kind == code => f.write_str(kind),
            (kind, code) => write!(f, "{kind}, {code}"),
        }
    }
}

impl Serialize for IcmpKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("icmp.type", &self.kind)?;
        map.serialize_entry("icmp.code", &self.code)?;
        map.serialize_entry("icmp.message", &self.to_string())?;
        map.end()
    }
}

/// `203.0.113.1: destination unreachable, fragmentation needed (MTU 1400)`.
impl fmt::Display for IcmpCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.kind)?;
        match self.mtu {
            Some(mtu) => write!(f, " (MTU {mtu})"),
            None => Ok(()),
        }
    }
}

/// `2 ICMP errors, the last from 203.0.113.1: time exceeded, …`.
impl fmt::Display for IcmpTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = if self.errors == 1 { "" } else { "s, the last" };
        write!(f, "{} ICMP error{last} from {}", self.errors, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_words_of_its_version_or_numbers() {
        for (is_v6, kind, code, words) in [
            (false, 3, 13, "destination unreachable, communication administratively prohibited"),
            (false, 3, 4, "destination unreachable, fragmentation needed"),
            (false, 3, 99, "destination unreachable, code 99"),
            (false, 11, 0, "time exceeded, time to live exceeded in transit"),
            (false, 12, 0, "parameter problem, code 0"),
            (false, 77, 1, "type 77, code 1"),
            (true, 1, 4, "destination unreachable, port unreachable"),
            (true, 2, 0, "packet too big"),
            (true, 3, 0, "time exceeded, hop limit exceeded in transit"),
            (true, 4, 1, "parameter problem, unrecognized next header"),
            (true, 11, 0, "type 11, code 0"),
        ] {
            assert_eq!(IcmpKind { is_v6, kind, code }.to_string(), words);
        }
    }
}
