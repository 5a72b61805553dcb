//! HTTP dialogues of which one message is damaged: no exchange is reported as exact with the answer to another request.
#![no_main]

#[path = "../../tracer/tests/support/dialogue.rs"]
mod dialogue;
#[path = "../../tracer/tests/support/packet.rs"]
mod packet;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| dialogue::check(input));
