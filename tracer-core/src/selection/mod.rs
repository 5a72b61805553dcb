//! Which records are written: by client, server, request, response, outcome, process.
//!
//! ```text
//! Record ─► Selector ─► Selected ─► outputs
//!            │  ▲
//!            ▼  │ a connection matches
//!           held records, bounded
//! ```
//!
//! All values of one criterion are alternatives; different criteria apply together. Criteria of a
//! connection apply to all its records. Criteria of an exchange select the records about matching
//! exchanges, and the records about connections that have one.

mod glob;
mod held;
mod list;
mod method;
mod owner;
mod sample;
mod selector;
mod size;
mod status;

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use crate::record::{
    CloseReason, Closed, ConnState, ConnectionIdentity, Exchange, Outcome, Owner, RequestHead, Side,
};

pub use self::{
    glob::Glob,
    list::InvalidPattern,
    method::MethodList,
    owner::{ContainerId, Process},
    sample::Sample,
    selector::{Selected, SelectionTotals, Selector, max_bytes},
    status::StatusList,
};

/// What records have to match. An empty criterion matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Networks of the client.
    pub clients: Vec<IpNet>,
    /// Networks of the server.
    pub servers: Vec<IpNet>,
    /// Processes at either end.
    pub processes: Vec<Process>,
    /// Containers of the process at either end.
    pub containers: Vec<ContainerId>,
    /// A sample of the connections.
    pub sample: Option<Sample>,
    /// What exchanges have to match.
    pub exchange: ExchangeCriteria,
}

/// What exchanges have to match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeCriteria {
    /// Methods.
    pub methods: Vec<MethodList>,
    /// Status codes, of the final response or an interim one.
    pub statuses: Vec<StatusList>,
    /// Patterns of the path.
    pub paths: Vec<Glob>,
    /// Patterns of the host.
    pub domains: Vec<Glob>,
    /// The duration is longer than this.
    pub slower_than: Option<Duration>,
    /// It has failed: its outcome is not `complete`, or its status is 500 or more. Also connections
    /// that failed to open.
    pub failed: bool,
}

impl Criteria {
    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether records may have to wait until it is known whether they match.
    #[must_use]
    pub fn holds_records(&self) -> bool {
        !self.exchange.is_empty() || self.needs_owners()
    }

    /// Whether processes are selected.
    #[must_use]
    pub fn needs_owners(&self) -> bool {
        !self.processes.is_empty() || !self.containers.is_empty()
    }

    /// Whether the connection matches; `None` if it is not known yet, because an owner is not.
    fn connection(&self, connection: &ConnectionIdentity) -> Option<bool> {
        let is_in = |networks: &[IpNet], address| any(networks, |network| network.contains(&address));
        if !is_in(&self.clients, connection.client_address)
            || !self.server(connection.server_address)
            || self.sample.is_some_and(|sample| !sample.has(connection.client(), connection.server()))
        {
            return Some(false);
        }
        let attributes = &connection.attributes;
        let owners = [&attributes.client_owner, &attributes.server_owner];
        if !self.needs_owners() || owners.into_iter().flatten().any(|owner| self.owner(owner)) {
            return Some(true);
        }
        owners.into_iter().all(Option::is_some).then_some(false)
    }

    /// Whether a server with this address matches.
    fn server(&self, address: IpAddr) -> bool {
        any(&self.servers, |network| network.contains(&address))
    }

    fn owner(&self, owner: &Owner) -> bool {
        any(&self.processes, |process| process.is(owner)) && any(&self.containers, |id| id.has(owner))
    }
}

impl ExchangeCriteria {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the exchange matches.
    fn exchange(&self, exchange: &Exchange) -> bool {
        let statuses = || exchange.interim_statuses.iter().copied().chain(exchange.status);
        let is_slow =
            |limit: Duration| exchange.duration_ns.is_some_and(|ns| Duration::from_nanos(ns) > limit);
        self.head(&exchange.request)
            && any(&self.statuses, |list| statuses().any(|status| list.has(status)))
            && self.slower_than.is_none_or(is_slow)
            && (!self.failed || has_failed(exchange))
    }

    /// Whether the exchange of this request matches; `None` if its response decides.
    fn request(&self, head: &RequestHead) -> Option<bool> {
        let is_decided = self.statuses.is_empty() && self.slower_than.is_none() && !self.failed;
        if self.head(head) { is_decided.then_some(true) } else { Some(false) }
    }

    fn head(&self, head: &RequestHead) -> bool {
        let path = head.path.as_ref().map(|path| path.as_str());
        let domain = head.domain.as_ref().map(|domain| domain.as_str());
        let method = head.method.as_ref().map(|method| method.as_str());
        any(&self.methods, |list| method.is_some_and(|method| list.has(method)))
            && any(&self.paths, |glob| path.is_some_and(|path| glob.matches(path)))
            && any(&self.domains, |glob| domain.is_some_and(|domain| glob.matches(domain)))
    }

    /// Whether a connection matches without an exchange: if it failed to open, and nothing is asked
    /// of exchanges but that they failed.
    fn closed(&self, closed: &Closed) -> bool {
        *self == Self { failed: true, ..Self::default() } && failed_to_open(closed)
    }
}

/// Whether there is no alternative, or one that `matches`.
fn any<T>(alternatives: &[T], matches: impl FnMut(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(matches)
}

fn has_failed(exchange: &Exchange) -> bool {
    exchange.outcome != Outcome::Complete || exchange.status.is_some_and(|status| status >= 500)
}

/// Whether a connection was never of use: refused, not answered, not confirmed, or reset before an
/// exchange. A client that resets an unused connection has probed the server, as load balancers do:
/// that is no failure, unless the server had not answered.
fn failed_to_open(closed: &Closed) -> bool {
    match closed.reason {
        CloseReason::Refused | CloseReason::Unanswered | CloseReason::HalfOpenTimeout => true,
        CloseReason::Reset => {
            let by_client = closed.initiator == Some(Side::Client);
            closed.exchanges == 0
                && !closed.handshake.midstream
                && (!by_client || closed.conn_state == ConnState::Rstos0)
        }
        CloseReason::Fin
        | CloseReason::IdleTimeout
        | CloseReason::PortsReused
        | CloseReason::Evicted
        | CloseReason::EndOfCapture
        | CloseReason::EndOfTrace => false,
    }
}

#[cfg(test)]
mod tests;
