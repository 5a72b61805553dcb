//! The rare messages of the kernel programs, for whoever asks for them.

use std::{io, os::fd::AsFd as _};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::Log;

use super::readiness::Readiness;

/// The messages of the kernel programs; they go to the logger of this process.
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
        let messages = EbpfLogger::init(ebpf).context("cannot read the messages of the kernel programs")?;
        let readiness =
            Readiness::of(messages.as_fd()).context("cannot wait for messages of the kernel programs")?;
        Ok(Self { messages, readiness })
    }

    /// Waits for messages and passes them on. May be dropped at any time: none is lost.
    ///
    /// # Errors
    /// The runtime cannot wait any more.
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
