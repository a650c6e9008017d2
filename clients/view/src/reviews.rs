//! A review in words, for all that show one. Nothing here is escaped.

use protocol::review::{Review, ReviewFinding, ReviewVerdict};

/// What it came to, in a line: `Review: 2 findings, needs work`.
#[must_use]
pub fn head(review: &Review) -> String {
    let count = match review.findings.len() {
        0 if review.message.is_some() => "no findings that can be read".to_owned(),
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let verdict = match &review.verdict {
        Some(ReviewVerdict::Acceptable) => ", acceptable",
        Some(ReviewVerdict::NeedsWork) => ", needs work",
        Some(ReviewVerdict::Unknown(verdict)) => return format!("Review: {count}, {verdict}"),
        None => "",
    };
    format!("Review: {count}{verdict}")
}

/// A finding's first line: `src/lib.rs:3-5  high  It is wrong`.
#[must_use]
pub fn title(finding: &ReviewFinding) -> String {
    format!("{}  {}  {}", finding.place(), finding.severity.name(), finding.title)
}

/// All of it: the head, each finding, what is thought of the whole, and what could not be read.
#[must_use]
pub fn text(review: &Review) -> String {
    let mut text = format!("{}\n", head(review));
    for finding in &review.findings {
        text.push_str(&format!("\n{}\n", title(finding)));
        for line in finding.text.trim_end().lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    for last in [Some(review.summary.as_str()), review.message.as_deref()].into_iter().flatten() {
        if !last.is_empty() {
            text.push_str(&format!("\n{last}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_review_is_a_list_of_places() {
        let answer = r#"{"findings": [
            {"file": "a.rs", "startLine": 3, "endLine": 5, "severity": "high", "title": "Wrong", "text": "One.\nTwo."}
        ], "verdict": "needsWork", "summary": "Mend it."}"#;
        let review = Review::read(answer, Path::new("/repo"));
        assert_eq!(
            text(&review),
            "Review: 1 finding, needs work\n\na.rs:3-5  high  Wrong\n    One.\n    Two.\n\nMend it.\n"
        );
    }

    #[test]
    fn an_answer_that_can_not_be_read_says_so() {
        let review = Review::read("Fine.", Path::new("/repo"));
        let told = "Review: no findings that can be read\n\nThe model did not answer with findings\n";
        assert_eq!(text(&review), told);
    }
}
