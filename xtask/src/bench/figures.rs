//! The median and the range of several rounds.

use std::fmt;

use super::report::{Cell, plain};

/// A figure measured in several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    min: f64,
    max: f64,
}

impl Figure {
    /// The median and range of `values`; none if there are no values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    /// A table cell: median and range, or a dash if there are no values.
    pub(super) fn cell(values: impl IntoIterator<Item = f64>) -> Cell {
        Self::of(values).map_or("–".to_owned(), |figure| figure.to_string()).into()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}–{})", plain(self.median), plain(self.min), plain(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(Figure::of([]), None);
        assert_eq!(Figure::of([3.0, 1.0, 2.0]), Some(Figure { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Figure::of([4.0, 1.0, 2.0, 3.0]), Some(Figure { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Figure::cell([0.5, 0.25, 1.5]), Cell::Text("0.500 (0.250–1.50)".to_owned()));
        assert_eq!(Figure::cell([]), Cell::Text("–".to_owned()));
    }
}
