//! The kernel programs, loaded but not attached.

use std::fmt;

use aya::{
    Ebpf, EbpfLoader,
    maps::{
        Array, HashMap, Map, MapData, PerCpuArray, PerCpuValues, RingBuf,
        lpm_trie::{Key, LpmTrie},
    },
    programs::{ProgramError, SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp},
    util::nr_cpus,
};
use bytes::Bytes;
use tracer_common::{
    config::{Config, FEW_PORTS},
    connection::FlowState,
    counter::Counter,
    event::Hook,
    flow::FlowKey,
    server::{ServerCounters, ServerKey},
};
use tracer_core::{
    host::Selection,
    record::{EventName, Events},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// Entries of each connection table: enough for the largest flood here, including the reserve of an
/// LRU table for each CPU.
const MAX_FLOWS: u32 = 8192;
/// Bytes of the ring buffer: more than the events of one frame.
pub(crate) const RING: u32 = 8 << 20;
/// `XDP_PASS`.
const XDP_PASS: u32 = 2;
/// `TC_ACT_UNSPEC`.
const TC_ACT_UNSPEC: u32 = u32::MAX;

/// Programs of the benchmarks, which must load wherever the others do.
const BENCHMARKS: [&str; 4] = ["tracer_noop_xdp", "tracer_noop_tc", "tracer_floor_xdp", "tracer_floor_tc"];

/// The configuration of the programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switches {
    /// Emit every segment.
    pub(crate) every_segment: bool,
    /// Select only the addresses of the table's client and server.
    pub(crate) select_hosts: bool,
    /// Decapsulate tunnels.
    pub(crate) decapsulate: bool,
    /// Attempts that are emitted individually in each time window.
    pub(crate) max_reported_attempts: u32,
}

impl Switches {
    /// The same configuration for the host.
    pub(crate) fn selection(self) -> Selection {
        let hosts = if self.select_hosts { ["10.0.0.2/32", "2001:db8::/64"].as_slice() } else { &[] };
        let hosts = hosts.iter().map(|host| host.parse().unwrap_or_else(|error| panic!("{host}: {error}")));
        Selection {
            hosts: hosts.collect(),
            events: if self.every_segment { Events::of(&[EventName::Segment]) } else { Events::default() },
            decapsulate: self.decapsulate,
            max_reported_attempts: self.max_reported_attempts,
            ..Selection::default()
        }
    }
}

/// The programs that see the frames of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Programs {
    /// The program on the first interface.
    pub(crate) first: Program,
    /// The program on the second interface: the other direction of the same interface counts as
    /// another owner.
    pub(crate) second: Program,
}

/// One program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// Its name in the object.
    pub(crate) name: &'static str,
    /// Its hook.
    pub(crate) hook: Hook,
}

impl Programs {
    const XDP_PROGRAM: Program = Program { name: "tracer_xdp", hook: Hook::Xdp };
    const IN_ETH: Program = Program { name: "tracer_in_eth", hook: Hook::TcIngress };
    const OUT_ETH: Program = Program { name: "tracer_out_eth", hook: Hook::TcEgress };
    const IN_IP: Program = Program { name: "tracer_in_ip", hook: Hook::TcIngress };
    const OUT_IP: Program = Program { name: "tracer_out_ip", hook: Hook::TcEgress };

    /// XDP; TC egress on the second interface.
    pub(crate) const XDP: Self = Self { first: Self::XDP_PROGRAM, second: Self::OUT_ETH };
    /// TC ingress, Ethernet; egress on the second interface.
    pub(crate) const TC_INGRESS: Self = Self { first: Self::IN_ETH, second: Self::OUT_ETH };
    /// TC egress, Ethernet; XDP on the second interface.
    pub(crate) const TC_EGRESS: Self = Self { first: Self::OUT_ETH, second: Self::XDP_PROGRAM };
    /// TC ingress, raw IP; egress on the second interface.
    pub(crate) const IP_INGRESS: Self = Self { first: Self::IN_IP, second: Self::OUT_IP };
    /// TC egress, raw IP; ingress on the second interface.
    pub(crate) const IP_EGRESS: Self = Self { first: Self::OUT_IP, second: Self::IN_IP };

    const ALL: [Program; 5] = [Self::XDP_PROGRAM, Self::IN_ETH, Self::OUT_ETH, Self::IN_IP, Self::OUT_IP];
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (second interface: {})", self.first.name, self.second.name)
    }
}

/// The loaded programs and their maps.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    connections: HashMap<MapData, FlowKey, FlowState>,
    half_open: HashMap<MapData, FlowKey, FlowState>,
    servers: HashMap<MapData, ServerKey, ServerCounters>,
    pub(crate) switches: Switches,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.switches)
    }
}

fn map<T: TryFrom<Map>>(ebpf: &mut Ebpf, name: &str) -> T {
    let map = ebpf.take_map(name).unwrap_or_else(|| panic!("the object has no map {name}"));
    T::try_from(map).unwrap_or_else(|_| panic!("the map {name} has another type"))
}

impl Kernel {
    /// Loads the embedded object.
    pub(crate) fn load(switches: Switches) -> Self {
        assert!(!OBJECT.is_empty(), "built without the kernel programs: run `cargo xtask setup`");
        let config = Config {
            every_segment: switches.every_segment.into(),
            select_hosts: switches.select_hosts.into(),
            decapsulate: switches.decapsulate.into(),
            // Both ways to select ports must give the same result.
            few_ports: u8::from(!switches.every_segment),
            ports: [80; FEW_PORTS],
            max_reported_attempts: switches.max_reported_attempts,
            seed: [0; 2],
        };
        let mut ebpf = EbpfLoader::new()
            .override_global("CONFIG", &config, true)
            .map_max_entries("CONNECTIONS", MAX_FLOWS)
            .map_max_entries("HALF_OPEN", MAX_FLOWS)
            .map_max_entries("EVENTS", RING)
            .load(OBJECT)
            .unwrap_or_else(|error| panic!("the object cannot be loaded: {error:?}"));
        for name in Programs::ALL
            .iter()
            .map(|program| program.name)
            .chain(BENCHMARKS.into_iter().filter(|_| cfg!(feature = "bench")))
        {
            load_program(&mut ebpf, name);
        }
        let mut ports: Array<MapData, u64> = map(&mut ebpf, "PORTS");
        ports.set(80 / 64, 1u64 << (80 % 64), 0).unwrap_or_else(|error| panic!("PORTS: {error}"));
        let mut hosts: LpmTrie<MapData, [u8; 16], u8> = map(&mut ebpf, "HOSTS");
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2];
        let documentation = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for key in [Key::new(128, mapped), Key::new(64, documentation)] {
            hosts.insert(&key, 1, 0).unwrap_or_else(|error| panic!("HOSTS: {error}"));
        }
        Self {
            ring: map(&mut ebpf, "EVENTS"),
            counters: map(&mut ebpf, "COUNTERS"),
            connections: map(&mut ebpf, "CONNECTIONS"),
            half_open: map(&mut ebpf, "HALF_OPEN"),
            servers: map(&mut ebpf, "SERVERS"),
            ebpf,
            switches,
        }
    }

    /// Empties the tables, the counters and the ring buffer.
    pub(crate) fn clear(&mut self) {
        for table in [&mut self.connections, &mut self.half_open] {
            let keys: Vec<FlowKey> = table.keys().filter_map(Result::ok).collect();
            for key in keys {
                table.remove(&key).unwrap_or_else(|error| panic!("{key:?} cannot be removed: {error}"));
            }
        }
        for key in self.servers.keys().filter_map(Result::ok).collect::<Vec<_>>() {
            self.servers.remove(&key).unwrap_or_else(|error| panic!("{key:?} cannot be removed: {error}"));
        }
        let cpus = nr_cpus().unwrap_or_else(|(_, error)| panic!("CPUs: {error}"));
        for index in 0..Counter::COUNT as u32 {
            let zeros = PerCpuValues::try_from(vec![0u64; cpus]).unwrap_or_else(|error| panic!("{error}"));
            self.counters.set(index, zeros, 0).unwrap_or_else(|error| panic!("COUNTERS: {error}"));
        }
        self.next_events();
    }

    /// The events since the last call.
    pub(crate) fn next_events(&mut self) -> Vec<Bytes> {
        let mut events = Vec::new();
        while let Some(event) = self.ring.next() {
            events.push(Bytes::copy_from_slice(&event));
        }
        events
    }

    /// The counters, summed over all CPUs.
    pub(crate) fn counters(&self) -> [u64; Counter::COUNT] {
        std::array::from_fn(|index| {
            let values = self.counters.get(&(index as u32), 0);
            values.unwrap_or_else(|error| panic!("counter {index}: {error}")).iter().sum()
        })
    }

    /// The counters of each server.
    pub(crate) fn servers(&self) -> Vec<(ServerKey, ServerCounters)> {
        self.servers.iter().map(|server| server.unwrap_or_else(|error| panic!("SERVERS: {error}"))).collect()
    }

    /// Number of entries in the tables: connections and half-open ones.
    pub(crate) fn kept(&self) -> (usize, usize) {
        (self.connections.keys().count(), self.half_open.keys().count())
    }

    /// Runs a program on a frame, and checks that the frame passes unchanged. Returns false if the
    /// kernel refuses a test run with such a frame.
    pub(crate) fn run(&self, program: Program, frame: &[u8], place: &str) -> bool {
        let mut after = vec![0xaa; frame.len() + 256];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut after), ..TestRunOptions::new() };
        let result = match self.test_run(program.name, options) {
            Ok(result) => result,
            Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(22) => {
                return false;
            }
            Err(error) => panic!("{place}: {} of {} bytes: {error:?}", program.name, frame.len()),
        };
        let expected = if program.hook == Hook::Xdp { XDP_PASS } else { TC_ACT_UNSPEC };
        assert_eq!(result.return_value, expected, "{place}: the frame passes");
        assert_eq!(result.data_size_out as usize, frame.len(), "{place}: the frame keeps its length");
        assert!(after[..frame.len()] == *frame, "{place}: the frame is not changed");
        true
    }

    /// Runs the program `name`.
    pub(crate) fn test_run(
        &self,
        name: &str,
        options: TestRunOptions<'_>,
    ) -> Result<TestRunResult, ProgramError> {
        let program = self.ebpf.program(name).unwrap_or_else(|| panic!("the object has no program {name}"));
        match <&Xdp>::try_from(program) {
            Ok(xdp) => xdp.test_run(options),
            Err(_) => <&SchedClassifier>::try_from(program)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .test_run(options),
        }
    }

    /// Prints how many instructions the verifier processed for each program.
    pub(crate) fn print_instructions(&self) {
        for Program { name, .. } in Programs::ALL {
            let program =
                self.ebpf.program(name).unwrap_or_else(|| panic!("the object has no program {name}"));
            let info = program.info().unwrap_or_else(|error| panic!("{name}: {error}"));
            println!("{name}: {:?} instructions verified", info.verified_instruction_count().unwrap_or(0));
        }
    }
}

fn load_program(ebpf: &mut Ebpf, name: &str) {
    let program = ebpf.program_mut(name).unwrap_or_else(|| panic!("the object has no program {name}"));
    let loaded = match <&mut Xdp>::try_from(&mut *program) {
        Ok(xdp) => xdp.load(),
        Err(_) => {
            <&mut SchedClassifier>::try_from(program).unwrap_or_else(|error| panic!("{name}: {error}")).load()
        }
    };
    loaded.unwrap_or_else(|error| panic!("{name} is refused: {error}"));
}
