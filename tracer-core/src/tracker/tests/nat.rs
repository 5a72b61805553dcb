//! Connections that this host translates (NAT).

use super::*;
use crate::record::EventName;

/// One of each for a connection with an exchange.
const KINDS: [EventName; 3] = [EventName::Opened, EventName::Exchange, EventName::Closed];

const CONNECTION: &str = ">S <SA >A >G <O >FA <FA >A";
/// After translation: the addresses of a masqueraded client and of a container.
const HOSTS: [u8; 2] = [3, 4];
const PORTS: [u16; 2] = [50_000, 8080];

/// The records of connections: the kind, the server's port, and both ports after translation.
fn reported(wire: &mut Wire) -> Vec<(EventName, u16, Option<[u16; 2]>)> {
    let records = wire.records();
    let reported = records.iter().filter_map(|record| {
        let kind = record.body.name();
        let connection = record.connection.as_ref()?;
        let nat = connection.attributes.nat.as_ref().map(|nat| [nat.client.port(), nat.server.port()]);
        KINDS.contains(&kind).then_some((kind, connection.server_port, nat))
    });
    reported.collect()
}

#[test]
fn a_translated_connection_is_reported_once_with_both_views() {
    let mut wire = Wire::new(options());
    wire.run_translated(CONNECTION, 2, HOSTS, PORTS);
    wire.finish();
    let nat = Some(PORTS);
    assert_eq!(
        reported(&mut wire),
        [(EventName::Opened, 80, nat), (EventName::Exchange, 80, nat), (EventName::Closed, 80, nat)]
    );
    let once = Totals { opened: 1, closed: 1, exchanges: 1, ..Totals::default() };
    assert_eq!(wire.tracker.totals(), once);
}

#[test]
fn the_ports_of_a_translated_connection_can_be_used_again() {
    let mut wire = Wire::new(options());
    wire.run_translated(CONNECTION, 2, HOSTS, PORTS);
    wire.restart().run_translated(CONNECTION, 2, HOSTS, PORTS);
    wire.finish();
    let nat = Some(PORTS);
    let once = [(EventName::Opened, 80, nat), (EventName::Exchange, 80, nat), (EventName::Closed, 80, nat)];
    assert_eq!(reported(&mut wire), [once, once].concat());
}

#[test]
fn two_connections_with_the_same_numbers_on_one_interface_stay_two() {
    let mut wire = Wire::new(options());
    wire.run_translated(CONNECTION, 1, HOSTS, PORTS);
    wire.finish();
    assert_eq!(wire.tracker.totals(), Totals { opened: 2, closed: 2, exchanges: 2, ..Totals::default() });
    assert!(reported(&mut wire).iter().all(|(_, _, nat)| nat.is_none()));
}

#[test]
fn connections_with_other_sequence_numbers_on_two_interfaces_stay_two() {
    let mut wire = Wire::new(options());
    wire.run(">S <SA >A");
    wire.restart();
    (wire.hosts, wire.ports) = (HOSTS, PORTS);
    wire.seen_on(2).run(CONNECTION).finish();
    assert_eq!(
        wire.tracker.totals(),
        Totals { opened: 2, closed: 1, open: 1, exchanges: 1, ..Totals::default() }
    );
    assert!(reported(&mut wire).iter().all(|(_, _, nat)| nat.is_none()));
}

#[test]
fn connections_with_the_same_numbers_at_another_time_stay_two() {
    let mut wire = Wire::new(options());
    wire.run(CONNECTION).run("+1000");
    wire.again();
    (wire.hosts, wire.ports) = (HOSTS, PORTS);
    wire.seen_on(2).run(CONNECTION).finish();
    assert!(reported(&mut wire).iter().all(|(_, _, nat)| nat.is_none()));
    assert_eq!(wire.tracker.totals().opened, 2);
}
