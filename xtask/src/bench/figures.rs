//! The median of several rounds, and how far they lie apart.

use std::fmt;

use super::report::{Cell, plain};

/// The same figure of every round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    /// None if there is no value.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&least, &most) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, least, most })
    }

    /// As a cell; a dash if nothing was measured.
    pub(super) fn cell(values: impl IntoIterator<Item = f64>) -> Cell {
        Self::of(values).map_or("–".to_owned(), |figure| figure.to_string()).into()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}–{})", plain(self.median), plain(self.least), plain(self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Figure::of([]), None);
        assert_eq!(Figure::of([3.0, 1.0, 2.0]), Some(Figure { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Figure::of([4.0, 1.0, 2.0, 3.0]), Some(Figure { median: 2.5, least: 1.0, most: 4.0 }));
        assert_eq!(Figure::cell([0.5, 0.25, 1.5]), Cell::Text("0.500 (0.250–1.50)".to_owned()));
        assert_eq!(Figure::cell([]), Cell::Text("–".to_owned()));
    }
}
