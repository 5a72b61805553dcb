//! Event selection: the words of `--events`.

use std::{error::Error, fmt, str::FromStr};

use super::EventName;

/// The records to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(u16);

/// The words of `--events`, and the records they stand for.
const EVENT_WORDS: [(&str, &[EventName]); 12] = [
    ("opened", &[EventName::Opened]),
    ("closed", &[EventName::Closed]),
    ("connection", &[EventName::Opened, EventName::Closed]),
    ("exchange", &[EventName::Exchange]),
    ("request", &[EventName::Request]),
    ("response", &[EventName::Response]),
    ("state", &[EventName::State]),
    ("segment", &[EventName::Segment]),
    ("half-open", &[EventName::HalfOpen]),
    ("icmp", &[EventName::Icmp]),
    ("flood", &[EventName::FloodStarted, EventName::FloodEnded]),
    ("stats", &[EventName::Summary, EventName::Listener]),
];

/// Records that are always written.
const ALARMS: [EventName; 3] = [EventName::FloodStarted, EventName::FloodEnded, EventName::Degraded];

impl EventName {
    /// Whether it is an alarm: written whatever is selected, and even when no more records are
    /// accepted.
    #[must_use]
    pub const fn is_alarm(self) -> bool {
        Events::of(&ALARMS).has(self)
    }
}

impl Events {
    /// The default of `--events`.
    pub const DEFAULT_WORDS: &str = "exchange,closed";

    /// A selection of these records.
    #[must_use]
    pub const fn of(names: &[EventName]) -> Self {
        let mut events = Self(0);
        let mut rest = names;
        while let [name, others @ ..] = rest {
            events = events.with(*name);
            rest = others;
        }
        events
    }

    /// Whether records of this name are written.
    #[must_use]
    pub const fn has(self, name: EventName) -> bool {
        self.0 & (1 << name as u16) != 0
    }

    /// Whether records of at least one of these names are written.
    #[must_use]
    pub const fn has_any(self, names: &[EventName]) -> bool {
        self.0 & Self::of(names).0 != 0
    }

    /// This selection and one record more.
    #[must_use]
    pub const fn with(self, name: EventName) -> Self {
        Self(self.0 | 1 << name as u16)
    }
}

/// An unknown word of `--events`: what was found and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent(String);

impl fmt::Display for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for UnknownEvent {}

impl FromStr for Events {
    type Err = UnknownEvent;

    fn from_str(list: &str) -> Result<Self, UnknownEvent> {
        let mut events = Self::of(&ALARMS);
        for word in list.split(',').map(str::trim) {
            let Some((_, names)) = EVENT_WORDS.iter().find(|(known, _)| *known == word) else {
                let known = EVENT_WORDS.map(|(known, _)| known).join(", ");
                return Err(UnknownEvent(format!("\"{word}\" is not an event (expected some of: {known})")));
            };
            events = names.iter().fold(events, |events, name| events.with(*name));
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_selected_by_word() {
        let events: Events = "connection, segment".parse().expect("a list");
        assert!(
            events.has(EventName::Opened) && events.has(EventName::Closed) && events.has(EventName::Segment)
        );
        assert!(!events.has(EventName::Exchange) && !events.has(EventName::Summary));
        let error = "connection,packets".parse::<Events>().expect_err("no such event");
        assert!(
            error.to_string().contains("\"packets\"") && error.to_string().contains("exchange"),
            "{error}"
        );
        assert!(events.has(EventName::FloodStarted) && events.has(EventName::FloodEnded), "alarms always");
        assert!(!events.has(EventName::HalfOpen) && !events.has(EventName::Listener));
        assert!("".parse::<Events>().is_err());
    }
}
