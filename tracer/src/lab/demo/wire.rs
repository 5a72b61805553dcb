//! One connection as an HTTP actor sees it: heads and content, counted, and never waited for without a limit.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Conversation;

/// Bytes of a message head (start line and fields) that these actors accept: four times what they write.
const MAX_HEAD: usize = 4096;
/// Bytes asked of the kernel at once; of no consequence beyond the number of reads.
const READ_SIZE: usize = 16 * 1024;
/// The blank line that ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What came when a message head was waited for.
pub(super) enum Received {
    /// The start line and the fields, without the blank line.
    Head(String),
    /// The other side has closed its direction, between two messages.
    End,
    /// Nothing came for as long as was asked.
    Silence,
}

/// A connected socket with its counters.
pub(super) struct Wire {
    /// Blocking, with timeouts.
    stream: TcpStream,
    /// Read, but not used yet.
    unread: Vec<u8>,
    /// No wait goes past it.
    deadline: Instant,
    /// What has happened so far.
    conversation: Conversation,
}

impl Wire {
    /// Takes over `stream`; the whole conversation must be over within `timeout`.
    pub(super) fn new(stream: TcpStream, timeout: Duration) -> io::Result<Self> {
        // An answer or a request is one write, and shall be on the wire when it is written.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        let conversation = Conversation {
            local: stream.local_addr()?,
            peer: stream.peer_addr()?,
            bytes_sent: 0,
            bytes_received: 0,
            statuses: Vec::new(),
        };
        Ok(Self { stream, unread: Vec::new(), deadline: Instant::now() + timeout, conversation })
    }

    /// Asks the kernel to acknowledge what has come now, not when its timer fires or the next data leaves.
    ///
    /// The kernel falls back to delayed acknowledgments by itself, so this holds for the moment only.
    pub(super) fn acknowledge_now(&self) -> io::Result<()> {
        SockRef::from(&self.stream).set_tcp_quickack(true)
    }

    /// Writes all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.conversation.bytes_sent += bytes.len() as u64;
        Ok(())
    }

    /// Notes the status code of an answer sent or received.
    pub(super) fn note_status(&mut self, status: u16) {
        self.conversation.statuses.push(status);
    }

    /// How many answers were sent or received.
    pub(super) fn answers(&self) -> usize {
        self.conversation.statuses.len()
    }

    /// Waits up to `patience` for each part of the next head.
    pub(super) fn receive_head(&mut self, patience: Duration) -> io::Result<Received> {
        loop {
            let end = self.unread.windows(HEAD_END.len()).position(|window| window == HEAD_END);
            if let Some(end) = end.filter(|&end| end <= MAX_HEAD) {
                let head: Vec<u8> = self.unread.drain(..end + HEAD_END.len()).take(end).collect();
                return String::from_utf8(head)
                    .map(Received::Head)
                    .map_err(|_| invalid("a head is not text"));
            }
            if end.is_some() || self.unread.len() > MAX_HEAD {
                return Err(invalid("a head is too long"));
            }
            match self.receive(patience) {
                Ok(0) if self.unread.is_empty() => return Ok(Received::End),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if is_timeout(&error) && self.unread.is_empty() => return Ok(Received::Silence),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the next `length` bytes off the connection.
    pub(super) fn receive_content(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if self.receive(self.remaining()?)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Waits until the other side has closed its direction. Bytes before that are an error.
    pub(super) fn await_end(&mut self) -> io::Result<()> {
        let unread = self.unread.len() + self.receive(self.remaining()?)?;
        if unread > 0 { Err(invalid("bytes came where the end was due")) } else { Ok(()) }
    }

    /// Closes this side's direction only: the FIN.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Closes the socket and gives the account of it.
    pub(super) fn into_conversation(self) -> Conversation {
        self.conversation
    }

    /// The time left until the deadline, or the error that there is none.
    fn remaining(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Reads what is there, waiting up to `patience`; 0 when the other side has closed its direction.
    fn receive(&mut self, patience: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(patience.min(self.remaining()?)))?;
        let mut chunk = [0; READ_SIZE];
        let length = loop {
            match self.stream.read(&mut chunk) {
                // A signal to the program is not for this connection.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.unread.extend_from_slice(&chunk[..length]);
        self.conversation.bytes_received += length as u64;
        Ok(length)
    }
}

/// The value of the first field called `name` in a head, compared without case (RFC 9110 section 5.1).
pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The error for bytes that break the protocol.
pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// A read that ran out of time: the kernel says "would block" for `SO_RCVTIMEO`.
fn is_timeout(error: &io::Error) -> bool {
    [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_whatever_its_case() {
        let head = "GET / HTTP/1.1\r\nHost: a:80\r\nif-none-match:\"x\"";
        assert_eq!(field(head, "host"), Some("a:80"));
        assert_eq!(field(head, "If-None-Match"), Some("\"x\""));
        assert_eq!(field(head, "GET /"), None);
    }
}
