//! Recorded header fields.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{Side, Text};

/// The name of a header field, and its names in the records.
#[derive(Debug, PartialEq, Eq)]
pub struct HeaderName {
    name: Box<str>,
    /// As in `http.request.header.user-agent`.
    in_request: Box<str>,
    in_response: Box<str>,
}

impl HeaderName {
    /// A name in lower case.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            in_request: format!("http.request.header.{name}").into(),
            in_response: format!("http.response.header.{name}").into(),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// The recorded fields of a head, in the order of their selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderFields {
    /// Who sent the head.
    pub sender: Side,
    /// The fields.
    pub fields: Vec<HeaderField>,
}

/// The fields of a head with the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// Their name.
    pub name: Arc<HeaderName>,
    /// Their values, one for each field line.
    pub values: Vec<Text>,
    /// Whether a value was cut, or left out, because of a limit.
    pub truncated: bool,
}

impl HeaderFields {
    /// Bytes of memory that it takes.
    pub(crate) fn size(&self) -> usize {
        let values = self.fields.iter().flat_map(|field| &field.values);
        let values: usize = values.map(|value| size_of::<Text>() + value.as_str().len()).sum();
        size_of::<Self>() + self.fields.capacity() * size_of::<HeaderField>() + values
    }
}

impl Serialize for HeaderFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for HeaderField { name, values, .. } in self.fields.iter().filter(|field| !field.values.is_empty()) {
            let key = if self.sender == Side::Client { &name.in_request } else { &name.in_response };
            map.serialize_entry(key, values)?;
        }
        let truncated: Vec<_> =
            self.fields.iter().filter(|field| field.truncated).map(|field| field.name.as_str()).collect();
        if !truncated.is_empty() {
            let key = match self.sender {
                Side::Client => "http.request.head.truncated_fields",
                Side::Server => "http.response.head.truncated_fields",
            };
            map.serialize_entry(key, &truncated)?;
        }
        map.end()
    }
}
