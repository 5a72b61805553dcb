//! Heads: bytes in, what the records tell of them out.
//!
//! The kernel's scanner has framed the head already, so this is as lenient as can be: what is odd about a head is the
//! business of its receiver. Of the fields only Host is looked at, and nothing of the others leaves this module.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, ParserConfig};

use super::target::{Target, host};
use crate::record::{RequestHead, Text};

/// Fields that are parsed at first: more than browsers send.
const FEW_FIELDS: usize = 64;

/// The most fields that are parsed: a head of 16 KiB has no room for more, at four bytes each ("a:" and a line end).
const MAX_FIELDS: usize = 4096;

/// What the head of a request says. `whole`: the bytes are all of it.
pub(super) fn parse_request(bytes: &[u8], whole: bool) -> RequestHead {
    let bytes = if whole { Cow::Borrowed(bytes) } else { Cow::Owned(closed(bytes)) };
    let head =
        parse(&bytes, FEW_FIELDS).or_else(|| parse(&bytes, MAX_FIELDS)).unwrap_or_else(|| by_hand(&bytes));
    RequestHead { truncated: !whole, ..head }
}

/// Whether the start line is complete.
pub(super) fn has_start_line(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

/// The HTTP version that the head of a response states.
pub(super) fn response_version(bytes: &[u8]) -> Option<Text> {
    version(start_line(bytes).split(|byte| *byte == b' ').next()?)
}

/// The status code in a head whose end was not seen.
pub(super) fn response_status(bytes: &[u8]) -> Option<u16> {
    if !has_start_line(bytes) {
        return None;
    }
    let code = start_line(bytes).split(|byte| *byte == b' ').skip(1).find(|word| !word.is_empty())?;
    str::from_utf8(code).ok()?.parse().ok()
}

/// The complete lines of an incomplete head, as a head.
fn closed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut closed = bytes.get(..end).unwrap_or_default().to_vec();
    closed.extend_from_slice(b"\r\n");
    closed
}

fn parse(bytes: &[u8], max_fields: usize) -> Option<RequestHead> {
    let mut config = ParserConfig::default();
    config
        .allow_multiple_spaces_in_request_line_delimiters(true)
        .allow_space_before_first_header_name(true)
        .ignore_invalid_headers_in_requests(true);
    let mut fields = vec![EMPTY_HEADER; max_fields];
    let mut request = httparse::Request::new(&mut fields);
    if !config.parse_request(&mut request, bytes).ok()?.is_complete() {
        return None;
    }
    let version = match request.version {
        Some(0) => "1.0",
        _ => "1.1",
    };
    let field = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("host"));
    let head = of_line(request.method?.as_bytes(), request.path?.as_bytes());
    Some(RequestHead {
        // RFC 9112, 3.2.2: the host of the target counts, not the field.
        domain: head.domain.or_else(|| host(field?.value).map(Text::from_wire)),
        version: Some(Text::from_wire(version.as_bytes())),
        ..head
    })
}

/// The start line alone: method up to the first space, version after the last one, and the target between them.
fn by_hand(bytes: &[u8]) -> RequestHead {
    let line = start_line(bytes);
    let Some(first) = line.iter().position(|byte| *byte == b' ') else { return RequestHead::default() };
    let last = line.iter().rposition(|byte| *byte == b' ').unwrap_or(first);
    let method = line.get(..first).unwrap_or_default();
    let target = line.get(first..last).unwrap_or_default().trim_ascii();
    let version = version(line.get(last + 1..).unwrap_or_default());
    RequestHead { version, ..of_line(method, target) }
}

fn of_line(method: &[u8], target: &[u8]) -> RequestHead {
    let parts = Target::parse(method, target);
    RequestHead {
        method: Some(Text::from_wire(method)),
        target: Some(Text::from_wire(target)),
        path: parts.path.map(Text::from_wire),
        query: parts.query.map(Text::from_wire),
        domain: parts.host.map(Text::from_wire),
        version: None,
        truncated: false,
    }
}

/// The first line, without its end.
fn start_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The two versions that the records know.
fn version(text: &[u8]) -> Option<Text> {
    match text {
        b"HTTP/1.0" | b"HTTP/1.1" => text.get(5..).map(Text::from_wire),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_request, response_status, response_version};

    /// Method, target, domain and version of a request.
    fn told(head: &[u8], whole: bool) -> [String; 4] {
        let head = parse_request(head, whole);
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
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", ["GET", "/a b", "-", "1.1"]),
            ("GET /\x01 HTTP/1.1\r\n\r\n", ["GET", "/\\x01", "-", "1.1"]),
            ("GET / HTTP/1.7\r\n\r\n", ["GET", "/", "-", "-"]),
            ("GET\r\n\r\n", ["-", "-", "-", "-"]),
            ("\r\n\r\n", ["-", "-", "-", "-"]),
            ("", ["-", "-", "-", "-"]),
            (&many, ["GET", "/many", "a", "1.1"]),
        ] {
            assert_eq!(told(head.as_bytes(), true), expected, "{}", &head[..head.len().min(80)]);
        }
    }

    #[test]
    fn of_a_cut_head_the_complete_lines_count() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\nX-Y", ["GET", "/", "a", "1.1"]),
            ("GET / HTTP/1.1\r\nHost: exam", ["GET", "/", "-", "1.1"]),
            ("GET / HTT", ["-", "-", "-", "-"]),
        ] {
            assert_eq!(told(head.as_bytes(), false), expected, "{head}");
        }
    }

    #[test]
    fn status_lines_tell_version_and_status() {
        for (head, version, status) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], Some("1.1"), Some(200)),
            (b"HTTP/1.0  404\n", Some("1.0"), Some(404)),
            (b"HTTP/1.1 20", Some("1.1"), None),
            (b"HTTP/3 200 OK\r\n", None, Some(200)),
            (b"", None, None),
        ] {
            assert_eq!(response_version(head).as_ref().map(|text| text.as_str()), version);
            assert_eq!(response_status(head), status);
        }
    }
}
