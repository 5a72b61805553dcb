//! The owners of sockets: who reads from them, who connects them, who holds them.
//!
//! All fields of kernel structures are read directly, at offsets from the kernel's BTF: the verifier checks each, and no
//! helper is needed that a locked down kernel refuses.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SOCK_OPS_TCP_CONNECT_CB, bpf_sock_ops},
    helpers::generated::{
        bpf_get_current_task_btf, bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_ktime_get_ns,
        bpf_seq_write, bpf_sock_from_file,
    },
    macros::{btf_tracepoint, cgroup_sock_addr, sock_ops},
    programs::{BtfTracePointContext, SockAddrContext, SockOpsContext},
};
use tracer_common::{
    event::{EventHeader, Kind, OwnerEvent, OwnerEvidence},
    flow::End,
};

use crate::{
    maps::{self, CONNECTING, OFFSETS, READERS},
    ring::Ring,
};

/// The largest offset of a field; the verifier needs a bound.
const MAX_OFFSET: u32 = 16_384;
/// `AF_INET`.
const IPV4: u16 = 2;
/// `AF_INET6`.
const IPV6: u16 = 10;
/// `SOCK_STREAM`.
const STREAM: u32 = 1;
/// `IPPROTO_TCP`.
const TCP: u16 = 6;
/// `TCP_LISTEN`.
const LISTENS: u8 = 10;
/// `PF_KTHREAD`: a kernel thread.
const KERNEL_THREAD: u32 = 0x20_0000;
/// The third word of an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), in network byte order.
const MAPPED: u32 = 0xffff_u32.to_be();
/// What a program of a cgroup returns: it permits the operation.
const PERMIT: i32 = 1;

/// A field of a kernel structure: `field!(pointer, offset name, type)`.
macro_rules! field {
    ($structure:expr, $offset:ident $(+ $more:literal)?, $type:ty) => {{
        // SAFETY: OFFSETS is a valid static; the read must not be folded, because the loader sets it.
        let offset = unsafe { core::ptr::read_volatile(&raw const OFFSETS.$offset) };
        if offset > MAX_OFFSET {
            return None;
        }
        // SAFETY: the verifier checks that a field of this size is there, and makes a read of bad memory return 0.
        unsafe { core::ptr::read_volatile($structure.add(offset as usize $(+ $more)?).cast::<$type>()) }
    }};
}

/// A process reads from a TCP socket: the first one owns it. Runs in every read that took bytes from any socket.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub(crate) fn tracer_reads(ctx: BtfTracePointContext) -> i32 {
    let sock: *const c_void = ctx.arg(0);
    let _ = on_read(sock.cast());
    0
}

#[inline(always)]
fn on_read(sock: *const u8) -> Option<()> {
    if !is_traced(sock)? {
        return None;
    }
    // Only a process owns the lock; the kernel reads without it.
    if field!(sock, owned, u32) == 0 {
        return None;
    }
    // SAFETY: `sock` is the socket of the tracepoint.
    let cookie = unsafe { bpf_get_socket_cookie(sock.cast_mut().cast()) };
    if READERS.get_ptr(cookie).is_some() {
        return None;
    }
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task_btf() }.cast::<u8>().cast_const();
    if field!(task, task_flags, u32) & KERNEL_THREAD != 0 {
        return None;
    }
    let mut event =
        OwnerEvent { evidence: OwnerEvidence::Reads as u8, socket: cookie, ..OwnerEvent::default() };
    set_socket(&mut event, sock)?;
    set_process(&mut event, task)?;
    if Ring::emit_owner(&event) {
        let _ = READERS.insert(cookie, 1, 0);
    }
    Some(())
}

/// What `iter/task_file` passes for each open file of each process (`struct bpf_iter__task_file`).
#[repr(C)]
pub(crate) struct OpenFile {
    meta: *const Meta,
    task: *const u8,
    descriptor: u32,
    file: *mut c_void,
}

/// `struct bpf_iter_meta`.
#[repr(C)]
struct Meta {
    sequence: *mut c_void,
}

/// Writes an owner event for each TCP socket that a process holds. Userspace reads them as a file.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub(crate) extern "C" fn tracer_sockets(ctx: *mut OpenFile) -> i32 {
    let _ = on_file(ctx);
    0
}

#[inline(always)]
fn on_file(ctx: *mut OpenFile) -> Option<()> {
    // SAFETY: the context is the running program's.
    let (task, file) = unsafe { ((*ctx).task, (*ctx).file) };
    if task.is_null() || file.is_null() {
        return None;
    }
    // SAFETY: `file` is the iterator's.
    let socket = unsafe { bpf_sock_from_file(file.cast()) }.cast::<u8>().cast_const();
    if socket.is_null() {
        return None;
    }
    let sock = field!(socket, socket_sk, *const u8);
    if sock.is_null()
        || field!(sock, protocol, u16) != TCP
        || field!(sock, state, u8) == LISTENS
        || !is_traced(sock)?
    {
        return None;
    }
    let mut event = OwnerEvent { evidence: OwnerEvidence::Holds as u8, ..OwnerEvent::default() };
    set_socket(&mut event, sock)?;
    set_process(&mut event, task)?;
    // Not by the helper, which takes no socket that is reached through a file. 0 until somebody requests it.
    event.socket = field!(sock, cookie, u64);
    // SAFETY: the context is the running program's; an event consists of integers.
    unsafe {
        let bytes = (&raw mut event).cast::<c_void>();
        bpf_seq_write((*(*ctx).meta).sequence.cast(), bytes, size_of::<OwnerEvent>() as u32);
    }
    Some(())
}

/// A process connects a socket over IPv4: its port is not known yet.
#[cgroup_sock_addr(connect4)]
pub(crate) fn tracer_connects4(ctx: SockAddrContext) -> i32 {
    let _ = on_connect(&ctx);
    PERMIT
}

/// The same over IPv6.
#[cgroup_sock_addr(connect6)]
pub(crate) fn tracer_connects6(ctx: SockAddrContext) -> i32 {
    let _ = on_connect(&ctx);
    PERMIT
}

#[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would be copied to the BPF stack")]
#[inline(always)]
fn on_connect(ctx: &SockAddrContext) -> Option<()> {
    // SAFETY: the context is the running program's.
    let (kind, port) = unsafe { ((*ctx.sock_addr).type_, (*ctx.sock_addr).user_port) };
    if kind != STREAM || !maps::traces(u16::from_be(port as u16)) {
        return None;
    }
    // SAFETY: the context is the running program's; the helper for the task has no preconditions.
    let (cookie, task) =
        unsafe { (bpf_get_socket_cookie(ctx.as_ptr()), bpf_get_current_task_btf().cast::<u8>()) };
    let mut event =
        OwnerEvent { evidence: OwnerEvidence::Connects as u8, socket: cookie, ..OwnerEvent::default() };
    set_process(&mut event, task.cast_const())?;
    let _ = CONNECTING.insert(cookie, &event, 0);
    Some(())
}

/// A connecting socket has its port now, and is about to send its SYN.
#[sock_ops]
pub(crate) fn tracer_connecting(ctx: SockOpsContext) -> u32 {
    let _ = on_connecting(ctx.ops);
    PERMIT as u32
}

#[inline(always)]
fn on_connecting(ops: *mut bpf_sock_ops) -> Option<()> {
    // A field read in two branches would become one read at a variable offset, which the verifier refuses.
    macro_rules! read {
        ($field:ident) => {
            // SAFETY: the context is the running program's.
            unsafe { core::ptr::read_volatile(&raw const (*ops).$field) }
        };
        ($field:ident, $index:literal) => {
            // SAFETY: the context is the running program's.
            unsafe { core::ptr::read_volatile(&raw const (*ops).$field[$index]) }
        };
    }
    if read!(op) != BPF_SOCK_OPS_TCP_CONNECT_CB {
        return None;
    }
    let remote_port = u16::from_be((read!(remote_port) >> 16) as u16);
    if !maps::traces(remote_port) {
        return None;
    }
    // SAFETY: the context is the running program's.
    let cookie = unsafe { bpf_get_socket_cookie(ops.cast()) };
    let event = CONNECTING.get_ptr_mut(cookie)?;
    // SAFETY: entries stay valid while the program runs, and only this socket's process uses this one.
    let event = unsafe { &mut *event };
    let (mut local, mut remote) = ([0, 0, MAPPED, read!(local_ip4)], [0, 0, MAPPED, read!(remote_ip4)]);
    if read!(family) == u32::from(IPV6) {
        local = [read!(local_ip6, 0), read!(local_ip6, 1), read!(local_ip6, 2), read!(local_ip6, 3)];
        remote = [read!(remote_ip6, 0), read!(remote_ip6, 1), read!(remote_ip6, 2), read!(remote_ip6, 3)];
    }
    set_ends(event, &local, &remote, (read!(local_port) as u16, remote_port));
    // SAFETY: the context is the running program's.
    event.namespace = unsafe { bpf_get_netns_cookie(ops.cast()) };
    Ring::emit_owner(event);
    let _ = CONNECTING.remove(cookie);
    Some(())
}

/// Whether one of the ports of a socket is traced; `None` without the offsets.
#[inline(always)]
fn is_traced(sock: *const u8) -> Option<bool> {
    let local = field!(sock, local_port, u16);
    let remote = u16::from_be(field!(sock, remote_port, u16));
    Some(remote != 0 && (maps::traces(local) || maps::traces(remote)))
}

/// Fills in the ends of a socket, and its network namespace.
#[inline(always)]
fn set_socket(event: &mut OwnerEvent, sock: *const u8) -> Option<()> {
    let (mut local, mut remote) = ([0; 4], [0; 4]);
    match field!(sock, family, u16) {
        IPV4 => {
            (local[2], remote[2]) = (MAPPED, MAPPED);
            (local[3], remote[3]) = (field!(sock, local, u32), field!(sock, remote, u32));
        }
        IPV6 => {
            macro_rules! address {
                ($name:ident) => {
                    [
                        field!(sock, $name, u32),
                        field!(sock, $name + 4, u32),
                        field!(sock, $name + 8, u32),
                        field!(sock, $name + 12, u32),
                    ]
                };
            }
            (local, remote) = (address!(local6), address!(remote6));
        }
        _ => return None,
    }
    let ports = (field!(sock, local_port, u16), u16::from_be(field!(sock, remote_port, u16)));
    set_ends(event, &local, &remote, ports);
    let net = field!(sock, net, *const u8);
    if net.is_null() {
        return None;
    }
    event.namespace = field!(net, net_cookie, u64);
    Some(())
}

#[inline(always)]
fn set_ends(event: &mut OwnerEvent, local: &[u32; 4], remote: &[u32; 4], ports: (u16, u16)) {
    let mut header = EventHeader { kind: Kind::Owner as u8, ..EventHeader::ZERO };
    let end: End = header.key.order(local, remote, ports);
    header.sender = end as u8;
    // SAFETY: the helper has no preconditions.
    header.time = unsafe { bpf_ktime_get_ns() };
    event.header = header;
}

/// Fills in the process of `task`.
#[inline(always)]
fn set_process(event: &mut OwnerEvent, task: *const u8) -> Option<()> {
    let leader = field!(task, leader, *const u8);
    if leader.is_null() {
        return None;
    }
    event.pid = field!(leader, pid, u32);
    event.started = field!(leader, started, u64);
    // Byte by byte: the verifier permits no wider read of an array of characters.
    macro_rules! name {
        ($($index:literal)*) => {
            $(event.name[$index] = field!(leader, name + $index, u8);)*
        };
    }
    name!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    let cred = field!(task, cred, *const u8);
    if !cred.is_null() {
        event.user = field!(cred, user, u32);
    }
    let cgroups = field!(task, cgroups, *const u8);
    if cgroups.is_null() {
        return Some(());
    }
    let cgroup = field!(cgroups, default_cgroup, *const u8);
    if cgroup.is_null() {
        return Some(());
    }
    let node = field!(cgroup, cgroup_node, *const u8);
    if !node.is_null() {
        event.cgroup = field!(node, node_id, u64);
    }
    Some(())
}
