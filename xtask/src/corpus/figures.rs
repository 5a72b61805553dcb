//! Accuracy figures and their recorded minimums.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// How many of the results of one kind are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    /// What is compared.
    pub(crate) name: String,
    /// The number of right results.
    pub(crate) right: u64,
    /// The number of results in the ground truth.
    pub(crate) expected: u64,
}

impl Figure {
    /// The share of right results, rounded down, so that 100 % means all of them.
    pub(crate) fn share(&self) -> Option<Share> {
        let hundredths = (self.right * 10_000).checked_div(self.expected)?;
        u32::try_from(hundredths).ok().map(Share)
    }
}

/// A share in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u32);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The recorded shares, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floors(BTreeMap<String, Share>);

impl Floors {
    /// Parses a JSON object of names and percentages.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let recorded: BTreeMap<String, Value> =
            serde_json::from_str(text).context("the recorded figures are not a JSON object")?;
        let share = |(name, value): (String, Value)| {
            let percent = value.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
            let percent = percent
                .with_context(|| format!("the recorded figure {name} is {value}, not a percentage"))?;
            Ok((name, Share((percent * 100.0).round() as u32)))
        };
        recorded.into_iter().map(share).collect::<Result<_>>().map(Self)
    }

    /// Records these figures and keeps the others.
    pub(crate) fn record(&mut self, figures: &[Figure]) {
        let shares = figures.iter().filter_map(|figure| Some((figure.name.clone(), figure.share()?)));
        self.0.extend(shares);
    }

    /// The figures that are lower than recorded.
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

/// The figures as a Markdown table.
pub(crate) fn table(figures: &[Figure], floors: &Floors) -> String {
    let shown = |share: Option<Share>| share.map_or_else(|| "-".to_owned(), |share| share.to_string());
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    let row = |name: &str, cells: [&str; 4]| {
        let [right, expected, share, floor] = cells;
        format!("| {name:width$} | {right:>7} | {expected:>8} | {share:>8} | {floor:>8} |\n")
    };
    let mut table = row("figure", ["right", "expected", "percent", "recorded"]);
    table += &format!("|{:-<1$}|--------:|---------:|---------:|---------:|\n", "", width + 2);
    for figure in figures {
        let (right, expected) = (figure.right.to_string(), figure.expected.to_string());
        let (share, floor) = (shown(figure.share()), shown(floors.0.get(&figure.name).copied()));
        table += &row(&figure.name, [&right, &expected, &share, &floor]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, right: u64, expected: u64) -> Figure {
        Figure { name: name.into(), right, expected }
    }

    fn floors(text: &str) -> Floors {
        Floors::parse(text).expect("an object of percentages")
    }

    #[test]
    fn a_share_is_rounded_down() {
        for (right, expected, share) in [
            (1, 1, Some("100.00")),
            (99_999, 100_000, Some("99.99")),
            (2, 3, Some("66.66")),
            (0, 3, Some("0.00")),
            (1, 2000, Some("0.05")),
            (0, 0, None),
        ] {
            let shown = figure("x", right, expected).share().map(|share| share.to_string());
            assert_eq!(shown.as_deref(), share, "{right} of {expected}");
        }
    }

    #[test]
    fn only_a_lower_figure_is_a_shortfall() {
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
    fn recorded_figures_are_read_back_and_are_no_shortfall() {
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
    fn a_value_that_is_not_a_percentage_is_an_error() {
        for text in ["", "[]", r#"{"a": "1"}"#, r#"{"a": -1}"#, r#"{"a": 100.1}"#, r#"{"a": null}"#] {
            assert!(Floors::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_figure() {
        let table = table(&[figure("close", 1, 8), figure("new one", 0, 0)], &floors(r#"{"close": 12.5}"#));
        let expected = "\
            | figure  |   right | expected |  percent | recorded |\n\
            |---------|--------:|---------:|---------:|---------:|\n\
            | close   |       1 |        8 |    12.50 |    12.50 |\n\
            | new one |       0 |        0 |        - |        - |\n";
        assert_eq!(table, expected);
    }

    #[test]
    fn the_recorded_figures_are_valid() {
        assert!(!floors(include_str!("../../corpus.json")).0.is_empty());
    }
}
