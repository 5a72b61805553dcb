//! Forwards the log messages of the kernel programs.

use std::{io, os::fd::AsFd as _};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::Log;

use super::readiness::Readiness;

/// The log messages of the kernel programs, on their way to the logger of this process.
pub struct KernelLog {
    messages: EbpfLogger<&'static dyn Log>,
    readiness: Readiness,
}

impl std::fmt::Debug for KernelLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelLog").finish_non_exhaustive()
    }
}

impl KernelLog {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let messages =
            EbpfLogger::init(ebpf).context("cannot read the log messages of the kernel programs")?;
        let readiness =
            Readiness::of(messages.as_fd()).context("cannot wait for log messages of the kernel programs")?;
        Ok(Self { messages, readiness })
    }

    /// Waits for messages and forwards them. Cancel safe.
    ///
    /// # Errors
    /// The runtime cannot wait for the file descriptor.
    pub async fn pass_on(&mut self) -> io::Result<()> {
        self.readiness.readable().await?;
        let messages = &mut self.messages;
        self.readiness.read_until_empty(|| {
            messages.flush();
            true
        });
        Ok(())
    }
}
