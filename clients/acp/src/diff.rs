//! Unified diffs as pairs of texts, one for each hunk, which is how an editor wants them. Knows nothing of files.

/// One hunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// The first line of it in the file as it is now, from 1.
    pub(crate) line: u32,
    /// The lines as they were, with what stands around them.
    pub(crate) old: String,
    /// The lines as they are now.
    pub(crate) new: String,
}

/// The hunks of a diff. What is no diff has none.
pub(crate) fn hunks(diff: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    for line in diff.split_inclusive('\n') {
        if let Some(begin) = begin(line) {
            hunks.push(Hunk { line: begin, ..Hunk::default() });
            continue;
        }
        let Some(hunk) = hunks.last_mut() else { continue };
        match line.split_at_checked(1) {
            Some(("-", text)) => hunk.old.push_str(text),
            Some(("+", text)) => hunk.new.push_str(text),
            Some((" ", text)) => {
                hunk.old.push_str(text);
                hunk.new.push_str(text);
            }
            Some(("\n", _)) => {
                hunk.old.push('\n');
                hunk.new.push('\n');
            }
            // "No newline at end of file", or that the rest is not shown.
            Some(_) | None => {}
        }
    }
    hunks
}

/// Where a hunk begins now.
fn begin(line: &str) -> Option<u32> {
    let range = line.strip_prefix("@@ -")?.split_whitespace().nth(1)?.strip_prefix('+')?;
    range.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hunk_is_a_pair_of_texts() {
        let diff = "@@ -1,3 +1,3 @@\n a\n-b\n+x\n\n@@ -9 +9,2 @@\n-c\n+c\n+d\n\\ No newline at end of file\n";
        let expected = [
            Hunk { line: 1, old: "a\nb\n\n".into(), new: "a\nx\n\n".into() },
            Hunk { line: 9, old: "c\n".into(), new: "c\nd\n".into() },
        ];
        assert_eq!(hunks(diff), expected);
    }

    #[test]
    fn what_is_no_diff_has_no_hunks() {
        for text in ["", "(not text)\n", "+x\n", "@@ nonsense @@\n+x\n"] {
            assert_eq!(hunks(text), []);
        }
    }
}
