//! GRE (RFC 2784, 2890), PPTP's version of it (RFC 2637, 4.1), and mirrored frames in it (ERSPAN).

use super::{
    Encapsulation, Skip,
    cursor::{Walk, next},
    ip_ethertype,
};
use crate::frame::FrameBytes;

/// Flags of the first two bytes, and the version.
mod flag {
    pub(super) const CHECKSUM: u16 = 0x8000;
    /// RFC 1701; removed since.
    pub(super) const ROUTING: u16 = 0x4000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    /// Version 1 only.
    pub(super) const ACKNOWLEDGMENT: u16 = 0x0080;
    pub(super) const VERSION: u16 = 0x0007;
}

/// Protocol types other than the EtherTypes of frames.
mod kind {
    /// ERSPAN type I and II.
    pub(super) const ERSPAN_II: u16 = 0x88be;
    /// ERSPAN type III.
    pub(super) const ERSPAN_III: u16 = 0x22eb;
    /// Redirected web requests (WCCP).
    pub(super) const REDIRECTED: u16 = 0x883e;
    /// PPP.
    pub(super) const PPP: u16 = 0x880b;
    /// IEEE 802.11 frames of access points (Aruba), by the number of the radio.
    pub(super) const FIRST_WIRELESS: u16 = 0x8200;
    pub(super) const LAST_WIRELESS: u16 = 0x82f0;
}

/// A GRE header.
#[inline(always)]
pub(super) fn enter<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let header: [u8; 4] = frame.read(offset).ok_or(Skip::Truncated)?;
    let flags = u16::from_be_bytes([header[0], header[1]]);
    let protocol = u16::from_be_bytes([header[2], header[3]]);
    let has = |bits: u16| flags & bits != 0;
    let field = |bits: u16| if has(bits) { 4 } else { 0 };
    let version = flags & flag::VERSION;
    // Without a sequence number, PPTP carries no payload.
    let carries = if version == 1 { protocol == kind::PPP && has(flag::SEQUENCE) } else { version == 0 };
    if has(flag::ROUTING) || !carries {
        return Err(Skip::NotTcp);
    }
    walk.enter(Encapsulation::Gre)?;
    let mut inner = offset + 4 + field(flag::KEY) + field(flag::SEQUENCE);
    inner += if version == 1 { field(flag::ACKNOWLEDGMENT) } else { field(flag::CHECKSUM) };
    match protocol {
        kind::ERSPAN_II => {
            walk.enter(Encapsulation::Erspan)?;
            // Type I has neither a sequence number nor a header.
            walk.to(next::ETHERNET, if has(flag::SEQUENCE) { inner + 8 } else { inner })
        }
        kind::ERSPAN_III => erspan_iii(frame, walk, inner),
        kind::REDIRECTED => {
            // The second version has a header of four bytes of its own.
            let bare = ip_ethertype(frame, inner).is_ok();
            walk.to(next::IP, if bare { inner } else { inner + 4 })
        }
        kind::FIRST_WIRELESS..=kind::LAST_WIRELESS => walk.to(next::WIRELESS, inner),
        _ => walk.to(u32::from(protocol), inner),
    }
}

/// The header of ERSPAN type III (draft-foschiano-erspan-03, 4.3): twelve bytes, and eight more if the last bit says so.
#[inline(always)]
fn erspan_iii<F: FrameBytes + ?Sized>(frame: &F, walk: &mut Walk, offset: usize) -> Result<(), Skip> {
    let last: [u8; 2] = frame.read(offset + 10).ok_or(Skip::Truncated)?;
    let [frame_type, optional] = [last[0] >> 2 & 0x1f, last[1] & 1];
    walk.enter(Encapsulation::Erspan)?;
    let inner = offset + 12 + optional as usize * 8;
    match frame_type {
        0 => walk.to(next::ETHERNET, inner),
        2 => walk.to(next::IP, inner),
        _ => Err(Skip::NotTcp),
    }
}
