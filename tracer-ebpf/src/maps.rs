//! The maps that the programs share with userspace. Sizes are defaults: the loader sets them.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
};
use tracer_common::{
    config::{Config, EVERY_INTERFACE, FEW_PORTS, MAX_CONNECTING, MAX_HOSTS, Offsets, PORT_WORDS},
    connection::FlowState,
    counter::Counter,
    event::OwnerEvent,
    flow::FlowKey,
    http1::ScanBuffer,
    server::{CountContext, MAX_SERVERS, ServerCounters, ServerKey},
    wire::IcmpError,
};

/// Events for userspace.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(16 * 1024 * 1024, 0);

/// Connections. Never evicts by itself: userspace decides what is removed.
#[map]
pub(crate) static CONNECTIONS: HashMap<FlowKey, FlowState> = HashMap::with_max_entries(65_536, 0);

/// Half-open handshakes and other attempts. New ones evict the oldest, so that a flood can only evict attempts like its own.
#[map]
pub(crate) static HALF_OPEN: LruHashMap<FlowKey, FlowState> = LruHashMap::with_max_entries(65_536, 0);

/// Handshake counters of each server. A new one evicts the least recently used one.
#[map]
static SERVERS: LruHashMap<ServerKey, ServerCounters> = LruHashMap::with_max_entries(MAX_SERVERS, 0);

/// Frames skipped and analysed, events emitted and lost: see [`Counter`].
#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT as u32, 0);

/// The traced ports, one bit each.
#[map]
static PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// The selected hosts, as networks.
#[map]
pub(crate) static HOSTS: LpmTrie<[u32; 4], u8> =
    LpmTrie::with_max_entries(MAX_HOSTS, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// The interface that is not observed, or [`EVERY_INTERFACE`]. Userspace sets it while it attaches and detaches: one write
/// starts or ends the observation at all hooks at once, so that no connection is seen in one direction only.
#[map]
static PAUSED: Array<u32> = Array::with_max_entries(1, 0);

/// The buffer of the message scanner, which is larger than a BPF stack.
#[map]
static SCAN_BUFFER: PerCpuArray<ScanBuffer> = PerCpuArray::with_max_entries(1, 0);

/// See [`icmp_error`].
#[map]
static ICMP_ERROR: PerCpuArray<IcmpError> = PerCpuArray::with_max_entries(1, 0);

/// The sockets whose reader was emitted, by their cookie. An evicted one is emitted again.
#[map]
pub(crate) static READERS: LruHashMap<u64, u8> = LruHashMap::with_max_entries(65_536, 0);

/// The processes that are connecting sockets, by the socket's cookie.
#[map]
pub(crate) static CONNECTING: LruHashMap<u64, OwnerEvent> = LruHashMap::with_max_entries(MAX_CONNECTING, 0);

/// The fields that name the owner of a socket. Set by the loader before the programs are verified, for which they are constants.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::ZERO;

/// Bytes of the longest header read at once.
pub(crate) const MAX_HEADER: usize = 64;

/// See [`header`].
#[map]
static HEADER: PerCpuArray<[u8; MAX_HEADER]> = PerCpuArray::with_max_entries(1, 0);

/// A new connection, which is too large to be built on a BPF stack.
pub(crate) static NEW_FLOW: FlowState = FlowState::NEW;

/// A new server.
static NEW_SERVER: ServerCounters = ServerCounters::ZERO;

/// Switches set by the loader before the programs are verified.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    every_segment: 0,
    select_hosts: 0,
    decapsulate: 0,
    few_ports: 0,
    ports: [0; FEW_PORTS],
    max_reported_attempts: 0,
    seed: [0; 2],
};

/// Whether every segment is reported.
#[inline(always)]
pub(crate) fn every_segment() -> bool {
    // SAFETY: see `switch`.
    unsafe { switch(&raw const CONFIG.every_segment) }
}

/// Whether only connections of hosts in the table are traced.
#[inline(always)]
pub(crate) fn select_hosts() -> bool {
    // SAFETY: see `switch`.
    unsafe { switch(&raw const CONFIG.select_hosts) }
}

/// Whether the segments of a port are traced.
#[inline(always)]
pub(crate) fn traces(port: u16) -> bool {
    // SAFETY: see `switch`.
    if unsafe { switch(&raw const CONFIG.few_ports) } {
        let is = |index: usize| {
            // SAFETY: see `switch`.
            port == unsafe { core::ptr::read_volatile(&raw const CONFIG.ports[index]) }
        };
        return is(0) || is(1) || is(2) || is(3);
    }
    PORTS.get(u32::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 != 0)
}

/// Whether the frames of an interface are not observed now.
#[inline(always)]
pub(crate) fn is_paused(interface: u32) -> bool {
    PAUSED.get(0).is_some_and(|paused| *paused != 0 && (*paused == interface || *paused == EVERY_INTERFACE))
}

/// Whether tunnels are decapsulated.
#[inline(always)]
pub(crate) fn decapsulate() -> bool {
    // SAFETY: see `switch`.
    unsafe { switch(&raw const CONFIG.decapsulate) }
}

/// How handshakes seen at `now` are counted.
#[inline(always)]
pub(crate) fn count_context(now: u64) -> CountContext {
    // SAFETY: CONFIG is a valid static; the reads must not be folded, see `switch`.
    unsafe {
        CountContext {
            now,
            max_reported_attempts: core::ptr::read_volatile(&raw const CONFIG.max_reported_attempts),
            seed: [
                core::ptr::read_volatile(&raw const CONFIG.seed[0]),
                core::ptr::read_volatile(&raw const CONFIG.seed[1]),
            ],
        }
    }
}

/// The counters of a server; `None` without memory for new ones.
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would be copied to the BPF stack")]
#[inline(always)]
pub(crate) fn server<'a>(key: &ServerKey) -> Option<&'a mut ServerCounters> {
    let server = match SERVERS.get_ptr_mut(key) {
        Some(server) => server,
        None => {
            // Another CPU may have been faster.
            let _ = SERVERS.insert(key, &NEW_SERVER, u64::from(BPF_NOEXIST));
            SERVERS.get_ptr_mut(key)?
        }
    };
    // SAFETY: the kernel frees a map element only after the program that looked it up has ended (RCU). Another CPU may
    // count at the same time: atomically, except for windows and sources, which may be off by a few.
    Some(unsafe { &mut *server })
}

/// Reads one switch. Reading all of them would copy them to the stack.
///
/// # Safety
/// It belongs to CONFIG, which is a valid static.
#[inline(always)]
unsafe fn switch(switch: *const u8) -> bool {
    // SAFETY: the caller's promise; volatile, so that the compiler does not use the value it has at compile time.
    unsafe { core::ptr::read_volatile(switch) != 0 }
}

/// This CPU's buffer for the message scanner. XDP and TC programs do not interrupt each other on a CPU: both run with bottom
/// halves disabled.
#[inline(always)]
pub(crate) fn scan_buffer<'a>() -> Option<&'a mut ScanBuffer> {
    let buffer = SCAN_BUFFER.get_ptr_mut(0)?;
    // SAFETY: a per-CPU element is valid as long as the map, and nothing else on this CPU uses it at this time.
    Some(unsafe { &mut *buffer })
}

/// This CPU's memory for an ICMP error.
#[inline(always)]
pub(crate) fn icmp_error<'a>() -> Option<&'a mut IcmpError> {
    let error = ICMP_ERROR.get_ptr_mut(0)?;
    // SAFETY: see `scan_buffer`; any bytes are valid integers, and the map starts with zeros, which are valid flags too.
    Some(unsafe { &mut *error })
}

/// This CPU's buffer for one header.
#[inline(always)]
pub(crate) fn header() -> Option<*mut [u8; MAX_HEADER]> {
    HEADER.get_ptr_mut(0)
}

/// Adds one to a counter.
#[inline(always)]
pub(crate) fn count(index: u32) -> u64 {
    match COUNTERS.get_ptr_mut(index) {
        // SAFETY: the element is this CPU's own, see `scan_buffer`.
        Some(counter) => unsafe {
            *counter += 1;
            *counter
        },
        None => 0,
    }
}
