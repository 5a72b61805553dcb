//! The demo, from the namespaces to the explanation.

use anyhow::{Result, bail};

use crate::sink::Format;

/// Makes a conversation in private network namespaces, traces it and writes it as `format`.
///
/// # Errors
/// Whatever keeps it from being shown.
pub fn run(_format: Format) -> Result<()> {
    bail!("the demo is not there yet")
}
