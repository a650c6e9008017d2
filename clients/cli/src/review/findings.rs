//! How a review is shown to a person in a terminal.

use protocol::review::{Review, ReviewSeverity};
use view::escape;

use crate::output::Output;

/// For a person.
pub(crate) fn shown(review: &Review, output: Output) -> String {
    let style = output.out;
    let mut shown = String::new();
    for finding in &review.findings {
        let name = escape::line(finding.severity.name());
        let severity = match &finding.severity {
            ReviewSeverity::Critical | ReviewSeverity::High => style.red(name),
            ReviewSeverity::Medium | ReviewSeverity::Unknown(_) => style.yellow(name),
            ReviewSeverity::Low => style.dim(name),
        };
        let place = finding.place();
        let place = style.cyan(escape::line(&place));
        let title = style.bold(escape::line(&finding.title));
        shown.push_str(&format!("{place}  {severity}  {title}\n"));
        for line in escape::prose(&finding.text).lines() {
            shown.push_str(&format!("    {line}\n"));
        }
        shown.push('\n');
    }
    let has_none = review.findings.is_empty() && review.message.is_none();
    shown.push_str(if has_none { "No findings. " } else { "" });
    shown.push_str(&escape::prose(review.summary.trim()));
    shown.push('\n');
    shown
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn findings_are_shown_with_their_places_and_nothing_of_them_reaches_the_terminal() {
        let answer = r#"{"findings": [
            {"file": "a.rs", "startLine": 1, "endLine": 2, "severity": "low\u001b[2J", "title": "t", "text": "x\u001b[2J"}
        ], "summary": "One."}"#;
        let shown = shown(&Review::read(answer, Path::new("/repo")), Output::new().merged());
        assert!(shown.starts_with("a.rs:1-2  low") && shown.ends_with("One.\n"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
