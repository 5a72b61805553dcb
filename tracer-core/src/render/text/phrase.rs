//! What happened, in a phrase.

use std::fmt::{Result, Write};

use super::{closed, exchange, headers, interface_name, listener};
use crate::record::{
    Body, Confidence, ConnectionIdentity, Counts, Degraded, DegradedReason, DegradedState, HeaderFields,
    IcmpError, Opened, Request, RequestHead, Response, ResponseFraming, SegmentSeen, ShedClass, Side,
    StateChange, Summary, TcpState,
};
use crate::render::{
    Style,
    units::{count, duration},
};

/// Writes the phrase for any body, without an end of line. A summary has several lines.
pub fn body(out: &mut dyn Write, body: &Body) -> Result {
    styled(out, body, &Style::default(), 0)
}

/// The same in a style, after `begin` columns of the line.
pub(super) fn styled(out: &mut dyn Write, body: &Body, style: &Style, begin: usize) -> Result {
    match body {
        Body::Opened(opened) => self::opened(out, opened),
        Body::Request(request) => self::request(out, request),
        Body::Response(response) => self::response(out, response),
        Body::Exchange(exchange) => exchange::exchange(out, exchange, style, begin),
        Body::State(change) => state(out, change),
        Body::Segment(segment) => self::segment(out, segment),
        Body::HalfOpen(half_open) => listener::half_open(out, half_open),
        Body::Icmp(error) => icmp(out, error),
        Body::Closed(closed) => closed::closed(out, closed, style),
        Body::Degraded(degraded) => self::degraded(out, degraded),
        Body::FloodStarted(flood) => listener::flood_started(out, flood),
        Body::FloodEnded(flood) => listener::flood_ended(out, flood),
        Body::Listener(listener) => listener::listener(out, listener),
        Body::Summary(summary) => self::summary(out, summary),
    }
}

/// `opened in 0.21 ms`.
pub fn opened(out: &mut dyn Write, opened: &Opened) -> Result {
    if opened.midstream {
        return write!(out, "first seen midstream: its start was not captured");
    }
    match (opened.syn_ack_ns, opened.ack_ns) {
        (Some(syn_ack), Some(ack)) => write!(out, "opened in {}", duration(syn_ack.saturating_add(ack)))?,
        (Some(syn_ack), None) => write!(out, "opened, answered in {}", duration(syn_ack))?,
        (None, Some(ack)) => write!(out, "opened, confirmed in {}", duration(ack))?,
        (None, None) => write!(out, "opened")?,
    }
    let repeated = [(opened.syn_retransmits, "SYN"), (opened.syn_ack_retransmits, "SYN-ACK")];
    for (times, what) in repeated.into_iter().filter(|(times, _)| *times > 0) {
        write!(out, ", {what} repeated {}", count(times.into(), "time"))?;
    }
    Ok(())
}

/// `, carried in gre, erspan`, `, translated to 172.17.0.1:40000 > 172.17.0.2:80`, `, for 192.0.2.7`; nothing where it is
/// neither tunnelled, nor translated, nor proxied.
pub fn carried(out: &mut dyn Write, connection: &ConnectionIdentity) -> Result {
    for (number, layer) in connection.attributes.encapsulation.iter().enumerate() {
        write!(out, "{}{}", if number == 0 { ", carried in " } else { ", " }, layer.as_str())?;
    }
    if let Some(nat) = &connection.attributes.nat {
        write!(out, ", translated to {} > {}", nat.client, nat.server)?;
    }
    if let Some(client) = connection.attributes.forwarded {
        write!(out, ", for {client}")?;
    }
    Ok(())
}

/// `request 1 GET /index.html for example.org`.
fn request(out: &mut dyn Write, request: &Request) -> Result {
    write!(out, "request {} ", request.index)?;
    target(out, &request.head)?;
    if let Some(domain) = &request.head.domain {
        write!(out, " for {domain}")?;
    }
    confidence(out, request.confidence)?;
    header_fields(out, request.head.fields.as_deref(), '>')
}

/// `response 1 200, in chunks`.
fn response(out: &mut dyn Write, response: &Response) -> Result {
    write!(out, "response {} ", response.index)?;
    status(out, response.status)?;
    match response.framing {
        Some(ResponseFraming::ContentLength) => write!(out, ", of announced length")?,
        Some(ResponseFraming::Chunked) => write!(out, ", in chunks")?,
        Some(ResponseFraming::Close) => write!(out, ", until the connection closes")?,
        Some(ResponseFraming::None) => write!(out, ", without content")?,
        Some(ResponseFraming::Tunnel) => write!(out, ", becomes a tunnel")?,
        None => {}
    }
    confidence(out, response.confidence)?;
    header_fields(out, response.fields.as_deref(), '<')
}

/// ` > user-agent="curl/8.5"`: as curl marks them, `>` the fields of a request and `<` those of a response.
pub(super) fn header_fields(out: &mut dyn Write, fields: Option<&HeaderFields>, mark: char) -> Result {
    let Some(fields) = fields else { return Ok(()) };
    write!(out, " {mark} ")?;
    headers::fields(out, fields, " ")
}

/// `GET /index.html`, with `?` for what was not seen.
fn target(out: &mut dyn Write, head: &RequestHead) -> Result {
    let part = |text: &Option<_>| text.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
    write!(out, "{} {}", part(&head.method), part(&head.target))?;
    if head.truncated { out.write_str(" [head cut]") } else { Ok(()) }
}

/// `200`, or `-` where there is none.
fn status(out: &mut dyn Write, status: Option<u16>) -> Result {
    match status {
        Some(code) => write!(out, "{code}"),
        None => out.write_char('-'),
    }
}

/// What is not exact.
pub(super) fn confidence(out: &mut dyn Write, confidence: Confidence) -> Result {
    out.write_str(match confidence {
        Confidence::Exact => "",
        Confidence::Resynced => " [resynced]",
        Confidence::Inferred => " [inferred]",
    })
}

/// `client SYN-SENT → ESTABLISHED, server SYN-RECEIVED`.
fn state(out: &mut dyn Write, change: &StateChange) -> Result {
    let mut side = |name: &str, before: TcpState, now: TcpState| {
        if before == now {
            write!(out, "{name} {}", now.as_str())
        } else {
            write!(out, "{name} {} → {}", before.as_str(), now.as_str())
        }
    };
    side("client", change.previous_client, change.client)?;
    side(", server", change.previous_server, change.server)
}

/// `← [SYN, ACK] seq 0 ack 1 len 0 win 65160: accepts connection`; the arrow says which way.
fn segment(out: &mut dyn Write, segment: &SegmentSeen) -> Result {
    let arrow = match segment.sender {
        Side::Client => "→",
        Side::Server => "←",
    };
    write!(out, "{arrow} [{}] seq {}", segment.flags, segment.seq)?;
    if let Some(ack) = segment.ack {
        write!(out, " ack {ack}")?;
    }
    write!(out, " len {} win {}", segment.len, segment.window)?;
    for (number, purpose) in segment.purposes.iter().enumerate() {
        let before = if number == 0 { ": " } else { ", " };
        write!(out, "{before}{}", purpose.name().replace('_', " "))?;
    }
    Ok(())
}

/// `ICMP error from 203.0.113.1: destination unreachable, host unreachable; quotes client seq 0`.
fn icmp(out: &mut dyn Write, error: &IcmpError) -> Result {
    write!(out, "ICMP error from {}; quotes {} seq {}", error.cause, error.sender.as_str(), error.seq)
}

/// `DEGRADED: shedding rows of segments, because the ring buffer is full: 12 lost so far`.
pub fn degraded(out: &mut dyn Write, degraded: &Degraded) -> Result {
    let Degraded { state, shed, reason, lost, duration_ns } = degraded;
    let (shed, reason) = (shed_words(*shed), reason_words(*reason));
    match state {
        DegradedState::Entered => {
            write!(out, "DEGRADED: shedding {shed}, because {reason}: {lost} lost so far")?;
            if matches!(degraded.reason, DegradedReason::ReaderBehind | DegradedReason::RingFull) {
                write!(out, " (give it more with --ring-bytes)")?;
            }
            Ok(())
        }
        DegradedState::Left => {
            write!(out, "no longer degraded: {lost} {shed} were lost")?;
            if let Some(ns) = duration_ns {
                write!(out, " in {}", duration(*ns))?;
            }
            write!(out, ", because {reason}")
        }
    }
}

/// What is shed.
const fn shed_words(shed: ShedClass) -> &'static str {
    match shed {
        ShedClass::Segments => "rows of segments",
        ShedClass::Anomalies => "events of anomalies",
        ShedClass::Control => "events of connections and messages",
        ShedClass::Records => "records",
    }
}

/// Why it is shed.
const fn reason_words(reason: DegradedReason) -> &'static str {
    match reason {
        DegradedReason::ReaderBehind => "the ring buffer fills faster than it is read",
        DegradedReason::RingFull => "the ring buffer is full",
        DegradedReason::OutputBlocked => "the output consumer is too slow or blocked",
        DegradedReason::OutputFull => "the disk is full",
        DegradedReason::OutputFailed => "the output cannot be written",
    }
}

/// A short block.
pub fn summary(out: &mut dyn Write, summary: &Summary) -> Result {
    let Summary { frames, segments, aggregated, opened, closed, open, half_open, evicted, exchanges, .. } =
        summary;
    let points = summary.attachments.iter().map(|point| interface_name(point).to_string());
    let points = points.collect::<Vec<_>>().join(", ");
    write!(out, "summary after {}", duration(summary.duration_ns))?;
    if !points.is_empty() {
        write!(out, " at {points}")?;
    }
    write!(out, "\n  frames       {frames} seen, {segments} analysed, {} skipped", summary.skipped.total())?;
    counts(out, &summary.skipped)?;
    if *aggregated > 0 {
        write!(out, "\n  handshakes   {aggregated} segments aggregated")?;
    }
    write!(out, "\n  connections  {opened} opened, {closed} closed, {open} open, {half_open} half-open")?;
    write!(out, ", {evicted} evicted")?;
    if summary.connections_lost > 0 {
        write!(out, ", {} lost", summary.connections_lost)?;
    }
    write!(out, "\n  exchanges    {exchanges}")?;
    let lost = summary.events_lost.total();
    write!(out, "\n  events       {} received, {lost} lost", summary.events_received)?;
    counts(out, &summary.events_lost)?;
    if summary.buffers_dropped > 0 {
        write!(out, "\n  buffers      those of {} dropped", count(summary.buffers_dropped, "connection"))?;
    }
    if let (Some(written), lost @ 1..) = (summary.records_written, summary.records_lost) {
        write!(out, "\n  records      {written} written, {lost} lost")?;
    }
    selection(out, summary)
}

/// `  selection    1 of 10 connections, 1234 records filtered, 5 dropped before it was known whether they match`.
fn selection(out: &mut dyn Write, summary: &Summary) -> Result {
    let sample = summary.sample.map(|of| format!("1 of {of} connections"));
    let filtered = Some(summary.records_filtered).filter(|records| *records > 0);
    let filtered = filtered.map(|records| format!("{} filtered", count(records, "record")));
    let unheld = Some(summary.records_unheld).filter(|records| *records > 0);
    let unheld = unheld.map(|records| format!("{records} dropped before it was known whether they match"));
    let parts: Vec<String> = [sample, filtered, unheld].into_iter().flatten().collect();
    if parts.is_empty() { Ok(()) } else { write!(out, "\n  selection    {}", parts.join(", ")) }
}

/// ` (not_tcp 12, other_port 3)`.
fn counts(out: &mut dyn Write, counts: &Counts) -> Result {
    let mut before = " (";
    for (name, number) in counts.0.iter().filter(|(_, number)| *number > 0) {
        write!(out, "{before}{name} {number}")?;
        before = ", ";
    }
    if before == ", " { out.write_char(')') } else { Ok(()) }
}
