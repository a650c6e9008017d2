//! A text that settings are read from, and places in it, as a person finds them. Knows nothing of keys.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use protocol::error::ConfigurationProblem;
use toml::de::DeTable;

/// A longer file is no configuration.
const MAX_BYTES: u64 = 1024 * 1024;
/// An excerpt shows at most so many characters of a line.
const EXCERPT_CHARACTERS: usize = 120;

/// A file, or an override as one line of TOML.
#[derive(Debug)]
pub(crate) struct Source {
    origin: String,
    text: String,
    /// The folder that relative paths start from; a file has one, an override does not.
    folder: Option<PathBuf>,
}

impl Source {
    /// Reads a file; `None` if there is none.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>, Box<ConfigurationProblem>> {
        let refused = |message: String| Box::new(problem(&file.display().to_string(), message));
        let unreadable = |error: io::Error| refused(format!("The file can't be read: {error}"));
        let metadata = match fs::metadata(file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        if metadata.is_dir() {
            return Err(refused("A folder stands where a file should be".to_owned()));
        }
        if !metadata.is_file() {
            return Err(refused("This is not a regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        File::open(file)
            .and_then(|open| open.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(refused("The file is larger than 1 MiB, which no configuration is".to_owned()));
        }
        let source = |text: &str| Self {
            origin: file.display().to_string(),
            text: text.trim_start_matches('\u{feff}').to_owned(),
            folder: file.parent().map(Path::to_owned),
        };
        match str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(source(text))),
            Err(error) => {
                let start = error.valid_up_to();
                let source = source(&String::from_utf8_lossy(&bytes));
                Err(Box::new(source.problem(start..start, "The file is not UTF-8 from here on".to_owned())))
            }
        }
    }

    /// One line of TOML that stands for an override.
    pub(crate) fn of_override(origin: String, text: String) -> Self {
        Self { origin, text, folder: None }
    }

    /// The folder that relative paths start from.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The whole as a table, or everything that is malformed.
    pub(crate) fn parse(&self) -> Result<DeTable<'_>, Vec<ConfigurationProblem>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Ok(table.into_inner());
        }
        let found =
            |error: toml::de::Error| self.problem(error.span().unwrap_or(0..0), capitalised(error.message()));
        let mut problems: Vec<ConfigurationProblem> = errors.into_iter().map(found).collect();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        // One slip makes the parser complain of the rest of the line as well.
        problems.dedup_by_key(|problem| problem.line);
        Err(problems)
    }

    /// A problem at a place. Line and column are those of a file; an override has neither.
    pub(crate) fn problem(&self, span: Range<usize>, message: String) -> ConfigurationProblem {
        let start = self.text.floor_char_boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let before = self.text[line_start..start].chars().count();
        let marked = self.text[start..self.text.ceil_char_boundary(span.end).max(start)]
            .chars()
            .take_while(|letter| *letter != '\n')
            .count();
        let (line_number, gutter) = match self.folder {
            Some(_) => {
                let number = 1 + self.text[..line_start].matches('\n').count();
                (Some(number), format!("{number} | "))
            }
            None => (None, String::new()),
        };
        ConfigurationProblem {
            line: line_number.and_then(|number| u32::try_from(number).ok()),
            column: line_number.and_then(|_| u32::try_from(before + 1).ok()),
            excerpt: Some(excerpt(line, &gutter, before, marked)),
            ..problem(&self.origin, message)
        }
    }
}

/// A problem without a place.
fn problem(origin: &str, message: String) -> ConfigurationProblem {
    ConfigurationProblem {
        origin: origin.to_owned(),
        line: None,
        column: None,
        key: None,
        message,
        suggestion: None,
        excerpt: None,
    }
}

/// A line, or the part of it that matters, with carets under the `marked` characters after `before`.
fn excerpt(line: &str, gutter: &str, before: usize, marked: usize) -> String {
    let skipped = before.saturating_sub(EXCERPT_CHARACTERS / 2);
    let shown: String = line
        .chars()
        .skip(skipped)
        .take(EXCERPT_CHARACTERS)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let before = before - skipped;
    let carets = marked.min(shown.chars().count().saturating_sub(before)).max(1);
    let indent = " ".repeat(gutter.len().saturating_sub(2));
    let bar = if gutter.is_empty() { "" } else { "| " };
    format!("{gutter}{shown}\n{indent}{bar}{}{}", " ".repeat(before), "^".repeat(carets))
}

fn capitalised(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Source {
        Source { origin: "config.toml".to_owned(), text: text.to_owned(), folder: Some(PathBuf::from("/")) }
    }

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let problem = file("a = 1\n\"ä\" = 'ö' # x\n").problem(13..17, "No".to_owned());
        assert_eq!((problem.line, problem.column), (Some(2), Some(7)));
        assert_eq!(problem.excerpt.as_deref(), Some("2 | \"ä\" = 'ö' # x\n  |       ^^^"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let excerpt = file(&text).problem(500..501, "No".to_owned()).excerpt.unwrap();
        let lines: Vec<&str> = excerpt.lines().collect();
        assert_eq!(lines[0].len(), 4 + EXCERPT_CHARACTERS);
        assert_eq!(lines[0].find('X'), lines[1].find('^'));
    }

    #[test]
    fn a_place_at_the_very_end_is_shown() {
        let problem = file("a =").problem(3..3, "No".to_owned());
        assert_eq!(problem.excerpt.as_deref(), Some("1 | a =\n  |    ^"));
        assert_eq!(file("").problem(0..0, "No".to_owned()).excerpt.as_deref(), Some("1 | \n  | ^"));
    }

    #[test]
    fn every_malformed_line_is_reported_once() {
        let problems = file("a = = 1\nb = 2\nc = [1\nd = \"x\n").parse().unwrap_err();
        let lines: Vec<_> = problems.iter().filter_map(|problem| problem.line).collect();
        assert!(lines.contains(&1) && lines.contains(&4), "{problems:#?}");
        assert!(lines.is_sorted() && lines.windows(2).all(|pair| pair[0] != pair[1]), "{lines:?}");
    }
}
