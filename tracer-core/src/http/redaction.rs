//! Redaction of request targets and other URLs: always of user information, and of path and query as configured.

use std::borrow::Cow;

use hmac::{Hmac, Mac as _};
use memchr::memchr2;
use sha2::Sha256;

use super::{
    authority::{after_scheme, has_valid_port},
    lines::split_once,
};

/// Replaces user information, as in the OpenTelemetry semantic conventions (`url.full`).
const REDACTED: &[u8] = b"REDACTED@";

/// Bytes of a hash in records: among four billion different paths, two are likely to share one.
const HASH_BYTES: usize = 8;

/// Which parts of a request target are replaced by a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redact {
    /// No part.
    #[default]
    None,
    /// The query.
    Query,
    /// The path and the query.
    Path,
}

/// How request targets are redacted. The hash is keyed (HMAC-SHA-256), so that a path cannot be guessed
/// without the key.
#[derive(Clone)]
pub struct Redaction {
    level: Redact,
    hash: Hmac<Sha256>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is secret.
        f.debug_struct("Redaction").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Redaction {
    /// Hashes the parts that `level` selects, with a key of any length.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length (RFC 2104, 2).
    #[must_use]
    pub fn new(level: Redact, key: &[u8]) -> Self {
        let hash = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Self { level, hash }
    }

    /// Writes the redacted path. The root and the asterisk reveal nothing.
    fn path(&self, path: &[u8], out: &mut Vec<u8>) {
        if self.level != Redact::Path || matches!(path, b"" | b"/" | b"*") {
            out.extend_from_slice(path);
            return;
        }
        out.push(b'/');
        self.write_hash(path, out);
    }

    /// Writes the redacted query.
    fn query(&self, query: &[u8], out: &mut Vec<u8>) {
        if self.level == Redact::None || query.is_empty() {
            out.extend_from_slice(query);
        } else {
            self.write_hash(query, out);
        }
    }

    fn write_hash(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let digest = self.hash.clone().chain_update(bytes).finalize().into_bytes();
        for byte in digest.iter().take(HASH_BYTES) {
            for nibble in [byte >> 4, byte & 0xf] {
                out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
            }
        }
    }

    /// A URI reference with its path, query and fragment redacted: a fragment may be as secret as a query.
    pub(super) fn apply_to_reference(&self, reference: &[u8]) -> Vec<u8> {
        let Some((target, fragment)) = split_once(reference, b'#') else {
            return self.apply(reference.into(), false).into_owned();
        };
        let mut out = self.apply(target.into(), false).into_owned();
        out.push(b'#');
        self.query(fragment, &mut out);
        out
    }

    /// The target with its path and query redacted; `authority`: it is only an authority.
    pub(super) fn apply<'a>(&self, target: Cow<'a, [u8]>, authority: bool) -> Cow<'a, [u8]> {
        if self.level == Redact::None || authority {
            return target;
        }
        let (before, rest) = target.split_at(path_at(&target));
        let mut out = before.to_vec();
        // HTTP sends no fragment; if there is one, it belongs to what is before it.
        match split_once(rest, b'?') {
            Some((path, query)) => {
                self.path(path, &mut out);
                out.push(b'?');
                self.query(query, &mut out);
            }
            None => self.path(rest, &mut out),
        }
        out.into()
    }
}

/// Where the path of a target starts: after scheme and authority, if it has them.
fn path_at(target: &[u8]) -> usize {
    let Some(rest) = after_scheme(target) else { return 0 };
    let authority = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    target.len() - rest.len() + authority
}

/// Whether a byte ends a part of a target that may contain user information.
const fn is_separator(byte: &u8) -> bool {
    matches!(*byte, b'/' | b'\\' | b'?' | b'#' | b'&' | b'=' | b';' | b',' | b' ' | b'\t')
}

/// Whether a byte ends an authority (RFC 3986, 3.2).
const fn ends_authority(byte: &u8) -> bool {
    matches!(*byte, b'/' | b'\\' | b'?' | b'#' | b' ' | b'\t')
}

/// A request target without user information (RFC 3986, 3.2.1), also if it is malformed.
///
/// User information is found in an authority (at the start of a target that is no path, and after two
/// slashes), and wherever a colon comes before an at sign. If the text after the colon of an authority is no
/// port, it may be a password with a slash in it, or the start of one: then everything up to the last at sign
/// is removed.
pub(super) fn without_user_information(target: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'@', b':', target).is_none() {
        return target.into();
    }
    let mut out = Vec::with_capacity(target.len());
    let mut rest = target;
    let mut is_authority = !target.starts_with(b"/") && after_scheme(target).is_none();
    loop {
        let mut end = rest.iter().position(is_separator).unwrap_or(rest.len());
        if is_authority {
            // User information may have separators of a query in it.
            let authority = rest.iter().position(ends_authority).unwrap_or(rest.len());
            if rest.get(..authority).is_some_and(|authority| authority.contains(&b'@')) {
                end = authority;
            }
        }
        let (piece, after) = rest.split_at(end);
        let at = piece.iter().rposition(|byte| *byte == b'@');
        let mut taken = end;
        match at {
            Some(at) if is_authority || piece.get(..at).is_some_and(|user| user.contains(&b':')) => {
                out.extend_from_slice(REDACTED);
                out.extend_from_slice(piece.get(at + 1..).unwrap_or_default());
            }
            None if is_authority && !has_valid_port(piece) => {
                out.extend_from_slice(REDACTED);
                taken = rest.iter().rposition(|byte| *byte == b'@').map_or(end, |at| at + 1);
            }
            Some(_) | None => out.extend_from_slice(piece),
        }
        // The authority continues after what was removed.
        is_authority = taken > end;
        rest = rest.get(taken..).unwrap_or_default();
        if is_authority {
            continue;
        }
        let slashes = after.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
        is_authority = slashes >= 2;
        let skipped = slashes.max(1).min(after.len());
        out.extend_from_slice(after.get(..skipped).unwrap_or_default());
        rest = after.get(skipped..).unwrap_or_default();
        if rest.is_empty() {
            return out.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Redact, Redaction, without_user_information};

    fn without(target: &str) -> String {
        String::from_utf8_lossy(&without_user_information(target.as_bytes())).into_owned()
    }

    #[test]
    fn user_information_is_removed_wherever_it_is() {
        for (target, expected) in [
            ("/", "/"),
            ("*", "*"),
            ("/a:b/c?d=e:f", "/a:b/c?d=e:f"),
            ("/@scope/package", "/@scope/package"),
            ("/@user@example.org/inbox", "/@user@example.org/inbox"),
            ("http://example.org:8080/a?b", "http://example.org:8080/a?b"),
            ("http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/"),
            ("example.org:443", "example.org:443"),
            ("[::1]:443", "[::1]:443"),
            ("http://user:pass@example.org/a", "http://REDACTED@example.org/a"),
            ("http://token@example.org", "http://REDACTED@example.org"),
            ("HTTPS://u:p@[::1]:8/", "HTTPS://REDACTED@[::1]:8/"),
            ("user:pass@example.org:443", "REDACTED@example.org:443"),
            ("token@example.org:443", "REDACTED@example.org:443"),
            ("http://user:1,a=b;c&d@example.org/", "http://REDACTED@example.org/"),
            ("http://user:p@ss@example.org/", "http://REDACTED@example.org/"),
            ("http://user:pa/ss@example.org/", "http://REDACTED@example.org/"),
            ("http://user:pa?ss@example.org/", "http://REDACTED@example.org/"),
            ("http://user:pa ss@example.org/", "http://REDACTED@example.org/"),
            ("http://user:pa#ss", "http://REDACTED@#ss"),
            ("http://user:pa", "http://REDACTED@"),
            ("http:user:pass@example.org/", "REDACTED@example.org/"),
            ("http:/user:pass@example.org/", "http:/REDACTED@example.org/"),
            ("http:\\\\user:pass@example.org\\", "http:\\\\REDACTED@example.org\\"),
            ("http:////user@example.org/", "http:////REDACTED@example.org/"),
            ("//user:pass@example.org/", "//REDACTED@example.org/"),
            ("/http://user:pass@example.org/", "/http://REDACTED@example.org/"),
            ("/a?next=http://token@example.org/&b=c", "/a?next=http://REDACTED@example.org/&b=c"),
            ("/a?next=user:pass@example.org", "/a?next=REDACTED@example.org"),
            ("@", "REDACTED@"),
            ("http://@", "http://REDACTED@"),
            ("", ""),
        ] {
            assert_eq!(without(target), expected, "{target}");
        }
    }

    /// `target` redacted at this level.
    fn redacted(level: Redact, key: &str, target: &str) -> String {
        let redaction = Redaction::new(level, key.as_bytes());
        String::from_utf8_lossy(&redaction.apply(target.as_bytes().into(), false)).into_owned()
    }

    #[test]
    fn each_level_hashes_its_parts_and_nothing_else() {
        for (level, target, expected) in [
            (Redact::None, "/a?b=c", "/a?b=c".to_owned()),
            (Redact::Query, "/a", "/a".to_owned()),
            (Redact::Query, "/a?", "/a?".to_owned()),
            (Redact::Path, "/", "/".to_owned()),
            (Redact::Path, "*", "*".to_owned()),
            (Redact::Path, "http://example.org/", "http://example.org/".to_owned()),
        ] {
            assert_eq!(redacted(level, "key", target), expected, "{level:?} {target}");
        }
        for target in ["/a?b=c", "http://example.org/a?b=c", "/a?b=c?d", "?b=c"] {
            for level in [Redact::Query, Redact::Path] {
                let redacted = redacted(level, "key", target);
                assert!(!redacted.contains("b=c"), "{level:?} {target}: {redacted}");
                assert_eq!(
                    redacted.contains("/a"),
                    target.contains("/a") && level == Redact::Query,
                    "{redacted}"
                );
            }
        }
        assert_eq!(
            redacted(Redact::Path, "key", "http://example.org/a").len(),
            "http://example.org/".len() + 16
        );
    }

    #[test]
    fn a_hash_is_the_same_only_for_the_same_text_and_key() {
        let hashed = |key, target| redacted(Redact::Path, key, target);
        assert_eq!(hashed("key", "/a"), hashed("key", "/a"));
        assert_ne!(hashed("key", "/a"), hashed("key", "/b"));
        assert_ne!(hashed("key", "/a"), hashed("another", "/a"));
        // RFC 4231, test case 2: a published value, so that hashes stay the same in later versions.
        let mut hash = Vec::new();
        Redaction::new(Redact::Path, b"Jefe").write_hash(b"what do ya want for nothing?", &mut hash);
        assert_eq!(hash, b"5bdcc146bf60754e");
    }
}
