//! Code shared by the tests of faults: traffic that must not be disturbed, and checks of it.

use std::fs;
use std::process::{Child, Command, Stdio};

use tracer::lab::netns::{Namespace, PairEnd, VethPair};

use crate::{
    account::{counter, sent_by},
    harness::{Fields, Trace},
    privileges::has_tc,
    web::{BIG, Folder, content},
};

/// URL of the server.
const ADDRESS: &str = "http://10.77.0.1";
/// Path that a [`Transfer`] requests.
pub(crate) const PACED: &str = "/paced";

/// A transfer of `/paced`, which takes two or three seconds: long enough for a fault.
pub(crate) struct Transfer {
    curl: Option<Child>,
    folder: Folder,
}

impl Transfer {
    /// Starts a transfer, and waits until some of it was received.
    #[track_caller]
    pub(crate) fn start(pair: &VethPair) -> Self {
        let folder = Folder::new();
        let file = folder.file("big");
        let mut command = Command::new("curl");
        command.args(["-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]);
        command.arg("--output").arg(&file).arg(format!("{ADDRESS}{PACED}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let curl = pair.client.namespace.command(command).expect("curl is installed");
        let began = || fs::metadata(&file).is_ok_and(|file| file.len() > 100_000);
        assert!(crate::eventually(began), "nothing is received");
        Self { curl: Some(curl), folder }
    }

    /// Waits for its end, and checks every byte.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        let output = self.curl.take().expect("running").wait_with_output().expect("curl ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let received = fs::read(self.folder.file("big")).expect("curl has written it");
        assert!(
            received == content(BIG),
            "the {} bytes received are not those that were sent",
            received.len()
        );
    }

    /// Whether the transfer is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.curl.as_mut().is_some_and(|curl| matches!(curl.try_wait(), Ok(None)))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(curl) = &mut self.curl {
            let _ = curl.kill();
            let _ = curl.wait();
        }
    }
}

/// Starts wrk, which requests `/small` over eight connections for `seconds` seconds.
pub(crate) fn load(pair: &VethPair, seconds: u64) -> Child {
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-c", "8", "-d", &format!("{seconds}s")]).arg(format!("{ADDRESS}/small"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    pair.client.namespace.command(command).expect("wrk is installed")
}

/// Number of lost segments that were retransmitted, by the server and by the client.
///
/// Does not count spurious retransmissions, which the receiver reports by DSACK (RFC 2883): on a
/// busy host an ACK comes late, and the kernel probes or retransmits segments that were not lost.
pub(crate) fn lost_segments(pair: &VethPair) -> [u64; 2] {
    let lost = |from: &PairEnd, to: &PairEnd| {
        let spurious: u64 = ["TCPDSACKOldSent", "TCPDSACKOfoSent"]
            .map(|name| counter(&to.namespace, "TcpExt:", name))
            .iter()
            .sum();
        sent_by(&from.namespace, 0).retransmits.saturating_sub(spurious)
    };
    [lost(&pair.server, &pair.client), lost(&pair.client, &pair.server)]
}

/// Runs an administration command in a namespace.
///
/// # Errors
/// It fails: its standard error.
pub(crate) fn administer(namespace: &Namespace, words: &str) -> Result<(), String> {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = namespace.command(command).expect("iproute2 and ethtool are installed");
    let output = child.wait_with_output().expect("it ends");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Whether any XDP or TC program is attached to the server's interface.
pub(crate) fn is_attached(pair: &VethPair) -> bool {
    let mut command = Command::new("ip");
    command.args(["link", "show", "dev", pair.server.interface]).stdout(Stdio::piped());
    let child = pair.server.namespace.command(command).expect("iproute2 is installed");
    let output = child.wait_with_output().expect("it ends").stdout;
    has_tc(pair) || String::from_utf8_lossy(&output).contains("xdp")
}

/// Checks that there are `count` exchanges of `path`, each exact and complete, with status 200 and
/// `size` bytes.
#[track_caller]
pub(crate) fn check_exchanges(trace: &Trace, path: &str, count: usize, size: usize) {
    let exchanges = trace.exchanges();
    let exchanges: Vec<_> = exchanges.iter().filter(|record| record.text("url.path") == path).collect();
    assert_eq!(exchanges.len(), count, "exchanges of {path}; {}", trace.errors);
    for record in exchanges {
        assert_eq!(record.text("http.outcome"), "complete", "{record:#}");
        assert_eq!(record.text("http.confidence"), "exact", "{record:#}");
        assert_eq!(record.number("http.response.status_code"), 200, "{record:#}");
        assert_eq!(record.number("http.response.body.size"), size as u64, "{record:#}");
    }
}
