//! A number of nanoseconds that may not be known.

/// An `Option<u64>` in eight bytes: of each connection there are several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known(u64);

/// 584 years.
const UNKNOWN: u64 = u64::MAX;

impl Known {
    /// The number, if it is known.
    pub(super) fn get(self) -> Option<u64> {
        (self.0 != UNKNOWN).then_some(self.0)
    }
}

impl From<Option<u64>> for Known {
    fn from(number: Option<u64>) -> Self {
        Self(number.unwrap_or(UNKNOWN))
    }
}

impl Default for Known {
    fn default() -> Self {
        Self(UNKNOWN)
    }
}
