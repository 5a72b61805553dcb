//! `--promiscuous`: traffic of other hosts, which a bridge forwards.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use tracer::lab::netns::{
    Namespace,
    link::{self, VethEnd},
};

use crate::{
    TIMEOUT, eventually,
    harness::{Fields, Tracer},
    tcp_ends::{await_end, exchange},
};

/// A host between a server and a client, whose frames it bridges.
struct Bridged {
    bridge: Namespace,
    server: Namespace,
    client: Namespace,
}

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 2, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 2, 2));

impl Bridged {
    /// `None` if this kernel has no bridges.
    fn new() -> Option<Self> {
        let [bridge, server, client] = [(); 3].map(|()| Namespace::new().expect("a namespace"));
        if !ip(&bridge, "link add br0 type bridge").0 {
            writeln!(io::stderr(), "skipped: a test over a bridge, because this kernel has none").ok();
            return None;
        }
        for (port, namespace, address, host) in [("port1", &server, SERVER, 1), ("port2", &client, CLIENT, 2)]
        {
            let file =
                namespace.run(|| File::open("/proc/thread-self/ns/net")).expect("entered").expect("opened");
            let near = VethEnd { name: port, mac: [0x02, 0, 0, 0x79, 0, host], mtu: None };
            let far = VethEnd { name: "end", mac: [0x02, 0, 0, 0x79, 1, host], mtu: None };
            bridge.run(|| link::create_veth(near, far, file.as_fd())).expect("entered").expect("created");
            assert!(ip(&bridge, &format!("link set {port} master br0 up")).0);
            let configure = || {
                link::set_up("end")?;
                link::add_address("end", address, 24)
            };
            namespace.run(configure).expect("entered").expect("configured");
        }
        assert!(ip(&bridge, "link set br0 up").0);
        Some(Self { bridge, server, client })
    }

    /// A connection with one exchange, through the bridge.
    fn converse(&self) {
        let address = SocketAddr::new(SERVER, 80);
        let listener = self.server.run(|| TcpListener::bind(address)).expect("entered").expect("port 80");
        // The ports of the bridge forward a moment after they are up.
        let connect = || self.client.run(|| TcpStream::connect_timeout(&address, TIMEOUT)).expect("entered");
        let mut client = connect().expect("the server listens");
        let (mut server, _) = listener.accept().expect("the client has connected");
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(TIMEOUT)).expect("a socket has a timeout");
        }
        exchange(&mut client, &mut server, "/bridged", 200);
        drop(server);
        await_end(&mut client);
    }

    /// How many want the bridge to be promiscuous.
    fn promiscuity(&self) -> String {
        let shown = ip(&self.bridge, "-d link show br0").1;
        let number = shown.split_once("promiscuity ").and_then(|(_, rest)| rest.split(' ').next());
        number.unwrap_or_else(|| panic!("no promiscuity in {shown}")).to_owned()
    }
}

/// Runs ip in a namespace; returns whether it succeeded, and its output.
fn ip(namespace: &Namespace, arguments: &str) -> (bool, String) {
    let mut command = Command::new("ip");
    command.args(arguments.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = namespace.command(command).expect("ip (iproute2) is installed");
    let output = child.wait_with_output().expect("ip ends");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn traffic_of_other_hosts_over_a_bridge_is_seen_if_it_is_promiscuous() {
    let Some(bridged) = Bridged::new() else { return };
    bridged.converse();
    for (more, connections) in [(&[][..], 0), (&["--promiscuous"][..], 1)] {
        let arguments = [&["trace", "-i", "br0", "-o", "json"], more].concat();
        let tracer = Tracer::start(&bridged.bridge, &arguments);
        assert!(eventually(|| tracer.errors().contains("runs as nobody")), "{}", tracer.errors());
        assert_eq!(bridged.promiscuity(), connections.to_string());
        bridged.converse();
        tracer.wait_for(connections, "connection.closed");
        let trace = tracer.stop();
        trace.assert_clean();
        let said = trace.errors.contains("br0: promiscuous until tracer ends");
        assert_eq!(said, connections > 0, "{}", trace.errors);
        assert_eq!(trace.closed().len(), connections, "{more:?}");
        for closed in trace.closed() {
            assert_eq!((closed.text("tcp.conn_state"), closed.text("tcp.history")), ("SF", "ShADadfF"));
        }
        for exchange in trace.exchanges() {
            assert_eq!((exchange.text("url.path"), exchange.text("http.confidence")), ("/bridged", "exact"));
        }
        assert_eq!(bridged.promiscuity(), "0", "after the end");
    }
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn a_killed_tracer_leaves_no_interface_promiscuous() {
    let Some(bridged) = Bridged::new() else { return };
    let tracer = Tracer::start(&bridged.bridge, &["trace", "-i", "br0", "--promiscuous"]);
    assert!(eventually(|| bridged.promiscuity() == "1"));
    kill(tracer.pid(), Signal::SIGKILL).expect("tracer is running");
    assert!(eventually(|| bridged.promiscuity() == "0"));
}
