//! What a segment means, in sentences.

use super::Actors;
use super::status::meaning;
use super::story::{Content, Story};
use crate::record::{Purpose, SegmentSeen, Text};

/// Characters of a request target that are shown: more of it explains nothing.
const MAX_TARGET: usize = 60;
/// Names of files that are pictures end like this.
const PICTURES: [&str; 9] = [".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".ico", ".bmp"];
/// Names of pages end like this.
const PAGES: [&str; 4] = ["/", ".html", ".htm", ".php"];
/// Words for the first few.
const ORDINALS: [&str; 5] = ["the first", "the second", "the third", "the fourth", "the fifth"];

/// What `segment` means: one sentence for each of its purposes that is not implied by another.
pub(super) fn explain(segment: &SegmentSeen, actors: Actors, story: &mut Story) -> String {
    let mut purposes: Vec<&Purpose> =
        segment.purposes.iter().filter(|purpose| !is_implied(purpose, segment)).collect();
    purposes.sort_by_key(|purpose| rank(purpose));
    if purposes.is_empty() {
        purposes.push(&Purpose::Other);
    }
    let mut scene =
        Scene { segment, actors, story, is_again: segment.purposes.contains(&Purpose::Retransmission) };
    let mut text = String::new();
    for purpose in purposes {
        if text.is_empty() {
            let name = actors.name(segment.sender);
            text = scene.sentence(purpose, &format!("The {name}"), &format!("The {name}'s"));
        } else {
            text.push(' ');
            text.push_str(&scene.sentence(purpose, "It", "Its"));
        }
    }
    text
}

/// Whether another purpose of the same segment says it already.
fn is_implied(purpose: &Purpose, segment: &SegmentSeen) -> bool {
    let any = |wanted: fn(&Purpose) -> bool| segment.purposes.iter().any(wanted);
    match purpose {
        Purpose::Data => any(|other| {
            matches!(
                other,
                Purpose::Request(..)
                    | Purpose::RequestComplete
                    | Purpose::Response(_)
                    | Purpose::ResponseComplete(_)
                    | Purpose::KeepAlive
            )
        }),
        Purpose::RequestComplete => any(|other| matches!(other, Purpose::Request(..))),
        Purpose::Response(status) => segment.purposes.contains(&Purpose::ResponseComplete(Some(*status))),
        // A segment in the connection acknowledges something as a rule; it is its purpose when
        // there is no other.
        Purpose::Acknowledges | Purpose::Other => segment.purposes.len() > 1,
        // Said in other words by those that can be repeated as a whole.
        Purpose::Retransmission => any(|other| {
            matches!(other, Purpose::RequestsConnection | Purpose::AcceptsConnection | Purpose::ReadyToClose)
        }),
        Purpose::RequestsConnection
        | Purpose::AcceptsConnection
        | Purpose::ConfirmsConnection
        | Purpose::Request(..)
        | Purpose::ResponseComplete(_)
        | Purpose::ReadyToClose
        | Purpose::ConfirmsClose
        | Purpose::Refuses
        | Purpose::Resets
        | Purpose::PreviousSegmentNotCaptured
        | Purpose::OutOfOrder
        | Purpose::DuplicateAck
        | Purpose::ZeroWindow
        | Purpose::WindowUpdate
        | Purpose::KeepAlive
        | Purpose::AckedUnseenSegment
        | Purpose::Stray => false,
    }
}

/// The order in which purposes are explained: what the segment responds to, what it contains, the
/// end, remarks.
const fn rank(purpose: &Purpose) -> u8 {
    match purpose {
        Purpose::ConfirmsConnection | Purpose::ConfirmsClose => 0,
        Purpose::ReadyToClose | Purpose::Resets | Purpose::Refuses => 2,
        Purpose::Retransmission
        | Purpose::PreviousSegmentNotCaptured
        | Purpose::OutOfOrder
        | Purpose::AckedUnseenSegment
        | Purpose::Stray => 3,
        Purpose::RequestsConnection
        | Purpose::AcceptsConnection
        | Purpose::Request(..)
        | Purpose::Response(_)
        | Purpose::RequestComplete
        | Purpose::ResponseComplete(_)
        | Purpose::Data
        | Purpose::Acknowledges
        | Purpose::DuplicateAck
        | Purpose::ZeroWindow
        | Purpose::WindowUpdate
        | Purpose::KeepAlive
        | Purpose::Other => 1,
    }
}

/// No timer of a sender expires so soon: RFC 6298, 2.4 has one second as the least, and Linux 200 ms.
const SOONEST_NS: u64 = 1_000_000;
/// What is said of a segment that was seen twice in less time.
const COPY: &str = "This is a copy, seen too soon after the first one to be a retransmission.";

/// A segment and what came before it.
struct Scene<'a> {
    segment: &'a SegmentSeen,
    actors: Actors,
    story: &'a mut Story,
    /// The segment is a retransmission.
    is_again: bool,
}

impl Scene<'_> {
    /// The sentence for one purpose; `who` is the sender, `whose` is "of the sender".
    fn sentence(&mut self, purpose: &Purpose, who: &str, whose: &str) -> String {
        let other = self.actors.name(self.segment.sender.other());
        match purpose {
            Purpose::RequestsConnection | Purpose::AcceptsConnection => self.handshake(purpose, who),
            Purpose::ConfirmsConnection => format!("{who} confirms: the connection is established."),
            Purpose::Request(method, target) => self.request(who, method, target),
            Purpose::RequestComplete => format!("{whose} request is complete."),
            Purpose::Response(status) => response(who, *status),
            Purpose::ResponseComplete(status) => self.response_complete(who, whose, *status),
            Purpose::Data => format!("{who} sends data."),
            Purpose::Acknowledges => format!("{who} acknowledges {}.", self.acknowledged()),
            Purpose::ReadyToClose | Purpose::ConfirmsClose => self.close(purpose, who),
            Purpose::Refuses => {
                format!(
                    "{who} refuses the connection (RST): no server listens on this port, or a firewall rejects it."
                )
            }
            Purpose::Resets => {
                format!("{who} resets the connection (RST): it sends and accepts nothing more.")
            }
            Purpose::Retransmission => {
                "This is a retransmission: the first copy or its acknowledgment was lost or late.".into()
            }
            Purpose::PreviousSegmentNotCaptured => {
                "Bytes before it are missing: lost, or still on their way.".into()
            }
            Purpose::OutOfOrder => "This fills a gap: it was reordered.".into(),
            Purpose::DuplicateAck => {
                format!("{who} repeats its acknowledgment: the next bytes have not arrived.")
            }
            Purpose::ZeroWindow => {
                format!("{who} has a full receive buffer (zero window): the {other} must wait.")
            }
            Purpose::WindowUpdate => {
                format!("{who} can receive again (window update): the {other} may continue.")
            }
            Purpose::KeepAlive => format!("{who} asks whether the {other} is still there (keep-alive)."),
            Purpose::AckedUnseenSegment => {
                format!("{who} acknowledges bytes of the {other} that were not seen here.")
            }
            Purpose::Stray => {
                format!(
                    "{who} sends a segment that the {other} does not accept: of an older connection, or spoofed."
                )
            }
            Purpose::Other => format!("{who} sends a segment that changes nothing."),
        }
    }

    /// Whether the segment comes too soon after the last one of its sender to be a retransmission.
    fn is_copy(&self) -> bool {
        let before = self.story.sent(self.segment.sender).at_ns;
        self.is_again
            && before.is_some_and(|before| self.segment.since_start_ns.saturating_sub(before) < SOONEST_NS)
    }

    fn handshake(&self, purpose: &Purpose, who: &str) -> String {
        match (purpose == &Purpose::RequestsConnection, self.is_again) {
            (true, false) => format!("{who} asks for a connection (SYN)."),
            (true, true) if self.is_copy() => format!("{who} asks for a connection (SYN). {COPY}"),
            (true, true) if self.story.sent(self.segment.sender).is_refused => {
                format!("{who} asks for the connection again (SYN), although it was refused.")
            }
            (true, true) => format!("{who} asks for the connection again (SYN): no answer has reached it."),
            (false, false) => format!("{who} answers and asks for confirmation (SYN-ACK)."),
            (false, true) if self.is_copy() => {
                format!("{who} answers and asks for confirmation (SYN-ACK). {COPY}")
            }
            (false, true) => {
                format!("{who} answers again (SYN-ACK): no confirmation has reached it.")
            }
        }
    }

    fn close(&self, purpose: &Purpose, who: &str) -> String {
        let (mine, other) =
            (self.story.sent(self.segment.sender), self.story.sent(self.segment.sender.other()));
        if purpose == &Purpose::ConfirmsClose {
            // The last confirmation counts as such only if there is nothing left to say in this
            // segment.
            let is_last = mine.is_confirmed && mine.is_closing;
            return format!("{who} confirms{}.", if is_last { ": the connection is closed" } else { "" });
        }
        match (self.is_again, other.is_closing) {
            (true, _) if self.is_copy() => format!("{who} is ready to close (FIN). {COPY}"),
            (true, _) => {
                format!("{who} says again that it is ready to close (FIN): no confirmation has reached it.")
            }
            (false, true) => format!("{who} is ready to close too (FIN)."),
            (false, false) => format!("{who} is ready to close and asks for confirmation (FIN)."),
        }
    }

    fn request(&mut self, who: &str, method: &Text, target: &Text) -> String {
        let path = target.as_str().split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let ends_as = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
        let is_new = u32::from(!self.is_again);
        let line = format!("({method} {})", shortened(target.as_str()));
        if method.as_str() != "GET" {
            return format!("{who} sends a request {line}.");
        }
        if ends_as(&PICTURES) {
            self.story.pictures += is_new;
            let number = self.story.pictures.saturating_sub(1) as usize;
            return format!("{who} requests {} picture {line}.", ORDINALS.get(number).unwrap_or(&"another"));
        }
        if ends_as(&PAGES) {
            self.story.pages += is_new;
            let page = if self.story.pages > 1 { "another page" } else { "the page" };
            return format!("{who} requests {page} {line}.");
        }
        format!("{who} requests a resource {line}.")
    }

    fn response_complete(&self, who: &str, whose: &str, status: Option<u16>) -> String {
        let Some(status) = status else {
            return format!("{whose} answer is complete: its status cannot be read.");
        };
        if !self.segment.purposes.contains(&Purpose::Response(status)) {
            return format!("{whose} answer is complete: {status}.");
        }
        match status {
            100..200 => response(who, status),
            // These never have content, so that there is nothing to be complete.
            204 | 304 => format!("{who} answers {status}: {}.", meaning(status)),
            _ => format!("{who} answers {status}: {}. The answer is complete.", meaning(status)),
        }
    }

    /// What this acknowledgment is about.
    fn acknowledged(&self) -> &'static str {
        match self.story.sent(self.segment.sender.other()).last {
            Some((Content::Request, end)) if self.segment.ack == Some(end) => "the request",
            Some((Content::Response, end)) if self.segment.ack == Some(end) => "the answer",
            Some((Content::Data, end)) if self.segment.ack == Some(end) => "the data",
            _ => "the bytes so far",
        }
    }
}

/// The head of a response whose end is still to come, or an interim response, after which the answer is (RFC 9110, 15.2).
fn response(who: &str, status: u16) -> String {
    match status {
        101 => format!("{who} answers 101: {}.", meaning(status)),
        100..200 => format!("{who} answers {status} for now: {}.", meaning(status)),
        _ => format!("{who} sends data: its answer begins, {status} ({}).", meaning(status)),
    }
}

/// As much of a request target as helps.
fn shortened(target: &str) -> String {
    match target.char_indices().nth(MAX_TARGET) {
        Some((end, _)) => format!("{}…", &target[..end]),
        None => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_target_is_cut_between_characters() {
        let long = "ü".repeat(MAX_TARGET + 1);
        assert_eq!(shortened(&long), format!("{}…", "ü".repeat(MAX_TARGET)));
        assert_eq!(shortened("/a"), "/a");
    }
}
