//! The two ends of a connection as its key orders them.

/// An end of a connection: which endpoint of its [`FlowKey`](super::FlowKey). Also the index of what is kept per direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum End {
    /// The lower endpoint.
    Low = 0,
    /// The higher endpoint.
    High = 1,
}

impl End {
    /// Both ends.
    pub const BOTH: [Self; 2] = [Self::Low, Self::High];

    /// The end with the number `byte`; every number but 0 is the higher endpoint.
    #[inline(always)]
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        if byte == 0 { Self::Low } else { Self::High }
    }

    /// The other end.
    #[inline(always)]
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }

    /// The index of this end in what is kept per direction.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// What belongs to this end.
    #[inline(always)]
    pub const fn of<T>(self, pair: &[T; 2]) -> &T {
        match self {
            Self::Low => &pair[0],
            Self::High => &pair[1],
        }
    }

    /// What belongs to this end, to be changed.
    #[inline(always)]
    pub const fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        match self {
            Self::Low => &mut pair[0],
            Self::High => &mut pair[1],
        }
    }

    /// What belongs to this end, and what belongs to the other one.
    #[inline(always)]
    pub const fn split<T>(self, pair: &mut [T; 2]) -> (&mut T, &mut T) {
        let [low, high] = pair;
        match self {
            Self::Low => (low, high),
            Self::High => (high, low),
        }
    }
}
