//! Takes the selected fields out of a head.

use std::borrow::Cow;

use super::{
    HeaderSelection,
    header_selection::{Selected, ValueKind},
    lines::{Lines, is_whitespace, split_once, trim, trim_end},
    redaction::{Redaction, without_user_information},
};
use crate::record::{HeaderField, HeaderFields, Side, Text};

/// The most values of one name: a sender may send any number. Proxies add one each.
const MAX_VALUES: usize = 16;
/// The most bytes of a value: more than the URLs and the names of browsers have.
const MAX_VALUE_BYTES: usize = 2 * 1024;
/// The most bytes of the values of a head: what common servers accept in a field line (nginx and Apache: 8 KiB). A record must
/// stay small beside the queue of an output.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// The fields of a head that are selected so far.
struct Collector<'a> {
    redaction: Option<&'a Redaction>,
    /// Each with its place in the selection.
    fields: Vec<(usize, HeaderField)>,
    /// Bytes that further values may take.
    left: usize,
}

/// The selected fields of a head that `sender` sent; `None` if it has none. A field that may continue behind the end of an
/// incomplete head is not one of them.
pub(super) fn select(
    lines: Lines<'_>,
    sender: Side,
    selection: &HeaderSelection,
    redaction: Option<&Redaction>,
) -> Option<Box<HeaderFields>> {
    let mut collector = Collector { redaction, fields: Vec::new(), left: MAX_HEAD_BYTES };
    let mut current: Option<(usize, &Selected, Cow<'_, [u8]>)> = None;
    let mut is_complete = !lines.may_continue();
    for (line, _) in lines.fields() {
        if line.first().is_some_and(is_whitespace) {
            // Obsolete line folding is as good as one space (RFC 9112, 5.2).
            if let Some((.., value)) = &mut current {
                let value = value.to_mut();
                value.push(b' ');
                value.extend_from_slice(trim(line));
            }
            continue;
        }
        collector.push(current.take());
        if line.is_empty() {
            is_complete = true;
            break;
        }
        current = split_once(line, b':').and_then(|(name, value)| {
            let (place, selected) = selection.find(trim_end(name))?;
            Some((place, selected, trim(value).into()))
        });
    }
    if is_complete {
        collector.push(current);
    }
    let mut fields = collector.fields;
    if fields.is_empty() {
        return None;
    }
    fields.sort_by_key(|(place, _)| *place);
    Some(Box::new(HeaderFields { sender, fields: fields.into_iter().map(|(_, field)| field).collect() }))
}

impl Collector<'_> {
    /// Adds a field line that is complete.
    fn push(&mut self, line: Option<(usize, &Selected, Cow<'_, [u8]>)>) {
        let Some((place, selected, value)) = line else { return };
        let value = redacted(trim(&value), selected.kind, self.redaction);
        let known = self.fields.iter().position(|(other, _)| *other == place);
        let known = known.unwrap_or_else(|| {
            let field = HeaderField { name: selected.name.clone(), values: Vec::new(), truncated: false };
            self.fields.push((place, field));
            self.fields.len() - 1
        });
        let Some((_, field)) = self.fields.get_mut(known) else { return };
        let kept = cut(&value, MAX_VALUE_BYTES.min(self.left));
        if field.values.len() == MAX_VALUES || kept.is_empty() && !value.is_empty() {
            field.truncated = true;
            return;
        }
        field.truncated |= kept.len() < value.len();
        field.values.push(Text::from_wire(kept));
        self.left -= kept.len();
    }
}

/// The value as it is recorded. No URL has whitespace in it: without, what is before and after it is seen as one.
fn redacted<'a>(value: &'a [u8], kind: ValueKind, redaction: Option<&Redaction>) -> Cow<'a, [u8]> {
    if kind == ValueKind::Other {
        return value.into();
    }
    let compact: Vec<u8> = value.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let public = without_user_information(&compact);
    match redaction.filter(|_| kind == ValueKind::Reference) {
        Some(redaction) => redaction.apply_to_reference(&public),
        None => public.into_owned(),
    }
    .into()
}

/// The first bytes of a value, at most `len`, and no part of a character.
fn cut(value: &[u8], len: usize) -> &[u8] {
    const CONTINUATION: usize = 3;
    if value.len() <= len {
        return value;
    }
    let is_inside = |at: usize| value.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (len.saturating_sub(CONTINUATION)..=len).rev().find(|at| !is_inside(*at)).unwrap_or(len);
    value.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::Redact, *};

    /// The selected fields of a request: `name=value|value`, with `…` behind those that are truncated.
    fn selected_with(names: &[&str], redaction: Option<&Redaction>, head: &[u8]) -> String {
        let selection = HeaderSelection::new(names).expect("names");
        let found = select(Lines::of(head), Side::Client, &selection, redaction);
        let shown = |field: &HeaderField| {
            let values: Vec<_> = field.values.iter().map(Text::as_str).collect();
            let end = if field.truncated { "…" } else { "" };
            format!("{}={}{end}", field.name.as_str(), values.join("|"))
        };
        found.map_or_else(String::new, |found| found.fields.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    fn selected(names: &[&str], fields: &str) -> String {
        selected_with(names, None, format!("GET / HTTP/1.1\r\n{fields}").as_bytes())
    }

    #[test]
    fn selected_fields_are_found_in_the_order_of_the_selection() {
        for (fields, expected) in [
            ("A: 1\r\nB: 2\r\n\r\n", "b=2 a=1"),
            ("a:1\r\nC: 3\r\nA: \t 2 \r\n\r\n", "a=1|2"),
            ("A: 1, 2\r\n\r\n", "a=1, 2"),
            ("A:\r\n\r\n", "a="),
            ("A : 1\nB\t: 2\n\n", "b=2 a=1"),
            ("A: 1\r\n 2\r\n\t3 \r\nB: 4\r\n\r\n", "b=4 a=1 2 3"),
            ("A:\r\n 1\r\n\r\n", "a=1"),
            ("C: 1\r\n A: 2\r\n\r\n", ""),
            (" A: 1\r\nno colon\r\n A: 2\r\n\r\n", ""),
            ("AA: 1\r\nA(: 2\r\n: 3\r\n\r\n", ""),
            ("C: 1\r\n\r\nA: 2\r\n\r\n", ""),
            ("A: 1\r\n\r\n continued\r\n", "a=1"),
            ("A: \x1b[2J\x00\u{202e}\r\n\r\n", "a=\\x1b[2J\\x00\\xe2\\x80\\xae"),
            ("A: x\rB: y\r\n\r\n", "a=x\\x0dB: y"),
        ] {
            assert_eq!(selected(&["b", "a"], fields), expected, "{fields:?}");
        }
        assert_eq!(selected_with(&["a"], None, b"GET / HTTP/1.1\r\nA: \xff\xfe\r\n\r\n"), "a=\\xff\\xfe");
    }

    #[test]
    fn a_truncated_head_has_the_fields_that_were_seen_completely() {
        for (fields, expected) in [
            ("A: 1\r\nB: 2\r\n\r\n", "b=2 a=1"),
            ("A: 1\r\nB: 2\r\n\r", "b=2 a=1"),
            ("A: 1\r\nB: 2\r\n", "a=1"),
            ("A: 1\r\nB: 2\r\n ", "a=1"),
            ("A: 1\r\nB: 2\r", "a=1"),
            ("A: 1\r\nB", "a=1"),
            ("A: 1\r\n", ""),
            ("A: 1", ""),
            ("", ""),
        ] {
            assert_eq!(selected(&["b", "a"], fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn limits_cut_values_visibly() {
        let line = |len: usize| format!("A: {}\r\n", "x".repeat(len));
        let values = |fields: &str| selected(&["a", "b"], fields);
        let cut = values(&(line(64 * 1024) + "B: 1\r\n\r\n"));
        assert_eq!(cut, format!("a={}… b=1", "x".repeat(MAX_VALUE_BYTES)));
        assert_eq!(values(&(line(MAX_VALUE_BYTES) + "\r\n")), format!("a={}", "x".repeat(MAX_VALUE_BYTES)));
        let many = values(&("A: 1\r\n".repeat(MAX_VALUES + 1) + "B: 2\r\n\r\n"));
        assert_eq!(many, format!("a={}… b=2", ["1"; MAX_VALUES].join("|")));
        let full = values(&(line(MAX_VALUE_BYTES).repeat(MAX_HEAD_BYTES / MAX_VALUE_BYTES) + "B: 1\r\n\r\n"));
        assert!(full.ends_with("x b=…"), "{}", &full[full.len() - 20..]);
        let thousands = values(&("b:\r\n".repeat(4000) + "A: 1\r\n\r\n"));
        assert_eq!(thousands, format!("a=1 b={}…", "|".repeat(MAX_VALUES - 1)));
        let folded = values(&format!("A: 1\r\n{}\r\n", " 2\r\n".repeat(4000)));
        assert_eq!(folded.len(), "a=…".len() + MAX_VALUE_BYTES);
    }

    #[test]
    fn a_value_is_cut_between_characters() {
        for (value, len, expected) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("a\u{e9}", 2, "a"),
            ("a\u{1f600}", 4, "a"),
            ("a\u{1f600}", 5, "a\u{1f600}"),
            ("a", 0, ""),
        ] {
            assert_eq!(cut(value.as_bytes(), len), expected.as_bytes(), "{value} {len}");
        }
        assert_eq!(cut(&[0x80; 9], 5).len(), 5);
    }

    #[test]
    fn user_information_is_in_no_field_that_is_a_url() {
        for (name, value, expected) in [
            ("referer", "http://u:p@a/b?c", "http://REDACTED@a/b?c"),
            ("location", "//u@a/", "//REDACTED@a/"),
            ("location", "/a?next=http://u:p@b/", "/a?next=http://REDACTED@b/"),
            ("content-location", "http://u:8,p@a/", "http://REDACTED@a/"),
            ("referer", "http://u:\r\n p@a/", "http://REDACTED@a/"),
            ("referer", "http://u:80 p@a/", "http://REDACTED@a/"),
            ("host", "u:p@a:80", "REDACTED@a:80"),
            ("user-agent", "bot (mailto:a@b)", "bot (mailto:a@b)"),
        ] {
            let fields = format!("{name}: {value}\r\n\r\n");
            assert_eq!(selected(&[name], &fields), format!("{name}={expected}"), "{fields:?}");
        }
    }

    #[test]
    fn a_url_is_hashed_as_a_request_target_is() {
        let head = b"GET / HTTP/1.1\r\nReferer: http://u:p@a/b?c=d#e\r\nHost: a\r\nX: /b?c=d\r\n\r\n";
        for (level, kept, hidden) in [
            (Redact::Query, &["http://REDACTED@a/b?"][..], &["c=d#", "#e", "u:p"][..]),
            (Redact::Path, &["http://REDACTED@a/"], &["a/b", "c=d#", "#e", "u:p"]),
        ] {
            let redaction = Redaction::new(level, b"a key of the tests");
            let fields = selected_with(&["referer", "host", "x"], Some(&redaction), head);
            assert!(fields.ends_with(" host=a x=/b?c=d"), "{fields}");
            assert!(kept.iter().all(|part| fields.contains(part)), "{fields}");
            assert!(!hidden.iter().any(|part| fields.contains(part)), "{fields}");
        }
    }
}
