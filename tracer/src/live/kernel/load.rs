//! Loads the kernel object: creates its maps at once, and loads each program when it is first
//! attached.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    os::fd::AsFd as _,
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, LpmTrie, Map, MapData, lpm_trie::Key},
    programs::{Program, ProgramError, ProgramInfo, SchedClassifier, Xdp},
};
use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracer_common::{
    config::{Config, EVERY_INTERFACE, FEW_PORTS, MAX_CONNECTING, Offsets, PORT_WORDS},
    server::MAX_REPORTED_ATTEMPTS,
};
use tracer_core::record::EventName;

use super::{
    btf, counters::Counters, log::KernelLog, object, refusal, removal, ring::Ring, servers::Servers, support,
    tables::Tables,
};
use crate::config::{KernelConfig, Ports};

/// The loaded object. Its programs are loaded one by one, when first needed.
#[derive(Debug)]
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    /// Why the owners of sockets cannot be read from the kernel's structures, if they cannot.
    pub(super) without_offsets: Option<anyhow::Error>,
}

/// The maps that userspace reads.
#[derive(Debug)]
pub struct Sources {
    /// Events.
    pub ring: Ring,
    /// The counters of skipped packets and lost events.
    pub counters: Counters,
    /// The connection tables.
    pub tables: Tables,
    /// The counters of each server.
    pub servers: Servers,
    /// The log messages of the programs, if logging is on. Keep it as long as programs may be
    /// loaded: they write to its map.
    pub log: Option<KernelLog>,
}

/// Of which interfaces the programs observe no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// Of none.
    None,
    /// Of the interface with this index.
    Interface(u32),
    /// Of all.
    All,
}

/// Log levels of the programs: nothing, or everything.
const LOG_OFF: u8 = 0;
const LOG_ALL: u8 = aya_log::Level::Trace as u8;

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

impl Kernel {
    /// Creates the maps and fills in the configuration. Programs that get attached are loaded
    /// later.
    ///
    /// # Errors
    /// There is no object, or the kernel refuses it: the reason, for the user.
    pub fn load(config: &KernelConfig) -> Result<(Self, Sources)> {
        Self::load_object(object::embedded()?, config)
    }

    fn load_object(object: &[u8], config: &KernelConfig) -> Result<(Self, Sources)> {
        raise_locked_memory();
        let few_ports = few(&config.ports);
        let switches = Config {
            every_segment: u8::from(config.events.has(EventName::Segment)),
            select_hosts: u8::from(!config.hosts.is_empty()),
            decapsulate: u8::from(config.decapsulate),
            few_ports: u8::from(few_ports.is_some()),
            ports: few_ports.unwrap_or_default(),
            max_reported_attempts: MAX_REPORTED_ATTEMPTS,
            seed: seed(),
        };
        let log_level = if config.log { LOG_ALL } else { LOG_OFF };
        let (offsets, without_offsets) = match btf::offsets() {
            Ok(offsets) => (offsets, None),
            Err(reason) => (Offsets::default(), Some(reason)),
        };
        let mut loader = EbpfLoader::new();
        loader
            .override_global("CONFIG", &switches, true)
            .override_global("OFFSETS", &offsets, true)
            .override_global(aya_log::LEVEL, &log_level, true)
            .map_max_entries("EVENTS", config.ring_bytes)
            .map_max_entries("CONNECTIONS", config.max_connections)
            .map_max_entries("HALF_OPEN", config.max_connections)
            .map_max_entries("READERS", if config.owners { config.max_connections } else { 1 })
            .map_max_entries("CONNECTING", if config.owners { MAX_CONNECTING } else { 1 });
        let mut ebpf = loader.load(object).map_err(|error| anyhow!(refusal::object(&error)))?;
        fill_ports(&mut ebpf, &config.ports)?;
        fill_hosts(&mut ebpf, &config.hosts)?;
        let sources = Sources {
            ring: Ring::new(share(&ebpf, "EVENTS")?, config.ring_bytes)?,
            counters: Counters::new(share(&ebpf, "COUNTERS")?)?,
            tables: Tables::new(share(&ebpf, "CONNECTIONS")?, share(&ebpf, "HALF_OPEN")?)?,
            servers: Servers::new(share(&ebpf, "SERVERS")?)?,
            log: if config.log { Some(KernelLog::new(&mut ebpf)?) } else { None },
        };
        let mut kernel = Self { ebpf, without_offsets };
        kernel.xdp(removal::PROGRAM)?;
        Ok((kernel, sources))
    }

    /// Pauses the observation, or resumes it, at all hooks at once.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn pause(&mut self, paused: Paused) -> Result<()> {
        let interface = match paused {
            Paused::None => 0,
            Paused::Interface(index) => index,
            Paused::All => EVERY_INTERFACE,
        };
        let map = self.ebpf.map_mut("PAUSED").context("the object has no map PAUSED")?;
        let mut map =
            Array::<&mut MapData, u32>::try_from(map).context("the map PAUSED is not as expected")?;
        map.set(0, interface, 0).context("cannot write the map PAUSED")
    }

    /// The XDP program `name`, loaded if it is not yet.
    ///
    /// # Errors
    /// There is none, or the kernel refuses it: the reason, for the user.
    pub fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        let program: &mut Xdp = self.program(name)?.try_into().context("not an XDP program")?;
        if program.fd().is_err() {
            program.load().map_err(|error| anyhow!(refusal::program(name, &error)))?;
        }
        Ok(program)
    }

    /// The TC program `name`, loaded if it is not yet.
    ///
    /// # Errors
    /// There is none, or the kernel refuses it: the reason, for the user.
    pub fn classifier(&mut self, name: &str) -> Result<&mut SchedClassifier> {
        let program: &mut SchedClassifier = self.program(name)?.try_into().context("not a TC program")?;
        if program.fd().is_err() {
            program.load().map_err(|error| anyhow!(refusal::program(name, &error)))?;
        }
        Ok(program)
    }

    pub(super) fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))
    }

    /// Loads every program that can be attached, and returns what the kernel says of each.
    ///
    /// # Errors
    /// The kernel refuses one: the reason, for the user.
    pub fn load_all(&mut self) -> Result<Vec<Loaded>> {
        let mut loaded = vec![Loaded::new(super::attach::XDP, self.xdp(super::attach::XDP)?.info())?];
        for name in super::attach::CLASSIFIERS {
            loaded.push(Loaded::new(name, self.classifier(name)?.info())?);
        }
        Ok(loaded)
    }
}

/// A program that the kernel has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub name: &'static str,
    /// The number of instructions that the verifier processed.
    pub instructions: u32,
    /// Whether it is compiled, not interpreted.
    pub compiled: bool,
}

impl Loaded {
    fn new(name: &'static str, info: Result<ProgramInfo, ProgramError>) -> Result<Self> {
        let info = info.context("cannot query the loaded program")?;
        let instructions = info.verified_instruction_count().unwrap_or(0);
        Ok(Self { name, instructions, compiled: info.size_jitted() > 0 })
    }
}

/// A second handle to a map: the object keeps its own for the programs that are loaded later.
fn share(ebpf: &Ebpf, name: &str) -> Result<Map> {
    let map = ebpf.map(name).with_context(|| format!("the object has no map {name}"))?;
    let (Map::RingBuf(map) | Map::PerCpuArray(map) | Map::HashMap(map) | Map::LruHashMap(map)) = map else {
        bail!("the map {name} is not as expected");
    };
    let fd = map.fd().as_fd().try_clone_to_owned().context("no more file descriptors")?;
    MapData::from_fd(fd)
        .and_then(Map::from_map_data)
        .with_context(|| format!("the map {name} cannot be shared"))
}

/// Raises the limit on locked memory, which covers maps before Linux 5.11. A failure is not
/// reported here: it shows when the maps are created.
fn raise_locked_memory() {
    if support::before(5, 11)
        && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK)
    {
        let unlimited = nix::sys::resource::RLIM_INFINITY;
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, unlimited, unlimited)
            .or_else(|_| setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard));
    }
}

/// Random numbers that a remote peer cannot guess.
fn seed() -> [u32; 2] {
    // A `RandomState` has a seed from the operating system.
    let random = RandomState::new().hash_one(0u8);
    [random as u32, (random >> 32) as u32]
}

/// The ports as a list, if they fit into `FEW_PORTS`.
fn few(ports: &Ports) -> Option<[u16; FEW_PORTS]> {
    let first = ports.iter().next()?;
    let mut few = [first; FEW_PORTS];
    for (index, port) in ports.iter().enumerate() {
        *few.get_mut(index)? = port;
    }
    Some(few)
}

fn fill_ports(ebpf: &mut Ebpf, ports: &Ports) -> Result<()> {
    let map = ebpf.map_mut("PORTS").context("the object has no map PORTS")?;
    let mut words = Array::<&mut MapData, u64>::try_from(map).context("the map PORTS is not as expected")?;
    for (index, word) in (0..).zip(port_words(ports)).filter(|(_, word)| *word != 0) {
        words.set(index, word, 0).context("cannot write the map PORTS")?;
    }
    Ok(())
}

fn port_words(ports: &Ports) -> [u64; PORT_WORDS as usize] {
    let mut words = [0; PORT_WORDS as usize];
    for port in ports.iter() {
        words[usize::from(port / 64)] |= 1 << (port % 64);
    }
    words
}

fn fill_hosts(ebpf: &mut Ebpf, hosts: &[IpNet]) -> Result<()> {
    let map = ebpf.map_mut("HOSTS").context("the object has no map HOSTS")?;
    let mut networks =
        LpmTrie::<&mut MapData, [u32; 4], u8>::try_from(map).context("the map HOSTS is not as expected")?;
    for host in hosts {
        let (prefix, words) = host_key(*host);
        networks.insert(&Key::new(prefix, words), 1, 0).context("cannot write the map HOSTS")?;
    }
    Ok(())
}

/// A network as a key of the map HOSTS: an IPv6 prefix in network byte order, IPv4 mapped.
fn host_key(network: IpNet) -> (u32, [u32; 4]) {
    let (address, prefix) = match network.network() {
        IpAddr::V4(address) => (address.to_ipv6_mapped(), network.prefix_len() + MAPPED_PREFIX),
        IpAddr::V6(address) => (address, network.prefix_len()),
    };
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(address.octets().as_chunks().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    (u32::from(prefix), words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_port_is_one_bit() {
        let words = port_words(&"80,63,64,65535".parse().expect("ports"));
        assert_eq!(words[0], 1 << 63);
        assert_eq!(words[1], 1 | 1 << 16);
        assert_eq!(words[1023], 1 << 63);
        assert_eq!(words.iter().map(|word| word.count_ones()).sum::<u32>(), 4);
    }

    #[test]
    fn networks_are_keyed_in_network_byte_order_with_ipv4_mapped() {
        let key = |text: &str| host_key(config::host(text).expect("a host"));
        let (prefix, words) = key("192.0.2.0/24");
        assert_eq!(prefix, 120);
        assert_eq!(words.map(u32::to_be), [0, 0, 0xffff, 0xc000_0200]);
        let (prefix, words) = key("2001:db8::/32");
        assert_eq!(prefix, 32);
        assert_eq!(words.map(u32::to_be), [0x2001_0db8, 0, 0, 0]);
    }
}
