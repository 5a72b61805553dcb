//! What is known of a connection or an exchange as a whole, in sentences.

use std::fmt::{self, Write as _};

use super::Actors;
use super::story::Story;
use crate::record::{
    Body, CloseReason, Closed, Confidence, Exchange, HalfOpen, IcmpError, Opened, Outcome, Side, TcpState,
    Timestamp,
};
use crate::render::text::{headers, phrase};
use crate::render::units::{count, duration, so_far};

/// The recorded fields of the head in a segment, which belong to its step.
pub(super) fn header_fields(body: &Body) -> Result<Option<String>, fmt::Error> {
    let Some(fields) = body.header_fields() else { return Ok(None) };
    let what = if fields.sender == Side::Client { "request" } else { "answer" };
    let mut out = format!("Fields of the {what}: ");
    headers::fields(&mut out, fields, ", ")?;
    Ok(Some(out + "."))
}

/// The note for a record that is not a segment, if the segments have not shown it already.
pub(super) fn text(
    body: &Body,
    actors: Actors,
    story: &Story,
    at: Timestamp,
) -> Result<Option<String>, fmt::Error> {
    let mut out = String::new();
    match body {
        Body::Opened(opened) => self::opened(&mut out, opened, story)?,
        Body::Exchange(exchange) => self::exchange(&mut out, exchange, actors)?,
        Body::Closed(closed) => self::closed(&mut out, closed, actors, story, at)?,
        Body::Icmp(error) => icmp(&mut out, error, actors)?,
        Body::HalfOpen(half_open) => self::half_open(&mut out, half_open, actors)?,
        Body::Request(_)
        | Body::Response(_)
        | Body::State(_)
        | Body::Segment(_)
        | Body::Degraded(_)
        | Body::FloodStarted(_)
        | Body::FloodEnded(_)
        | Body::Listener(_)
        | Body::Summary(_) => {
            if !story.has_segments {
                phrase::body(&mut out, body)?;
            }
        }
    }
    Ok((!out.is_empty()).then_some(out))
}

fn half_open(out: &mut String, half_open: &HalfOpen, actors: Actors) -> fmt::Result {
    let Actors { server, .. } = actors;
    let since = duration(half_open.since_ns);
    match half_open.syn_received_ns {
        Some(_) => write!(out, "Not confirmed after {since}: the {server} waits in SYN-RECEIVED."),
        None => write!(out, "Not answered after {since}: the {server} is silent."),
    }
}

fn icmp(out: &mut String, error: &IcmpError, actors: Actors) -> fmt::Result {
    let IcmpError { cause, sender, seq } = error;
    write!(out, "A segment of the {} (seq={seq}) was not delivered, as ", actors.name(*sender))?;
    write!(out, "{} reports by ICMP: {}", cause.source, cause.kind)?;
    match cause.mtu {
        Some(mtu) => write!(out, ". At most {mtu} B fit into a packet there."),
        None => write!(out, "."),
    }
}

fn opened(out: &mut String, opened: &Opened, story: &Story) -> fmt::Result {
    if opened.midstream {
        write!(out, "This connection is older than the observation: its handshake was not seen.")
    } else if story.has_segments {
        Ok(())
    } else {
        phrase::opened(out, opened)
    }
}

fn exchange(out: &mut String, exchange: &Exchange, actors: Actors) -> fmt::Result {
    let method = exchange.request.method.as_ref().map_or("?", |text| text.as_str());
    let target = exchange.request.target.as_ref().map_or("?", |text| text.as_str());
    let Actors { client, server } = actors;
    let ended = match exchange.initiator {
        Some(side) => format!("the {} ended the connection", actors.name(side)),
        None => "the connection ended".to_owned(),
    };
    write!(out, "{method} {target}: ")?;
    match (exchange.outcome, exchange.status) {
        (Outcome::Complete, Some(status)) => write!(out, "answered with {status}")?,
        (Outcome::Complete, None) => write!(out, "answered")?,
        (Outcome::EarlyResponse, _) => {
            let status = exchange.status.map_or_else(String::new, |status| format!(" with {status}"));
            write!(out, "answered{status} before the request was complete")?;
        }
        (Outcome::InvalidResponse, _) => {
            write!(out, "the {server} answered with something that is not HTTP")?;
        }
        (Outcome::NoResponse, _) => write!(out, "{ended} before the {server} answered")?,
        (Outcome::RequestAborted, _) => write!(out, "{ended} before the {client} had asked")?,
        (Outcome::ResponseTruncated, _) => write!(out, "{ended} within the answer")?,
        (Outcome::NotObserved, Some(status)) => {
            write!(out, "answered with {status}, but the end was not seen")?;
        }
        (Outcome::NotObserved, None) => write!(out, "how it ended was not seen")?,
    }
    if let Some(bytes) = exchange.request_body_size.filter(|_| exchange.request_content_length.is_some()) {
        write!(out, ", {} sent", so_far(bytes, exchange.request_content_length))?;
    }
    let announced = exchange.response_content_length;
    if let Some(bytes) = exchange.response_body_size.filter(|bytes| *bytes > 0 || announced.is_some()) {
        write!(out, ", {}", so_far(bytes, announced))?;
    }
    if let Some(ns) = exchange.duration_ns {
        write!(out, ", in {}", duration(ns))?;
    }
    if let Some(ns) = exchange.time_to_first_byte_ns {
        write!(out, ", its first byte after {}", duration(ns))?;
    }
    out.write_str(match exchange.confidence {
        Confidence::Exact => ".",
        Confidence::Resynced => ". Bytes were missed before it: this was found by resynchronisation.",
        Confidence::Inferred => ". The pairing of request and response, or the end of a message, is a guess.",
    })?;
    if let Some(trace) = &exchange.request.trace {
        write!(out, " Trace {:032x}, span {:016x}.", trace.trace_id, trace.span_id)?;
    }
    if exchange.anomalies.is_empty() {
        return Ok(());
    }
    let words: Vec<_> = exchange.anomalies.iter().map(|anomaly| anomaly.as_str()).collect();
    write!(out, " Anomalies: {}.", words.join(", "))
}

fn closed(out: &mut String, closed: &Closed, actors: Actors, story: &Story, at: Timestamp) -> fmt::Result {
    let Actors { client, server } = actors;
    let who = closed.initiator.map_or("one side", |side| actors.name(side));
    match closed.reason {
        CloseReason::Fin => write!(out, "Closed in good order: both sides sent FIN and were acknowledged.")?,
        CloseReason::Reset => {
            write!(out, "Reset by the {who}")?;
            if closed.ttl_differs {
                write!(out, ", or in its name: the TTL of the RST is not that of its other segments")?;
            }
            let lost = closed.client.unacked_bytes + closed.server.unacked_bytes > 0;
            out.push_str(if lost { ": what was on its way is lost." } else { "." });
        }
        CloseReason::Refused => write!(out, "No connection: the {server} refused it.")?,
        CloseReason::Unanswered => write!(out, "No connection: the {server} never answered.")?,
        CloseReason::HalfOpenTimeout => {
            let waited = story.syn_ack_at.map_or(closed.duration_ns, |from| at.0.saturating_sub(from.0));
            write!(
                out,
                "The handshake was never confirmed: the {server} was left in {} for {} until it expired. \
                 Many such at once are a SYN flood.",
                TcpState::SynReceived.as_str(),
                duration(waited)
            )?;
        }
        CloseReason::IdleTimeout => write!(out, "Idle for too long: no longer traced.")?,
        CloseReason::PortsReused => {
            write!(out, "Its end was not seen: the {client} uses its port for another connection.")?;
        }
        CloseReason::Evicted => write!(out, "Evicted: the table of connections was full.")?,
        CloseReason::EndOfCapture | CloseReason::EndOfTrace => {
            write!(out, "The observation ends here, before the connection does.")?;
        }
    }
    if closed.client.bytes + closed.server.bytes > 0 {
        let exchanges = count(closed.exchanges.into(), "exchange");
        write!(out, " {exchanges} in {}: ", duration(closed.duration_ns))?;
        write!(
            out,
            "{} B from the {client}, {} B from the {server}.",
            closed.client.bytes, closed.server.bytes
        )?;
    }
    anomalies(out, closed, actors)
}

/// What went wrong on the way.
fn anomalies(out: &mut String, closed: &Closed, actors: Actors) -> fmt::Result {
    for (side, totals) in [(Side::Client, &closed.client), (Side::Server, &closed.server)] {
        let who = actors.name(side);
        if totals.retransmits > 0 {
            write!(out, " The {who} retransmitted {}.", count(totals.retransmits, "segment"))?;
        }
        if totals.zero_windows > 0 {
            write!(out, " The {who} announced a zero window {}.", count(totals.zero_windows, "time"))?;
        }
        if totals.gap_bytes > 0 {
            write!(out, " {} B from the {who} were never seen.", totals.gap_bytes)?;
        }
    }
    if let Some(icmp) = &closed.icmp {
        write!(out, " {icmp}.")?;
    }
    if closed.events_lost > 0 {
        write!(out, " Steps are missing here: {} were lost.", count(closed.events_lost, "event"))?;
    }
    Ok(())
}
