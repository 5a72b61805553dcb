//! Authorities (RFC 3986, 3.2): the host in them, and where they start.

use super::lines::split_once;

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
    let authority = authority.trim_ascii();
    if !authority.iter().fold(false, |found, byte| found | matches!(byte, b'@' | b':' | b'[' | b']')) {
        // Only a name, as in most cases.
        return Some(authority).filter(|host| !host.is_empty());
    }
    let start = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let authority = authority.get(start..)?;
    if !has_valid_port(authority) {
        // It may be the start of a password.
        return None;
    }
    let end = if authority.starts_with(b"[") {
        authority.iter().position(|byte| *byte == b']').map(|at| at + 1)
    } else {
        authority.iter().position(|byte| *byte == b':')
    };
    authority.get(..end.unwrap_or(authority.len())).filter(|host| !host.is_empty())
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
    use super::host;

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
