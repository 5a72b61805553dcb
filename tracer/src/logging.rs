//! Diagnostics of tracer, of the libraries it uses and, with `--kernel-log`, of the kernel programs: lines on standard
//! error.

use std::{env, io::Write as _};

use log::{LevelFilter, Log, Metadata, Record};

/// The variable that asks for more, as elsewhere: `error`, `warn`, `info`, `debug` or `trace`.
pub const LEVEL_VARIABLE: &str = "RUST_LOG";

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
    // One write, so that lines of others do not get in between; and a closed standard error is no reason to end.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
