//! The kernel programs: the object that `build.rs` built, carried inside this binary.

use anyhow::{Result, bail};

/// The object as an ELF file; empty where it could not be built. Aligned, for it is read in place.
static EMBEDDED: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// Bytes of the embedded object; 0 if this binary was built without.
#[must_use]
pub fn size() -> usize {
    EMBEDDED.len()
}

/// The embedded object.
///
/// # Errors
/// This binary was built without it.
pub fn embedded() -> Result<&'static [u8]> {
    if EMBEDDED.is_empty() {
        bail!(
            "this tracer was built without its kernel programs: run `cargo xtask setup`, which finds or installs \
             what builds them, and then `cargo xtask build`"
        );
    }
    Ok(EMBEDDED)
}
