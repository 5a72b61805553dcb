//! What a connection is carried in: the tunnels and shims between the link layer and its own IP header.

/// One encapsulation. The value is its number in an [`Encapsulations`], so at most 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encapsulation {
    /// IP directly in IP (RFC 2003, 2473, 4213).
    IpInIp = 1,
    /// GRE (RFC 2784, 2890), also that of PPTP (RFC 2637) and in UDP (RFC 8086).
    Gre = 2,
    /// A mirrored frame in GRE: ERSPAN type I, II or III.
    Erspan = 3,
    /// VXLAN (RFC 7348), and its generic protocol extension.
    Vxlan = 4,
    /// Geneve (RFC 8926).
    Geneve = 5,
    /// User data of a mobile network: GTP-U (3GPP TS 29.281).
    Gtp = 6,
    /// MPLS (RFC 3032), whatever the number of labels; also in IP (RFC 4023) and UDP (RFC 7510).
    Mpls = 7,
    /// A PPPoE session (RFC 2516).
    Pppoe = 8,
    /// L2TP version 2 (RFC 2661).
    L2tp = 9,
    /// Teredo (RFC 4380).
    Teredo = 10,
    /// AYIYA, "anything in anything".
    Ayiya = 11,
    /// Ethernet in IP (RFC 3378).
    EtherIp = 12,
    /// Provider backbone bridges: Ethernet in Ethernet (IEEE 802.1ah).
    Pbb = 13,
    /// Cisco FabricPath.
    FabricPath = 14,
}

impl Encapsulation {
    /// The encapsulation with the number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::IpInIp,
            2 => Self::Gre,
            3 => Self::Erspan,
            4 => Self::Vxlan,
            5 => Self::Geneve,
            6 => Self::Gtp,
            7 => Self::Mpls,
            8 => Self::Pppoe,
            9 => Self::L2tp,
            10 => Self::Teredo,
            11 => Self::Ayiya,
            12 => Self::EtherIp,
            13 => Self::Pbb,
            14 => Self::FabricPath,
            _ => return None,
        })
    }

    /// The encapsulation as a word for records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpInIp => "ipip",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gtp => "gtp",
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::L2tp => "l2tp",
            Self::Teredo => "teredo",
            Self::Ayiya => "ayiya",
            Self::EtherIp => "etherip",
            Self::Pbb => "pbb",
            Self::FabricPath => "fabricpath",
        }
    }
}

/// The encapsulations of a segment: four bits each, the innermost lowest, so up to eight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Encapsulations(pub u32);

impl Encapsulations {
    /// With one more inside; `None` when there is no room for it.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, inner: Encapsulation) -> Option<Self> {
        if self.0 >> 28 != 0 { None } else { Some(Self(self.0 << 4 | inner as u32)) }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// One by one, the outermost first.
    pub fn iter(self) -> impl Iterator<Item = Encapsulation> {
        (0..8).rev().filter_map(move |place| Encapsulation::from_byte((self.0 >> (place * 4) & 0xf) as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_comes_first_and_a_ninth_has_no_room() {
        let two = Encapsulations::default()
            .with(Encapsulation::Gre)
            .and_then(|one| one.with(Encapsulation::Erspan));
        assert!(two.is_some_and(|two| two.iter().eq([Encapsulation::Gre, Encapsulation::Erspan])));
        let mut some = Some(Encapsulations::default());
        for number in 1..=9 {
            some = some.and_then(|some| some.with(Encapsulation::Mpls));
            assert_eq!(some.is_some(), number <= 8, "{number}");
        }
    }

    #[test]
    fn every_number_is_that_of_one_encapsulation() {
        for byte in 0..=u8::MAX {
            let found = Encapsulation::from_byte(byte);
            assert!(found.is_none_or(|found| found as u8 == byte), "{byte}");
            assert_eq!(found.is_some(), (1..=14).contains(&byte), "{byte}");
        }
    }
}
