//! The ICMP errors about a connection.

use tracer_common::{event::IcmpEvent, wire::address};

use super::Connection;
use crate::record::{Bodies, Body, IcmpCause, IcmpError, IcmpKind, IcmpTotals};

/// What is kept of them.
#[derive(Debug)]
pub(super) struct IcmpErrors {
    /// The last one that was reported.
    last: IcmpEvent,
    reported: u32,
}

impl Connection {
    /// Takes in an ICMP error about a segment of the connection.
    pub fn on_icmp(&mut self, event: &IcmpEvent, out: &mut Bodies) {
        let reported = match self.icmp.as_deref() {
            Some(errors) if is_copy(event, &errors.last) => return,
            Some(errors) => errors.reported,
            None => 0,
        };
        let sender = self.session.side(event.header.sender());
        let seq = self.session.direction(sender).relative(event.seq);
        out.push((event.header.time, Body::Icmp(Box::new(IcmpError { cause: cause(event), sender, seq }))));
        self.icmp = Some(Box::new(IcmpErrors { last: *event, reported: reported.saturating_add(1) }));
    }

    pub(super) fn icmp_totals(&self) -> Option<IcmpTotals> {
        let IcmpErrors { last, reported } = self.icmp.as_deref()?;
        Some(IcmpTotals { errors: *reported, last: cause(last) })
    }
}

fn cause(event: &IcmpEvent) -> IcmpCause {
    let source = address(event.source);
    IcmpCause {
        source,
        kind: IcmpKind { is_v6: source.is_ipv6(), kind: event.kind, code: event.code },
        mtu: (event.mtu != 0).then_some(event.mtu),
    }
}

/// Whether the same error was seen again at another place on its way, as on a router.
fn is_copy(event: &IcmpEvent, last: &IcmpEvent) -> bool {
    let place = |event: &IcmpEvent| (event.header.interface, event.header.hook);
    let content =
        |event: &IcmpEvent| (event.source, event.kind, event.code, event.mtu, event.header.sender, event.seq);
    place(event) != place(last) && content(event) == content(last)
}
