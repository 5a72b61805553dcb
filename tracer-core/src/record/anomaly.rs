//! Anomalies of HTTP messages.

use std::fmt;

use serde::{Serialize, Serializer};

/// A departure from RFC 9110 and RFC 9112, or a form that servers and proxies may interpret
/// differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// An empty line before the start line (RFC 9112, 2.2).
    LeadingEmptyLine,
    /// A line that ends with LF instead of CRLF (RFC 9112, 2.2).
    BareLf,
    /// Tabs or several spaces between the words of the start line, or whitespace after the last
    /// one.
    ExtraSpace,
    /// A request line without a version.
    Http09,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    UnknownVersion,
    /// A status code that is not three digits, or is below 100.
    InvalidStatus,
    /// No space after the status code (RFC 9112, 4).
    MissingReason,
    /// Obsolete line folding (RFC 9112, 5.2).
    ObsFold,
    /// Whitespace between field name and colon (RFC 9112, 5.1).
    SpaceBeforeColon,
    /// A field line without a colon, or with a name that is not a token.
    InvalidField,
    /// An HTTP/1.1 request without Host.
    MissingHost,
    /// More than one Host field.
    DuplicateHost,
    /// Both Transfer-Encoding and Content-Length.
    LengthAndEncoding,
    /// The same Content-Length more than once.
    DuplicateLength,
    /// Content-Length values that differ.
    ConflictingLength,
    /// A Content-Length that is not a number.
    InvalidLength,
    /// A transfer coding that is not registered.
    UnknownCoding,
    /// A malformed chunk; framing cannot be recovered.
    InvalidChunk,
    /// A CR that no LF follows, CR CR LF included (RFC 9112, 2.2).
    BareCr,
    /// A control character in a field value, the reason phrase, a chunk extension or a trailer field (RFC 9110, 5.5; RFC 9112, 4).
    ControlCharacter,
    /// No request target (RFC 9112, 3).
    MissingTarget,
    /// Whitespace within the request target (RFC 9112, 3.2).
    SpaceInTarget,
    /// A fragment in the request target (RFC 9112, 3.2).
    FragmentInTarget,
    /// A request target that has none of the four forms, or contains control characters or bytes that are not ASCII (RFC 9112, 3.2).
    InvalidTarget,
    /// A Host that is no host with an optional port (RFC 9112, 3.2).
    InvalidHost,
    /// A Host other than the authority of the request target (RFC 9112, 3.2).
    HostMismatch,
    /// The chunked transfer coding more than once (RFC 9112, 6.1).
    RepeatedChunked,
    /// A request whose last transfer coding is not chunked, so that its length is unknown (RFC 9112, 6.3).
    FinalCodingNotChunked,
    /// Transfer-Encoding in a message of HTTP/1.0 (RFC 9112, 6.1).
    EncodingInHttp10,
    /// Transfer-Encoding or Content-Length in a response that may have neither: 1xx, 204, 2xx to CONNECT (RFC 9112, 6.1; RFC 9110, 8.6).
    UnexpectedFraming,
    /// Whitespace before or after a chunk size (RFC 9112, 7.1).
    SpaceAroundChunkSize,
    /// After a chunk size, something that is no chunk extension (RFC 9112, 7.1.1).
    InvalidChunkExtension,
    /// A trailer field for framing, routing, or the processing of the content (RFC 9110, 6.5.1).
    ForbiddenTrailer,
    /// After a message, bytes that start no other: more content than announced, content of a response that has none, or empty lines (RFC 9112, 2.2 and 6.3).
    ExcessBytes,
    /// A message after one of the same side with Connection: close (RFC 9112, 9.6).
    AfterClose,
    /// A response without a request before it.
    ResponseBeforeRequest,
    /// Whitespace before the start line (RFC 9112, 2.2).
    LeadingSpace,
    /// A request line that does not end with a version of HTTP (RFC 9112, 3).
    InvalidRequestLine,
    /// In place of a request: bytes that are none (RFC 9112, 3).
    InvalidRequest,
    /// In place of a request: the start of a TLS handshake (RFC 8446, 5.1).
    TlsHandshake,
    /// In place of a request: the connection preface of HTTP/2 (RFC 9113, 3.4).
    Http2Preface,
}

impl Anomaly {
    /// All anomalies, in the order in which they are reported.
    pub const ALL: [Self; 41] = [
        Self::LeadingEmptyLine,
        Self::BareLf,
        Self::ExtraSpace,
        Self::Http09,
        Self::UnknownVersion,
        Self::InvalidStatus,
        Self::MissingReason,
        Self::ObsFold,
        Self::SpaceBeforeColon,
        Self::InvalidField,
        Self::MissingHost,
        Self::DuplicateHost,
        Self::LengthAndEncoding,
        Self::DuplicateLength,
        Self::ConflictingLength,
        Self::InvalidLength,
        Self::UnknownCoding,
        Self::InvalidChunk,
        Self::BareCr,
        Self::ControlCharacter,
        Self::MissingTarget,
        Self::SpaceInTarget,
        Self::FragmentInTarget,
        Self::InvalidTarget,
        Self::InvalidHost,
        Self::HostMismatch,
        Self::RepeatedChunked,
        Self::FinalCodingNotChunked,
        Self::EncodingInHttp10,
        Self::UnexpectedFraming,
        Self::SpaceAroundChunkSize,
        Self::InvalidChunkExtension,
        Self::ForbiddenTrailer,
        Self::ExcessBytes,
        Self::AfterClose,
        Self::ResponseBeforeRequest,
        Self::LeadingSpace,
        Self::InvalidRequestLine,
        Self::InvalidRequest,
        Self::TlsHandshake,
        Self::Http2Preface,
    ];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeadingEmptyLine => "leading_empty_line",
            Self::BareLf => "bare_lf",
            Self::ExtraSpace => "extra_space",
            Self::Http09 => "http_0_9",
            Self::UnknownVersion => "unknown_version",
            Self::InvalidStatus => "invalid_status",
            Self::MissingReason => "missing_reason",
            Self::ObsFold => "obs_fold",
            Self::SpaceBeforeColon => "space_before_colon",
            Self::InvalidField => "invalid_field",
            Self::MissingHost => "missing_host",
            Self::DuplicateHost => "duplicate_host",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::DuplicateLength => "duplicate_length",
            Self::ConflictingLength => "conflicting_length",
            Self::InvalidLength => "invalid_length",
            Self::UnknownCoding => "unknown_coding",
            Self::InvalidChunk => "invalid_chunk",
            Self::BareCr => "bare_cr",
            Self::ControlCharacter => "control_character",
            Self::MissingTarget => "missing_target",
            Self::SpaceInTarget => "space_in_target",
            Self::FragmentInTarget => "fragment_in_target",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidHost => "invalid_host",
            Self::HostMismatch => "host_mismatch",
            Self::RepeatedChunked => "repeated_chunked",
            Self::FinalCodingNotChunked => "final_coding_not_chunked",
            Self::EncodingInHttp10 => "encoding_in_http_1_0",
            Self::UnexpectedFraming => "unexpected_framing",
            Self::SpaceAroundChunkSize => "space_around_chunk_size",
            Self::InvalidChunkExtension => "invalid_chunk_extension",
            Self::ForbiddenTrailer => "forbidden_trailer",
            Self::ExcessBytes => "excess_bytes",
            Self::AfterClose => "after_close",
            Self::ResponseBeforeRequest => "response_before_request",
            Self::LeadingSpace => "leading_space",
            Self::InvalidRequestLine => "invalid_request_line",
            Self::InvalidRequest => "invalid_request",
            Self::TlsHandshake => "tls_handshake",
            Self::Http2Preface => "http_2_preface",
        }
    }
}

/// A set of anomalies. Usually empty, and checked for every message, so a bit set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Anomalies(u64);

impl Anomalies {
    /// No anomaly.
    pub const NONE: Self = Self(0);

    /// The set of one.
    #[must_use]
    pub const fn of(anomaly: Anomaly) -> Self {
        Self(1 << anomaly as u64)
    }

    /// Adds an anomaly.
    pub const fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u64;
    }

    /// Removes an anomaly.
    pub const fn remove(&mut self, anomaly: Anomaly) {
        self.0 &= !(1 << anomaly as u64);
    }

    /// Adds all of `others`.
    pub const fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether `anomaly` is in the set.
    #[must_use]
    pub const fn contains(self, anomaly: Anomaly) -> bool {
        self.0 >> anomaly as u64 & 1 != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// The anomalies of the set, in the order of [`Anomaly::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.into_iter().filter(move |anomaly| self.contains(*anomaly))
    }
}

impl<const N: usize> From<[Anomaly; N]> for Anomalies {
    fn from(list: [Anomaly; N]) -> Self {
        let mut anomalies = Self::default();
        list.into_iter().for_each(|anomaly| anomalies.insert(anomaly));
        anomalies
    }
}

impl fmt::Debug for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Anomalies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Serialize for Anomaly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Anomalies, Anomaly};

    #[test]
    fn a_set_contains_what_was_inserted_in_the_order_of_all() {
        assert!(Anomaly::ALL.is_sorted() && Anomalies::default().is_empty());
        for (number, one) in Anomaly::ALL.into_iter().enumerate() {
            let mut set = Anomalies::from([one]);
            assert!(set.contains(one) && !set.is_empty());
            assert!(set.iter().eq([one]), "{number}: {set:?}");
            set.extend(Anomalies::from([Anomaly::ResponseBeforeRequest, Anomaly::LeadingEmptyLine]));
            assert!(set.iter().is_sorted() && set.contains(Anomaly::LeadingEmptyLine) && set.contains(one));
        }
    }
}
