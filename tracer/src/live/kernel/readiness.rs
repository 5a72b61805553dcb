//! Waits for a ring buffer: the kernel marks its file descriptor readable when an event arrives
//! after the reader has consumed all earlier ones.
#![expect(unsafe_code, reason = "tokio requires that the file descriptor stays open")]

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A duplicate of a file descriptor, registered with the runtime.
pub(super) struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    pub(super) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let fd = fd.try_clone_to_owned()?;
        // SAFETY: the `AsyncFd` owns the `OwnedFd`, which stays open and unchanged until it is
        // dropped.
        Ok(Self(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?))
    }

    /// Waits until the file descriptor is readable. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.retain_ready();
        Ok(())
    }

    /// Calls `read`. If it returns true, everything was read, and [`readable`](Self::readable)
    /// waits for the next event.
    pub(super) fn read_until_empty(&self, read: impl FnOnce() -> bool) {
        // An event that arrives after the last read is not missed: it makes the descriptor ready
        // again.
        let _ = self.0.try_io(Interest::READABLE, |_| {
            if read() { Err(io::Error::from(io::ErrorKind::WouldBlock)) } else { Ok(()) }
        });
    }
}
