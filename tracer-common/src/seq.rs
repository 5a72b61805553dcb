//! Sequence numbers: 32 bits that wrap (RFC 9293, 3.4).

/// A TCP sequence or acknowledgment number. It has no order of its own, only a distance to another number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `bytes` later, modulo 2^32.
    #[inline(always)]
    #[must_use]
    pub const fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// How far this number is ahead of `other`, negative if it comes before (RFC 9293, 3.4: modulo arithmetic).
    #[inline(always)]
    #[must_use]
    pub const fn since(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// Whether this number comes after `other`.
    #[inline(always)]
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.since(other) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn distance_crosses_the_wrap() {
        for (later, earlier, distance) in
            [(5, 2, 3), (2, 0xffff_fffe, 4), (0xffff_fffe, 2, -4), (0x8000_0000, 1, i32::MAX)]
        {
            assert_eq!(Seq(later).since(Seq(earlier)), distance, "{later:#x} since {earlier:#x}");
        }
        assert!(Seq(2).is_after(Seq(0xffff_fff0)));
        assert!(!Seq(7).is_after(Seq(7)));
    }
}
