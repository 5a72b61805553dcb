//! How heads are recorded, with the key of `--redact`.

use std::{
    fs::{self, File},
    io::Read as _,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use tracer_core::http::{HeadOptions, Redact, Redaction};

use crate::config::Records;

/// Length of a random key, and minimum length of a given one, in bytes. A key that can be guessed
/// hides nothing.
const KEY_BYTES: usize = 16;

/// How heads are recorded.
///
/// # Errors
/// The key cannot be read.
pub(crate) fn heads(records: &Records) -> Result<HeadOptions> {
    Ok(HeadOptions { redaction: redaction(records)?, headers: records.headers.clone().map(Arc::new) })
}

/// The redaction of URLs; none if only user information is removed.
///
/// # Errors
/// The key cannot be read, or is too short: what was found and what to type.
fn redaction(records: &Records) -> Result<Option<Arc<Redaction>>> {
    if records.redact == Redact::None {
        return Ok(None);
    }
    let key = match &records.redact_key {
        Some(path) => fs::read(path).with_context(|| format!("cannot read the key {}", path.display()))?,
        None => random_key().context("cannot read a random key from /dev/urandom")?,
    };
    if key.len() < KEY_BYTES {
        bail!(
            "the key has {} bytes, at least {KEY_BYTES} are needed: head -c 32 /dev/urandom > KEY",
            key.len()
        );
    }
    Ok(Some(Arc::new(Redaction::new(records.redact, &key))))
}

fn random_key() -> std::io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}
