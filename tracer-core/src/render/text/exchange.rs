//! The line of an exchange.

use std::fmt::{Result, Write};

use super::{columns, phrase};
use crate::record::{Exchange, Outcome, RequestHead, ResponseFraming};
use crate::render::{
    style::{Color, Style},
    units::{duration, so_far},
};

/// Columns of the request, so that sizes and durations stand below each other.
const REQUEST_WIDTH: usize = 24;
/// Columns of a request that are left at least, however narrow the terminal.
const MIN_REQUEST: usize = 16;

/// `200  GET shop.example/cart       1.2 kB    18 ms`; `begin` is the number of columns before it. What
/// is not complete has the announced size too, and what happened at the end: `200  GET /big  61.2 kB
/// of 200.0 kB  1.2 s  TRUNCATED by server`.
pub(super) fn exchange(out: &mut dyn Write, exchange: &Exchange, style: &Style, begin: usize) -> Result {
    let status = exchange.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let mut after = String::new();
    let size = exchange.response_body_size.map(|bytes| so_far(bytes, exchange.response_content_length));
    write!(
        after,
        "  {:>8}  {:>7}",
        size.unwrap_or_default(),
        exchange.duration_ns.map(duration).unwrap_or_default()
    )?;
    let failure = failure(exchange);
    let mut tail = String::new();
    notes(&mut tail, exchange)?;
    let taken =
        begin + 5 + columns(&after) + failure.as_ref().map_or(0, |words| 2 + columns(words)) + columns(&tail);
    let request = request(&exchange.request);
    let request = match style.width {
        Some(width) => cut(&request, width.saturating_sub(taken).max(MIN_REQUEST)),
        None => request,
    };
    style.paint(out, status_color(exchange), &format!("{status:<3}"))?;
    write!(out, "  {request:<REQUEST_WIDTH$}")?;
    // Without blanks at the end of the line.
    let is_last = failure.is_none() && tail.is_empty();
    out.write_str(if is_last { after.trim_end() } else { &after })?;
    if let Some(words) = failure {
        out.write_str("  ")?;
        style.paint(out, Some(Color::Red), &words)?;
    }
    out.write_str(&tail)
}

const fn status_color(exchange: &Exchange) -> Option<Color> {
    match exchange.status {
        Some(200..=299) => Some(Color::Green),
        Some(300..=399) => Some(Color::Cyan),
        Some(400..=499) => Some(Color::Yellow),
        Some(500..) => Some(Color::Red),
        Some(_) | None => None,
    }
}

/// `TRUNCATED by server`, if it is not complete.
fn failure(exchange: &Exchange) -> Option<String> {
    let words = match exchange.outcome {
        Outcome::Complete => return None,
        Outcome::EarlyResponse => "EARLY RESPONSE",
        Outcome::InvalidResponse => "INVALID RESPONSE",
        Outcome::NoResponse => "NO RESPONSE",
        Outcome::RequestAborted => "REQUEST ABORTED",
        Outcome::ResponseTruncated => "TRUNCATED",
        Outcome::NotObserved => "not fully observed",
    };
    let by = exchange.initiator.map_or_else(String::new, |side| format!(", ended by {}", side.as_str()));
    Some(format!("{words}{by}"))
}

/// What else is to be said, each part after two blanks.
fn notes(out: &mut dyn Write, exchange: &Exchange) -> Result {
    let announced = exchange.request_content_length;
    if let Some(bytes) = exchange.request_body_size.filter(|bytes| *bytes > 0 || announced.is_some()) {
        write!(out, "  {} sent", so_far(bytes, announced))?;
    }
    for interim in &exchange.interim_statuses {
        write!(out, "  after {interim}")?;
    }
    if exchange.framing == Some(ResponseFraming::Tunnel) {
        out.write_str("  [tunnel]")?;
    }
    phrase::confidence(out, exchange.confidence)?;
    for (number, anomaly) in exchange.anomalies.iter().enumerate() {
        write!(out, "{}{}", if number == 0 { "  [odd: " } else { ", " }, anomaly.as_str())?;
    }
    if !exchange.anomalies.is_empty() {
        out.write_char(']')?;
    }
    phrase::header_fields(out, exchange.request.fields.as_deref(), '>')?;
    phrase::header_fields(out, exchange.response_fields.as_deref(), '<')
}

/// `GET shop.example/cart`, with `?` for what was not seen.
fn request(head: &RequestHead) -> String {
    let method = head.method.as_ref().map_or("?", |method| method.as_str());
    let target = head.target.as_ref().map_or("?", |target| target.as_str());
    let domain =
        head.domain.as_ref().filter(|_| target.starts_with('/')).map_or("", |domain| domain.as_str());
    let truncated = if head.truncated { " [head cut]" } else { "" };
    format!("{method} {domain}{target}{truncated}")
}

/// At most so many columns of `text`.
fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width.saturating_sub(1)) {
        Some((end, _)) if columns(text) > width => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Text;

    fn text(text: &str) -> Option<Text> {
        Some(Text::from_wire(text.as_bytes()))
    }

    fn line(path: &str, status: u16, style: &Style) -> String {
        let request = RequestHead {
            method: text("GET"),
            target: text(path),
            domain: text("shop.example"),
            ..RequestHead::default()
        };
        let complete = Exchange {
            request,
            status: Some(status),
            outcome: Outcome::Complete,
            response_body_size: Some(1_200),
            duration_ns: Some(18_000_000),
            ..Exchange::default()
        };
        let mut out = String::new();
        exchange(&mut out, &complete, style, 45).expect("text");
        out
    }

    #[test]
    fn a_long_target_is_cut_on_a_terminal_only() {
        let terminal = Style { width: Some(100), ..Style::default() };
        let short = "200  GET shop.example/cart       1.2 kB    18 ms";
        assert_eq!(line("/cart", 200, &terminal), short);
        assert_eq!(line("/cart", 200, &Style::default()), short);
        let path = "/ü".repeat(60);
        let on_terminal = line(&path, 200, &terminal);
        assert_eq!(columns(&on_terminal), 100 - 45, "{on_terminal}");
        assert!(on_terminal.contains("…    1.2 kB"), "{on_terminal}");
        assert!(line(&path, 200, &Style::default()).contains(&path));
        let narrow = Style { width: Some(20), ..Style::default() };
        assert!(line(&path, 200, &narrow).contains("GET shop.exampl…"));
    }

    #[test]
    fn the_class_of_a_status_has_its_colour() {
        let color = Style { color: true, ..Style::default() };
        for (status, code) in [(200, 32), (304, 36), (404, 33), (502, 31)] {
            let line = line("/cart", status, &color);
            assert!(line.starts_with(&format!("\x1b[{code}m{status}\x1b[0m  GET ")), "{line:?}");
        }
    }
}
