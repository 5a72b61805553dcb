//! Recorded header fields, in short.

use std::fmt::{Result, Write};

use crate::record::{HeaderField, HeaderFields};

/// Characters of a value that are shown: the JSON lines have all of it.
const MAX_CHARACTERS: usize = 60;
/// Values of a name that are shown.
const MAX_VALUES: usize = 4;

/// `user-agent="curl/8.5"`, `x-forwarded-for="192.0.2.1", "192.0.2.2"`, each after a `separator` but the first; `…` stands for
/// what is not shown.
pub fn fields(out: &mut dyn Write, fields: &HeaderFields, separator: &str) -> Result {
    for (number, field) in fields.fields.iter().enumerate() {
        out.write_str(if number == 0 { "" } else { separator })?;
        self::field(out, field)?;
    }
    Ok(())
}

fn field(out: &mut dyn Write, field: &HeaderField) -> Result {
    write!(out, "{}=", field.name.as_str())?;
    for (number, value) in field.values.iter().take(MAX_VALUES).enumerate() {
        out.write_str(if number == 0 { "\"" } else { ", \"" })?;
        for (number, character) in value.as_str().chars().enumerate().take(MAX_CHARACTERS + 1) {
            match character {
                _ if number == MAX_CHARACTERS => out.write_char('…')?,
                // It would end the value.
                '"' => out.write_str("\\x22")?,
                _ => out.write_char(character)?,
            }
        }
        out.write_char('"')?;
    }
    if field.truncated || field.values.len() > MAX_VALUES { out.write_char('…') } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::{HeaderName, Side, Text};

    /// The fields `a` with these values and `b` with none, of which something was left out.
    fn shown(values: &[&str], truncated: bool) -> String {
        let field = |name, values: &[&str], truncated| HeaderField {
            name: Arc::new(HeaderName::new(name)),
            values: values.iter().map(|value| Text::from_wire(value.as_bytes())).collect(),
            truncated,
        };
        let fields = vec![field("a", values, truncated), field("b", &[], true)];
        let mut out = String::new();
        self::fields(&mut out, &HeaderFields { sender: Side::Client, fields }, " ").expect("a string");
        out
    }

    #[test]
    fn values_are_shortened_and_cannot_end_early() {
        let long = "\u{fc}".repeat(MAX_CHARACTERS);
        for (values, truncated, expected) in [
            (&["1"][..], false, "a=\"1\" b=…".to_owned()),
            (&["1"], true, "a=\"1\"… b=…".to_owned()),
            (&["1\" b=\"2\n"], false, "a=\"1\\x22 b=\\x222\\x0a\" b=…".to_owned()),
            (&["1", "2", "3", "4"], false, "a=\"1\", \"2\", \"3\", \"4\" b=…".to_owned()),
            (&["1", "2", "3", "4", "5"], false, "a=\"1\", \"2\", \"3\", \"4\"… b=…".to_owned()),
            (&[&long], false, format!("a=\"{long}\" b=…")),
            (&[&(long.clone() + "x")], false, format!("a=\"{long}…\" b=…")),
        ] {
            assert_eq!(shown(values, truncated), expected);
        }
    }
}
