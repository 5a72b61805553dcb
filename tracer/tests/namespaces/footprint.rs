//! The memory of a running tracer, compared with the limit it prints at the start, and its CPU use
//! on an idle host.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{
    harness::Tracer,
    pair,
    web::{Nginx, curl},
};

/// Silence after which a host counts as idle, plus a second.
const PAUSE: Duration = Duration::from_secs(7);

/// Checks that the memory of the process and of its maps is within the printed limits.
#[track_caller]
pub(crate) fn check_footprint(tracer: &Tracer) {
    let errors = tracer.errors();
    let printed = |name: &str| {
        let figure = errors.split(name).nth(1).and_then(|rest| rest.split(' ').next());
        figure.and_then(|figure| figure.parse::<u64>().ok()).unwrap_or_else(|| panic!("no {name}: {errors}"))
            << 20
    };
    let (total, kernel, userspace) = (printed("at most "), printed("kernel "), printed("userspace "));
    let process = Path::new("/proc").join(tracer.pid().to_string());
    let peak = peak_resident(&process);
    let maps: u64 = locked_by_maps(&process).values().sum();
    println!("resident at most {peak} of {userspace} bytes, maps {maps} of {kernel}");
    assert!(peak <= userspace, "{peak} bytes were resident, the limit is {userspace}");
    assert!(maps <= kernel, "the maps have {maps} bytes, the limit is {kernel}");
    // Each figure is rounded up.
    assert!(kernel + userspace <= total + (1 << 20), "{errors}");
    // The limit must not be much too high either.
    assert!(maps >= kernel / 4 * 3, "the maps have {maps} bytes, the limit is {kernel}");
}

/// Peak resident memory in bytes, including the mapped ring buffer.
fn peak_resident(process: &Path) -> u64 {
    let status = fs::read_to_string(process.join("status")).expect("it is running");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Bytes that the kernel counts for each open map of the process, by map id.
fn locked_by_maps(process: &Path) -> HashMap<u64, u64> {
    let files = fs::read_dir(process.join("fdinfo")).expect("it is running").flatten();
    let map = |text: String| {
        let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
        Some((number("map_id:")?, number("memlock:")?))
    };
    files.filter_map(|file| map(fs::read_to_string(file.path()).ok()?)).collect()
}

#[test]
#[ignore = "needs root: run by cargo xtask test"]
fn tracer_hardly_wakes_an_idle_host_and_then_reports_traffic_at_once() {
    let pair = pair();
    let _nginx = Nginx::start(&pair.server.namespace);
    let tracer = Tracer::at(&pair.server, &[]);
    thread::sleep(PAUSE);
    let process = Path::new("/proc").join(tracer.pid().to_string());
    let before = wake_ups(&process);
    thread::sleep(Duration::from_secs(4));
    let idle = wake_ups(&process) - before;
    // One tick a second, with some tolerance. A tick every 100 ms would give 80.
    assert!((2..=16).contains(&idle), "woken {idle} times in 4 s");
    curl(&pair.client, &["http://10.77.0.1/small"]);
    tracer.wait_for(1, "http.exchange");
    tracer.wait_for(1, "connection.closed");
    tracer.stop().assert_clean();
}

/// Voluntary context switches of all threads of the process.
fn wake_ups(process: &Path) -> u64 {
    let tasks = fs::read_dir(process.join("task")).expect("it is running").flatten();
    let waits = tasks.map(|task| {
        let status = fs::read_to_string(task.path().join("status")).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|number| number.trim().parse::<u64>().ok()).expect("a number")
    });
    waits.sum()
}
