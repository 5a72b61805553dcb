//! What needs the kernel. Every test runs as root: `cargo xtask test`, or as root
//! `cargo test -p tracer --test kernel -- --ignored`.
#![forbid(unsafe_code)]

mod differential;
