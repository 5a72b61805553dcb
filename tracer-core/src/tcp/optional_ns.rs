//! An optional number of nanoseconds.

/// An `Option<u64>` in eight bytes, because each connection holds several.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalNs(u64);

/// 584 years.
const UNKNOWN: u64 = u64::MAX;

impl OptionalNs {
    /// The number, if it is known.
    pub(super) fn get(self) -> Option<u64> {
        (self.0 != UNKNOWN).then_some(self.0)
    }
}

impl From<Option<u64>> for OptionalNs {
    fn from(number: Option<u64>) -> Self {
        Self(number.unwrap_or(UNKNOWN))
    }
}

impl Default for OptionalNs {
    fn default() -> Self {
        Self(UNKNOWN)
    }
}
