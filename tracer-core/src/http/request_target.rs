//! Request targets (RFC 9112, 3.2).

use super::{
    authority::{self, after_scheme, host, is_name},
    lines::{is_whitespace, split_once},
};
use crate::record::{Anomalies, Anomaly};

/// The parts of a request target. An absent or empty part is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestTarget<'a> {
    /// The path; "*" in asterisk-form.
    pub(super) path: Option<&'a [u8]>,
    /// The query after the first question mark; it may be empty.
    pub(super) query: Option<&'a [u8]>,
    /// The host, in absolute-form and authority-form.
    pub(super) host: Option<&'a [u8]>,
}

impl<'a> RequestTarget<'a> {
    /// Parses the target of a request with this method.
    pub(super) fn parse(method: &[u8], target: &'a [u8]) -> Self {
        // RFC 9112, 3.2.3: authority-form is for CONNECT only.
        if method == b"CONNECT" {
            return Self {
                host: host(target).filter(|host| is_name(host) || host.starts_with(b"[")),
                ..Self::default()
            };
        }
        // RFC 9112, 3.2.1 and 3.2.4: origin-form and asterisk-form.
        let after_scheme = if target.starts_with(b"/") { None } else { after_scheme(target) };
        let Some(rest) = after_scheme else { return Self::of_path(target) };
        // RFC 9112, 3.2.2: absolute-form.
        let (authority, path) = split_path(rest);
        Self { host: host(authority), ..Self::of_path(path) }
    }

    fn of_path(text: &'a [u8]) -> Self {
        let (path, query) = match split_once(text, b'?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Self { path: (!path.is_empty()).then_some(path), query, host: None }
    }
}

/// Authority and path, with what follows it, of an absolute-form after its scheme.
fn split_path(rest: &[u8]) -> (&[u8], &[u8]) {
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    rest.split_at(end)
}

/// Finds the anomalies of the target of a request with this method, and of its Host, if it has one.
pub(super) fn find_anomalies(method: &[u8], target: &[u8], field: Option<&[u8]>, anomalies: &mut Anomalies) {
    if target.is_empty() {
        anomalies.insert(Anomaly::MissingTarget);
        return;
    }
    if target.iter().any(is_whitespace) {
        anomalies.insert(Anomaly::SpaceInTarget);
    }
    if target.contains(&b'#') {
        anomalies.insert(Anomaly::FragmentInTarget);
    }
    let authority = authority(method, target);
    let has_form = match target {
        // RFC 9112, 3.2.3.
        _ if method == b"CONNECT" => {
            authority::is_valid(target)
                && target.last().is_some_and(u8::is_ascii_digit)
                && target.contains(&b':')
        }
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ => authority.is_some_and(|(authority, _)| !authority.is_empty()),
    };
    if !has_form || target.iter().any(|byte| !byte.is_ascii_graphic() && !is_whitespace(byte)) {
        anomalies.insert(Anomaly::InvalidTarget);
    }
    if let (Some((authority, default)), Some(field)) = (authority, field)
        && has_form
        && !authority::is_same(authority, field, default)
    {
        anomalies.insert(Anomaly::HostMismatch);
    }
}

/// The authority of a target, without user information, and the default port of its scheme.
fn authority<'a>(method: &[u8], target: &'a [u8]) -> Option<(&'a [u8], Option<&'static [u8]>)> {
    if method == b"CONNECT" {
        return Some((target, None));
    }
    let (authority, _) = split_path(after_scheme(target)?);
    // Of a scheme other than http, the default port does not matter here.
    let is_http = target.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http:"));
    Some((authority::without_user_information(authority), is_http.then_some(b"80")))
}

#[cfg(test)]
mod tests {
    use super::RequestTarget;

    #[test]
    fn targets_are_parsed_by_their_form() {
        for (method, target, path, query, host) in [
            ("GET", "/", Some("/"), None, None),
            ("GET", "/a/b?c=d?e", Some("/a/b"), Some("c=d?e"), None),
            ("GET", "/a?", Some("/a"), Some(""), None),
            ("GET", "/http://x/", Some("/http://x/"), None, None),
            ("GET", "/a?b=http://x/", Some("/a"), Some("b=http://x/"), None),
            ("OPTIONS", "*", Some("*"), None, None),
            ("GET", "http://example.org/a?b", Some("/a"), Some("b"), Some("example.org")),
            ("GET", "http://user:pass@example.org:81/a", Some("/a"), None, Some("example.org")),
            ("GET", "http://example.org", None, None, Some("example.org")),
            ("GET", "http://example.org?q", None, Some("q"), Some("example.org")),
            ("GET", "http://[2001:db8::1]:80/", Some("/"), None, Some("[2001:db8::1]")),
            ("CONNECT", "example.org:443", None, None, Some("example.org")),
            ("CONNECT", "[::1]:443", None, None, Some("[::1]")),
            ("CONNECT", "/", None, None, None),
            ("CONNECT", "a/b", None, None, None),
            ("GET", "://x", Some("://x"), None, None),
            ("GET", "", None, None, None),
        ] {
            let parsed = RequestTarget::parse(method.as_bytes(), target.as_bytes());
            let expected = RequestTarget {
                path: path.map(str::as_bytes),
                query: query.map(str::as_bytes),
                host: host.map(str::as_bytes),
            };
            assert_eq!(parsed, expected, "{method} {target}");
        }
    }
}
