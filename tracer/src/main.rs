//! tracer.
fn main() {}
