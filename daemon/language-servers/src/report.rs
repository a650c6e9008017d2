//! What language servers found, in lines for a model. Knows no server.

use std::path::{Path, PathBuf};

use crate::problem::{Problem, line};

/// Errors that are told; more are counted.
const MAX_TOLD: usize = 20;
/// Bytes of a path.
const MAX_PATH: usize = 300;

/// What a server found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) certainty: Certainty,
    /// Whether anything is known at all.
    pub(crate) is_known: bool,
    /// The files with errors, and how they are told.
    pub(crate) files: Vec<(PathBuf, Vec<String>)>,
}

/// Whether errors came with a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// They were not there before.
    #[default]
    New,
    /// The server did not say in time what was wrong before.
    PerhapsOlder,
}

impl Findings {
    /// Adds what is wrong with a file that holds this text, if it is known.
    pub(crate) fn add(&mut self, path: &Path, problems: &[Problem], text: Option<&str>) {
        if problems.is_empty() {
            return;
        }
        let lines: Vec<&str> = text.unwrap_or_default().lines().collect();
        let told = |problem: &Problem| {
            let column = lines
                .get(problem.line as usize)
                .map_or(u64::from(problem.character), |line| column(line, problem.character));
            let code = if problem.code.is_empty() { String::new() } else { format!(" [{}]", problem.code) };
            format!("{}:{}: {}{code}", u64::from(problem.line) + 1, column + 1, problem.message)
        };
        self.files.push((path.to_owned(), problems.iter().map(told).collect()));
    }

    /// The lines; empty if there is nothing to tell.
    pub(crate) fn report(&self, server: &str, cwd: &Path) -> String {
        let count: usize = self.files.iter().map(|(_, problems)| problems.len()).sum();
        if count == 0 {
            return String::new();
        }
        let mut report = match self.certainty {
            Certainty::New => format!("New errors since this change, says {server}:"),
            Certainty::PerhapsOlder => {
                format!("Errors in the changed files, says {server}; some may be older than this change:")
            }
        };
        let all = self.files.iter().flat_map(|(path, problems)| problems.iter().map(move |one| (path, one)));
        for (path, problem) in all.take(MAX_TOLD) {
            let path = path.strip_prefix(cwd).unwrap_or(path).to_string_lossy();
            report.push_str(&format!("\n{}:{problem}", line(&path, MAX_PATH)));
        }
        if count > MAX_TOLD {
            report.push_str(&format!("\n… and {} more", count - MAX_TOLD));
        }
        report
    }
}

/// The characters before a place in a line that is counted in units of UTF-16.
fn column(line: &str, utf16: u32) -> u64 {
    let mut units = 0;
    let mut characters = 0;
    for character in line.chars() {
        if units >= u64::from(utf16) {
            break;
        }
        units += character.len_utf16() as u64;
        characters += 1;
    }
    characters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, character: u32, message: &str) -> Problem {
        Problem { line, character, message: message.to_owned(), code: "E1".to_owned() }
    }

    #[test]
    fn places_are_counted_as_people_count_them() {
        let mut findings = Findings::default();
        let problems = [problem(0, 0, "a"), problem(1, 3, "b"), problem(9, 4, "c")];
        findings.add(Path::new("/repo/src/a.rs"), &problems, Some("x\n🦀ü!\n"));
        findings.add(Path::new("/other/b.rs"), &[problem(u32::MAX, u32::MAX, "d")], None);
        findings.add(Path::new("/repo/good.rs"), &[], None);
        let report = findings.report("rust-analyzer", Path::new("/repo"));
        let lines: Vec<_> = report.lines().collect();
        assert_eq!(
            lines,
            [
                "New errors since this change, says rust-analyzer:",
                "src/a.rs:1:1: a [E1]",
                "src/a.rs:2:3: b [E1]",
                "src/a.rs:10:5: c [E1]",
                "/other/b.rs:4294967296:4294967296: d [E1]",
            ]
        );
    }

    #[test]
    fn nothing_wrong_is_not_worth_a_word_and_too_much_is_counted() {
        let mut findings = Findings::default();
        assert_eq!(findings.report("x", Path::new("/repo")), "");
        let problems: Vec<_> = (0..30).map(|line| problem(line, 0, "a")).collect();
        findings.add(Path::new("/repo/a\nb.rs"), &problems, None);
        let report = findings.report("x", Path::new("/repo"));
        assert_eq!(report.lines().count(), 1 + MAX_TOLD + 1);
        assert!(report.contains("\na b.rs:1:1: a [E1]\n") && report.ends_with("… and 10 more"), "{report}");
    }
}
