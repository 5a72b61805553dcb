//! The list of allowed system calls, enforced by seccomp. All others fail with ENOSYS, as on a
//! kernel without them: libraries then fall back to an older call, and nothing is killed.
//!
//! Not allowed are, among others: executing programs, forking, access to other processes, sockets
//! other than netlink, new maps and programs, executable memory, mounts, and kernel modules.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter, apply_filter_all_threads,
};

/// What the process still has to be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Read events and maps, write records.
    Observe,
    /// The same, and attach to new interfaces.
    Attach,
}

/// System calls that are allowed with any arguments.
const UNRESTRICTED: [&[libc::c_long]; 8] = [
    // Memory.
    &[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_membarrier],
    // Files: Landlock and the user's permissions limit which ones.
    &[
        libc::SYS_openat,
        libc::SYS_close,
        libc::SYS_dup,
        libc::SYS_fcntl,
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_pread64,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_pwrite64,
        libc::SYS_lseek,
        libc::SYS_ftruncate,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_getdents64,
        libc::SYS_getcwd,
    ],
    // Waiting.
    &[
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_eventfd2,
        libc::SYS_pipe2,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
    ],
    // Time.
    &[
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
    ],
    // Threads. A new one needs clone(2), restricted below.
    &[
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ],
    // Signals.
    &[
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_sigaltstack,
    ],
    // Sockets. New ones need socket(2), restricted below.
    &[
        libc::SYS_bind,
        libc::SYS_connect,
        libc::SYS_getsockname,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
    ],
    // Properties of the process, read only.
    &[
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_getppid,
        libc::SYS_capget,
        libc::SYS_getrusage,
        libc::SYS_sysinfo,
        libc::SYS_uname,
        libc::SYS_getrandom,
    ],
];

/// Older variants of some of them, which exist on this architecture only.
#[cfg(target_arch = "x86_64")]
const OLDER: [libc::c_long; 8] = [
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [libc::c_long; 0] = [];

/// Commands of bpf(2) (`linux/bpf.h`) on open maps and programs: look up, update, delete, get the
/// next key, look up and delete, the batched forms of four of these, test-run a program, and start an iterator:
/// create its link, and a file of that.
const BPF_OPEN: [u64; 12] = [1, 2, 3, 4, 10, 21, 24, 25, 26, 27, 28, 33];
/// Commands that attaching needs: load a program, get the next program id, open a program by its
/// id, query an object, query a hook.
const BPF_ATTACH: [u64; 5] = [5, 11, 13, 15, 16];
/// Requests of ioctl(2): set non-blocking, close on exec, bytes to read, terminal attributes and
/// size, interface index.
const IOCTL: [u64; 6] =
    [libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD, libc::TCGETS, libc::TIOCGWINSZ, libc::SIOCGIFINDEX];
/// Options of prctl(2): names of threads and of memory areas.
const PRCTL: [u64; 3] = [libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64, libc::PR_SET_VMA as u64];
/// Flags of clone(2) that make a thread instead of a process.
const THREAD: u64 = (libc::CLONE_THREAD | libc::CLONE_VM) as u64;

/// Restricts all threads of this process.
pub(super) fn restrict(scope: Scope) -> Result<String> {
    apply_filter_all_threads(&program(scope)?).context("the kernel refuses")?;
    Ok(String::new())
}

/// Restricts this thread only.
pub(super) fn restrict_this_thread(scope: Scope) -> Result<String> {
    apply_filter(&program(scope)?).context("the kernel refuses")?;
    Ok(String::new())
}

fn program(scope: Scope) -> Result<BpfProgram> {
    let architecture =
        std::env::consts::ARCH.try_into().context("seccomp is not supported on this architecture")?;
    let filter = rules(scope).and_then(|rules| {
        let denied = SeccompAction::Errno(libc::ENOSYS as u32);
        SeccompFilter::new(rules, denied, SeccompAction::Allow, architecture)
    });
    filter.and_then(TryInto::try_into).context("cannot compile the filter")
}

fn rules(scope: Scope) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let attach = scope == Scope::Attach;
    let bpf: &[&[u64]] = if attach { &[&BPF_OPEN, &BPF_ATTACH] } else { &[&BPF_OPEN] };
    // Libraries query an interface index through a Unix socket.
    let families: &[libc::c_int] =
        if attach { &[libc::AF_NETLINK, libc::AF_UNIX] } else { &[libc::AF_NETLINK] };
    let not_executable =
        || argument(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0).map(|rule| vec![rule]);
    let unrestricted = UNRESTRICTED.iter().copied().flatten().chain(&OLDER).map(|call| (*call, Vec::new()));
    let mut rules: BTreeMap<_, _> = unrestricted.collect();
    rules.insert(libc::SYS_mmap, not_executable()?);
    rules.insert(libc::SYS_mprotect, not_executable()?);
    rules.insert(libc::SYS_bpf, one_of(0, bpf.iter().copied().flatten().copied())?);
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTL)?);
    rules.insert(libc::SYS_prctl, one_of(0, PRCTL)?);
    rules.insert(libc::SYS_socket, one_of(0, families.iter().map(|family| *family as u64))?);
    rules.insert(libc::SYS_clone, vec![argument(0, SeccompCmpOp::MaskedEq(THREAD), THREAD)?]);
    // Limits may be read, not set. abort(3) may signal this process only.
    rules.insert(libc::SYS_prlimit64, vec![pointer_is_null(2)?]);
    rules.insert(libc::SYS_tgkill, one_of(0, [u64::from(std::process::id())])?);
    Ok(rules)
}

/// Rules that match if the argument is one of `values`.
fn one_of(index: u8, values: impl IntoIterator<Item = u64>) -> Result<Vec<SeccompRule>, BackendError> {
    values.into_iter().map(|value| argument(index, SeccompCmpOp::Eq, value)).collect()
}

fn argument(index: u8, how: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(index, Dword, how, value)?])
}

fn pointer_is_null(index: u8) -> Result<SeccompRule, BackendError> {
    let whole = seccompiler::SeccompCmpArgLen::Qword;
    SeccompRule::new(vec![SeccompCondition::new(index, whole, SeccompCmpOp::Eq, 0)?])
}
