//! The sequence gaps of a byte stream: bytes that were not seen.

/// The most gaps kept of one direction; beyond them the oldest counts as never filled. SACK blocks describe at most four,
/// so that this many mean a broken observation.
const MAX_GAPS: usize = 64;

/// A part of the stream that was not seen, in stream offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    start: u64,
    end: u64,
    /// When it appeared, in ns.
    since: u64,
}

/// The gaps of one direction, in stream order.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    open: Vec<Gap>,
    /// Bytes of the gaps that were dropped.
    dropped: u64,
}

/// What a segment with old data filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fill {
    /// Bytes of the gaps that it filled.
    pub(super) bytes: u64,
    /// How long the oldest of these gaps was open, in ns.
    pub(super) after: u64,
}

impl Gaps {
    /// Bytes `start` to `end` were skipped at `now`.
    pub(super) fn open(&mut self, start: u64, end: u64, now: u64) {
        if start >= end {
            return;
        }
        if self.open.len() == MAX_GAPS {
            let oldest = self.open.remove(0);
            self.dropped += oldest.end - oldest.start;
        }
        self.open.push(Gap { start, end, since: now });
    }

    /// Bytes `start` to `end` were seen at `now`.
    pub(super) fn fill(&mut self, start: u64, end: u64, now: u64) -> Fill {
        let mut fill = Fill::default();
        let mut left = Vec::new();
        for gap in self.open.drain(..) {
            let (from, to) = (gap.start.max(start), gap.end.min(end));
            if from >= to {
                left.push(gap);
                continue;
            }
            fill.bytes += to - from;
            fill.after = fill.after.max(now.saturating_sub(gap.since));
            for (start, end) in [(gap.start, from), (to, gap.end)] {
                if start < end {
                    left.push(Gap { start, end, since: gap.since });
                }
            }
        }
        self.open = left;
        fill
    }

    /// How many gaps have bytes between `from` and `to`.
    pub(super) fn between(&self, from: u64, to: u64) -> u64 {
        self.open.iter().filter(|gap| gap.start.max(from) < gap.end.min(to)).count() as u64
    }

    /// Bytes of memory that the gaps take.
    pub(super) fn buffered(&self) -> usize {
        self.open.capacity() * size_of::<Gap>()
    }

    /// Drops all gaps; they count as never filled.
    pub(super) fn drop_all(&mut self) {
        *self = Self { open: Vec::new(), dropped: self.bytes() };
    }

    /// Bytes that are missing.
    pub(super) fn bytes(&self) -> u64 {
        self.dropped + self.open.iter().map(|gap| gap.end - gap.start).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::Gaps;

    #[test]
    fn gaps_are_filled_in_any_order_and_in_parts() {
        for (what, opened, filled, left) in [
            ("nothing missing", &[][..], &[(0, 100)][..], 0),
            ("exactly filled", &[(10, 20)], &[(10, 20)], 0),
            ("filled with more around it", &[(10, 20)], &[(5, 30)], 0),
            ("filled from the left", &[(10, 20)], &[(10, 15)], 5),
            ("filled in the middle", &[(10, 20)], &[(13, 15)], 8),
            ("filled in three parts", &[(10, 20)], &[(13, 15), (15, 20), (10, 13)], 0),
            ("two gaps by one segment", &[(10, 20), (30, 40)], &[(15, 35)], 10),
            ("filled twice", &[(10, 20)], &[(10, 20), (10, 20)], 0),
        ] {
            let mut gaps = Gaps::default();
            for (start, end) in opened {
                gaps.open(*start, *end, 0);
            }
            for (start, end) in filled {
                gaps.fill(*start, *end, 7);
            }
            assert_eq!(gaps.bytes(), left, "{what}");
        }
    }

    #[test]
    fn gaps_between_two_offsets_are_counted() {
        let mut gaps = Gaps::default();
        gaps.open(10, 20, 0);
        gaps.open(30, 40, 0);
        for (from, to, count) in [(0, 10, 0), (0, 11, 1), (19, 30, 1), (15, 31, 2), (20, 30, 0), (40, 90, 0)]
        {
            assert_eq!(gaps.between(from, to), count, "{from} to {to}");
        }
    }

    #[test]
    fn gaps_beyond_the_limit_still_count() {
        let mut gaps = Gaps::default();
        for i in 0..1000u64 {
            gaps.open(i * 10, i * 10 + 3, i);
        }
        assert_eq!(gaps.bytes(), 3000);
        assert_eq!(gaps.open.len(), super::MAX_GAPS);
    }

    #[test]
    fn gaps_that_are_dropped_take_no_memory_and_still_count() {
        let mut gaps = Gaps::default();
        gaps.open(10, 20, 0);
        gaps.open(30, 45, 0);
        assert!(gaps.buffered() > 0);
        gaps.drop_all();
        assert_eq!((gaps.buffered(), gaps.bytes()), (0, 25));
        assert_eq!(gaps.fill(10, 20, 7).bytes, 0);
        assert_eq!(gaps.bytes(), 25);
    }
}
