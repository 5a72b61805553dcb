//! The formats of `-o`. An output is one row here, and one file that renders or sends its records.

use std::{fmt, str::FromStr};

use tracer_core::{
    http::HeaderSelection,
    record::{EventName, Events},
    render::{Actors, Explain, Json, Render, Style, TextLines},
};

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One readable line a record.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Step by step.
    Explain,
}

impl Format {
    /// All formats, in the order in which help should name them.
    pub const ALL: [Self; 3] = [Self::Text, Self::Json, Self::Explain];

    /// The name as typed on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Explain => "explain",
        }
    }

    /// The records that this format needs beside those `selected`: an explanation consists of
    /// segments, and of what became of them. It shows the `headers` with the head that has them.
    #[must_use]
    pub const fn events(self, selected: Events, headers: Option<&HeaderSelection>) -> Events {
        match (self, headers) {
            (Self::Explain, None) => selected.with(EventName::Segment).with(EventName::Icmp),
            (Self::Explain, Some(_)) => {
                self.events(selected, None).with(EventName::Request).with(EventName::Response)
            }
            (Self::Text | Self::Json, _) => selected,
        }
    }

    /// Whether it shows a connection as a whole: if one of its exchanges matches the selection, all
    /// of its records are written.
    #[must_use]
    pub const fn shows_whole_connections(self) -> bool {
        match self {
            Self::Explain => true,
            Self::Text | Self::Json => false,
        }
    }

    /// Its renderer; `actors` are the two ends of a connection, for formats that name them, and
    /// `style` is for formats for people.
    #[must_use]
    pub fn renderer(self, actors: Actors, style: Style) -> Box<dyn Render> {
        match self {
            Self::Text => Box::new(TextLines::new(style)),
            Self::Json => Box::new(Json::default()),
            Self::Explain => Box::new(Explain::new(actors, style.time)),
        }
    }

    /// Whether the final summary is written as a record. Otherwise it is printed on standard error.
    #[must_use]
    pub const fn writes_summary(self) -> bool {
        match self {
            Self::Json => true,
            Self::Text | Self::Explain => false,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let format = Self::ALL.into_iter().find(|format| format.as_str() == name);
        format.ok_or_else(|| format!("{name:?} is not an output format: give text, json or explain"))
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn a_format_is_found_by_its_name_only() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
        let error = "xml".parse::<Format>().expect_err("there is no such format");
        assert_eq!(error, "\"xml\" is not an output format: give text, json or explain");
    }
}
