//! Skills that a person calls for: `$name` in what they say.

/// The words after a `$` that may name skills, each once, in order. What stands in the middle of a word is none, so
/// that `US$notes` is not.
#[must_use]
pub fn mentioned(text: &str) -> Vec<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices('$') {
        let before = text[..at].chars().next_back();
        let rest = &text[at + 1..];
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        // A dash at the end is of the sentence.
        let name = rest[..end].trim_end_matches('-');
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '$' | '\\' | '_'));
        if begins && !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_after_a_dollar_are_found() {
        for (text, expected) in [
            ("$notes for 1.2", &["notes"][..]),
            ("use $notes, then ($pdf-forms) and $notes again", &["notes", "pdf-forms"]),
            ("take $notes.", &["notes"]),
            ("ask $notes- or so", &["notes"]),
            ("US$5, $$ and a\\$b, $", &[]),
            ("$ü", &[]),
            ("costs $5", &["5"]),
        ] {
            assert_eq!(mentioned(text), expected, "{text}");
        }
    }
}
