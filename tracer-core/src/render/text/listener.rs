//! Half-open handshakes, floods of them, and their servers.

use std::fmt::{Result, Write};

use crate::record::{Flood, FloodEnded, HalfOpen, Listener};
use crate::render::units::{count, duration};

/// `half-open for 1.0 s: SYN-RECEIVED for 0.98 s, SYN-ACK repeated 1 time`.
pub(super) fn half_open(out: &mut dyn Write, half_open: &HalfOpen) -> Result {
    write!(out, "half-open for {}", duration(half_open.since_ns))?;
    match half_open.syn_received_ns {
        Some(ns) => write!(out, ": in SYN-RECEIVED for {}", duration(ns))?,
        None => write!(out, ": not answered")?,
    }
    let repeated = [(half_open.syn_retransmits, "SYN"), (half_open.syn_ack_retransmits, "SYN-ACK")];
    for (times, what) in repeated.into_iter().filter(|(times, _)| *times > 0) {
        write!(out, ", {what} repeated {}", count(times.into(), "time"))?;
    }
    Ok(())
}

/// `SYN FLOOD at 10.0.0.1:80: 41000 half-open, 200000 SYN/s, 0.3 % confirmed, about 190000 sources,
/// probably spoofed`.
pub(super) fn flood_started(out: &mut dyn Write, flood: &Flood) -> Result {
    write!(out, "SYN FLOOD at {}: ", flood.server())?;
    pressure(out, flood)?;
    out.write_str(if flood.spoofed { ", probably spoofed" } else { "" })
}

/// `syn flood at 10.0.0.1:80 is over after 61 s: 12000000 attempts, 31000 confirmed, at most 41000
/// half-open, …`.
pub(super) fn flood_ended(out: &mut dyn Write, flood: &FloodEnded) -> Result {
    write!(
        out,
        "SYN flood at {} is over after {}: {}, {} confirmed, at most {} half-open; now ",
        flood.now.server(),
        duration(flood.duration_ns),
        count(flood.attempts, "attempt"),
        flood.completed,
        flood.half_open_peak
    )?;
    pressure(out, &flood.now)?;
    out.write_str(if flood.now.spoofed { ", probably spoofed" } else { "" })?;
    write!(out, "; {} aggregated", segments(&flood.now))
}

fn segments(flood: &Flood) -> String {
    count(flood.aggregated, "handshake segment")
}

fn pressure(out: &mut dyn Write, flood: &Flood) -> Result {
    write!(out, "{} half-open, {} SYN/s", flood.half_open, flood.syn_rate)?;
    if let Some(permille) = flood.completion_permille {
        write!(out, ", {} confirmed", percent(permille))?;
    }
    write!(out, ", about {}", count(flood.sources, "source"))
}

/// `server 10.0.0.1:80 busy: 15000 SYN/s, …`.
pub(super) fn listener(out: &mut dyn Write, listener: &Listener) -> Result {
    write!(out, "server {} {}: ", listener.now.server(), listener.verdict.as_str().replace('_', " "))?;
    pressure(out, &listener.now)?;
    let Listener { attempts, answered, completed, refused, reset, .. } = listener;
    write!(
        out,
        "; so far {}, {answered} answered, {completed} confirmed, {refused} refused, {reset} reset",
        count(*attempts, "attempt")
    )?;
    let repeated = [(listener.syn_retransmits, "SYN"), (listener.syn_ack_retransmits, "SYN-ACK")];
    for (times, what) in repeated.into_iter().filter(|(times, _)| *times > 0) {
        write!(out, ", {what} repeated {}", count(times, "time"))?;
    }
    write!(out, ", {} aggregated", segments(&listener.now))?;
    if let Some(queue) = listener.queue {
        write!(out, "; listen queue {} of {}", queue.length, queue.limit)?;
    }
    if let Some(counters) = listener.namespace {
        let (overflows, drops, cookies) =
            (counters.listen_overflows, counters.listen_drops, counters.syn_cookies_sent);
        write!(out, ", namespace: {overflows} overflows, {drops} drops, {cookies} SYN cookies sent")?;
    }
    Ok(())
}

/// `99.7 %` of 997.
fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}
