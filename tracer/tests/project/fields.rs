//! `docs/fields.md`, from the schema of the records.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde::Deserialize;

use super::{GENERATED, cell, read};

/// Longer lists of values get a table of their own.
const MAX_INLINE_VALUES: usize = 8;

/// The parts of a JSON schema that the page shows.
#[derive(Deserialize)]
struct Schema {
    title: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "$ref")]
    reference: Option<String>,
    /// The fields that a record has in common with others.
    #[serde(default, rename = "allOf")]
    groups: Vec<Schema>,
    #[serde(default)]
    properties: IndexMap<String, Schema>,
    /// Fields of which a part of the name varies. The title has the name that the page shows.
    #[serde(default, rename = "patternProperties")]
    patterns: IndexMap<String, Schema>,
    #[serde(default)]
    required: Vec<String>,
    /// Values without a meaning of their own.
    #[serde(default, rename = "enum")]
    names: Vec<String>,
    /// Values with their meanings.
    #[serde(default, rename = "oneOf")]
    values: Vec<Value>,
    items: Option<Box<Schema>>,
    #[serde(default, rename = "$defs")]
    definitions: IndexMap<String, Schema>,
}

#[derive(Deserialize)]
struct Value {
    #[serde(rename = "const")]
    value: String,
    description: String,
}

/// A field, with what its references add to it.
struct Field<'a> {
    name: &'a str,
    description: &'a str,
    kind: &'a str,
    names: Vec<&'a str>,
    /// Its values, and the definition they are from.
    values: Option<(&'a str, &'a [Value])>,
}

impl Schema {
    fn definition(&self, name: &str) -> &Self {
        self.definitions.get(name).unwrap_or_else(|| panic!("{name} is not defined"))
    }

    /// `schema` and all that it refers to, with their names.
    fn chain<'a>(&'a self, name: &'a str, schema: &'a Self) -> Vec<(&'a str, &'a Self)> {
        let next = |(_, schema): &(&str, &'a Self)| {
            let name = target(schema)?;
            Some((name, self.definition(name)))
        };
        std::iter::successors(Some((name, schema)), next).collect()
    }

    fn field<'a>(&'a self, name: &'a str, schema: &'a Self) -> Field<'a> {
        let mut chain = self.chain(name, schema);
        let parts = || chain.iter().map(|(_, part)| *part);
        let description = parts().map(|part| part.description.as_str()).find(|text| !text.is_empty());
        let title = parts().find_map(|part| part.title.as_deref());
        let kind = parts().find_map(|part| part.kind.as_deref());
        if let Some(items) = parts().find_map(|part| part.items.as_deref()) {
            chain.extend(self.chain(name, items));
        }
        Field {
            name: title.unwrap_or(name),
            description: description.unwrap_or_else(|| panic!("{name} has no description")),
            kind: kind.unwrap_or_else(|| panic!("{name} has no type")),
            names: chain.iter().flat_map(|(_, part)| part.names.iter().map(String::as_str)).collect(),
            values: chain
                .iter()
                .find(|(_, part)| !part.values.is_empty())
                .map(|(name, part)| (*name, &part.values[..])),
        }
    }

    /// The table of the fields of a record. Lists of values that are too long for it are added to
    /// `long_values`.
    fn table<'a>(&'a self, record: &'a Self, long_values: &mut IndexMap<&'a str, &'a [Value]>) -> String {
        let mut table = "\n| Field | Type | Present | Meaning |\n|---|---|---|---|\n".to_owned();
        for (name, schema) in record.properties.iter().chain(&record.patterns) {
            let field = self.field(name, schema);
            let present = if record.required.contains(name) { "always" } else { "" };
            let mut meaning = field.description.to_owned();
            meaning.extend(field.names.iter().map(|name| format!(" `{name}`")));
            match field.values {
                Some((name, values)) if values.len() > MAX_INLINE_VALUES => {
                    meaning += &format!(" [Values](#values-of-{})", anchor(name));
                    long_values.insert(name, values);
                }
                Some((_, values)) => meaning.extend(
                    values.iter().map(|value| format!("<br>`{}`: {}", value.value, value.description)),
                ),
                None => {}
            }
            let _ = writeln!(table, "| `{}` | {} | {present} | {} |", field.name, field.kind, cell(&meaning));
        }
        table
    }
}

/// The name of the definition that a schema refers to.
fn target(schema: &Schema) -> Option<&str> {
    schema.reference.as_deref()?.strip_prefix("#/$defs/")
}

/// The anchor of a heading with this name.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace('.', "").replace(' ', "-")
}

/// The description of a group of fields, as a heading.
fn heading(group: &Schema) -> &str {
    group.description.trim_end_matches('.')
}

/// The page.
pub(super) fn page() -> String {
    let root: Schema = serde_json::from_str(&read("tracer/schema/record.schema.json")).expect("the schema");
    let title = root.title.as_deref().expect("a title");
    let records: Vec<_> =
        root.definition("event.name").names.iter().map(|name| (name, root.definition(name))).collect();
    let mut long_values = IndexMap::new();
    let mut page = format!("{GENERATED}\n# {title}\n\n{}\n\n", root.description);
    page += "| Record | Meaning |\n|---|---|\n";
    for (name, record) in &records {
        let _ = writeln!(page, "| [`{name}`](#{}) | {} |", anchor(name), cell(&record.description));
    }
    for name in ["fields_of_records", "fields_of_connections", "fields_of_servers"] {
        let group = root.definition(name);
        let _ = write!(page, "\n## {}\n{}", heading(group), root.table(group, &mut long_values));
    }
    for (name, record) in &records {
        let _ = write!(page, "\n## `{name}`\n\n{}", record.description);
        for group in record.groups.iter().filter_map(target) {
            let group = heading(root.definition(group));
            let _ = write!(page, " Also has the [{}](#{}).", group.replacen('F', "f", 1), anchor(group));
        }
        page.push('\n');
        if !record.properties.is_empty() {
            page += &root.table(record, &mut long_values);
        }
    }
    for (name, values) in long_values {
        let _ = write!(page, "\n## Values of `{name}`\n\n| Value | Meaning |\n|---|---|\n");
        for value in values {
            let _ = writeln!(page, "| `{}` | {} |", value.value, cell(&value.description));
        }
    }
    page
}
