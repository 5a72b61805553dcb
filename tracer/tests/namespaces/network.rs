//! The ends of a pair reach each other over all their addresses.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use tracer::lab::netns::{Namespace, PairOptions, VethPair, link};

use crate::{TIMEOUT, pair};

/// Sends a word from the client to `address` of the server and back.
fn echo(pair: &VethPair, address: IpAddr) {
    let listener = pair.server.namespace.run(|| TcpListener::bind((address, 0))).expect("namespace");
    let listener = listener.unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
    let address = listener.local_addr().expect("a listener has an address");
    // A socket stays in the namespace in which it was created, whichever thread uses it.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        let mut word = [0; 4];
        stream.read_exact(&mut word).expect("the client sends a word");
        stream.write_all(&word).expect("the word can be sent back");
    });
    let response = pair.client.namespace.run(|| ping(address)).expect("namespace");
    assert_eq!(&response, b"ping", "from {address}");
    server.join().expect("the server did its part");
}

fn ping(address: SocketAddr) -> [u8; 4] {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT);
    let mut stream = stream.unwrap_or_else(|error| panic!("cannot reach {address}: {error}"));
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has a read timeout");
    stream.write_all(b"ping").expect("the word can be sent");
    let mut word = [0; 4];
    stream.read_exact(&mut word).expect("the server answers");
    word
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn two_namespaces_reach_each_other_over_ipv4_and_ipv6() {
    let pair = pair();
    echo(&pair, pair.server.v6.into());
    echo(&pair, pair.server.v4.into());
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn two_namespaces_reach_each_other_over_a_vlan() {
    let options = PairOptions { vlan_id: Some(42), mtu: None };
    let pair = match VethPair::new(options) {
        Err(_) if !Path::new("/proc/net/vlan").exists() => {
            // The test harness would capture the output of `eprintln`.
            writeln!(
                io::stderr(),
                "skipped: a test over a VLAN, because this kernel has no CONFIG_VLAN_8021Q"
            )
            .ok();
            return;
        }
        pair => pair.expect("a pair with a VLAN"),
    };
    let vlan = pair.server.vlan.expect("the VLAN was requested");
    echo(&pair, vlan.v6.into());
    echo(&pair, vlan.v4.into());
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_pair_has_the_requested_mtu_and_mac_addresses() {
    let pair = VethPair::new(PairOptions { vlan_id: None, mtu: Some(9000) }).expect("a pair of jumbo frames");
    for end in [&pair.server, &pair.client] {
        let mut command = Command::new("ip");
        command.args(["-o", "link", "show", "dev", end.interface]).stdout(Stdio::piped());
        let child = end.namespace.command(command).expect("ip (iproute2) is installed");
        let output = child.wait_with_output().expect("ip ends");
        let text = String::from_utf8_lossy(&output.stdout);
        let mac = end.mac.map(|byte| format!("{byte:02x}")).join(":");
        assert!(text.contains("mtu 9000") && text.contains(&mac), "expected 9000 and {mac}: {text}");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_link_can_be_changed_and_deleted() {
    let pair = pair();
    let interface = pair.client.interface;
    pair.client
        .namespace
        .run(|| link::set_mtu(interface, 1400))
        .expect("namespace")
        .expect("the MTU changes");
    pair.client.namespace.run(|| link::delete(interface)).expect("namespace").expect("the link is deleted");
    for end in [&pair.server, &pair.client] {
        let index = end.namespace.run(|| link::index(end.interface)).expect("namespace");
        assert!(index.is_err(), "{} is still there", end.interface);
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_setting_is_changed_in_one_namespace_only() {
    let name = "ipv4/tcp_synack_retries";
    let (changed, other) = (Namespace::new().expect("namespace"), Namespace::new().expect("namespace"));
    let before = other.setting(name).expect("the setting exists");
    changed.change_setting(name, "2").expect("the setting can be changed");
    assert_eq!(changed.setting(name).expect("the setting exists"), "2");
    assert_eq!(other.setting(name).expect("the setting exists"), before);
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn the_calling_thread_stays_in_its_namespace() {
    let here = || std::fs::read_link("/proc/thread-self/ns/net").expect("proc is mounted");
    let before = here();
    let namespace = Namespace::new().expect("namespace");
    let inside = namespace.run(here).expect("the namespace can be entered");
    assert_eq!(inside.to_str(), Some(format!("net:[{}]", namespace.inode().expect("inode")).as_str()));
    assert_eq!(here(), before);
    assert_ne!(inside, before);
}
