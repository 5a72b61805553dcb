//! Words that the glossary of CONTRIBUTING.md replaces must not come back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{read, root};

/// A word that is replaced, what to say instead, and phrases in which it is plain English.
///
/// An upper-case letter makes the comparison sensitive to case. A `*` at the end stands for any end
/// of the word.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("told", "emitted (kernel) or reported (records)", &[]),
    ("untold", "unreported", &[]),
    ("telling", "reporting", &[]),
    ("tell", "emit, report or distinguish", &[]),
    ("Room", "ScanBuffer or scratch", &[]),
    (
        "letters",
        "history entries",
        &["lowercase letters", "uppercase letters", "case letters", "ASCII letters"],
    ),
    ("by its looks", "by resynchronisation", &[]),
    ("by their looks", "probably", &[]),
    ("given up", "dropped, evicted or expired", &[]),
    ("gives up", "drops, evicts or expires", &[]),
    ("gave up", "dropped, evicted or expired", &[]),
    ("give up", "drop, evict or expire", &[]),
    ("giving up", "dropping, evicting or expiring", &[]),
    ("worth", "priority", &[]),
    ("oddit*", "anomalies", &[]),
    ("summaris*", "aggregated", &[]),
    ("forged", "spoofed", &[]),
    ("overtaken", "out of order", &[]),
    ("asked for", "requested", &[]),
    ("trouble*", "TCP statistics or anomalies", &[]),
    ("Circumstances", "SegmentContext", &[]),
    ("Course", "ConnStateTracker", &[]),
    ("picked up", "midstream", &[]),
    ("of a thousand", "permille", &[]),
    ("blank", "whitespace", &["blank line", "Blank line"]),
    ("insist*", "force", &[]),
    ("looked_up", "recovered", &[]),
    ("gives_way", "is_shed_at", &[]),
];

/// The endings of the files that are checked.
const ENDINGS: [&str; 5] = ["rs", "md", "toml", "sh", "schema.json"];

/// What quotes the words: this list, and history.
const EXEMPT: [&str; 2] = ["tracer/tests/project/words.rs", "CHANGELOG.md"];

/// Files of the project, relative to its root.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).expect("a folder of the project") {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().expect("a type").is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, found);
            }
        } else if ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
            found.push(path);
        }
    }
}

/// Whether `line` has `word` as a word, or as a part of an identifier.
fn has_word(line: &str, word: &str, allowed: &[&str]) -> bool {
    let line = allowed.iter().fold(line.to_owned(), |line, phrase| line.replace(phrase, ""));
    let is_exact = word.contains(char::is_uppercase);
    let searched = if is_exact { line.clone() } else { line.to_ascii_lowercase() };
    let (stem, is_stem) = word.strip_suffix('*').map_or((word, false), |stem| (stem, true));
    searched.match_indices(stem).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let (found, after) = rest.split_at(stem.len());
        let begins =
            !before.ends_with(|c: char| c.is_alphanumeric()) || found.starts_with(char::is_uppercase);
        let ends = is_stem || !after.starts_with(|c: char| c.is_ascii_lowercase());
        begins && ends
    })
}

/// The lines of a file in which the words are replaced: not those of the glossary itself.
fn lines<'a>(path: &Path, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let has_glossary = path == Path::new("CONTRIBUTING.md");
    text.lines().enumerate().filter(move |(_, line)| !(has_glossary && line.starts_with('|')))
}

#[test]
fn a_word_is_found_in_prose_and_in_identifiers() {
    for (line, word, is_found) in [
        ("it is told", "told", true),
        ("let is_told = 1;", "told", true),
        ("Stop::Told", "told", true),
        ("fn isTold()", "told", true),
        ("untold", "told", false),
        ("tolder", "told", false),
        ("room for 64 bytes", "Room", false),
        ("struct Room;", "Room", true),
        ("summarised", "summaris*", true),
        ("a blank line", "blank", false),
        ("a blank", "blank", true),
    ] {
        assert_eq!(has_word(line, word, &["blank line"]), is_found, "{word} in {line:?}");
    }
}

#[test]
fn replaced_words_are_not_used() {
    let mut paths = Vec::new();
    files(Path::new(""), &mut paths);
    paths.sort();
    assert!(paths.len() > 200, "{paths:?}");
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| EXEMPT.iter().all(|exempt| path.as_path() != Path::new(exempt))) {
        for (number, line) in lines(path, &read(path)) {
            let words = WORDS.iter().filter(|(word, _, allowed)| has_word(line, word, allowed));
            found.extend(words.map(|(word, instead, _)| {
                format!("{}:{}: {word} ({instead}): {}", path.display(), number + 1, line.trim())
            }));
        }
    }
    assert!(found.is_empty(), "{} lines:\n{}", found.len(), found.join("\n"));
}
