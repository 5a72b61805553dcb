//! Link layers of captures that no interface has when it is traced: taken off, so that the parser finds what it knows.

use tracer_common::wire::LinkType;

/// Takes off what lies before an Ethernet or IP header: what is left starts with, and how many bytes were taken.
/// `None` for a link layer that is not known, or a frame that carries no IP.
#[must_use]
pub fn strip(link: i32, bytes: &[u8]) -> Option<(LinkType, usize)> {
    let ip = |at: usize| Some((LinkType::RawIp, at));
    match link {
        1 => Some((LinkType::Ethernet, 0)),
        12 | 14 | 101 | 228 | 229 => ip(0),
        0 | 108 => ip(4),
        113 => ip(16),
        276 => ip(20),
        9 => ip(if bytes.starts_with(&[0xff, 0x03]) { 4 } else { 2 }),
        _ => None,
    }
}
