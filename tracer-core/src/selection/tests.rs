use std::sync::Arc;

use super::{held::MAX_RECORDS_EACH, *};
use crate::record::{
    Attributes, Body, ConnectionId, Degraded, DegradedReason, DegradedState, Events, Opened, Record, Request,
    Response, SegmentSeen, ShedClass, SideTotals, TcpState, Text, Timestamp,
};

/// A run of records through a selector. Each record is written as `connection:word`.
struct Run {
    selector: Selector,
    /// The owners of each connection from now on.
    server_owner: Option<Arc<Owner>>,
}

const EVENTS: &str = "connection,exchange,request,response,segment";

impl Run {
    fn new(change: impl FnOnce(&mut Criteria), whole: bool) -> Self {
        let mut criteria = Criteria::default();
        change(&mut criteria);
        let events: Events = EVENTS.parse().expect("events");
        Self { selector: Selector::new(criteria, events, whole), server_owner: None }
    }

    /// Takes in a record of a connection, and returns what is written then.
    fn push(&mut self, connection: u64, body: Body) -> Vec<String> {
        let attributes = Attributes { server_owner: self.server_owner.clone(), ..Attributes::default() };
        let connection = ConnectionIdentity {
            id: ConnectionId { run: 1, number: connection },
            attributes,
            interface: None,
            is_one_of_several: false,
            client_address: [10, 0, 0, connection as u8].into(),
            client_port: 40_000,
            server_address: [10, 0, 1, 1].into(),
            server_port: 80,
        };
        self.selector.push(Record { timestamp: Timestamp(0), connection: Some(connection), body });
        std::iter::from_fn(|| self.selector.next_selected()).map(|selected| word(&selected)).collect()
    }

    /// Takes in records of one connection.
    fn all(&mut self, connection: u64, bodies: impl IntoIterator<Item = Body>) -> Vec<String> {
        bodies.into_iter().flat_map(|body| self.push(connection, body)).collect()
    }
}

/// `2:exchange 1`; in brackets what is for whole connections only.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others have no number")]
fn word(Selected { record, is_match }: &Selected) -> String {
    let name = record.body.name().as_str();
    let name = name.split('.').next_back().unwrap_or(name);
    let number = match &record.body {
        Body::Request(request) => Some(i64::from(request.index)),
        Body::Response(response) => Some(response.index.into()),
        Body::Exchange(exchange) => Some(exchange.index.into()),
        Body::Segment(segment) => Some(segment.seq),
        _ => None,
    };
    let what = number.map_or_else(|| name.to_owned(), |number| format!("{name} {number}"));
    let number = record.connection.as_ref().map_or(0, |connection| connection.id.number);
    if *is_match { format!("{number}:{what}") } else { format!("[{number}:{what}]") }
}

fn opened() -> Body {
    Body::Opened(Opened::default())
}

fn segment(seq: i64) -> Body {
    let (flags, purposes) = (String::new(), Vec::new());
    let (client_state, server_state) = (TcpState::Established, TcpState::Established);
    Body::Segment(Box::new(SegmentSeen {
        sender: Side::Client,
        since_start_ns: 0,
        flags,
        seq,
        ack: None,
        len: 0,
        window: 0,
        purposes,
        client_state,
        server_state,
    }))
}

fn head(method: &str, path: &str) -> RequestHead {
    let text = |text: &str| Some(Text::from_wire(text.as_bytes()));
    RequestHead {
        method: text(method),
        path: text(path),
        domain: text("www.example.org"),
        ..Default::default()
    }
}

fn request(index: u32, path: &str) -> Body {
    Body::Request(Box::new(Request { index, head: head("GET", path), ..Request::default() }))
}

fn response(index: u32) -> Body {
    Body::Response(Box::new(Response { index, ..Default::default() }))
}

fn ended(change: impl FnOnce(&mut Exchange)) -> Exchange {
    let mut exchange = Exchange {
        index: 1,
        request: head("GET", "/cart"),
        status: Some(200),
        outcome: Outcome::Complete,
        duration_ns: Some(3_000_000),
        ..Exchange::default()
    };
    change(&mut exchange);
    exchange
}

fn exchange(index: u32, status: u16) -> Body {
    Body::Exchange(Box::new(ended(|exchange| (exchange.index, exchange.status) = (index, Some(status)))))
}

fn end(change: impl FnOnce(&mut Closed)) -> Closed {
    let mut closed = Closed {
        conn_state: ConnState::Sf,
        history: String::new(),
        completeness: 0,
        reason: CloseReason::Fin,
        initiator: None,
        ttl_differs: false,
        duration_ns: 0,
        handshake: Opened::default(),
        syn_received_ns: None,
        client: SideTotals::default(),
        server: SideTotals::default(),
        exchanges: 0,
        icmp: None,
        events_lost: 0,
    };
    change(&mut closed);
    closed
}

fn closed() -> Body {
    Body::Closed(Box::new(end(|_| {})))
}

fn server_errors(criteria: &mut Criteria) {
    criteria.exchange.statuses.push("5xx".parse().expect("a list"));
}

#[test]
fn each_criterion_of_an_exchange_is_applied() {
    fn matches(criteria: &str, value: &str, exchange: &Exchange) -> bool {
        let mut all = ExchangeCriteria::default();
        match criteria {
            "method" => all.methods.push(value.parse().expect(value)),
            "status" => all.statuses.push(value.parse().expect(value)),
            "path" => all.paths.push(value.parse().expect(value)),
            "domain" => all.domains.push(value.parse::<Glob>().expect(value).ignoring_case()),
            "slower" => all.slower_than = Some(Duration::from_millis(value.parse().expect(value))),
            _ => all.failed = true,
        }
        all.exchange(exchange)
    }
    let complete = ended(|_| {});
    let unseen = Exchange::default();
    for (criteria, value, is_match) in [
        ("method", "get,POST", true),
        ("method", "POST", false),
        ("status", "2xx", true),
        ("status", "404,201-299", false),
        ("path", "/c*", true),
        ("path", "/", false),
        ("domain", "*.EXAMPLE.org", true),
        ("domain", "example.org", false),
        ("slower", "2", true),
        ("slower", "3", false),
        ("failed", "", false),
    ] {
        assert_eq!(matches(criteria, value, &complete), is_match, "{criteria} {value}");
        assert_eq!(matches(criteria, value, &unseen), criteria == "failed", "{criteria} {value}: not seen");
    }
    assert!(matches("status", "103", &ended(|exchange| exchange.interim_statuses.push(103))));
    assert!(matches("failed", "", &ended(|exchange| exchange.status = Some(500))));
    assert!(!matches("failed", "", &ended(|exchange| exchange.status = Some(499))));
    assert!(matches("failed", "", &ended(|exchange| exchange.outcome = Outcome::ResponseTruncated)));
}

#[test]
fn values_of_a_criterion_are_alternatives_and_criteria_apply_together() {
    let mut criteria = ExchangeCriteria::default();
    for pattern in ["/a*", "/c*"] {
        criteria.paths.push(pattern.parse().expect("a pattern"));
    }
    assert!(criteria.exchange(&ended(|_| {})));
    criteria.methods.push("POST".parse().expect("a list"));
    assert!(!criteria.exchange(&ended(|_| {})));
    criteria.methods.push("GET".parse().expect("a list"));
    assert!(criteria.exchange(&ended(|_| {})));
}

#[test]
fn connections_that_did_not_open_have_failed() {
    let client = Some(Side::Client);
    for (closed, has_failed) in [
        (end(|_| {}), false),
        (end(|closed| closed.reason = CloseReason::Refused), true),
        (end(|closed| closed.reason = CloseReason::Unanswered), true),
        (end(|closed| closed.reason = CloseReason::HalfOpenTimeout), true),
        (end(|closed| closed.reason = CloseReason::IdleTimeout), false),
        (end(|closed| (closed.reason, closed.initiator) = (CloseReason::Reset, Some(Side::Server))), true),
        (end(|closed| (closed.reason, closed.exchanges) = (CloseReason::Reset, 1)), false),
        (end(|closed| (closed.reason, closed.initiator) = (CloseReason::Reset, client)), false),
        (
            end(|closed| {
                (closed.reason, closed.initiator) = (CloseReason::Reset, client);
                closed.conn_state = ConnState::Rstos0;
            }),
            true,
        ),
        (end(|closed| (closed.reason, closed.handshake.midstream) = (CloseReason::Reset, true)), false),
    ] {
        let criteria = ExchangeCriteria { failed: true, ..ExchangeCriteria::default() };
        assert_eq!(criteria.closed(&closed), has_failed, "{closed:?}");
        let narrower = ExchangeCriteria { methods: vec!["GET".parse().expect("a list")], ..criteria };
        assert!(!narrower.closed(&closed), "it has no method");
    }
}

#[test]
fn without_criteria_everything_of_the_selected_events_is_written_at_once() {
    let mut run = Run::new(|_| {}, false);
    assert_eq!(run.push(1, opened()), ["1:opened"]);
    assert_eq!(run.push(1, response(1)), ["1:response 1"]);
    run.selector = Selector::all("closed".parse().expect("events"));
    assert_eq!(run.all(1, [opened(), exchange(1, 200), closed()]), ["1:closed"]);
    assert_eq!(run.selector.totals(), SelectionTotals::default());
}

#[test]
fn connections_are_selected_by_address_at_once() {
    let network = |text: &str| text.parse::<IpNet>().expect("a network");
    let mut run =
        Run::new(|criteria| criteria.clients = vec![network("10.0.0.2/32"), network("10.0.0.4/30")], false);
    for (connection, is_match) in [(1, false), (2, true), (5, true), (8, false)] {
        let expected: Vec<String> = if is_match { vec![format!("{connection}:opened")] } else { Vec::new() };
        assert_eq!(run.push(connection, opened()), expected);
    }
    assert_eq!(run.selector.totals().filtered, 2);
    let mut other = Run::new(|criteria| criteria.servers = vec![network("192.0.2.0/24")], false);
    assert!(other.all(1, [opened(), exchange(1, 200), closed()]).is_empty());
}

#[test]
fn records_about_a_connection_wait_until_an_exchange_matches() {
    let mut run = Run::new(server_errors, false);
    assert!(run.all(1, [segment(0), opened(), segment(1), exchange(1, 200), segment(2)]).is_empty());
    let expected = ["1:segment 0", "1:opened", "1:segment 1", "1:segment 2", "1:exchange 2"];
    assert_eq!(run.push(1, exchange(2, 502)), expected);
    assert_eq!(run.all(1, [segment(3), exchange(3, 200), closed()]), ["1:segment 3", "1:closed"]);
    assert_eq!(run.selector.totals(), SelectionTotals { filtered: 2, ..SelectionTotals::default() });
}

#[test]
fn what_has_no_match_at_its_end_is_dropped_and_counted() {
    let mut run = Run::new(server_errors, false);
    assert!(run.all(1, [segment(0), opened(), request(1, "/"), exchange(1, 404), closed()]).is_empty());
    assert_eq!(run.selector.totals().filtered, 5);
    // The same addresses again: nothing is left of the connection before.
    assert_eq!(run.all(1, [exchange(1, 500), closed()]), ["1:exchange 1", "1:closed"]);
}

#[test]
fn requests_and_responses_wait_for_what_decides_and_no_longer() {
    let mut run = Run::new(server_errors, false);
    assert!(run.all(1, [request(1, "/a"), request(2, "/b"), response(1)]).is_empty());
    assert_eq!(run.push(1, exchange(1, 500)), ["1:request 1", "1:response 1", "1:exchange 1"]);
    assert!(run.all(1, [response(2), exchange(2, 200)]).is_empty());
    assert_eq!(run.push(1, closed()), ["1:closed"]);
    assert_eq!(run.selector.totals().filtered, 3);

    let mut by_path =
        Run::new(|criteria| criteria.exchange.paths.push("/c*".parse().expect("a pattern")), false);
    assert_eq!(by_path.push(1, request(1, "/cart")), ["1:request 1"]);
    assert!(by_path.push(1, request(2, "/")).is_empty());
    assert!(by_path.push(1, response(1)).is_empty());
    assert_eq!(by_path.push(1, exchange(1, 200)), ["1:response 1", "1:exchange 1"]);
}

#[test]
fn outputs_of_whole_connections_get_the_other_exchanges_in_their_order() {
    let mut run = Run::new(server_errors, true);
    assert!(
        run.all(1, [segment(0), request(1, "/"), segment(1), exchange(1, 200), request(2, "/b")]).is_empty()
    );
    assert_eq!(
        run.push(1, exchange(2, 502)),
        ["1:segment 0", "[1:request 1]", "1:segment 1", "[1:exchange 1]", "1:request 2", "1:exchange 2"]
    );
    assert_eq!(run.push(1, exchange(3, 200)), ["[1:exchange 3]"]);
    assert_eq!(run.all(1, [request(4, "/"), closed()]), ["[1:request 4]", "1:closed"]);
    assert_eq!(run.selector.totals(), SelectionTotals::default());
}

#[test]
fn a_refused_connection_is_shown_from_its_start() {
    let mut run = Run::new(|criteria| criteria.exchange.failed = true, true);
    let refused = Body::Closed(Box::new(end(|closed| closed.reason = CloseReason::Refused)));
    assert!(run.all(1, [segment(0), segment(1)]).is_empty());
    assert_eq!(run.push(1, refused), ["1:segment 0", "1:segment 1", "1:closed"]);
}

#[test]
fn connections_wait_until_their_owner_is_known() {
    let owner =
        |name: &str| Some(Arc::new(Owner { name: Text::from_wire(name.as_bytes()), ..Owner::default() }));
    let mut run = Run::new(|criteria| criteria.processes.push("nginx".parse().expect("a process")), false);
    assert!(run.all(1, [opened(), exchange(1, 200)]).is_empty());
    assert!(run.push(2, opened()).is_empty());
    run.server_owner = owner("nginx");
    assert_eq!(run.push(1, exchange(2, 200)), ["1:opened", "1:exchange 1", "1:exchange 2"]);
    run.server_owner = owner("apache2");
    assert!(run.push(2, closed()).is_empty());
    assert_eq!(run.selector.totals().filtered, 2);

    let both = |criteria: &mut Criteria| {
        criteria.processes.push("nginx".parse().expect("a process"));
        server_errors(criteria);
    };
    let mut both = Run::new(both, false);
    assert!(both.all(1, [opened(), exchange(1, 500), exchange(2, 200)]).is_empty());
    both.server_owner = owner("nginx");
    assert_eq!(both.push(1, segment(7)), ["1:opened", "1:exchange 1", "1:segment 7"]);
}

#[test]
fn the_process_and_the_container_are_those_of_one_end() {
    let mut criteria = Criteria {
        processes: vec!["812".parse().expect("a process")],
        containers: vec!["3f0c".parse().expect("an identifier")],
        ..Criteria::default()
    };
    let container = |id: &str| Some(Text::from_wire(id.as_bytes()));
    let owner = Owner { pid: 812, container: container("3f0c9a1b"), ..Owner::default() };
    assert!(criteria.owner(&owner));
    assert!(!criteria.owner(&Owner { pid: 813, ..owner.clone() }));
    assert!(!criteria.owner(&Owner { container: None, ..owner.clone() }));
    criteria.processes.clear();
    assert!(criteria.owner(&Owner { pid: 813, ..owner }));
}

#[test]
fn alarms_and_records_of_no_connection_are_always_written() {
    let mut run = Run::new(
        |criteria| {
            server_errors(criteria);
            criteria.sample = "1/4000000".parse().ok();
        },
        false,
    );
    run.selector.push(Record {
        timestamp: Timestamp(0),
        connection: None,
        body: Body::Degraded(Degraded {
            state: DegradedState::Entered,
            shed: ShedClass::Records,
            reason: DegradedReason::OutputFull,
            lost: 1,
            duration_ns: None,
        }),
    });
    assert!(run.selector.next_selected().is_some_and(|selected| selected.is_match));
    assert_eq!(run.selector.totals().sample, Some(4_000_000));
    assert!(run.all(1, [opened(), exchange(1, 500), closed()]).is_empty(), "not in the sample");
}

#[test]
fn a_long_connection_drops_its_oldest_records_and_says_so() {
    let mut run = Run::new(server_errors, false);
    let more = 10;
    assert!(run.push(2, opened()).is_empty());
    assert!(run.all(1, (0..(MAX_RECORDS_EACH + more) as i64).map(segment)).is_empty());
    let written = run.push(1, exchange(1, 500));
    assert_eq!((written.len(), written[0].as_str()), (MAX_RECORDS_EACH + 1, "1:segment 10"));
    assert_eq!(run.selector.totals().dropped, more as u64);
    assert_eq!(run.push(2, exchange(1, 500)), ["2:opened", "2:exchange 1"], "others keep theirs");
}

#[test]
fn memory_is_bounded_however_many_connections_wait() {
    let mut run = Run::new(server_errors, false);
    for connection in 0..70_000 {
        assert!(run.push(connection, request(1, &"x".repeat(2000))).is_empty());
    }
    let dropped = run.selector.totals().dropped;
    assert!(dropped > 30_000, "{dropped}");
    assert!(run.push(0, exchange(1, 500)).len() == 1, "the oldest went first");
    assert_eq!(run.push(69_999, exchange(1, 500)), ["69999:request 1", "69999:exchange 1"]);
    let left: u64 = (0..70_000).map(|connection| run.push(connection, closed()).len() as u64).sum();
    assert_eq!(left, 2, "the ends of those that matched");
    assert_eq!(
        run.selector.totals().filtered + dropped + 5,
        2 * 70_000 + 2,
        "each is written or counted once"
    );
}
