//! One thing that a language server finds wrong, read from what it says (LSP 3.17, `Diagnostic`). Only errors count.

use serde_json::Value;

/// Problems of one file that are kept; more are not looked at.
pub(crate) const MAX_PROBLEMS: usize = 200;
/// Bytes that are kept of a message.
const MAX_MESSAGE: usize = 400;
/// Bytes that are kept of a code.
const MAX_CODE: usize = 40;

/// An error in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// From 0.
    pub(crate) line: u32,
    /// From 0, in units of UTF-16.
    pub(crate) character: u32,
    /// One line.
    pub(crate) message: String,
    /// May be empty.
    pub(crate) code: String,
}

impl Problem {
    /// Reads one; `None` for what is no error, or makes no sense.
    fn read(value: &Value) -> Option<Self> {
        // Without a word it is an error; 1 is the word for it.
        if !matches!(value.get("severity").and_then(Value::as_u64), None | Some(1)) {
            return None;
        }
        let number = |key: &str| value.pointer(&format!("/range/start/{key}"))?.as_u64();
        let position = |key: &str| Some(u32::try_from(number(key)?).unwrap_or(u32::MAX));
        let code = match value.get("code") {
            Some(Value::String(code)) => line(code, MAX_CODE),
            Some(Value::Number(code)) => code.to_string(),
            _ => String::new(),
        };
        // A message may also be marked up, in later revisions.
        let message = value.get("message")?;
        let message = message.as_str().or_else(|| message.get("value")?.as_str())?;
        Some(Self {
            line: position("line")?,
            character: position("character")?,
            message: line(message, MAX_MESSAGE),
            code,
        })
    }

    fn is_alike(&self, other: &Self) -> bool {
        self.message == other.message && self.code == other.code
    }
}

/// The errors in a list of a server, the first ones in the order of their places.
pub(crate) fn read_all(list: Option<&Value>) -> Vec<Problem> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut problems: Vec<_> = list.iter().filter_map(Problem::read).take(MAX_PROBLEMS).collect();
    problems.sort();
    problems.dedup();
    problems
}

/// Those that are not among the earlier ones. A change moves what stands below it, so places say little: of several
/// that say the same, as many are new as there are more of them, and those that stay where they were are not.
pub(crate) fn new_ones(before: &[Problem], now: &[Problem]) -> Vec<Problem> {
    let mut old: Vec<&Problem> = before.iter().collect();
    let mut left = Vec::new();
    for problem in now {
        match old.iter().position(|known| *known == problem) {
            Some(place) => drop(old.remove(place)),
            None => left.push(problem),
        }
    }
    left.retain(|problem| match old.iter().position(|known| known.is_alike(problem)) {
        Some(place) => {
            old.remove(place);
            false
        }
        None => true,
    });
    left.into_iter().cloned().collect()
}

/// The text as one line of at most so many bytes.
pub(crate) fn line(text: &str, most: usize) -> String {
    let cut = &text[..text.floor_char_boundary(4 * most)];
    let mut line = cut.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > most || cut.len() < text.len() {
        line.truncate(line.floor_char_boundary(most.saturating_sub(3)));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(line: u32, message: &str) -> Problem {
        Problem { line, character: 0, message: message.to_owned(), code: String::new() }
    }

    #[test]
    fn only_errors_are_read_and_what_makes_no_sense_is_left_out() {
        let range = json!({"start": {"line": 3, "character": 4}, "end": {"line": 3, "character": 5}});
        let list = json!([
            {"range": range, "severity": 1, "code": "E1", "message": "a\n  b"},
            {"range": range, "severity": 2, "message": "a warning"},
            {"range": range, "code": 7, "message": {"kind": "markdown", "value": "c"}},
            {"range": {"start": {"line": -1, "character": 4}}, "message": "before the beginning"},
            {"message": "nowhere"},
            {"range": range},
            7,
        ]);
        let found = read_all(Some(&list));
        let shown: Vec<_> = found.iter().map(|one| (&*one.message, &*one.code, one.line)).collect();
        assert_eq!(shown, [("a b", "E1", 3), ("c", "7", 3)]);
        assert_eq!(read_all(Some(&json!("no list"))), []);
        assert_eq!(read_all(None), []);
    }

    #[test]
    fn lists_and_texts_are_bounded() {
        let of = |number: usize| {
            let start = json!({"line": number, "character": 0});
            json!({"range": {"start": start}, "message": "x".repeat(100_000), "code": "y".repeat(1000)})
        };
        let list: Value = (0..10_000).map(of).collect::<Vec<_>>().into();
        let found = read_all(Some(&list));
        assert_eq!(found.len(), MAX_PROBLEMS);
        assert!(found.iter().all(|one| one.message.len() <= MAX_MESSAGE && one.code.len() <= MAX_CODE));
    }

    #[test]
    fn what_only_moved_is_not_new() {
        let before = [problem(1, "a"), problem(5, "a"), problem(9, "b")];
        let now = [problem(1, "a"), problem(7, "a"), problem(8, "a"), problem(12, "b"), problem(13, "c")];
        assert_eq!(new_ones(&before, &now), [problem(8, "a"), problem(13, "c")]);
        assert_eq!(new_ones(&before, &[]), []);
        assert_eq!(new_ones(&[], &before), before);
    }
}
