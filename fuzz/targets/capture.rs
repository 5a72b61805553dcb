//! Any bytes as a capture, through all of `tracer replay`: it terminates, and reads no more frames
//! than fit into the input.
#![no_main]

use std::{io::Cursor, path::PathBuf, sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use tracer::{
    config::{Limits, Records, ReplayConfig},
    output::{Destination, Format, OutputConfig},
    replay::{
        self,
        capture::{Capture, Interrupt},
    },
};
use tracer_core::{
    http::{HeaderSelection, Redact},
    selection::Criteria,
};

/// Size of the shortest frame header in bytes: a simple packet block without its frame.
const MIN_HEADER: u64 = 16;
/// Maximum expansion by gzip (1032 by zlib's technical details), rounded up.
const MAX_RATIO: u64 = 1040;

/// The file to which the input is written.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("tracer-fuzz-capture-{}", std::process::id())));

fn config() -> ReplayConfig {
    let timeout = Duration::from_secs(60);
    ReplayConfig {
        files: vec![FILE.clone()],
        ports: "1-1024".parse().expect("ports"),
        hosts: Vec::new(),
        limits: Limits {
            max_connections: 16,
            half_open_timeout: timeout,
            idle_timeout: timeout,
            buffer_bytes: 1 << 20,
            output_bytes: 1 << 20,
        },
        close_linger: timeout,
        records: Records {
            events: "connection,exchange,state,segment,request,response".parse().expect("events"),
            outputs: vec![OutputConfig {
                format: Format::Json,
                destination: Destination::File("/dev/null".into()),
                ..OutputConfig::default()
            }],
            headers: HeaderSelection::new(["host", "referer", "user-agent", "x-forwarded-for"]).ok(),
            criteria: Criteria::default(),
            redact: Redact::Path,
            redact_key: None,
        },
        duration: None,
        count: None,
    }
}

fuzz_target!(|input: &[u8]| {
    if let Ok(mut capture) = Capture::new(Cursor::new(input.to_vec())) {
        let mut frames = 0;
        while let Ok(Some(frame)) = capture.next_frame() {
            frames += 1;
            assert!(frame.time > 0 && frame.interface > 0 && frame.wire_len >= frame.bytes.len());
        }
        assert!(frames * MIN_HEADER <= input.len() as u64 * MAX_RATIO, "{frames} frames");
    }
    std::fs::write(&*FILE, input).expect("the temporary folder is writable");
    replay::run(&config(), Interrupt::default()).expect("writing to /dev/null");
});
