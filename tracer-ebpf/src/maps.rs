//! The maps that the programs share with userspace. Sizes are defaults: the loader sets them.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
};
use tracer_common::{
    config::{Config, FEW_PORTS, MAX_HOSTS, PORT_WORDS},
    counter::Counter,
    flow::{FlowKey, FlowState},
    http::Room,
    target::{Circumstances, MAX_TARGETS, Target, TargetKey},
    wire::Encapsulations,
};

/// Everything told to userspace.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(16 * 1024 * 1024, 0);

/// Connections. Never evicts by itself: userspace decides what goes.
#[map]
pub(crate) static CONNECTIONS: HashMap<FlowKey, FlowState> = HashMap::with_max_entries(65_536, 0);

/// Half-open handshakes and other attempts. The oldest make room for new ones, so that a flood can only push out
/// attempts like itself.
#[map]
pub(crate) static HALF_OPEN: LruHashMap<FlowKey, FlowState> = LruHashMap::with_max_entries(65_536, 0);

/// The servers that are asked for connections. The one not asked for the longest makes room.
#[map]
static TARGETS: LruHashMap<TargetKey, Target> = LruHashMap::with_max_entries(MAX_TARGETS, 0);

/// What was passed over, analysed, told and lost: see [`Counter`].
#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT as u32, 0);

/// The traced ports, one bit each.
#[map]
static PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// The selected hosts, as networks.
#[map]
pub(crate) static HOSTS: LpmTrie<[u32; 4], u8> =
    LpmTrie::with_max_entries(MAX_HOSTS, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// Room for the message scanner, which is larger than a BPF stack.
#[map]
static ROOM: PerCpuArray<Room> = PerCpuArray::with_max_entries(1, 0);

/// Bytes of the longest header that is read at once.
pub(crate) const MAX_HEADER: usize = 64;

/// See [`header`].
#[map]
static HEADER: PerCpuArray<[u8; MAX_HEADER]> = PerCpuArray::with_max_entries(1, 0);

/// See [`encapsulation`].
#[map]
static ENCAPSULATION: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// A connection nothing is known of: too large for a BPF stack to be built on.
pub(crate) static BLANK: FlowState = FlowState::BLANK;

/// A server not asked for anything yet.
static BLANK_TARGET: Target = Target::BLANK;

/// Switches set by the loader before the programs are verified.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    every_segment: 0,
    select_hosts: 0,
    decapsulate: 0,
    few_ports: 0,
    ports: [0; FEW_PORTS],
    told_attempts: 0,
    seed: [0; 2],
};

/// Whether every segment is told.
#[inline(always)]
pub(crate) fn every_segment() -> bool {
    // SAFETY: see `switch`.
    unsafe { switch(&raw const CONFIG.every_segment) }
}

/// Whether only connections of hosts in the table are followed.
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

/// Whether tunnels are entered.
#[inline(always)]
pub(crate) fn decapsulate() -> bool {
    // SAFETY: see `switch`.
    unsafe { switch(&raw const CONFIG.decapsulate) }
}

/// What is asked for of handshakes seen at `now`.
#[inline(always)]
pub(crate) fn circumstances(now: u64) -> Circumstances {
    // SAFETY: CONFIG is a valid static; the reads must not be folded, see `switch`.
    unsafe {
        Circumstances {
            now,
            told_attempts: core::ptr::read_volatile(&raw const CONFIG.told_attempts),
            seed: [
                core::ptr::read_volatile(&raw const CONFIG.seed[0]),
                core::ptr::read_volatile(&raw const CONFIG.seed[1]),
            ],
        }
    }
}

/// The counts of a server; none when there is no memory for them.
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would be copied to the BPF stack")]
#[inline(always)]
pub(crate) fn target<'a>(key: &TargetKey) -> Option<&'a mut Target> {
    let target = match TARGETS.get_ptr_mut(key) {
        Some(target) => target,
        None => {
            // Another CPU may have been faster.
            let _ = TARGETS.insert(key, &BLANK_TARGET, u64::from(BPF_NOEXIST));
            TARGETS.get_ptr_mut(key)?
        }
    };
    // SAFETY: the kernel frees a map element only after the program that looked it up has ended (RCU). Another CPU may
    // count at the same time: by `Atomic`, and what is not counted so may be off by a few.
    Some(unsafe { &mut *target })
}

/// One switch: not all of them, which would be copied to the stack.
///
/// # Safety
/// It belongs to CONFIG, which is a valid static.
#[inline(always)]
unsafe fn switch(switch: *const u8) -> bool {
    // SAFETY: the caller's promise; the read must not be folded into the value it has at compile time.
    unsafe { core::ptr::read_volatile(switch) != 0 }
}

/// This CPU's room for the message scanner. XDP and TC programs do not interrupt each other on a CPU: both run with bottom
/// halves disabled.
#[inline(always)]
pub(crate) fn room<'a>() -> Option<&'a mut Room> {
    let room = ROOM.get_ptr_mut(0)?;
    // SAFETY: a per-CPU element is valid as long as the map, and nothing else on this CPU uses it at this time.
    Some(unsafe { &mut *room })
}

/// This CPU's place for one header.
#[inline(always)]
pub(crate) fn header() -> Option<*mut [u8; MAX_HEADER]> {
    HEADER.get_ptr_mut(0)
}

/// What the frame that was parsed last on this CPU is carried in; nothing where tunnels are not entered.
#[inline(always)]
pub(crate) fn encapsulation() -> Encapsulations {
    if !decapsulate() {
        return Encapsulations::default();
    }
    // SAFETY: the element is this CPU's own, see `room`.
    ENCAPSULATION.get_ptr(0).map_or(Encapsulations::default(), |within| Encapsulations(unsafe { *within }))
}

/// Notes what the frame just parsed is carried in: beside the segment, which would need more of the stack for it.
#[inline(always)]
pub(crate) fn set_encapsulation(within: Encapsulations) {
    if let Some(place) = ENCAPSULATION.get_ptr_mut(0) {
        // SAFETY: the element is this CPU's own, see `room`.
        unsafe { *place = within.0 };
    }
}

/// Adds one to a counter.
#[inline(always)]
pub(crate) fn count(index: u32) -> u64 {
    match COUNTERS.get_ptr_mut(index) {
        // SAFETY: the element is this CPU's own, see `room`.
        Some(counter) => unsafe {
            *counter += 1;
            *counter
        },
        None => 0,
    }
}
