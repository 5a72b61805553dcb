//! What `-o FORMAT[=TARGET]` and `-w FILE` ask for.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Format, Look};

/// One output: a format, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputConfig {
    /// How records are written.
    pub format: Format,
    /// Where they go.
    pub destination: Destination,
    /// How they look.
    pub look: Look,
}

/// Where the records of an output go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    #[default]
    StandardOutput,
    /// A file, continued if it is there.
    File(PathBuf),
}

/// What outputs need for as long as they run: what the sandbox must leave within reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files that are opened again at SIGHUP.
    pub files: Vec<PathBuf>,
}

impl OutputConfig {
    /// What this output needs.
    #[must_use]
    pub fn needs(&self) -> Needs {
        Needs { files: self.destination.file().map(Path::to_owned).into_iter().collect() }
    }
}

impl Destination {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::StandardOutput => None,
            Self::File(path) => Some(path),
        }
    }

    /// From `TARGET` as typed: `-` is standard output.
    #[must_use]
    pub fn from_target(target: &Path) -> Self {
        if target == Path::new("-") { Self::StandardOutput } else { Self::File(target.to_owned()) }
    }

    /// Whether the two are the same place, however their paths are written.
    fn is_same(&self, other: &Self) -> bool {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.file().map(absolute) == other.file().map(absolute)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardOutput => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Needs {
    /// What all of these outputs need together.
    #[must_use]
    pub fn of(outputs: &[OutputConfig]) -> Self {
        Self { files: outputs.iter().flat_map(|output| output.needs().files).collect() }
    }
}

/// `-o FORMAT[=TARGET]` as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatAndTarget {
    format: Format,
    target: Option<PathBuf>,
}

impl FromStr for FormatAndTarget {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let (format, target) = match typed.split_once('=') {
            Some((_, "")) => {
                return Err(format!("no target after {typed:?}: give a file, or - for standard output"));
            }
            Some((format, target)) => (format, Some(PathBuf::from(target))),
            None => (typed, None),
        };
        Ok(Self { format: format.parse()?, target })
    }
}

impl From<FormatAndTarget> for OutputConfig {
    fn from(FormatAndTarget { format, target }: FormatAndTarget) -> Self {
        let destination = target.as_deref().map(Destination::from_target).unwrap_or_default();
        Self { format, destination, look: Look::default() }
    }
}

/// The outputs that the options ask for, each option with its place on the command line.
///
/// # Errors
/// `-w` has no output to belong to, or two outputs have the same target: what was found and what to
/// type.
pub fn outputs(
    mut formats: Vec<(usize, FormatAndTarget)>,
    files: Vec<(usize, PathBuf)>,
) -> Result<Vec<OutputConfig>, String> {
    if formats.is_empty() {
        formats.push((0, FormatAndTarget { format: Format::default(), target: None }));
    }
    let only = formats.len() == 1;
    for (place, file) in files {
        let before = formats.iter_mut().rev().find(|(format_place, _)| only || *format_place < place);
        let shown = file.display().to_string();
        let Some((_, output)) = before else {
            return Err(format!("-w {shown} is before every -o: type -o FORMAT={shown}"));
        };
        if let Some(target) = output.target.replace(file) {
            return Err(format!(
                "-o {format} has two targets, {} and {shown}: type -o {format}=TARGET for each",
                target.display(),
                format = output.format
            ));
        }
    }
    let outputs: Vec<OutputConfig> = formats.into_iter().map(|(_, output)| output.into()).collect();
    for (number, output) in outputs.iter().enumerate() {
        let same = |other: &&OutputConfig| other.destination.is_same(&output.destination);
        if let Some(other) = outputs.iter().take(number).find(same) {
            return Err(format!(
                "-o {} and -o {} both write to {}: give one of them a file, as in -o {}=FILE",
                other.format, output.format, output.destination, output.format
            ));
        }
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outputs of a command line of `-o` and `-w` only, as `FORMAT DESTINATION`.
    fn typed(line: &str) -> Result<Vec<String>, String> {
        let (mut formats, mut files) = (Vec::new(), Vec::new());
        let words: Vec<&str> = line.split_whitespace().collect();
        for (place, pair) in words.chunks(2).enumerate() {
            match pair {
                ["-o", output] => formats.push((place, output.parse()?)),
                ["-w", file] => files.push((place, PathBuf::from(file))),
                other => panic!("{other:?}"),
            }
        }
        let words = |output: &OutputConfig| format!("{} {}", output.format, output.destination);
        Ok(outputs(formats, files)?.iter().map(words).collect())
    }

    #[test]
    fn outputs_are_a_list_and_a_file_belongs_to_the_format_before_it() {
        for (line, expected) in [
            ("", &["text standard output"][..]),
            ("-o json", &["json standard output"]),
            ("-w a", &["text a"]),
            ("-w a -o json", &["json a"]),
            ("-o json=-", &["json standard output"]),
            ("-o text -o json=/var/log/a=b", &["text standard output", "json /var/log/a=b"]),
            ("-o text -o json -w a", &["text standard output", "json a"]),
            ("-o json -w a -o text", &["json a", "text standard output"]),
            ("-o json -w a -o text -w b", &["json a", "text b"]),
        ] {
            assert_eq!(
                typed(line).as_deref(),
                Ok(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_ambiguous_or_given_twice_is_refused_with_what_to_type() {
        for (line, expected) in [
            ("-o json -w a -w b", "-o json has two targets, a and b: type -o json=TARGET for each"),
            ("-o json=a -w b", "-o json has two targets, a and b: type -o json=TARGET for each"),
            ("-w a -o json -o text", "-w a is before every -o: type -o FORMAT=a"),
            (
                "-o json -o text",
                "-o json and -o text both write to standard output: give one of them a file, as in -o text=FILE",
            ),
            (
                "-o json=a -o text=./a",
                "-o json and -o text both write to ./a: give one of them a file, as in -o text=FILE",
            ),
            ("-o json=", "no target after \"json=\": give a file, or - for standard output"),
            ("-o xml", "\"xml\" is not an output format: give text, json or explain"),
        ] {
            assert_eq!(typed(line), Err(expected.to_owned()), "{line}");
        }
    }
}
