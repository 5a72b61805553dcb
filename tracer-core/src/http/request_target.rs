//! Request targets (RFC 9112, 3.2).

use super::{
    authority::{after_scheme, host},
    lines::split_once,
};

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
            return Self { host: host(target), ..Self::default() };
        }
        // RFC 9112, 3.2.1 and 3.2.4: origin-form and asterisk-form.
        let after_scheme = if target.starts_with(b"/") { None } else { after_scheme(target) };
        let Some(rest) = after_scheme else { return Self::of_path(target) };
        // RFC 9112, 3.2.2: absolute-form.
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
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
