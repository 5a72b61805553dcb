//! Request targets (RFC 9112, 3.2) and the host in them.

use super::{lines::split_once, redaction::has_port_at_most};

/// The parts of a request target. A part that is not there, or empty, is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The path; "*" in asterisk-form.
    pub(super) path: Option<&'a [u8]>,
    /// What follows the first question mark; empty if nothing does.
    pub(super) query: Option<&'a [u8]>,
    /// The host, in absolute-form and authority-form.
    pub(super) host: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes the target of a request with the method `method` apart.
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

/// What follows "scheme://"; `None` where that is not how the target starts.
pub(super) fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = split_once(target, b':')?;
    // RFC 3986, 3.1.
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if is_scheme { rest.strip_prefix(b"//") } else { None }
}

/// The host of an authority, or of a Host field: without user information, which may be a password, and without the
/// port. IPv6 addresses keep their brackets, as ECS wants it.
pub(super) fn host(authority: &[u8]) -> Option<&[u8]> {
    let authority = authority.trim_ascii();
    if !authority.iter().fold(false, |found, byte| found | matches!(byte, b'@' | b':' | b'[' | b']')) {
        // Nothing but a name, as most are.
        return Some(authority).filter(|host| !host.is_empty());
    }
    let start = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let authority = authority.get(start..)?;
    if !has_port_at_most(authority) {
        // The start of a password, maybe.
        return None;
    }
    let end = if authority.starts_with(b"[") {
        authority.iter().position(|byte| *byte == b']').map(|at| at + 1)
    } else {
        authority.iter().position(|byte| *byte == b':')
    };
    authority.get(..end.unwrap_or(authority.len())).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Target, host};

    #[test]
    fn targets_are_taken_apart_by_their_form() {
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
            let parsed = Target::parse(method.as_bytes(), target.as_bytes());
            let expected = Target {
                path: path.map(str::as_bytes),
                query: query.map(str::as_bytes),
                host: host.map(str::as_bytes),
            };
            assert_eq!(parsed, expected, "{method} {target}");
        }
    }

    #[test]
    fn hosts_lose_port_and_user_information() {
        for (field, expected) in [
            ("example.org", Some("example.org")),
            (" example.org:8080 ", Some("example.org")),
            ("a:b@c:d@example.org:1", Some("example.org")),
            ("[::1]", Some("[::1]")),
            ("[::1", Some("[::1")),
            (":80", None),
            ("user@", None),
            ("user:pass", None),
            ("user:80pass", None),
            ("", None),
        ] {
            assert_eq!(host(field.as_bytes()), expected.map(str::as_bytes), "{field}");
        }
    }
}
