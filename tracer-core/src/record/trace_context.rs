//! The trace that a request belongs to.

use std::fmt::LowerHex;

use serde::{Serialize, Serializer};

/// Trace and span of a request, as its sender states them in `traceparent` (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TraceContext {
    /// The trace.
    #[serde(rename = "trace.id", serialize_with = "hex::<_, _, 32>")]
    pub trace_id: u128,
    /// The span that sent the request.
    #[serde(rename = "span.id", serialize_with = "hex::<_, _, 16>")]
    pub span_id: u64,
}

/// Writes a number as so many hexadecimal digits.
fn hex<N: LowerHex, S: Serializer, const DIGITS: usize>(
    number: &N,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:0DIGITS$x}"))
}
