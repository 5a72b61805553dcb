//! Flag sets as types, so that a flag of one set cannot be passed for a flag of another.

/// Defines a flag set: a transparent integer with a named constant for each flag.
///
/// Plain memory, so any bits are valid: bits without a name are kept and mean nothing.
macro_rules! flags {
    (
        $(#[$set_doc:meta])*
        $set:ident: $bits:ty;
        $($(#[$flag_doc:meta])* $flag:ident = $value:expr;)+
    ) => {
        $(#[$set_doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "host", derive(zerocopy::FromBytes, zerocopy::Immutable, zerocopy::IntoBytes))]
        #[repr(transparent)]
        pub struct $set($bits);

        impl $set {
            $($(#[$flag_doc])* pub const $flag: Self = Self($value);)+

            /// No flags.
            pub const EMPTY: Self = Self(0);

            /// The set with these bits.
            #[inline(always)]
            #[must_use]
            pub const fn from_bits(bits: $bits) -> Self {
                Self(bits)
            }

            /// The bits of the set.
            #[inline(always)]
            #[must_use]
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// Whether no flag is set.
            #[inline(always)]
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether all of `flags` are set.
            #[inline(always)]
            #[must_use]
            pub const fn contains(self, flags: Self) -> bool {
                self.0 & flags.0 == flags.0
            }

            /// Whether any of `flags` is set.
            #[inline(always)]
            #[must_use]
            pub const fn intersects(self, flags: Self) -> bool {
                self.0 & flags.0 != 0
            }

            /// The flags of both sets.
            #[inline(always)]
            #[must_use]
            pub const fn union(self, flags: Self) -> Self {
                Self(self.0 | flags.0)
            }

            /// The flags of this set that are not in the other one.
            #[inline(always)]
            #[must_use]
            pub const fn difference(self, flags: Self) -> Self {
                Self(self.0 & !flags.0)
            }

            /// Sets `flags`.
            #[inline(always)]
            pub const fn insert(&mut self, flags: Self) {
                self.0 |= flags.0;
            }

            /// Clears `flags`.
            #[inline(always)]
            pub const fn remove(&mut self, flags: Self) {
                self.0 &= !flags.0;
            }
        }

        impl core::ops::BitOr for $set {
            type Output = Self;

            #[inline(always)]
            fn bitor(self, flags: Self) -> Self {
                self.union(flags)
            }
        }

        impl core::ops::BitOrAssign for $set {
            #[inline(always)]
            fn bitor_assign(&mut self, flags: Self) {
                self.insert(flags);
            }
        }

        impl core::ops::BitAnd for $set {
            type Output = Self;

            #[inline(always)]
            fn bitand(self, flags: Self) -> Self {
                Self(self.0 & flags.0)
            }
        }
    };
}

pub(crate) use flags;
