//! Sequences of frames that are observed with the same tables.

use super::build::*;

/// One frame of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// An Ethernet frame.
    pub(crate) frame: Vec<u8>,
    /// Whether it is seen on the second interface.
    pub(crate) second: bool,
}

/// Frames in their order.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    /// Description of the conversation.
    pub(crate) name: String,
    /// The frames.
    pub(crate) steps: Vec<Step>,
    /// Expected number of complete heads, of the client and of the server, if known.
    pub(crate) heads: Option<[usize; 2]>,
}

/// A builder of conversations.
#[derive(Clone)]
pub(crate) struct Talk {
    pub(crate) steps: Vec<Step>,
    /// The next sequence numbers of the client and of the server.
    pub(crate) next: [u32; 2],
    port: u16,
    second: bool,
}

impl Talk {
    /// Starts a conversation between `port` and the traced port, with these initial sequence
    /// numbers.
    pub(super) fn new(port: u16, next: [u32; 2]) -> Self {
        Self { steps: Vec::new(), next, port, second: false }
    }

    /// Starts a conversation with its handshake.
    pub(crate) fn connected(port: u16, next: [u32; 2]) -> Self {
        let mut talk = Self::new(port, next);
        talk.client(SYN, b"");
        talk.server(SYN | ACK, b"");
        talk.client(ACK, b"");
        talk
    }

    /// A segment from the client (0) or the server (1), with the next sequence and acknowledgment
    /// numbers.
    pub(crate) fn segment(&self, side: usize, flags: u8, payload: &[u8]) -> Tcp {
        let (from, to) = if side == 0 { (self.port, SERVER_PORT) } else { (SERVER_PORT, self.port) };
        let ack = if flags & ACK == 0 { 0 } else { self.next[1 - side] };
        let seq = self.next[side];
        Tcp { from, to, seq, ack, flags, payload: payload.to_vec(), ..Tcp::default() }
    }

    /// Sends a segment and advances the sequence number by its bytes, SYN and FIN.
    pub(super) fn send(&mut self, side: usize, flags: u8, payload: &[u8]) {
        let tcp = self.segment(side, flags, payload);
        let taken = payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.next[side] = self.next[side].wrapping_add(taken);
        self.put(&tcp);
    }

    /// Sends a segment from the client.
    pub(crate) fn client(&mut self, flags: u8, payload: &[u8]) {
        self.send(0, flags, payload);
    }

    /// Sends a segment from the server.
    pub(crate) fn server(&mut self, flags: u8, payload: &[u8]) {
        self.send(1, flags, payload);
    }

    /// Sends a segment without advancing the sequence number.
    pub(super) fn put(&mut self, tcp: &Tcp) {
        self.put_frame(tcp.frame());
    }

    /// Sends a frame of any bytes.
    pub(super) fn put_frame(&mut self, frame: Vec<u8>) {
        self.steps.push(Step { frame, second: self.second });
    }

    /// Chooses the interface on which the next frames are seen.
    pub(super) fn on_second(&mut self, second: bool) {
        self.second = second;
    }

    /// The client closes, then the server.
    pub(super) fn close(&mut self) {
        self.client(FIN | ACK, b"");
        self.server(FIN | ACK, b"");
        self.client(ACK, b"");
    }

    /// The finished conversation.
    pub(crate) fn done(self, heads: impl Into<Option<[usize; 2]>>, name: impl Into<String>) -> Conversation {
        Conversation { name: name.into(), steps: self.steps, heads: heads.into() }
    }
}
