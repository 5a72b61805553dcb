//! How an output for people looks: `--time` and `--color`.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use jiff::tz::TimeZone;
use tracer_core::render::{Style, TimeStyle};

use super::Destination;

/// Columns of a line on a terminal: what fits beside a second window on most screens.
const COLUMNS: usize = 100;

/// What `--time` and `--color` ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// How times are written.
    pub time: Time,
    /// When there are colours.
    pub color: Color,
}

/// `--time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// In UTC.
    #[default]
    Utc,
    /// In the time zone of this host.
    Local,
    /// Since the first record.
    Relative,
}

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set (no-color.org).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Look {
    /// The style for this destination. Reads the time zone: afterwards the sandbox forbids it.
    pub(super) fn style(self, destination: &Destination) -> Style {
        let is_terminal = *destination == Destination::StandardOutput && io::stdout().is_terminal();
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style {
            time: match self.time {
                Time::Utc => TimeStyle::Utc,
                Time::Local => TimeStyle::Local(TimeZone::system()),
                Time::Relative => TimeStyle::Relative,
            },
            color: match self.color {
                Color::Auto => is_terminal && !no_color,
                Color::Always => true,
                Color::Never => false,
            },
            width: is_terminal.then_some(COLUMNS),
        }
    }
}
