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
