//! Reads a patch. The format is that of Codex CLI, down to what is an error, since models are trained on it.

use super::section::{Action, Hunk, HunkLine, LineKind, Patch, Section};

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ENVIRONMENT: &str = "*** Environment ID:";
const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";
const END_OF_FILE: &str = "*** End of File";

/// Why a text is no patch. Lines are counted from 1 at `*** Begin Patch`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    #[error("Invalid patch: The first line of the patch must be '{BEGIN}'")]
    NoBegin,
    #[error("Invalid patch: The last line of the patch must be '{END}'")]
    NoEnd,
    #[error("Invalid patch hunk on line {line}: {problem}")]
    Line { line: usize, problem: Problem },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("The environment id is empty")]
    EmptyEnvironment,
    #[error(
        "'{0}' is not a valid hunk header. Valid hunk headers: '{ADD}{{path}}', '{DELETE}{{path}}', \
         '{UPDATE}{{path}}'"
    )]
    NotAHeader(String),
    #[error("Unexpected line found in add file hunk: '{0}'. Every line should start with '+'")]
    NotAdded(String),
    #[error("Update file hunk for path '{0}' is empty")]
    EmptyUpdate(String),
    #[error("Update hunk does not contain any lines")]
    EmptyHunk,
    #[error(
        "Unexpected line found in update hunk: '{0}'. Every line should start with ' ' (context line), '+' \
         (added line), or '-' (removed line)"
    )]
    NotABody(String),
    #[error("Expected update hunk to start with a @@ context marker, got: '{0}'")]
    NotAMarker(String),
}

/// Reads a patch.
pub(crate) fn parse(text: &str) -> Result<Patch, ParseError> {
    let lines: Vec<&str> = text.trim().lines().collect();
    let body = envelope(&lines).or_else(|error| match &lines[..] {
        // A heredoc that was handed over whole.
        ["<<EOF" | "<<'EOF'" | "<<\"EOF\"", inner @ .., last]
            if last.ends_with("EOF") && inner.len() >= 2 =>
        {
            envelope(inner)
        }
        _ => Err(error),
    })?;
    let mut lines = Lines { rest: body, number: 2 };
    if let Some(id) = lines.peek().and_then(|line| line.trim().strip_prefix(ENVIRONMENT)) {
        if id.trim().is_empty() {
            return Err(lines.error(Problem::EmptyEnvironment));
        }
        lines.skip();
    }
    let mut sections = Vec::new();
    while lines.peek().is_some() {
        sections.push(section(&mut lines)?);
    }
    Ok(Patch { sections })
}

/// The lines between the first and the last.
fn envelope<'a, 'b>(lines: &'b [&'a str]) -> Result<&'b [&'a str], ParseError> {
    match lines {
        [first, ..] if first.trim() != BEGIN => Err(ParseError::NoBegin),
        [_, body @ .., last] if last.trim() == END => Ok(body),
        [] => Err(ParseError::NoBegin),
        _ => Err(ParseError::NoEnd),
    }
}

/// The lines that are not read yet.
struct Lines<'a, 'b> {
    rest: &'b [&'a str],
    /// The number of the next one.
    number: usize,
}

impl<'a> Lines<'a, '_> {
    fn peek(&self) -> Option<&'a str> {
        self.rest.first().copied()
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
        self.number += 1;
    }

    /// Something is wrong with the next line.
    fn error(&self, problem: Problem) -> ParseError {
        ParseError::Line { line: self.number, problem }
    }
}

fn section(lines: &mut Lines<'_, '_>) -> Result<Section, ParseError> {
    let line = lines.number;
    let header = lines.peek().unwrap_or_default().trim();
    let not_a_header = lines.error(Problem::NotAHeader(header.to_owned()));
    lines.skip();
    let (path, action) = if let Some(path) = header.strip_prefix(ADD) {
        (path, Action::Add { content: added(lines)? })
    } else if let Some(path) = header.strip_prefix(DELETE) {
        (path, Action::Delete)
    } else if let Some(path) = header.strip_prefix(UPDATE) {
        let move_to = lines.peek().and_then(|line| line.trim_end().strip_prefix(MOVE)).map(str::to_owned);
        if move_to.is_some() {
            lines.skip();
        }
        let hunks = hunks(lines)?;
        if hunks.is_empty() {
            return Err(ParseError::Line { line, problem: Problem::EmptyUpdate(path.to_owned()) });
        }
        (path, Action::Update { move_to, hunks })
    } else {
        return Err(not_a_header);
    };
    Ok(Section { line, path: path.to_owned(), action })
}

/// The content of a new file.
fn added(lines: &mut Lines<'_, '_>) -> Result<String, ParseError> {
    let mut content = String::new();
    while let Some(line) = lines.peek().filter(|line| !is_header(line)) {
        let Some(text) = line.strip_prefix('+') else {
            return Err(lines.error(Problem::NotAdded(line.to_owned())));
        };
        content.push_str(text);
        content.push('\n');
        lines.skip();
    }
    Ok(content)
}

fn hunks(lines: &mut Lines<'_, '_>) -> Result<Vec<Hunk>, ParseError> {
    let mut hunks = Vec::new();
    while let Some(line) = lines.peek().filter(|line| !is_header(line)) {
        if line.trim().is_empty() {
            lines.skip();
        } else if line.starts_with("***") && !hunks.is_empty() {
            return Err(lines.error(Problem::NotAHeader(line.trim().to_owned())));
        } else {
            let hunk = hunk(lines, hunks.is_empty())?;
            hunks.push(hunk);
        }
    }
    Ok(hunks)
}

fn hunk(lines: &mut Lines<'_, '_>, is_first: bool) -> Result<Hunk, ParseError> {
    let mut hunk = Hunk { line: lines.number, anchor: None, lines: Vec::new(), is_at_end: false };
    let line = lines.peek().unwrap_or_default();
    if let Some(anchor) = marker(line) {
        hunk.anchor = (!anchor.is_empty()).then(|| anchor.to_owned());
        lines.skip();
    } else if !is_first {
        return Err(lines.error(Problem::NotAMarker(line.to_owned())));
    }
    while let Some(line) = lines.peek().filter(|line| !is_header(line) && marker(line).is_none()) {
        if line == END_OF_FILE && !hunk.lines.is_empty() {
            hunk.is_at_end = true;
            lines.skip();
            break;
        }
        let Some(read) = body_line(line) else {
            if hunk.lines.is_empty() && line != END_OF_FILE {
                return Err(lines.error(Problem::NotABody(line.to_owned())));
            }
            break;
        };
        hunk.lines.push(read);
        lines.skip();
    }
    if hunk.lines.is_empty() { Err(lines.error(Problem::EmptyHunk)) } else { Ok(hunk) }
}

fn body_line(line: &str) -> Option<HunkLine> {
    let (kind, text) = match line.chars().next() {
        None => (LineKind::Context, ""),
        Some(' ') => (LineKind::Context, &line[1..]),
        Some('-') => (LineKind::Removed, &line[1..]),
        Some('+') => (LineKind::Added, &line[1..]),
        Some(_) => return None,
    };
    Some(HunkLine { kind, text: text.to_owned() })
}

/// The text after `@@`, if the line is a marker.
fn marker(line: &str) -> Option<&str> {
    match line.trim() {
        "@@" => Some(""),
        line => line.strip_prefix("@@ "),
    }
}

fn is_header(line: &str) -> bool {
    let line = line.trim();
    [ADD, DELETE, UPDATE].iter().any(|header| line.starts_with(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A patch in short: `A path "content"`, `D path`, `U path > to [@anchor|+added|-removed| context|$]`.
    fn short(patch: &Patch) -> String {
        let hunk = |hunk: &Hunk| {
            let anchor = hunk.anchor.iter().map(|anchor| format!("@{anchor}"));
            let lines = hunk.lines.iter().map(|line| format!("{}{}", line.kind.sign(), line.text));
            let end = hunk.is_at_end.then(|| "$".to_owned());
            format!("[{}]", anchor.chain(lines).chain(end).collect::<Vec<_>>().join("|"))
        };
        let section = |section: &Section| match &section.action {
            Action::Add { content } => format!("A {} {content:?}", section.path),
            Action::Delete => format!("D {}", section.path),
            Action::Update { move_to, hunks } => {
                let to = move_to.iter().map(|to| format!(" > {to}")).collect::<String>();
                format!("U {}{to} {}", section.path, hunks.iter().map(hunk).collect::<String>())
            }
        };
        patch.sections.iter().map(section).collect::<Vec<_>>().join("; ")
    }

    /// The patch in short, or the error.
    fn check(text: &str, expected: &str) {
        let found = match parse(text) {
            Ok(patch) => short(&patch),
            Err(error) => error.to_string(),
        };
        let is_as_expected = if expected.ends_with('…') {
            found.starts_with(expected.trim_end_matches('…'))
        } else {
            found == expected
        };
        assert!(is_as_expected, "{text}\nfound:    {found}\nexpected: {expected}");
    }

    fn check_body(body: &str, expected: &str) {
        check(&format!("*** Begin Patch\n{body}\n*** End Patch"), expected);
    }

    #[test]
    fn the_envelope_is_needed() {
        let body = "*** Begin Patch\n*** Delete File: a\n*** End Patch";
        check(body, "D a");
        check(&format!("\n  {body}  \n\n"), "D a");
        check("  *** Begin Patch \n*** Delete File: a\n *** End Patch", "D a");
        check("*** Begin Patch\r\n*** Add File: a\r\n+x\r\n*** End Patch\r\n", r#"A a "x\n""#);
        check("*** Begin Patch\n*** End Patch", "");
        for quoted in ["EOF", "'EOF'", "\"EOF\""] {
            check(&format!("<<{quoted}\n{body}\nEOF"), "D a");
        }
        let no_begin = "Invalid patch: The first line of the patch must be '*** Begin Patch'";
        let no_end = "Invalid patch: The last line of the patch must be '*** End Patch'";
        for (text, expected) in [
            ("", no_begin),
            ("*** End Patch", no_begin),
            ("*** Begin Patch", no_end),
            ("*** begin patch\n*** End Patch", no_begin),
            ("*** Begin Patch\n*** Delete File: a", no_end),
        ] {
            check(text, expected);
        }
        check(&format!("Here it is:\n{body}"), no_begin);
        check(&format!("{body}\nDone"), no_end);
        check(&format!("```\n{body}\n```"), no_begin);
        check(&format!("<<PATCH\n{body}\nPATCH"), no_begin);
        check(&format!("<<eof\n{body}\neof"), no_begin);
        check(&format!("<<'EOF\"\n{body}\nEOF"), no_begin);
        check("<<EOF\n*** Begin Patch\nEOF", no_begin);
        check("<<EOF\n*** Begin Patch\n*** Delete File: a\nEOF", no_end);
        check(&format!("{body}\n{body}"), "Invalid patch hunk on line 3: '*** End Patch' is not a valid…");
    }

    #[test]
    fn an_environment_may_be_named_once_at_the_top() {
        check_body("*** Environment ID: x\n*** Delete File: a", "D a");
        check_body("*** Environment ID: x", "");
        check_body("*** Environment ID: ", "Invalid patch hunk on line 2: The environment id is empty");
        for (body, line) in [
            ("*** Delete File: a\n*** Environment ID: x", 3),
            ("*** Environment ID: x\n*** Environment ID: x", 3),
        ] {
            check_body(body, &format!("Invalid patch hunk on line {line}: '*** Environment ID: x' is not…"));
        }
    }

    #[test]
    fn headers_are_exact_but_for_blanks_around() {
        check_body("  *** Delete File: a b  ", "D a b");
        check_body("*** Delete File: \"~/ä\"", "D \"~/ä\"");
        for header in
            ["*** delete file: a", "*** Delete File:a", "*** Delete File a", "*** Delete File: ", "x"]
        {
            let expected = format!("Invalid patch hunk on line 2: '{}' is not a valid…", header.trim());
            check_body(header, &expected);
        }
        check_body("*** Delete File: a\n\n*** Delete File: b", "Invalid patch hunk on line 3: '' is not…");
    }

    #[test]
    fn an_added_file_is_its_plus_lines() {
        check_body("*** Add File: a\n+x\n+\n++y\n*** Add File: b", r#"A a "x\n\n+y\n"; A b """#);
        check_body(
            "*** Add File: a\n+x\n\n+y",
            "Invalid patch hunk on line 4: Unexpected line found in add…",
        );
        check_body(
            "*** Add File: a\nx",
            "Invalid patch hunk on line 3: Unexpected line found in add file hunk: 'x'…",
        );
    }

    #[test]
    fn an_update_has_hunks() {
        for (body, expected) in [
            ("@@\n-a\n+b", "U f [-a|+b]"),
            ("-a\n+b", "U f [-a|+b]"),
            (" a\n\n b", "U f [ a| | b]"),
            ("@@ fn x() {\n a\n@@\n-b", "U f [@fn x() {| a][-b]"),
            ("  @@ fn x()  \n a", "U f [@fn x()| a]"),
            ("\n \n@@\n a", "U f [ a]"),
            ("@@\n a\n*** End of File\n\n@@\n b", "U f [ a|$][ b]"),
            ("@@\n a\n*** End of File\n\n*** Delete File: g", "U f [ a|$]; D g"),
            ("@@\n a\n *** End of File", "U f [ a| *** End of File]"),
            ("@@\n a\n *** Delete File: g ", "U f [ a]; D g"),
            ("*** Move to: g\n@@\n a", "U f > g [ a]"),
            (" *** Move to: g\n a", "U f [ *** Move to: g| a]"),
        ] {
            check_body(&format!("*** Update File: f\n{body}"), expected);
        }
    }

    #[test]
    fn a_bad_hunk_is_named_with_its_line() {
        let unexpected = "Unexpected line found in update hunk";
        let marker = "Expected update hunk to start with a @@ context marker, got";
        let none = "Update hunk does not contain any lines";
        for (body, line, expected) in [
            ("", 2, "Update file hunk for path 'f' is empty".to_owned()),
            ("*** Move to: g", 2, "Update file hunk for path 'f' is empty".to_owned()),
            (
                "x",
                3,
                format!(
                    "{unexpected}: 'x'. Every line should start with ' ' (context line), '+' (added line), or '-' (removed line)"
                ),
            ),
            ("@@\nx", 4, format!("{unexpected}: 'x'…")),
            ("@@x\n a", 3, format!("{unexpected}: '@@x'…")),
            ("@@\n a\nx", 5, format!("{marker}: 'x'")),
            ("@@\n a\n@@x", 5, format!("{marker}: '@@x'")),
            ("@@\n a\n*** End of File\n b", 6, format!("{marker}: ' b'")),
            ("@@", 4, none.to_owned()),
            ("@@\n@@\n a", 4, none.to_owned()),
            ("@@\n*** End of File", 4, none.to_owned()),
            ("@@\n*** Delete File: g", 4, none.to_owned()),
            ("@@\n a\n*** Wrong: g", 5, "'*** Wrong: g' is not a valid hunk header…".to_owned()),
            ("@@\n a\n\n*** Move to: g", 6, "'*** Move to: g' is not a valid hunk header…".to_owned()),
        ] {
            let expected = format!("Invalid patch hunk on line {line}: {expected}");
            check_body(format!("*** Update File: f\n{body}").trim_end(), &expected);
        }
    }

    #[test]
    fn a_line_that_looks_like_a_diff_is_nothing_special() {
        check_body("*** Update File: f\n@@ -1,2 +1,2 @@\n a", "U f [@-1,2 +1,2 @@| a]");
    }
}
