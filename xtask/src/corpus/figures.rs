//! The figures, and what they were at least when they were recorded.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// So many of so many were right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    /// What was looked at.
    pub(crate) name: String,
    /// How many were right.
    pub(crate) right: u64,
    /// How many there were.
    pub(crate) wanted: u64,
}

impl Figure {
    /// The share that was right, rounded down, so that a hundred per cent is all of them.
    pub(crate) fn share(&self) -> Option<Share> {
        let hundredths = (self.right * 10_000).checked_div(self.wanted)?;
        u32::try_from(hundredths).ok().map(Share)
    }
}

/// A share in hundredths of a per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u32);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The shares that were recorded, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floors(BTreeMap<String, Share>);

impl Floors {
    /// From the recorded file: an object of names and per cents.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let recorded: BTreeMap<String, Value> =
            serde_json::from_str(text).context("the recorded figures are not an object of JSON")?;
        let share = |(name, value): (String, Value)| {
            let per_cent = value.as_f64().filter(|per_cent| (0.0..=100.0).contains(per_cent));
            let per_cent =
                per_cent.with_context(|| format!("recorded for {name} is {value}, no per cent"))?;
            // At most 10000, and whole.
            Ok((name, Share((per_cent * 100.0).round() as u32)))
        };
        recorded.into_iter().map(share).collect::<Result<_>>().map(Self)
    }

    /// Takes over what was measured; what was not measured stays.
    pub(crate) fn record(&mut self, figures: &[Figure]) {
        let shares = figures.iter().filter_map(|figure| Some((figure.name.clone(), figure.share()?)));
        self.0.extend(shares);
    }

    /// What is worse than recorded.
    pub(crate) fn shortfalls(&self, figures: &[Figure]) -> Vec<String> {
        let worse = figures.iter().filter_map(|figure| {
            let (share, floor) = (figure.share()?, *self.0.get(&figure.name)?);
            (share < floor).then(|| format!("{} {share} %, recorded {floor} %", figure.name))
        });
        worse.collect()
    }
}

impl fmt::Display for Floors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|(name, share)| format!("  \"{name}\": {share}")).collect();
        writeln!(f, "{{\n{}\n}}", lines.join(",\n"))
    }
}

/// The figures as a table of Markdown.
pub(crate) fn table(figures: &[Figure], floors: &Floors) -> String {
    let shown = |share: Option<Share>| share.map_or_else(|| "-".to_owned(), |share| share.to_string());
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    let row = |name: &str, cells: [&str; 4]| {
        let [right, wanted, share, floor] = cells;
        format!("| {name:width$} | {right:>7} | {wanted:>7} | {share:>8} | {floor:>8} |\n")
    };
    let mut table = row("figure", ["right", "wanted", "per cent", "recorded"]);
    table += &format!("|{:-<1$}|--------:|--------:|---------:|---------:|\n", "", width + 2);
    for figure in figures {
        let (right, wanted) = (figure.right.to_string(), figure.wanted.to_string());
        let (share, floor) = (shown(figure.share()), shown(floors.0.get(&figure.name).copied()));
        table += &row(&figure.name, [&right, &wanted, &share, &floor]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, right: u64, wanted: u64) -> Figure {
        Figure { name: name.into(), right, wanted }
    }

    fn floors(text: &str) -> Floors {
        Floors::parse(text).expect("an object of per cents")
    }

    #[test]
    fn a_share_is_rounded_down() {
        for (right, wanted, share) in [
            (1, 1, Some("100.00")),
            (99_999, 100_000, Some("99.99")),
            (2, 3, Some("66.66")),
            (0, 3, Some("0.00")),
            (1, 2000, Some("0.05")),
            (0, 0, None),
        ] {
            let shown = figure("x", right, wanted).share().map(|share| share.to_string());
            assert_eq!(shown.as_deref(), share, "{right} of {wanted}");
        }
    }

    #[test]
    fn only_what_got_worse_is_a_shortfall() {
        let floors = floors(r#"{"packets": 50, "bytes": 66.66, "close": 66.67, "gone": 100}"#);
        let measured = [
            figure("packets", 3, 4),
            figure("bytes", 2, 3),
            figure("close", 2, 3),
            figure("new", 0, 4),
            figure("gone", 0, 0),
        ];
        assert_eq!(floors.shortfalls(&measured), ["close 66.66 %, recorded 66.67 %"]);
    }

    #[test]
    fn what_is_recorded_is_read_again_and_is_no_shortfall() {
        let mut recorded = floors(r#"{"close": 98.5, "not measured": 7}"#);
        let measured: Vec<_> = (0..=1000)
            .map(|right| figure(&format!("{right}"), right, 1000))
            .chain([figure("close", 29, 31)])
            .collect();
        recorded.record(&measured);
        let read = floors(&recorded.to_string());
        assert_eq!(read, recorded);
        assert_eq!(read.shortfalls(&measured), [""; 0]);
        assert_eq!(read.0["not measured"].to_string(), "7.00", "not measured this time");
        assert_eq!(read.0["close"].to_string(), "93.54");
    }

    #[test]
    fn what_is_no_per_cent_is_refused() {
        for text in ["", "[]", r#"{"a": "1"}"#, r#"{"a": -1}"#, r#"{"a": 100.1}"#, r#"{"a": null}"#] {
            assert!(Floors::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_figure() {
        let table = table(&[figure("close", 1, 8), figure("new one", 0, 0)], &floors(r#"{"close": 12.5}"#));
        let expected = "\
            | figure  |   right |  wanted | per cent | recorded |\n\
            |---------|--------:|--------:|---------:|---------:|\n\
            | close   |       1 |       8 |    12.50 |    12.50 |\n\
            | new one |       0 |       0 |        - |        - |\n";
        assert_eq!(table, expected);
    }

    #[test]
    fn the_recorded_figures_can_be_read() {
        assert!(!floors(include_str!("../../corpus.json")).0.is_empty());
    }
}
