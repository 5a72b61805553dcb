//! Parses and checks the report of a guest.

use std::fmt::Write as _;

use serde_json::Value;

/// The outcome of all checks under one kernel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The kernel release, as printed by `uname -r`.
    release: String,
    /// Number of programs that load.
    programs: usize,
    /// The highest number of instructions that the verifier processed for a program.
    instructions: u32,
    /// The hooks that the demo attached to.
    attached: Vec<String>,
    /// Number of kernel tests that passed, without those that skipped themselves.
    passed: usize,
    /// Number of kernel tests that failed.
    failed: usize,
    /// Kernel tests that skipped themselves, with the reason.
    skipped: Vec<String>,
    /// Whether the demo reported what it must.
    end_to_end: bool,
    /// Everything that failed, with its output.
    failures: Vec<String>,
}

/// The text and the exit status of a section of the report.
fn section<'a>(report: &'a str, name: &str) -> Option<(&'a str, i32)> {
    let (_, rest) = report.split_once(&format!("== {name}\n"))?;
    let (text, rest) = rest.split_once("== exit status ")?;
    Some((text, rest.lines().next()?.parse().ok()?))
}

impl Outcome {
    /// Reads the report of the guest with the kernel of `package`.
    pub(super) fn of(package: &str, report: &str) -> Self {
        let mut outcome = Self { release: package.to_owned(), ..Self::default() };
        if let Some((release, 0)) = section(report, "kernel") {
            release.trim().clone_into(&mut outcome.release);
        }
        type Reader = fn(&mut Outcome, &str, i32) -> Result<(), String>;
        let readers: [(&str, Reader); 3] =
            [("doctor", Self::read_doctor), ("demo", Self::read_demo), ("tests", Self::read_tests)];
        for (name, read) in readers {
            let read = match section(report, name) {
                Some((text, status)) => read(&mut outcome, text, status)
                    .map_err(|failure| format!("{failure}; its output:\n{}", text.trim_end())),
                None => Err("is missing or incomplete in the report".to_owned()),
            };
            if let Err(failure) = read {
                outcome.failures.push(format!("{}: {name} {failure}", outcome.release));
            }
        }
        outcome
    }

    /// The outcome of a guest that did not complete its report.
    pub(super) fn without_report(package: &str, error: &anyhow::Error) -> Self {
        let failures = vec![format!("{package}: {error:#}")];
        Self { release: package.to_owned(), failures, ..Self::default() }
    }

    fn read_doctor(&mut self, text: &str, status: i32) -> Result<(), String> {
        let loaded = text.lines().filter_map(|line| line.split_once(": loads, "));
        let instructions: Vec<u32> =
            loaded.filter_map(|(_, rest)| rest.split_whitespace().next()?.parse().ok()).collect();
        self.programs = instructions.len();
        self.instructions = instructions.into_iter().max().unwrap_or(0);
        expect(status == 0 && self.programs > 0, || format!("exited with {status}"))
    }

    /// The demo always has the same traffic: a page, two cached images, and a handshake that is
    /// never completed.
    fn read_demo(&mut self, text: &str, status: i32) -> Result<(), String> {
        expect(status == 0, || format!("exited with {status}"))?;
        let records: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let of = |name: &'static str| records.iter().filter(move |record| record["event.name"] == name);
        for summary in of("tracer.summary") {
            let hooks = summary["tracer.attachments"].as_array().into_iter().flatten();
            // The name of the interface comes first and is removed.
            let hooks = hooks.filter_map(|hook| Some(hook.as_str()?.split_once(' ')?.1.to_owned()));
            self.attached = hooks.collect();
        }
        let statuses: Vec<_> = of("http.exchange")
            .filter(|record| record["http.outcome"] == "complete" && record["http.confidence"] == "exact")
            .filter_map(|record| record["http.response.status_code"].as_u64())
            .collect();
        expect(statuses == [200, 304, 304], || {
            format!("reported complete exchanges with status codes {statuses:?}")
        })?;
        let reasons: Vec<_> = of("connection.closed")
            .filter(|record| record["events.lost"].is_null())
            .filter_map(|record| record["tcp.close.reason"].as_str())
            .collect();
        expect(reasons == ["fin", "half_open_timeout"], || format!("reported close reasons {reasons:?}"))?;
        self.end_to_end = true;
        Ok(())
    }

    fn read_tests(&mut self, text: &str, status: i32) -> Result<(), String> {
        let result = text.lines().find_map(|line| line.strip_prefix("test result: ")).unwrap_or_default();
        let count = |what: &str| {
            let counted = result.split(['.', ';']).filter_map(|part| part.trim().strip_suffix(what));
            counted.filter_map(|number| number.trim().parse::<usize>().ok()).next()
        };
        let mut test = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----"))
            {
                test = name;
            } else if let Some(reason) = line.strip_prefix("skipped: ") {
                let skipped = format!("{test}: {reason}");
                if !self.skipped.contains(&skipped) {
                    self.skipped.push(skipped);
                }
            }
        }
        let (Some(passed), Some(failed)) = (count("passed"), count("failed")) else {
            return Err(format!("exited with {status} and printed no result"));
        };
        (self.passed, self.failed) = (passed.saturating_sub(self.skipped.len()), failed);
        expect(status == 0 && failed == 0 && passed > 0, || format!("exited with {status}, {failed} failed"))
    }

    /// Everything that failed, with its output.
    pub(super) fn failures(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(String::as_str)
    }
}

fn expect(condition: bool, failure: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(failure()) }
}

/// A Markdown table with a row for each outcome, and the reasons for skipped tests.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut table = "| kernel | programs | instructions (maximum) | attached | kernel tests | end to end |\n\
                     |---|---|---|---|---|---|\n"
        .to_owned();
    for outcome in outcomes {
        let tests = format!(
            "{} passed, {} failed, {} skipped",
            outcome.passed,
            outcome.failed,
            outcome.skipped.len()
        );
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {tests} | {} |",
            outcome.release,
            outcome.programs,
            outcome.instructions,
            outcome.attached.join(", "),
            if outcome.end_to_end { "passed" } else { "FAILED" },
        );
    }
    for outcome in outcomes {
        for skipped in &outcome.skipped {
            let _ = writeln!(table, "{}: skipped: {skipped}", outcome.release);
        }
    }
    table
}

#[cfg(test)]
mod tests;
