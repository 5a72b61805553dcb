//! Turns a refusal of the kernel into one line that says what was found and what to type.

use std::error::Error;

use aya::{EbpfError, maps::MapError, programs::ProgramError, sys::SyscallError};
use nix::errno::Errno;

use super::support;

/// Lines searched for the reason at the end of the verifier's log: a few lines of statistics follow
/// it.
const VERIFIER_TAIL: usize = 12;

/// Why the object cannot be loaded.
#[must_use]
pub fn object(error: &EbpfError) -> String {
    if let EbpfError::MapError(MapError::CreateError { name, io_error }) = error {
        return map(name, io_error.raw_os_error(), io_error);
    }
    format!("the kernel programs cannot be loaded: {}", chain(error))
}

fn map(name: &str, errno: Option<i32>, error: &std::io::Error) -> String {
    let advice = match errno.map(Errno::from_raw) {
        Some(Errno::EPERM) => {
            "more privileges are needed, or, before Linux 5.11, more locked memory: type `ulimit -l unlimited`"
        }
        Some(Errno::ENOMEM | Errno::E2BIG) => "lower --ring-bytes and --max-connections",
        Some(Errno::EINVAL) => "tracer needs Linux 5.8 or later, for the ring buffer",
        _ => "type `tracer doctor` to see what this host supports",
    };
    format!("the kernel ({}) refuses to create the map {name}: {error}; {advice}", support::release())
}

/// Why the program `name` cannot be loaded. Writes the verifier's full log to the debug log.
#[must_use]
pub fn program(name: &str, error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return format!("the program {name} cannot be loaded: {}", chain(error));
    };
    let verifier_log = verifier_log.to_string();
    log::debug!("verifier log of {name}:\n{verifier_log}");
    let reason = verdict(&verifier_log).map(|line| format!(" ({line})")).unwrap_or_default();
    format!(
        "the kernel ({}) refuses the program {name}: {io_error}{reason}; tracer needs Linux 5.18 or later; \
         RUST_LOG=debug shows the verifier's full log",
        support::release()
    )
}

/// The reason in the verifier's log: the last line that is not statistics.
fn verdict(verifier_log: &str) -> Option<&str> {
    let is_statistics = |line: &&str| {
        ["processed ", "verification time", "stack depth", "mark_precise", "func#"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let lines = verifier_log.lines().rev().map(str::trim).take(VERIFIER_TAIL);
    lines.filter(|line| !line.is_empty()).find(|line| !is_statistics(line))
}

/// Why a program cannot be attached.
#[must_use]
pub fn attachment(error: &ProgramError) -> String {
    match errno(error) {
        Some(Errno::EOPNOTSUPP) => "the driver does not support native XDP".to_owned(),
        Some(Errno::EBUSY | Errno::EEXIST) => "another XDP program is attached and stays".to_owned(),
        Some(Errno::ENODEV) => "the interface is gone".to_owned(),
        _ => chain(error),
    }
}

/// The error number that the kernel returned, if any.
#[must_use]
pub fn errno(error: &ProgramError) -> Option<Errno> {
    if let ProgramError::SyscallError(SyscallError { io_error, .. })
    | ProgramError::LoadError { io_error, .. } = error
    {
        return io_error.raw_os_error().map(Errno::from_raw);
    }
    source_errno(error)
}

/// The error number in the chain of sources of `error`, if any.
pub(super) fn source_errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(errno) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            return Some(Errno::from_raw(errno));
        }
        next = error.source();
    }
    None
}

/// An error and its sources in one line, without repetitions.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_last_line_that_is_not_statistics() {
        let log = "0: R1=ctx()\n12: (bf) r2 = r1\nR2 invalid mem access 'scalar'\nverification time 12 usec\n\
                   stack depth 0\nprocessed 13 insns (limit 1000000) max_states_per_insn 0\n";
        assert_eq!(verdict(log), Some("R2 invalid mem access 'scalar'"));
        assert_eq!(verdict(""), None);
    }

    #[test]
    fn the_error_for_a_map_says_what_to_do() {
        for (errno, advice) in
            [(Errno::EPERM, "ulimit"), (Errno::ENOMEM, "--max-connections"), (Errno::EINVAL, "5.8")]
        {
            let error = std::io::Error::from_raw_os_error(errno as i32);
            let message = map("EVENTS", error.raw_os_error(), &error);
            assert!(message.contains("EVENTS") && message.contains(advice), "{message}");
        }
    }
}
