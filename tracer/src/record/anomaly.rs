//! What is odd about the messages of an exchange.

use serde::{Serialize, Serializer};

/// A departure from RFC 9110 and RFC 9112, or a form so rare that servers and proxies may read it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// An empty line before the start line.
    LeadingEmptyLine,
    /// A line ends without a carriage return.
    BareLf,
    /// Tabs, or more than one blank, between the words of the start line, or a blank behind them.
    ExtraSpace,
    /// A request without a version.
    Http09,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    UnknownVersion,
    /// A status code that is not of three digits, or below 100.
    InvalidStatus,
    /// Nothing behind the status code, not even the blank.
    MissingReason,
    /// A field line that goes on in the next line.
    ObsFold,
    /// A blank between a field name and its colon.
    SpaceBeforeColon,
    /// A field line without a colon, or with a name that is not a token.
    InvalidField,
    /// A request of HTTP/1.1 without Host.
    MissingHost,
    /// More than one Host.
    DuplicateHost,
    /// Transfer-Encoding and Content-Length.
    LengthAndEncoding,
    /// The same Content-Length more than once.
    DuplicateLength,
    /// Values of Content-Length that differ.
    ConflictingLength,
    /// A Content-Length that is not a number.
    InvalidLength,
    /// A transfer coding that is not registered.
    UnknownCoding,
    /// A chunk that is not one: the framing is lost.
    InvalidChunk,
    /// A response with no request before it.
    ResponseBeforeRequest,
}

impl Anomaly {
    /// The word in the records.
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
            Self::ResponseBeforeRequest => "response_before_request",
        }
    }
}

impl Serialize for Anomaly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
