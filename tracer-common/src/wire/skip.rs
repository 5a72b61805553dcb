//! Why a frame is not analysed. Each reason is a counter.

/// Why a frame is skipped. The value is the index of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Skip {
    /// Neither IPv4 nor IPv6.
    NotIp = 0,
    /// IP, but not TCP. ICMP errors count here too, reported or not.
    NotTcp = 1,
    /// TCP, but neither port is traced.
    OtherPort = 2,
    /// Traced port, but neither address is among the selected hosts.
    OtherHost = 3,
    /// An IP fragment other than the first: it has no ports.
    Fragment = 4,
    /// The frame ends inside a header, or before the end that its IP header states.
    Truncated = 5,
    /// An IP header with inconsistent lengths.
    MalformedIp = 6,
    /// A TCP header that is too short, or longer than its IP packet.
    MalformedTcp = 7,
    /// More VLAN tags or IPv6 extension headers than are followed.
    TooManyHeaders = 8,
    /// A segment already seen on the interface that owns this direction of the connection.
    Duplicate = 9,
    /// The connection table is full.
    TableFull = 10,
}

impl Skip {
    /// How many reasons there are.
    pub const COUNT: usize = 11;

    /// Every reason, in the order of its counter.
    pub const ALL: [Self; Self::COUNT] = [
        Self::NotIp,
        Self::NotTcp,
        Self::OtherPort,
        Self::OtherHost,
        Self::Fragment,
        Self::Truncated,
        Self::MalformedIp,
        Self::MalformedTcp,
        Self::TooManyHeaders,
        Self::Duplicate,
        Self::TableFull,
    ];

    /// The reason with the number `index`.
    #[inline(always)]
    #[must_use]
    pub const fn from_index(index: u8) -> Option<Self> {
        Some(match index {
            0 => Self::NotIp,
            1 => Self::NotTcp,
            2 => Self::OtherPort,
            3 => Self::OtherHost,
            4 => Self::Fragment,
            5 => Self::Truncated,
            6 => Self::MalformedIp,
            7 => Self::MalformedTcp,
            8 => Self::TooManyHeaders,
            9 => Self::Duplicate,
            10 => Self::TableFull,
            _ => return None,
        })
    }

    /// The name in records and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::NotTcp => "not_tcp",
            Self::OtherPort => "other_port",
            Self::OtherHost => "other_host",
            Self::Fragment => "fragment",
            Self::Truncated => "truncated",
            Self::MalformedIp => "malformed_ip",
            Self::MalformedTcp => "malformed_tcp",
            Self::TooManyHeaders => "too_many_headers",
            Self::Duplicate => "duplicate",
            Self::TableFull => "table_full",
        }
    }
}
