//! Generates load with wrk and parses its results.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::namespaces::{Pair, SERVER};

/// The requests that wrk sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// Responses of 1 KiB on 32 persistent connections
    KeepAlive,
    /// Responses of 1 KiB, one per connection, 32 connections at once
    Close,
    /// Responses of 1 MiB on 8 persistent connections
    Bulk,
}

impl Workload {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive, 1 KiB, 32 connections",
            Self::Close => "Connection: close, 1 KiB, 32 connections",
            Self::Bulk => "keep-alive, 1 MiB, 8 connections",
        }
    }

    fn connections(self) -> &'static str {
        match self {
            Self::KeepAlive | Self::Close => "32",
            Self::Bulk => "8",
        }
    }
}

/// The results of wrk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Load {
    /// Requests per second.
    pub(super) rate: f64,
    /// Median latency in seconds.
    pub(super) p50: f64,
    /// 99th percentile of the latency in seconds.
    pub(super) p99: f64,
}

/// Puts load on the server for `seconds`.
pub(super) fn run(pair: &Pair, workload: Workload, seconds: u32) -> Result<Load> {
    let mut command = pair.client.command("wrk");
    let duration = format!("{seconds}s");
    command.args(["-t", "1", "-c", workload.connections(), "-d", &duration, "--latency"]);
    let file = match workload {
        Workload::KeepAlive => "small",
        Workload::Close => {
            command.args(["-H", "Connection: close"]);
            "small"
        }
        Workload::Bulk => "large",
    };
    command.arg(format!("http://{SERVER}/{file}")).stdin(Stdio::null());
    let output = command.output().context("wrk cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let load = parse(&text);
    match load {
        Some(load) if output.status.success() && !has_errors(&text) => Ok(load),
        _ => bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Whether wrk reports failed connections or error responses.
fn has_errors(text: &str) -> bool {
    text.contains("Socket errors") || text.contains("Non-2xx")
}

fn parse(text: &str) -> Option<Load> {
    let after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
    Some(Load {
        rate: after("Requests/sec:")?.parse().ok()?,
        p50: parse_time(after("50%")?)?,
        p99: parse_time(after("99%")?)?,
    })
}

/// Parses a duration in the format of wrk; returns seconds.
fn parse_time(text: &str) -> Option<f64> {
    // "us" and "ms" must be tried before "s", which they end in.
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number, unit) = units.iter().find_map(|&(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Running 2s test @ http://10.77.0.1/small
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   670.50us  131.02us   3.05ms   86.86%
    Req/Sec    47.30k     2.11k   50.00k    75.00%
  Latency Distribution
     50%  635.00us
     75%  711.00us
     90%  803.00us
     99%    1.25ms
  94102 requests in 2.00s, 118.20MB read
Requests/sec:  47031.55
Transfer/sec:     59.08MB
";

    #[test]
    fn the_output_of_wrk_is_parsed() {
        let load = parse(OUTPUT).expect("a load");
        assert_eq!(
            (load.rate, (load.p50 * 1e6).round(), (load.p99 * 1e6).round()),
            (47031.55, 635.0, 1250.0)
        );
        assert!(
            !has_errors(OUTPUT) && has_errors("  Socket errors: connect 0, read 1, write 0, timeout 0\n")
        );
        assert_eq!(parse("unable to connect"), None);
    }

    #[test]
    fn durations_are_parsed_with_their_units() {
        for (text, seconds) in [("2.5s", 2.5), ("1.00m", 60.0), ("3.00ms", 0.003)] {
            assert_eq!(parse_time(text), Some(seconds), "{text}");
        }
        assert_eq!(parse_time("fast"), None);
    }
}
