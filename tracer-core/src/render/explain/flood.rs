//! Floods, in sentences.

use crate::record::{Body, Flood};
use crate::render::units::duration;

/// What is to be said of a flood; none where the body is about something else.
pub(super) fn sentence(body: &Body) -> Option<String> {
    match body {
        Body::FloodStarted(flood) => Some(format!(
            "SYN flood: {} receives {} SYNs a second, and {} handshakes are half-open now{}.",
            flood.server(),
            flood.syn_rate,
            flood.half_open,
            whose(flood)
        )),
        Body::FloodEnded(flood) => Some(format!(
            "The SYN flood at {} is over. It took {}: {} connections were requested, and {} of them confirmed{}.",
            flood.now.server(),
            duration(flood.duration_ns),
            flood.attempts,
            flood.completed,
            whose(&flood.now)
        )),
        Body::Opened(_)
        | Body::Request(_)
        | Body::Response(_)
        | Body::Exchange(_)
        | Body::State(_)
        | Body::Segment(_)
        | Body::HalfOpen(_)
        | Body::Closed(_)
        | Body::Icmp(_)
        | Body::Degraded(_)
        | Body::Listener(_)
        | Body::Summary(_) => None,
    }
}

fn whose(flood: &Flood) -> String {
    let looks = if flood.spoofed { ", probably spoofed" } else { "" };
    format!("; the SYNs came from about {} addresses{looks}", flood.sources)
}
