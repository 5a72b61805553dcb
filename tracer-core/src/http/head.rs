//! Parses heads into what the records contain.
//!
//! The kernel's scanner has framed the head already. Of the fields only Host, traceparent
//! and those that `--header` selects are reported; no other leaves this module.

use memchr::memmem;

use super::{
    HeadOptions, anomalies,
    authority::host,
    fields::Fields,
    header_fields,
    lines::{Lines, RequestLine, is_whitespace, trim_start},
    redaction::without_user_information,
    request_target::RequestTarget,
};
use crate::record::{Anomalies, HeaderFields, RequestHead, Side, Text};

/// Methods that identify a request before its line is complete (RFC 9110, 9.3; RFC 5789).
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// Parses and redacts the head of a request, finds its anomalies, and whether its sender closes after it. `whole`: it is
/// complete.
///
/// Everything that is reported of a request comes from here.
pub(super) fn parse_request(
    bytes: &[u8],
    whole: bool,
    options: &HeadOptions,
) -> (RequestHead, Anomalies, bool) {
    let lines = Lines::of(bytes);
    let line = RequestLine::of(lines).unwrap_or_default();
    let fields = Fields::of(lines);
    let target = line.target.map(|target| {
        let target = without_user_information(target);
        match &options.redaction {
            Some(redaction) => redaction.apply(target, line.method == b"CONNECT"),
            None => target,
        }
    });
    let parts = RequestTarget::parse(line.method, target.as_deref().unwrap_or_default());
    let head = RequestHead {
        method: (!line.method.is_empty()).then(|| Text::from_wire(line.method)),
        target: target.as_deref().map(Text::from_wire),
        path: parts.path.map(Text::from_wire),
        query: parts.query.map(Text::from_wire),
        // RFC 9112, 3.2.2: the host of the target counts, not the field.
        domain: parts.host.or_else(|| host(fields.host?)).map(Text::from_wire),
        version: line.version.and_then(version),
        truncated: !whole,
        trace: fields.trace().map(Box::new),
        fields: selected(lines, Side::Client, options),
    };
    (head, anomalies::of_request(lines, &line, &fields, whole), fields.closes)
}

/// The selected fields of the head of a response.
pub(super) fn response_fields(bytes: &[u8], options: &HeadOptions) -> Option<Box<HeaderFields>> {
    selected(Lines::of(bytes), Side::Server, options)
}

fn selected(lines: Lines<'_>, sender: Side, options: &HeadOptions) -> Option<Box<HeaderFields>> {
    header_fields::select(lines, sender, options.headers.as_deref()?, options.redaction.as_deref())
}

/// Whether an incomplete head is of a request: its line is complete, or starts like one.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    let lines = Lines::of(bytes);
    let starts_like_one = |line: &RequestLine<'_>| {
        let target = trim_start(lines.start.get(line.method.len()..).unwrap_or_default());
        METHODS.contains(&line.method) && (target.starts_with(b"/") || target.starts_with(b"http://"))
    };
    RequestLine::of(lines).is_some_and(|line| lines.has_start_line || starts_like_one(&line))
}

/// Whether the method of a request looks like bytes of something else, and then a method: it may not be the one that its
/// server reads.
pub(super) fn has_joined_method(head: &RequestHead) -> bool {
    let method = head.method.as_ref().map_or(&b""[..], |method| method.as_str().as_bytes());
    !METHODS.contains(&method) && METHODS.iter().any(|known| method.ends_with(known))
}

/// Whether a line of the head may hold the start line of another message, which it has swallowed.
pub(super) fn hides_message(bytes: &[u8]) -> bool {
    Lines::of(bytes).fields().any(|(line, _)| memmem::find(line, b"HTTP/1.").is_some())
}

/// Whether an incomplete head may be of a response.
pub(super) fn is_response(bytes: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/";
    bytes.starts_with(START) || START.starts_with(bytes)
}

/// The HTTP version in the head of a response.
pub(super) fn response_version(bytes: &[u8]) -> Option<Text> {
    version(Lines::of(bytes).start.split(is_whitespace).next()?)
}

/// The status code in an incomplete head.
pub(super) fn response_status(bytes: &[u8]) -> Option<u16> {
    let lines = Lines::of(bytes);
    let mut words = lines.start.split(is_whitespace).skip(1).skip_while(|word| word.is_empty());
    let (code, rest) = words.next()?.split_at_checked(3)?;
    let whole = lines.has_start_line || !rest.is_empty() || words.next().is_some();
    if !whole || rest.first().is_some_and(u8::is_ascii_digit) || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(code).ok()?.parse().ok()
}

/// The version, if it is one of the two that records contain.
fn version(text: &[u8]) -> Option<Text> {
    match text {
        b"HTTP/1.0" | b"HTTP/1.1" => text.get(5..).map(Text::from_wire),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{HeadOptions, is_request, parse_request, response_status, response_version};

    /// Method, target, domain and version of a request.
    fn parsed(head: &[u8], whole: bool) -> [String; 4] {
        let (head, ..) = parse_request(head, whole, &HeadOptions::default());
        [head.method, head.target, head.domain, head.version]
            .map(|text| text.map_or("-".into(), |text| text.as_str().into()))
    }

    #[test]
    fn heads_are_parsed_leniently() {
        let many = format!("GET /many HTTP/1.1\r\n{}Host: a\r\n\r\n", "b:\r\n".repeat(4000));
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", ["GET", "/", "a", "1.1"]),
            ("GET / HTTP/1.0\nhOST:a\n\n", ["GET", "/", "a", "1.0"]),
            ("GET   /x   HTTP/1.1\r\n\r\n", ["GET", "/x", "-", "1.1"]),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", ["GET", "http://b/", "b", "1.1"]),
            (
                "GET / HTTP/1.1\r\nno field\r\nA: b\r\n folded\r\nBad Name: c\r\nHost: a\r\n\r\n",
                ["GET", "/", "a", "1.1"],
            ),
            ("GET /a b HTTP/1.1\r\nHost : a\r\n\r\n", ["GET", "/a b", "a", "1.1"]),
            ("GET\t/\tHTTP/1.1  \r\nHost: a\r\n\r\n", ["GET", "/", "a", "1.1"]),
            ("GET /HTTP/1.1\r\n\r\n", ["GET", "/HTTP/1.1", "-", "-"]),
            ("GET /a\r\n", ["GET", "/a", "-", "-"]),
            ("GET /\x01 HTTP/1.1\r\n\r\n", ["GET", "/\\x01", "-", "1.1"]),
            ("GET / HTTP/1.7\r\n\r\n", ["GET", "/", "-", "-"]),
            ("GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n", ["GET", "http://REDACTED@b/", "b", "1.1"]),
            ("CONNECT u:p@b:443 HTTP/1.1\r\n\r\n", ["CONNECT", "REDACTED@b:443", "b", "1.1"]),
            ("GET / HTTP/1.1\r\nHost: u:p@a:80\r\n\r\n", ["GET", "/", "a", "1.1"]),
            ("GET / HTTP/1.1\r\nHost: u:\r\n p@a\r\n\r\n", ["GET", "/", "-", "1.1"]),
            ("GET\r\n\r\n", ["-", "-", "-", "-"]),
            ("\r\n\r\n", ["-", "-", "-", "-"]),
            ("", ["-", "-", "-", "-"]),
            (&many, ["GET", "/many", "a", "1.1"]),
        ] {
            assert_eq!(parsed(head.as_bytes(), true), expected, "{}", &head[..head.len().min(80)]);
        }
    }

    #[test]
    fn the_complete_lines_of_a_truncated_head_count() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\nX-Y", ["GET", "/", "a", "1.1"]),
            ("GET / HTTP/1.1\r\nHost: exam", ["GET", "/", "-", "1.1"]),
            ("GET /a HTT", ["GET", "/a", "-", "-"]),
            ("GET http://u:p as@b", ["GET", "http://REDACTED@", "-", "-"]),
            ("GET /a", ["GET", "-", "-", "-"]),
            ("GET", ["-", "-", "-", "-"]),
        ] {
            assert_eq!(parsed(head.as_bytes(), false), expected, "{head}");
        }
    }

    #[test]
    fn the_only_traceparent_of_a_request_gives_its_trace() {
        const VALID: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
        let mixed = VALID.replace("traceparent: ", "TraceParent:\t").replace('\r', " \r");
        for (fields, whole, expected) in [
            (format!("{VALID}\r\n"), true, true),
            (format!("Host: a\r\n{mixed}A: b\r\n\r\n"), true, true),
            (VALID.replace("-01", "-0") + "\r\n", true, false),
            (format!("{VALID}{VALID}\r\n"), true, false),
            (format!("{VALID}traceparent: x\r\n\r\n"), true, false),
            (format!("{VALID} -more\r\n\r\n"), true, false),
            (format!("A: b\r\n {VALID}\r\n"), true, false),
            (format!("A: b\r\n\r\n{VALID}\r\n"), true, false),
            (format!("{VALID}A"), false, true),
            (VALID.to_owned(), false, false),
            (format!("{VALID} "), false, false),
            (VALID.trim_end().to_owned(), false, false),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{fields}");
            let trace = parse_request(head.as_bytes(), whole, &HeadOptions::default()).0.trace;
            let ids = trace.map(|trace| (trace.trace_id, trace.span_id));
            let valid = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
            assert_eq!(ids, expected.then_some(valid), "{head:?}");
        }
    }

    #[test]
    fn status_lines_have_version_and_status() {
        for (head, version, status) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], Some("1.1"), Some(200)),
            (b"HTTP/1.0  404\n", Some("1.0"), Some(404)),
            (b"HTTP/1.1 20", Some("1.1"), None),
            (b"HTTP/3 200 OK\r\n", None, Some(200)),
            (b"HTTP/1.1\t 200ok", Some("1.1"), Some(200)),
            (b"HTTP/1.1 200", Some("1.1"), None),
            (b"HTTP/1.1 2000\r\n", Some("1.1"), None),
            (b"HTTP/1.1 20x\r\n", Some("1.1"), None),
            (b"", None, None),
        ] {
            assert_eq!(response_version(head).as_ref().map(|text| text.as_str()), version);
            assert_eq!(response_status(head), status);
        }
    }

    #[test]
    fn an_incomplete_request_line_is_recognised_by_its_start() {
        for (head, expected) in [
            (&b"GET /a"[..], true),
            (b"POST http://a", true),
            (b"ANY thing HTTP/1.1\r\nA: b", true),
            (b"EHLO /a", false),
            (b"GET key", false),
            (b"GET", false),
            (b"", false),
        ] {
            assert_eq!(is_request(head), expected, "{head:?}");
        }
    }
}
