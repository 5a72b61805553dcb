//! Authorities (RFC 3986, 3.2): the host in them, and where they start.

use super::lines::{split_once, trim};

/// What follows "scheme://"; `None` if the target does not start so.
pub(super) fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = split_once(target, b':')?;
    // RFC 3986, 3.1.
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if is_scheme { rest.strip_prefix(b"//") } else { None }
}

/// The host of an authority, or of a Host field: without user information, which may be a password, and
/// without the port. IPv6 addresses keep their brackets, as in ECS.
pub(super) fn host(authority: &[u8]) -> Option<&[u8]> {
    let authority = trim(authority);
    if !authority.iter().fold(false, |found, byte| found | matches!(byte, b'@' | b':' | b'[' | b']')) {
        // Only a name, as in most cases.
        return Some(authority).filter(|host| !host.is_empty());
    }
    let authority = without_user_information(authority);
    if !has_valid_port(authority) {
        // It may be the start of a password.
        return None;
    }
    Some(split_port(authority).0).filter(|host| !host.is_empty())
}

/// An authority without user information.
pub(super) fn without_user_information(authority: &[u8]) -> &[u8] {
    let start = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    authority.get(start..).unwrap_or_default()
}

/// Host and port of an authority without user information.
fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = if authority.starts_with(b"[") {
        authority.iter().position(|byte| *byte == b']').map(|at| at + 1)
    } else {
        authority.iter().position(|byte| *byte == b':')
    };
    let (host, rest) = authority.split_at(end.unwrap_or(authority.len()));
    (host, rest.strip_prefix(b":").filter(|port| !port.is_empty()))
}

/// Whether `authority` is a host with an optional port (RFC 9110, 7.2). An empty one is: a target without an authority has it
/// (RFC 9112, 3.2).
pub(super) fn is_valid(authority: &[u8]) -> bool {
    let (host, port) = split_port(authority);
    let literal = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
    // What follows an IP literal is a port or nothing.
    let rest = &authority[host.len()..];
    let is_split = rest.is_empty() || rest.starts_with(b":");
    is_split
        && port.is_none_or(|port| port.iter().all(u8::is_ascii_digit))
        && match literal {
            Some(address) => address.iter().all(|byte| *byte == b':' || is_name_byte(*byte)),
            None => is_name(host),
        }
}

/// Whether `host` is a name or an IPv4 address, by its bytes (RFC 3986, 3.2.2).
pub(super) fn is_name(host: &[u8]) -> bool {
    host.iter().all(|byte| is_name_byte(*byte))
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

/// Whether two authorities without user information name the same host and port. `default`: the port of those that have
/// none; without it, a port is only compared with a port.
pub(super) fn is_same(one: &[u8], other: &[u8], default: Option<&[u8]>) -> bool {
    let ((host, port), (other_host, other_port)) = (split_port(one), split_port(other));
    let ports = (port.or(default), other_port.or(default));
    host.eq_ignore_ascii_case(other_host) && !matches!(ports, (Some(port), Some(other)) if port != other)
}

/// Whether an authority without user information has no port, or one of digits only.
pub(super) fn has_valid_port(authority: &[u8]) -> bool {
    if authority.starts_with(b"[") && !authority.contains(&b']') {
        // An IPv6 address without its end.
        return authority.iter().skip(1).all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    }
    let name_end = authority.iter().position(|byte| *byte == b']').filter(|_| authority.starts_with(b"["));
    let rest = authority.get(name_end.map_or(0, |end| end + 1)..).unwrap_or_default();
    split_once(rest, b':').is_none_or(|(_, port)| port.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::{host, is_same, is_valid};

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

    #[test]
    fn a_host_is_valid_by_its_bytes() {
        for (field, expected) in [
            ("example.org", true),
            ("a_b.example.org:8080", true),
            ("192.0.2.1", true),
            ("[2001:db8::1]:80", true),
            ("a:", true),
            ("", true),
            ("www example.org", false),
            ("a\0", false),
            ("a\u{e9}", false),
            ("a/b", false),
            ("u@a", false),
            ("a:b", false),
            ("a:80:81", false),
            ("[::1", false),
            ("[::1]a", false),
            ("::1", false),
        ] {
            assert_eq!(is_valid(field.as_bytes()), expected, "{field}");
        }
    }

    #[test]
    fn authorities_are_compared_with_their_default_ports() {
        for (one, other, default, expected) in [
            ("a.example", "A.example", None, true),
            ("a.example", "b.example", None, false),
            ("a:443", "a", None, true),
            ("a:443", "a:80", None, false),
            ("a:80", "a", Some("80"), true),
            ("a:81", "a", Some("80"), false),
            ("a:", "a", Some("80"), true),
            ("[::1]:80", "[::1]", Some("80"), true),
        ] {
            let default = default.map(str::as_bytes);
            assert_eq!(is_same(one.as_bytes(), other.as_bytes(), default), expected, "{one} {other}");
        }
    }
}
