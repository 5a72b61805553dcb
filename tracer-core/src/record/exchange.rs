//! The records of HTTP: requests, responses, exchanges.

use serde::Serialize;

use super::{Anomalies, HeaderFields, Side, Text, TraceContext};

/// `http.request`: the header section of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Number of the exchange in its connection, from 1.
    #[serde(rename = "http.exchange.index")]
    pub index: u32,
    /// Contents of the request line and the fields.
    #[serde(flatten)]
    pub head: RequestHead,
    /// How much of it is certain.
    #[serde(rename = "http.confidence")]
    pub confidence: Confidence,
    /// Its anomalies.
    #[serde(rename = "http.anomalies", skip_serializing_if = "Anomalies::is_empty")]
    pub anomalies: Anomalies,
}

/// Contents of the header section of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestHead {
    /// Method.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    pub method: Option<Text>,
    /// Request target as sent.
    #[serde(rename = "url.original", skip_serializing_if = "Option::is_none")]
    pub target: Option<Text>,
    /// Path of the target.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub path: Option<Text>,
    /// Query of the target, without the question mark.
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    pub query: Option<Text>,
    /// Host: from the target if it is absolute, else from the Host field; without the port.
    #[serde(rename = "url.domain", skip_serializing_if = "Option::is_none")]
    pub domain: Option<Text>,
    /// HTTP version of the request, "1.0" or "1.1"; of the response if the request was not
    /// captured.
    #[serde(rename = "network.protocol.version", skip_serializing_if = "Option::is_none")]
    pub version: Option<Text>,
    /// Whether the header section is longer than what the kernel emits of it.
    #[serde(rename = "http.request.head.truncated", skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// The trace that it belongs to. Boxed, because most requests belong to none.
    #[serde(flatten)]
    pub trace: Option<Box<TraceContext>>,
    /// The fields that `--header` selects.
    #[serde(flatten)]
    pub fields: Option<Box<HeaderFields>>,
}

impl RequestHead {
    /// Bytes of memory that it takes besides its own size.
    pub(crate) fn heap(&self) -> usize {
        let Self { method, target, path, query, domain, version, truncated: _, trace, fields } = self;
        let texts = [method, target, path, query, domain, version];
        let texts: usize = texts.into_iter().flatten().map(|text| text.as_str().len()).sum();
        texts + trace.as_ref().map_or(0, |_| size_of::<TraceContext>()) + heap_of(fields.as_deref())
    }
}

/// Bytes of memory that the fields of a head take.
pub(crate) fn heap_of(fields: Option<&HeaderFields>) -> usize {
    fields.map_or(0, HeaderFields::size)
}

/// `http.response`: the header section of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Response {
    /// Number of the exchange in its connection, from 1.
    #[serde(rename = "http.exchange.index")]
    pub index: u32,
    /// Status code.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How the content is delimited.
    #[serde(rename = "http.response.framing", skip_serializing_if = "Option::is_none")]
    pub framing: Option<ResponseFraming>,
    /// Whether the header section is longer than what was captured of it.
    #[serde(rename = "http.response.head.truncated", skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// The fields that `--header` selects.
    #[serde(flatten)]
    pub fields: Option<Box<HeaderFields>>,
    /// How much of it is certain.
    #[serde(rename = "http.confidence")]
    pub confidence: Confidence,
    /// Its anomalies.
    #[serde(rename = "http.anomalies", skip_serializing_if = "Anomalies::is_empty")]
    pub anomalies: Anomalies,
}

/// `http.exchange`: a request and its final response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Number of the exchange in its connection, from 1.
    #[serde(rename = "http.exchange.index")]
    pub index: u32,
    /// Contents of the header section of the request.
    #[serde(flatten)]
    pub request: RequestHead,
    /// Status code of the final response.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Status codes of the interim responses (1xx) before it.
    #[serde(rename = "http.response.interim_status_codes", skip_serializing_if = "Vec::is_empty")]
    pub interim_statuses: Vec<u16>,
    /// Content of the request in bytes; so far, if the request is not complete.
    #[serde(rename = "http.request.body.size", skip_serializing_if = "Option::is_none")]
    pub request_body_size: Option<u64>,
    /// Content-Length of a request that is not complete.
    #[serde(rename = "http.request.content_length", skip_serializing_if = "Option::is_none")]
    pub request_content_length: Option<u64>,
    /// Content of the response in bytes, without chunk framing; so far, if the response is not complete.
    #[serde(rename = "http.response.body.size", skip_serializing_if = "Option::is_none")]
    pub response_body_size: Option<u64>,
    /// Content-Length of a response that is not complete.
    #[serde(rename = "http.response.content_length", skip_serializing_if = "Option::is_none")]
    pub response_content_length: Option<u64>,
    /// Whether the header section of the final response is longer than what was captured of it.
    #[serde(rename = "http.response.head.truncated", skip_serializing_if = "is_false")]
    pub response_truncated: bool,
    /// The fields of the final response that `--header` selects.
    #[serde(flatten)]
    pub response_fields: Option<Box<HeaderFields>>,
    /// How the content of the response is delimited.
    #[serde(rename = "http.response.framing", skip_serializing_if = "Option::is_none")]
    pub framing: Option<ResponseFraming>,
    /// How it ended.
    #[serde(rename = "http.outcome")]
    pub outcome: Outcome,
    /// Who closed or reset the connection before it was complete.
    #[serde(rename = "http.close.initiator", skip_serializing_if = "Option::is_none")]
    pub initiator: Option<Side>,
    /// How much of it is certain.
    #[serde(rename = "http.confidence")]
    pub confidence: Confidence,
    /// Anomalies of its messages, including interim responses.
    #[serde(rename = "http.anomalies", skip_serializing_if = "Anomalies::is_empty")]
    pub anomalies: Anomalies,
    /// Time from the first to the last byte of the request.
    #[serde(rename = "http.request_ns", skip_serializing_if = "Option::is_none")]
    pub request_ns: Option<u64>,
    /// Time from the last byte of the request to the first byte of the final response; 0 if the
    /// response started earlier.
    #[serde(rename = "http.time_to_first_byte_ns", skip_serializing_if = "Option::is_none")]
    pub time_to_first_byte_ns: Option<u64>,
    /// Time from the first to the last byte of the final response.
    #[serde(rename = "http.response_ns", skip_serializing_if = "Option::is_none")]
    pub response_ns: Option<u64>,
    /// Time from the first byte of the request to the last byte of the response, or to the FIN or RST that ended
    /// the exchange before.
    #[serde(rename = "http.duration_ns", skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
}

/// How the content of a response is delimited (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseFraming {
    /// Content-Length.
    ContentLength,
    /// The chunked transfer coding.
    Chunked,
    /// The end of the connection.
    Close,
    /// There is no content.
    None,
    /// The connection became a tunnel, or switched to another protocol.
    Tunnel,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Request and response are complete.
    Complete,
    /// The response is complete; the request never was.
    EarlyResponse,
    /// The server answered with bytes that are no HTTP response.
    InvalidResponse,
    /// The connection ended before a final response.
    NoResponse,
    /// The connection ended before the request was complete.
    RequestAborted,
    /// The connection ended before the response was complete.
    ResponseTruncated,
    /// Unknown, because part of the exchange was not captured.
    #[default]
    NotObserved,
}

/// How much of an exchange is certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The complete byte stream was captured.
    #[default]
    Exact,
    /// Bytes were missed, and parsing resumed at the next start line.
    Resynced,
    /// The pairing of request and response, or the end of a message, is a guess.
    Inferred,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
