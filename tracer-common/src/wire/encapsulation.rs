//! What a connection is carried in: the tunnels and shims between the link layer and its own IP header.

/// Defines [`Encapsulation`] from one list of numbers and words.
macro_rules! encapsulations {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $word:literal;)+) => {
        /// One encapsulation. The value is its number in an [`Encapsulations`], so at most 15.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Encapsulation {
            $($(#[$doc])* $name = $number,)+
        }

        impl Encapsulation {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The encapsulation with the number `byte`.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                Some(match byte {
                    $($number => Self::$name,)+
                    _ => return None,
                })
            }

            /// The name in records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

encapsulations! {
    /// IP directly in IP (RFC 2003, 2473, 4213).
    IpInIp = 1, "ipip";
    /// GRE (RFC 2784, 2890), also that of PPTP (RFC 2637) and in UDP (RFC 8086).
    Gre = 2, "gre";
    /// A mirrored frame in GRE: ERSPAN type I, II or III.
    Erspan = 3, "erspan";
    /// VXLAN (RFC 7348), and its generic protocol extension.
    Vxlan = 4, "vxlan";
    /// Geneve (RFC 8926).
    Geneve = 5, "geneve";
    /// User data of a mobile network: GTP-U (3GPP TS 29.281).
    Gtp = 6, "gtp";
    /// MPLS (RFC 3032), whatever the number of labels; also in IP (RFC 4023) and UDP (RFC 7510).
    Mpls = 7, "mpls";
    /// A PPPoE session (RFC 2516).
    Pppoe = 8, "pppoe";
    /// L2TP version 2 (RFC 2661).
    L2tp = 9, "l2tp";
    /// Teredo (RFC 4380).
    Teredo = 10, "teredo";
    /// AYIYA, "anything in anything".
    Ayiya = 11, "ayiya";
    /// Ethernet in IP (RFC 3378).
    EtherIp = 12, "etherip";
    /// Provider backbone bridges: Ethernet in Ethernet (IEEE 802.1ah).
    Pbb = 13, "pbb";
    /// Cisco FabricPath.
    FabricPath = 14, "fabricpath";
}

/// The encapsulations of a segment: four bits each, the innermost lowest, so up to eight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(transparent)]
pub struct Encapsulations(pub u32);

impl Encapsulations {
    /// None.
    pub const NONE: Self = Self(0);

    /// With one more inside; `None` for a ninth.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, inner: Encapsulation) -> Option<Self> {
        if self.0 >> 28 != 0 { None } else { Some(Self(self.0 << 4 | inner as u32)) }
    }

    /// Whether there is none.
    #[inline(always)]
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
    fn the_outermost_comes_first_and_a_ninth_does_not_fit() {
        let two =
            Encapsulations::NONE.with(Encapsulation::Gre).and_then(|one| one.with(Encapsulation::Erspan));
        assert!(two.is_some_and(|two| two.iter().eq([Encapsulation::Gre, Encapsulation::Erspan])));
        let mut some = Some(Encapsulations::NONE);
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
        assert!(Encapsulation::ALL.iter().map(|one| *one as u8).eq(1..=14));
    }
}
