//! Benchmark reports: tables as text and JSON.

use std::fmt;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{folder, machine::Machine};
use crate::files::write;

/// The results of a benchmark.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) bench: String,
    /// Absent in the output of a benchmark of the library, which runs on the same machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<Machine>,
    pub(super) tables: Vec<Table>,
    /// All single measurements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    runs: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Cell {
    Number(f64),
    Text(String),
}

impl Report {
    pub(super) fn new(bench: &str) -> Self {
        Self { bench: bench.to_owned(), machine: None, tables: Vec::new(), runs: Vec::new() }
    }

    /// Adds a single measurement.
    pub(super) fn keep(&mut self, run: &impl Serialize) -> Result<()> {
        self.runs.push(serde_json::to_value(run).context("a measurement cannot be written as JSON")?);
        Ok(())
    }

    /// Prints the tables and writes `target/bench/NAME.json`.
    pub(super) fn publish(mut self) -> Result<()> {
        let machine = Machine::now()?;
        println!("{machine}");
        for table in &self.tables {
            print!("\n{table}");
        }
        self.machine = Some(machine);
        let path = folder()?.join(format!("{}.json", self.bench));
        let json =
            serde_json::to_string_pretty(&self).context("the report cannot be written as JSON")? + "\n";
        write(&path, json)?;
        println!("\nwritten: {}", path.display());
        Ok(())
    }
}

impl Table {
    pub(super) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(&plain(*number)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Formats a number with three or four significant digits.
pub(super) fn plain(number: f64) -> String {
    let size = number.abs();
    if size >= 1000.0 || number.fract() == 0.0 {
        format!("{number:.0}")
    } else if size >= 100.0 {
        format!("{number:.1}")
    } else if size >= 1.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.3}")
    }
}

/// The first column is left-aligned, the others are right-aligned.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Cell::to_string).collect()).collect();
        let lines = || [&self.columns].into_iter().chain(&rows);
        let count = lines().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = lines().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        writeln!(f, "{}", self.title)?;
        for line in lines() {
            let mut text = String::new();
            for (index, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                text += &if index == 0 { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let mut table = Table::new("Costs", &["", "median", "lost"]);
        table.push(vec!["pure ACK".into(), Cell::Number(123.4), "0".into()]);
        table.push(vec!["SYN".into(), Cell::Number(1234.5), "–".into()]);
        let expected = "Costs
            median  lost
  pure ACK   123.4     0
  SYN         1234     –
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn the_report_of_a_library_benchmark_is_parsed() {
        let json = r#"{"bench": "kernel", "tables": [
            {"title": "ns", "columns": ["", "median"], "rows": [["pure ACK", 123.4], ["SYN", 7]]}]}"#;
        let report: Report = serde_json::from_str(json).expect("a report");
        let mut table = Table::new("ns", &["", "median"]);
        table.push(vec!["pure ACK".into(), Cell::Number(123.4)]);
        table.push(vec!["SYN".into(), Cell::Number(7.0)]);
        assert_eq!((report.bench.as_str(), report.tables), ("kernel", vec![table]));
    }

    #[test]
    fn numbers_have_three_or_four_significant_digits() {
        for (number, text) in [
            (0.0, "0"),
            (12.0, "12"),
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (123.45, "123.5"),
            (12345.6, "12346"),
        ] {
            assert_eq!(plain(number), text);
        }
    }
}
