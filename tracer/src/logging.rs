//! Diagnostics of tracer, of the libraries it uses and, with `--kernel-log`, of the kernel programs: lines on standard
//! error.

use std::{env, io::Write as _, os::fd::AsFd as _};

use log::{LevelFilter, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, poll};

/// The variable that asks for more, as elsewhere: `error`, `warn`, `info`, `debug` or `trace`.
pub const LEVEL_VARIABLE: &str = "RUST_LOG";

/// How long a line waits for standard error to take it, in ms.
const PATIENCE_MS: u8 = 100;

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            // Diagnostics that nobody reads are no reason to end.
            let _ = writeln!(std::io::stderr(), "tracer: {level}: {}: {}", record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Turns the lines on: warnings, or what the environment asks for.
pub fn start() {
    let asked = env::var(LEVEL_VARIABLE).ok().and_then(|level| level.parse().ok());
    log::set_max_level(asked.unwrap_or(LevelFilter::Warn));
    // Fails where there is a logger already, which is then the better one.
    let _ = log::set_logger(&StandardError);
}

/// Tells the user something on standard error: each line under the program's name.
pub fn note(text: &str) {
    let lines: String = text.lines().map(|line| format!("tracer: {line}\n")).collect();
    let stderr = std::io::stderr();
    // Who does not read must not hold the observation up.
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut ready, PATIENCE_MS) == Ok(0) {
        return;
    }
    // One write, so that lines of others do not get in between; and a closed standard error is no reason to end.
    let _ = stderr.lock().write_all(lines.as_bytes());
}
