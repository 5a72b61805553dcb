//! The kernel programs, loaded but not attached.

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, Map, MapData, RingBuf},
    programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp},
};
use tracer_common::{
    config::{Config, FEW_PORTS},
    connection::FlowState,
    flow::FlowKey,
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// Size of the ring buffer in bytes: more than the events of one kind of packet.
const RING: u32 = 64 << 20;

/// The measured programs, their maps, and the programs that only pass packets on.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    connections: HashMap<MapData, FlowKey, FlowState>,
    half_open: HashMap<MapData, FlowKey, FlowState>,
}

fn map<T: TryFrom<Map>>(ebpf: &mut Ebpf, name: &str) -> T {
    let map = ebpf.take_map(name).unwrap_or_else(|| panic!("the object has no map {name}"));
    T::try_from(map).unwrap_or_else(|_| panic!("the map {name} is of another kind"))
}

impl Kernel {
    /// Loads these programs with tables for `max_connections`, and traces port 80.
    pub(crate) fn load<'a>(programs: impl IntoIterator<Item = &'a str>, max_connections: u32) -> Self {
        assert!(!OBJECT.is_empty(), "built without the kernel programs: run `cargo xtask setup`");
        let config = Config { few_ports: 1, ports: [80; FEW_PORTS], ..Config::default() };
        let mut ebpf = EbpfLoader::new()
            .override_global("CONFIG", &config, true)
            .map_max_entries("CONNECTIONS", max_connections)
            .map_max_entries("HALF_OPEN", max_connections)
            .map_max_entries("EVENTS", RING)
            .load(OBJECT)
            .unwrap_or_else(|error| panic!("the object cannot be loaded (this needs root): {error}"));
        for name in programs {
            let program =
                ebpf.program_mut(name).unwrap_or_else(|| panic!("the object has no program {name}"));
            let loaded = match <&mut Xdp>::try_from(&mut *program) {
                Ok(xdp) => xdp.load(),
                Err(_) => <&mut SchedClassifier>::try_from(program).and_then(SchedClassifier::load),
            };
            loaded.unwrap_or_else(|error| panic!("{name} cannot be loaded: {error}"));
        }
        Self {
            ring: map(&mut ebpf, "EVENTS"),
            connections: map(&mut ebpf, "CONNECTIONS"),
            half_open: map(&mut ebpf, "HALF_OPEN"),
            ebpf,
        }
    }

    /// Removes all connections.
    pub(crate) fn clear(&mut self) {
        for table in [&mut self.connections, &mut self.half_open] {
            let keys: Vec<FlowKey> = table.keys().filter_map(Result::ok).collect();
            for key in keys {
                table.remove(&key).unwrap_or_else(|error| panic!("{key:?} cannot be removed: {error}"));
            }
        }
    }

    /// Adds this many connections that no packet belongs to.
    pub(crate) fn fill(&mut self, connections: u32) {
        for number in 0..connections {
            let key = FlowKey { low: [number, 1, 1, 1], ..FlowKey::ZERO };
            self.connections.insert(key, FlowState::NEW, 0).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Adds the connection with an all-zero key, which the part that looks up a connection finds.
    pub(crate) fn add_zero_key(&mut self) {
        let inserted = self.connections.insert(FlowKey::ZERO, FlowState::NEW, 0);
        inserted.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Empties the ring buffer.
    pub(crate) fn drain(&mut self) {
        while self.ring.next().is_some() {}
    }

    /// Runs a program on a frame `repeat` times; returns the mean time in ns.
    pub(crate) fn run(&self, name: &str, frame: &[u8], repeat: u32) -> u64 {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let program = self.ebpf.program(name).unwrap_or_else(|| panic!("the object has no program {name}"));
        let result = match <&Xdp>::try_from(program) {
            Ok(xdp) => xdp.test_run(options),
            Err(_) => <&SchedClassifier>::try_from(program).and_then(|program| program.test_run(options)),
        };
        let result = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        u64::try_from(result.duration.as_nanos()).expect("a time below 584 years")
    }

    /// The number of instructions that the verifier processed for a program.
    pub(crate) fn verified_instructions(&self, name: &str) -> u32 {
        let info = self.ebpf.program(name).and_then(|program| program.info().ok());
        info.and_then(|info| info.verified_instruction_count()).unwrap_or(0)
    }
}
