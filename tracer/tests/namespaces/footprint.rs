//! The memory that a running tracer takes, beside what it said at its start that it would.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::harness::Tracer;

/// What the kernel counts for its process and its maps stays within the figures that it has said.
#[track_caller]
pub(crate) fn check_footprint(tracer: &Tracer) {
    let errors = tracer.errors();
    let said = |name: &str| {
        let figure = errors.split(name).nth(1).and_then(|rest| rest.split(' ').next());
        figure.and_then(|figure| figure.parse::<u64>().ok()).unwrap_or_else(|| panic!("no {name}: {errors}"))
            << 20
    };
    let (total, kernel, userspace) = (said("at most "), said("kernel "), said("userspace "));
    let process = Path::new("/proc").join(tracer.pid().to_string());
    let peak = peak_resident(&process);
    let maps: u64 = locked_by_maps(&process).values().sum();
    println!("resident at most {peak} of {userspace} bytes, maps {maps} of {kernel}");
    assert!(peak <= userspace, "{peak} bytes were resident, said were {userspace}");
    assert!(maps <= kernel, "the maps have {maps} bytes, said were {kernel}");
    // Each is rounded up for itself.
    assert!(kernel + userspace <= total + (1 << 20), "{errors}");
    // A figure that says nothing would be easy to keep.
    assert!(maps >= kernel / 4 * 3, "the maps have {maps} bytes, said were {kernel}");
}

/// The most memory that was ever resident, in bytes: also the ring, which is mapped.
fn peak_resident(process: &Path) -> u64 {
    let status = fs::read_to_string(process.join("status")).expect("it is running");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Bytes that the kernel counts for each map that the process has open, by its number.
fn locked_by_maps(process: &Path) -> HashMap<u64, u64> {
    let files = fs::read_dir(process.join("fdinfo")).expect("it is running").flatten();
    let map = |text: String| {
        let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
        Some((number("map_id:")?, number("memlock:")?))
    };
    files.filter_map(|file| map(fs::read_to_string(file.path()).ok()?)).collect()
}
