//! ICMP errors about a connection.

use super::{Emit, Place, Selection, Table, Tables, Vantage};
use crate::{
    event::Kind,
    flow::{HalfFlags, TcpHalf},
    frame::FrameBytes,
    seq::Seq,
    wire::{IcmpError, LinkType, Skip, parse_icmp},
};

/// The most errors about what one direction has sent that are emitted: the first ones say why, and a flood of them must not
/// fill the ring.
const MAX_EMITTED: u16 = 8;

/// Observes a frame that [`observe`](super::observe) skips as [`Skip::NotTcp`]: an ICMP error about a known connection is
/// emitted. It starts no connection and changes none, because anybody can send one (RFC 5927). `error` is overwritten.
///
/// # Errors
/// Why nothing was emitted.
#[inline(always)]
pub fn observe_icmp<F, P, S, E, T>(
    frame: &F,
    link: LinkType,
    vantage: &Vantage<P, S, E>,
    tables: &mut T,
    error: &mut IcmpError,
) -> Result<(), Skip>
where
    F: FrameBytes + ?Sized,
    P: Place,
    S: Selection,
    E: Emit,
    T: Tables,
{
    let Vantage { place, selection, emit } = vantage;
    parse_icmp(frame, link, error)?;
    let quoted = &error.quoted;
    if !selection.traces(quoted.destination_port) && !selection.traces(quoted.source_port) {
        return Err(Skip::OtherPort);
    }
    if !selection.selects(&quoted.source, &quoted.destination) {
        return Err(Skip::OtherHost);
    }
    let from = error.key.set(quoted);
    let (_, flow) = tables.find(&error.key, Table::Confirmed).ok_or(Skip::NotTcp)?;
    let id = flow.id;
    let sender = from.of_mut(&mut flow.tcp);
    if !has_sent(sender, quoted.seq) || sender.icmp_errors >= MAX_EMITTED {
        return Err(Skip::NotTcp);
    }
    sender.icmp_errors += 1;
    let lost = sender.counters.lost;
    emit.emit_icmp(move |event| {
        event.header.kind = Kind::Icmp as u8;
        event.header.hook = place.hook() as u8;
        event.header.sender = from as u8;
        event.header.padding = 0;
        event.header.interface = place.interface();
        event.header.time = place.now();
        event.header.flow = id;
        event.header.key = error.key;
        event.header.lost = lost;
        event.source = error.source;
        event.seq = error.quoted.seq;
        event.mtu = error.mtu;
        event.kind = error.kind;
        event.code = error.code;
        event.padding = 0;
        event.padding2 = 0;
    });
    Ok(())
}

/// Whether a segment with this sequence number may have been sent (RFC 5927, 4.1). Segments that were acknowledged count too:
/// the acknowledgment may arrive before the error.
#[inline(always)]
fn has_sent(sender: &TcpHalf, seq: Seq) -> bool {
    // The SYN and the FIN have a number each, and an acknowledgment carries the next one.
    let next = if sender.has(HalfFlags::FIN) { sender.fin } else { sender.next };
    sender.has(HalfFlags::STARTED) && !seq.is_after(next) && !sender.is_before_start(seq.add(1))
}
