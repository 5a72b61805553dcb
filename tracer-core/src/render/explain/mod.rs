//! Step by step, as one would explain a packet list to a colleague who does not know TCP.
//!
//! ```text
//! #1      0.000 ms  client → server  SYN       seq=0 len=0               [SYN-SENT / LISTEN]
//!                   The client asks for a connection (SYN).
//! ```
//!
//! A step is a segment: two lines, the facts and what they mean. What is known of a connection or
//! an exchange as a whole follows behind a `=`. Connections may interleave; each has a number, and
//! a header when it first appears.

use std::fmt::{self, Write as _};
use std::io;

use self::story::{Stories, Story};
use super::text::{interface_name, phrase};
use super::{Render, TimeStyle, units};
use crate::record::{Body, ConnectionIdentity, Owner, Record, SegmentSeen, Side, Timestamp};

mod flood;
mod note;
mod sentence;
mod status;
mod story;

/// Columns of a line, where they can be kept.
const WIDTH: usize = 100;
/// Columns before the arrow: the number of the connection and the time. Explanations start here,
/// too.
const INDENT: usize = 19;
/// Columns of the control bits; "PSH, ACK" is the usual longest.
const FLAGS_WIDTH: usize = 8;
/// Where the states begin: the longest pair still ends within the width.
const STATES_COLUMN: usize = 71;

/// The names of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actors {
    /// The side that requested the connection.
    pub client: &'static str,
    /// The other side.
    pub server: &'static str,
}

impl Actors {
    /// For a client that is known to be a browser.
    pub const BROWSER: Self = Self { client: "browser", server: "server" };

    /// What `side` is called.
    #[must_use]
    pub const fn name(self, side: Side) -> &'static str {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

impl Default for Actors {
    fn default() -> Self {
        Self { client: "client", server: "server" }
    }
}

/// Renders explanations.
pub struct Explain {
    /// The names of the two sides.
    actors: Actors,
    time: TimeStyle,
    /// The connections so far.
    stories: Stories,
    /// Nothing was written yet.
    is_first: bool,
    /// The lines in the making, kept for their memory.
    lines: String,
}

impl Explain {
    /// Explanations that call the two ends so.
    #[must_use]
    pub fn new(actors: Actors, time: TimeStyle) -> Self {
        Self { actors, time, stories: Stories::default(), is_first: true, lines: String::new() }
    }

    /// The header of a connection that appears for the first time, and what else is to be said
    /// then.
    fn header(&mut self, number: u64, connection: &ConnectionIdentity, at: Timestamp) -> fmt::Result {
        let Actors { client, server } = self.actors;
        if self.is_first {
            self.is_first = false;
            write!(
                self.lines,
                "Each step: the time since its connection was first seen, who sent it, its control bits; seq and ack\n\
                 count bytes from each side's start. In brackets, where they change: the states [{client} / {server}].\n\
                 Segments above the MTU are an effect of segmentation offload (TSO/GRO).\n"
            )?;
        }
        write!(self.lines, "\n#{number} {client} {}, {server} {}", connection.client(), connection.server())?;
        if let Some(interface) = &connection.interface {
            write!(self.lines, ", on {}", interface_name(interface))?;
        }
        phrase::carried(&mut self.lines, connection)?;
        self.lines.push_str(", at ");
        self.time.write_with_date(&mut self.lines, at)?;
        self.lines.push('\n');
        Ok(())
    }

    /// Names the processes at the two ends, each once.
    fn owners(&mut self, connection: &ConnectionIdentity) -> fmt::Result {
        let Some(story) = self.stories.get(connection.id) else { return Ok(()) };
        let attributes = &connection.attributes;
        for (side, owner) in
            [(Side::Client, &attributes.client_owner), (Side::Server, &attributes.server_owner)]
        {
            if let Some(owner) = owner
                && story.is_new_owner(side)
            {
                let (name, number) = (self.actors.name(side), story.number);
                note(&mut self.lines, number, &format!("The {name} is {}.", described(owner)))?;
            }
        }
        Ok(())
    }

    /// All lines for one record of a connection.
    fn explain(&mut self, connection: &ConnectionIdentity, record: &Record) -> fmt::Result {
        let opening = self.stories.open(connection.id);
        if let Some(forgotten) = opening.forgotten {
            let limit = story::MAX_STORIES;
            let why = format!(
                "More than {limit} connections at once: #{forgotten} gets a new number if it goes on."
            );
            note(&mut self.lines, forgotten, &why)?;
        }
        if opening.is_new {
            self.header(opening.number, connection, record.timestamp)?;
        }
        self.owners(connection)?;
        let Some(story) = self.stories.get(connection.id) else { return Ok(()) };
        if let Body::Segment(segment) = &record.body {
            step(&mut self.lines, self.actors, story, segment, record.timestamp)?;
        } else if story.has_segments
            && let Some(fields) = note::header_fields(&record.body)?
        {
            wrapped(&mut self.lines, "", &fields)?;
        } else if let Some(text) = note::text(&record.body, self.actors, story, record.timestamp)? {
            note(&mut self.lines, story.number, &text)?;
        }
        if matches!(record.body, Body::Closed(_)) {
            self.stories.close(connection.id);
        }
        Ok(())
    }

    /// All lines for one record.
    fn record(&mut self, record: &Record) -> fmt::Result {
        self.lines.clear();
        if let Some(connection) = &record.connection {
            return self.explain(connection, record);
        }
        self.lines.push('\n');
        if let Some(sentence) = flood::sentence(&record.body) {
            return wrapped(&mut self.lines, "", &sentence);
        }
        phrase::body(&mut self.lines, &record.body)?;
        self.lines.push('\n');
        Ok(())
    }
}

impl Render for Explain {
    fn render(&mut self, record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
        self.record(record).map_err(io::Error::other)?;
        out.extend_from_slice(self.lines.as_bytes());
        Ok(())
    }
}

/// Characters of the identifier of a container, as Docker shows them.
const CONTAINER: usize = 12;

/// `nginx (pid 812, container 3f0c9a1b2c3d)`.
fn described(owner: &Owner) -> String {
    let container = owner.container.as_ref().map_or_else(String::new, |id| {
        format!(", container {}", id.as_str().chars().take(CONTAINER).collect::<String>())
    });
    format!("{} (pid {}{container})", owner.name, owner.pid)
}

/// One segment: the facts, and below them what they mean.
fn step(
    out: &mut String,
    actors: Actors,
    story: &mut Story,
    seen: &SegmentSeen,
    at: Timestamp,
) -> fmt::Result {
    let arrow = match seen.sender {
        Side::Client => '→',
        Side::Server => '←',
    };
    let start = units::elapsed(seen.since_start_ns);
    let mut facts = format!(
        "{:<4}{start:>13}  {} {arrow} {}",
        format!("#{}", story.number),
        actors.client,
        actors.server
    );
    write!(facts, "  {:<FLAGS_WIDTH$}  seq={}", seen.flags, seen.seq)?;
    if let Some(ack) = seen.ack {
        write!(facts, " ack={ack}")?;
    }
    write!(facts, " len={}", seen.len)?;
    if story.is_new_state((seen.client_state, seen.server_state)) {
        let padding = STATES_COLUMN.saturating_sub(columns(&facts)).max(2);
        write!(facts, "{:padding$}[{} / {}]", "", seen.client_state.as_str(), seen.server_state.as_str())?;
    }
    writeln!(out, "{facts}")?;
    let sentence = sentence::explain(seen, actors, story);
    story.on_segment(seen, at);
    wrapped(out, "", &sentence)
}

/// What is to be said about a connection as a whole.
fn note(out: &mut String, number: u64, text: &str) -> fmt::Result {
    wrapped(out, &format!("#{number}"), &format!("= {text}"))
}

/// Writes `text` behind the indentation, in as many lines as it takes; `label` stands before the
/// first.
fn wrapped(out: &mut String, label: &str, text: &str) -> fmt::Result {
    write!(out, "{label:<INDENT$}")?;
    let mut column = INDENT;
    let mut words = text.split(' ').peekable();
    let mut is_after_number = false;
    while let Some(word) = words.next() {
        // A number stays together with its unit.
        let is_number = word.ends_with(|last: char| last.is_ascii_digit());
        let unit = words.peek().filter(|_| is_number).map_or(0, |unit| 1 + columns(unit));
        if column > INDENT && !is_after_number && column + 1 + columns(word) + unit > WIDTH {
            write!(out, "\n{:INDENT$}", "")?;
            column = INDENT;
        } else if column > INDENT {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += columns(word);
        is_after_number = is_number;
    }
    out.push('\n');
    Ok(())
}

/// Columns that a terminal needs for `text`, as long as nothing in it is wide.
fn columns(text: &str) -> usize {
    text.chars().count()
}
