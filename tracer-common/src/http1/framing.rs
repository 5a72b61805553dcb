//! How the content of a message is delimited.

/// How the content of a message is delimited (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Framing {
    /// There is no content.
    #[default]
    None = 0,
    /// Content-Length.
    Length = 1,
    /// The chunked transfer coding.
    Chunked = 2,
    /// The end of the connection.
    Close = 3,
    /// None any more: a tunnel, or another protocol.
    Tunnel = 4,
}

impl Framing {
    /// The framing with the number `byte`.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::None),
            1 => Some(Self::Length),
            2 => Some(Self::Chunked),
            3 => Some(Self::Close),
            4 => Some(Self::Tunnel),
            _ => None,
        }
    }
}
