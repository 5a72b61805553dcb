//! Waiting for a ring buffer: the kernel marks its file descriptor readable when an event comes to whoever has seen the
//! one before.
#![expect(unsafe_code, reason = "tokio asks for a promise about the file descriptor")]

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A file descriptor of our own, that is readable when the one it was made from is.
pub(super) struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    pub(super) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let fd = fd.try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` is open, stays the same, and is closed only by dropping it, which is up to the `AsyncFd`.
        Ok(Self(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?))
    }

    /// Waits. May be dropped at any time.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.retain_ready();
        Ok(())
    }

    /// Lets `read` read; when it returns true, nothing is left and [`readable`](Self::readable) waits for the next event.
    pub(super) fn read_until_empty(&self, read: impl FnOnce() -> bool) {
        // An event that comes after the last look is not missed: it makes the descriptor ready anew.
        let _ = self.0.try_io(Interest::READABLE, |_| {
            if read() { Err(io::Error::from(io::ErrorKind::WouldBlock)) } else { Ok(()) }
        });
    }
}
