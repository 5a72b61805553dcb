//! The kernel object that `build.rs` built, embedded in this binary.

use anyhow::{Result, bail};

/// The object as an ELF file, or empty if it could not be built. Aligned, because it is read in
/// place.
static EMBEDDED: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// Bytes of the embedded object; 0 if this binary was built without it.
#[must_use]
pub fn size() -> usize {
    EMBEDDED.len()
}

/// The embedded object.
///
/// # Errors
/// This binary was built without it.
pub fn embedded() -> Result<&'static [u8]> {
    present(EMBEDDED)
}

fn present(object: &[u8]) -> Result<&[u8]> {
    if object.is_empty() {
        bail!(
            "this tracer was built without its kernel programs: run `cargo xtask setup`, which finds or installs \
             what builds them, and then `cargo xtask build`"
        );
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::present;

    #[test]
    fn a_missing_object_is_an_error_that_says_what_to_type() {
        let error = present(&[]).expect_err("there is none").to_string();
        assert!(error.contains("cargo xtask setup") && error.contains("cargo xtask build"), "{error}");
        assert!(present(b"\x7fELF").is_ok());
    }
}
