//! Diagnostics of tracer, of the libraries it uses and, with `--kernel-log`, of the kernel
//! programs: lines on standard error.

use std::{env, io::Write as _, os::fd::AsFd as _};

use log::{LevelFilter, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, poll};

/// Environment variable with the log level: `error`, `warn`, `info`, `debug` or `trace`.
pub const LEVEL_VARIABLE: &str = "RUST_LOG";

/// How long a line waits until standard error is writable, in ms.
const TIMEOUT_MS: u8 = 100;

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            // A closed standard error must not end the program.
            let _ = writeln!(std::io::stderr(), "tracer: {level}: {}: {}", record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Starts logging at the level of the environment; by default warnings.
pub fn start() {
    let level = env::var(LEVEL_VARIABLE).ok().and_then(|level| level.parse().ok());
    log::set_max_level(level.unwrap_or(LevelFilter::Warn));
    // Fails if there is a logger already, which then stays.
    let _ = log::set_logger(&StandardError);
}

/// Prints a note for the user on standard error, each line with the program's name.
pub fn note(text: &str) {
    let lines: String = text.lines().map(|line| format!("tracer: {line}\n")).collect();
    let stderr = std::io::stderr();
    // A reader that has stalled must not block tracing.
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut ready, TIMEOUT_MS) == Ok(0) {
        return;
    }
    // One write, so that lines of other programs do not get in between. A closed standard error is
    // ignored.
    let _ = stderr.lock().write_all(lines.as_bytes());
}
