//! A blocking HTTP connection for the demo's browser and server: reads heads and content with
//! timeouts, and counts bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Conversation;

/// The longest message head accepted, in bytes: four times the longest one that is sent.
const MAX_HEAD: usize = 4096;
/// Bytes requested by one read.
const READ_SIZE: usize = 16 * 1024;
/// The end of the last field line and the empty line that ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The result of waiting for a message head.
pub(super) enum Received {
    /// The start line and the fields, without the empty line.
    Head(String),
    /// The peer closed its direction between two messages.
    End,
    /// Nothing arrived within the timeout.
    Silence,
}

/// A connected socket with its counters.
pub(super) struct Wire {
    /// Blocking, with timeouts.
    stream: TcpStream,
    /// Bytes read from the socket, but not consumed yet.
    unread: Vec<u8>,
    /// The end of every wait.
    deadline: Instant,
    /// The view of the connection so far.
    conversation: Conversation,
}

impl Wire {
    /// Wraps `stream`. The whole conversation must end within `timeout`.
    pub(super) fn new(stream: TcpStream, timeout: Duration) -> io::Result<Self> {
        // Each message is one write, and has to be sent at once.
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

    /// Makes the kernel send a pending ACK at once, not by its timer or with the next data.
    ///
    /// This holds for the moment only: the kernel returns to delayed ACKs by itself.
    pub(super) fn acknowledge_now(&self) -> io::Result<()> {
        SockRef::from(&self.stream).set_tcp_quickack(true)
    }

    /// Writes all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.conversation.bytes_sent += bytes.len() as u64;
        Ok(())
    }

    /// Records the status code of a response sent or received.
    pub(super) fn note_status(&mut self, status: u16) {
        self.conversation.statuses.push(status);
    }

    /// Number of responses sent or received.
    pub(super) fn responses(&self) -> usize {
        self.conversation.statuses.len()
    }

    /// Receives the next head, waiting up to `timeout` for each part of it.
    pub(super) fn receive_head(&mut self, timeout: Duration) -> io::Result<Received> {
        loop {
            let end = self.unread.windows(HEAD_END.len()).position(|window| window == HEAD_END);
            if let Some(end) = end.filter(|&end| end <= MAX_HEAD) {
                let head: Vec<u8> = self.unread.drain(..end + HEAD_END.len()).take(end).collect();
                return String::from_utf8(head)
                    .map(Received::Head)
                    .map_err(|_| invalid("a message head is not valid UTF-8"));
            }
            if end.is_some() || self.unread.len() > MAX_HEAD {
                return Err(invalid("a message head is too long"));
            }
            match self.receive(timeout) {
                Ok(0) if self.unread.is_empty() => return Ok(Received::End),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if is_timeout(&error) && self.unread.is_empty() => return Ok(Received::Silence),
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives the next `length` bytes.
    pub(super) fn receive_content(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if self.receive(self.remaining()?)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Waits until the peer closes its direction. Bytes before that are an error.
    pub(super) fn await_end(&mut self) -> io::Result<()> {
        let unread = self.unread.len() + self.receive(self.remaining()?)?;
        if unread > 0 { Err(invalid("bytes arrived instead of the end of the connection")) } else { Ok(()) }
    }

    /// Closes this side's direction: sends the FIN.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Closes the socket and returns the view of the connection.
    pub(super) fn into_conversation(self) -> Conversation {
        self.conversation
    }

    /// The time left until the deadline, or a timeout error.
    fn remaining(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Reads the bytes that have arrived, waiting up to `timeout`. Returns 0 if the peer has closed
    /// its direction.
    fn receive(&mut self, timeout: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(timeout.min(self.remaining()?)))?;
        let mut chunk = [0; READ_SIZE];
        let length = loop {
            match self.stream.read(&mut chunk) {
                // A signal does not concern this connection.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.unread.extend_from_slice(&chunk[..length]);
        self.conversation.bytes_received += length as u64;
        Ok(length)
    }
}

/// The value of the first field `name` in a head, compared case-insensitively (RFC 9110 section
/// 5.1).
pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The error for bytes that violate the protocol.
pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Whether a read timed out: for `SO_RCVTIMEO` the kernel reports "would block".
fn is_timeout(error: &io::Error) -> bool {
    [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_case_insensitive() {
        let head = "GET / HTTP/1.1\r\nHost: a:80\r\nif-none-match:\"x\"";
        assert_eq!(field(head, "host"), Some("a:80"));
        assert_eq!(field(head, "If-None-Match"), Some("\"x\""));
        assert_eq!(field(head, "GET /"), None);
    }
}
