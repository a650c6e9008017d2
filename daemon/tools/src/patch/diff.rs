//! A unified diff for people, bounded.

use std::fmt::Write;
use std::time::Duration;

use similar::TextDiff;

/// The most bytes of a diff.
const MAX_BYTES: usize = 16 * 1024;

/// The most bytes of both texts; larger ones are not compared.
const MAX_COMPARED_BYTES: usize = 2 * 1024 * 1024;

/// How long is spent on a short diff; after that, a longer one will do.
const TIMEOUT: Duration = Duration::from_millis(200);

/// The hunks of a unified diff, without a header that names files. Empty if nothing differs.
pub(crate) fn unified(old: &[u8], new: &[u8]) -> String {
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return "(not text)\n".to_owned();
    };
    if is_too_large(old.as_bytes(), new.as_bytes()) {
        return "(too large to show)\n".to_owned();
    }
    let diff = TextDiff::configure().timeout(TIMEOUT).diff_lines(old, new);
    let mut text = String::new();
    for hunk in diff.unified_diff().iter_hunks() {
        // Writing to a string does not fail.
        let _ = write!(text, "{hunk}");
        if text.len() > MAX_BYTES {
            break;
        }
    }
    bounded(text)
}

/// Whether two texts are too large to be compared.
pub(crate) fn is_too_large(old: &[u8], new: &[u8]) -> bool {
    old.len() + new.len() > MAX_COMPARED_BYTES
}

/// Cuts a diff at the end of a line, and says so.
pub(crate) fn bounded(mut text: String) -> String {
    if text.len() > MAX_BYTES {
        let end = text.floor_char_boundary(MAX_BYTES);
        text.truncate(text[..end].rfind('\n').map_or(end, |last| last + 1));
        text.push_str("(the rest is not shown)\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_has_hunks_with_context() {
        assert_eq!(
            unified(b"a\nb\nc\n", b"a\nx\nc"),
            "@@ -1,3 +1,3 @@\n a\n-b\n-c\n+x\n+c\n\\ No newline at end of file\n"
        );
        assert_eq!(unified(b"", b"a\n"), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(unified(b"a\n", b"a\n"), "");
        assert_eq!(unified(b"\xff", b"a"), "(not text)\n");
    }

    #[test]
    fn a_long_diff_is_cut_and_says_so() {
        let diff = unified(b"", "ü\n".repeat(100_000).as_bytes());
        assert!(
            diff.len() <= MAX_BYTES + 30 && diff.ends_with("+ü\n(the rest is not shown)\n"),
            "{}",
            diff.len()
        );
        let diff = unified(b"", "ü".repeat(100_000).as_bytes());
        assert!(
            diff.len() <= MAX_BYTES + 30 && diff.ends_with("\n(the rest is not shown)\n"),
            "{}",
            diff.len()
        );
    }
}
