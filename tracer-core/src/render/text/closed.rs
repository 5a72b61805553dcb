//! The line of a closed connection.

use std::fmt::{Result, Write};

use crate::record::{CloseReason, Closed, SideTotals};
use crate::render::{
    style::{Color, Style},
    units::{count, duration, size},
};

/// `fin  by server: 3 exchanges, ↑509 B ↓41.5 kB, 1.2 s`, and what went wrong.
pub(super) fn closed(out: &mut dyn Write, closed: &Closed, style: &Style) -> Result {
    let (tag, words, is_failure) = match closed.reason {
        CloseReason::Fin if closed.initiator.is_some() => ("fin", "", false),
        CloseReason::Fin => ("fin", "closed", false),
        CloseReason::Reset => ("RST", "RESET", true),
        CloseReason::Refused => ("RST", "REFUSED", true),
        CloseReason::Unanswered => ("SYN", "UNANSWERED", true),
        CloseReason::HalfOpenTimeout => ("SYN", "HALF-OPEN TIMEOUT", true),
        CloseReason::IdleTimeout => ("end", "idle timeout", false),
        CloseReason::PortsReused => ("end", "ports reused", false),
        CloseReason::Evicted => ("end", "EVICTED", true),
        CloseReason::EndOfCapture => ("end", "end of capture", false),
        CloseReason::EndOfTrace => ("end", "end of trace", false),
    };
    let color = Some(Color::Red).filter(|_| is_failure);
    style.paint(out, color, tag)?;
    out.write_str("  ")?;
    if !words.is_empty() {
        style.paint(out, color, words)?;
    }
    if let Some(side) = closed.initiator {
        write!(out, "{}by {}", if words.is_empty() { "" } else { " " }, side.as_str())?;
    }
    if closed.ttl_differs {
        out.write_str(" (TTL DIFFERS)")?;
    }
    write!(out, ": {}", count(closed.exchanges.into(), "exchange"))?;
    write!(out, ", ↑{} ↓{}", size(closed.client.bytes), size(closed.server.bytes))?;
    write!(out, ", {}", duration(closed.duration_ns))?;
    anomalies(out, closed)
}

/// What went wrong, if anything did: `, 3 out of order, 1448 B never seen`.
fn anomalies(out: &mut dyn Write, closed: &Closed) -> Result {
    let both = |field: fn(&SideTotals) -> u64| field(&closed.client) + field(&closed.server);
    for (number, one, several) in [
        (both(|side| side.retransmits), "retransmit", "retransmits"),
        (both(|side| side.out_of_order), "out of order", "out of order"),
        (both(|side| side.duplicate_acks), "duplicate ack", "duplicate acks"),
        (both(|side| side.zero_windows), "zero window", "zero windows"),
        (both(|side| side.checksum_errors), "wrong checksum", "wrong checksums"),
        (both(|side| side.gap_bytes), "B never seen", "B never seen"),
        (closed.events_lost, "EVENT LOST", "EVENTS LOST"),
    ] {
        if number > 0 {
            write!(out, ", {number} {}", if number == 1 { one } else { several })?;
        }
    }
    match &closed.icmp {
        Some(icmp) => write!(out, ", {icmp}"),
        None => Ok(()),
    }
}
